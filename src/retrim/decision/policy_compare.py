"""The policies a backtest tries, side by side: what each would have cost, and which one to switch on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.decision.policy_play import (
    Drifted,
    LiveModel,
    PlayedPolicy,
    PlayedRules,
    Schedule,
    Setting,
    best_in_hindsight,
    play_policy,
)
from retrim.decision.rules import TriggerParams
from retrim.drift.alarms import LEAST_STRETCHES
from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.cells import CategoryCells, Cells, Counts, NumericCells
from retrim.drift.findings import part_seen, tests_of
from retrim.drift.params import DriftParams
from retrim.drift.profile import ColumnProfile, Profile, ProfileParams, score_types
from retrim.drift.tests import DRIFT_TESTS
from retrim.drift.watched import mean_waves, watch
from retrim.stats.bootstrap import ratio_interval
from retrim.table.data import ColumnType

RULE, NEVER = "gain", "never"  # the shipped rule, and no retraining at all
STRETCHES = 5  # that a history is cut into, at least
STRETCH_WINDOWS = 10  # of a stretch, where there are enough windows
LEAST_WINDOWS = 20  # for an advice: with fewer, a stretch has fewer than four
PERIODS = (2, 4, 8, 16)
EARLY = 0.5  # of a window that a calendar is due early in a backtest: its windows are not equally long
USUAL_PSI = 0.2  # the limit that PSI is used with elsewhere
UNITS = {unit: pd.Timedelta(f"1{unit}") for unit in ("D", "h", "min", "s")}

Over = Callable[[str, ColumnProfile, Counts, Counts], bool]
"""Whether a column has drifted, from its counts in reference and current window."""


@dataclass(frozen=True)
class Counted:
    """How each column was distributed in each chunk of the history: those before the first window, then the windows'.

    Args:
        columns: Counts by column; a block of theirs is a chunk.
        blocks: First and last event time and rows of each chunk.
        before: Chunks before the first window.
        parts: Chunks of a window.
    """

    columns: Mapping[str, ColumnProfile]
    blocks: pd.DataFrame
    before: int
    parts: int

    @property
    def rows(self) -> np.ndarray:
        """Rows of each chunk."""
        return self.blocks["rows"].to_numpy()

    def behind(self, *, model: int, sliding_rows: int | None) -> tuple[int, int]:
        """The chunks `[first, last)` that a model was made from.

        Args:
            sliding_rows: Rows of its training window, to whole chunks; None for all.
        """
        end = self.before + model * self.parts
        if sliding_rows is None:
            return 0, end
        rows = np.cumsum(self.rows[:end][::-1])
        return end - 1 - int(np.searchsorted(rows, min(sliding_rows, int(rows[-1])))), end

    def of_window(self, window: int) -> tuple[int, int]:
        """The chunks `[first, last)` of a window."""
        first = self.before + window * self.parts
        return first, first + self.parts

    def profile(self, first: int, last: int) -> Profile:
        """The chunks `[first, last)` as a reference, a block each."""
        columns = {name: replace(column, counts=column.counts[first:last]) for name, column in self.columns.items()}
        return Profile(columns, self.blocks.iloc[first:last], pd.DataFrame())

    def drifted(self, over: Over, *, model: int, window: int, sliding_rows: int | None) -> tuple[str, ...]:
        """Columns that drifted.

        Args:
            sliding_rows: Rows of its training window, to whole chunks; None for all.
        """
        behind, now = self.behind(model=model, sliding_rows=sliding_rows), self.of_window(window)
        found = [
            name
            for name, column in self.columns.items()
            if over(name, column, column.window(*behind), column.window(*now))
        ]
        return tuple(found)


def count_windows(
    rows: pd.DataFrame,
    features: Mapping[str, ColumnType],
    edges: np.ndarray,
    params: ProfileParams,
    *,
    chunks: int,
    parts: int,
) -> Counted:
    """Every column counted, in cells that are cut from the rows before the first window."""
    stretches = [(0, int(edges[0]), chunks), *((int(a), int(b), parts) for a, b in pairwise(edges))]
    cuts = [np.linspace(start, end, many + 1).round().astype("int64")[:-1] for start, end, many in stretches]
    starts = np.concatenate([*cuts, edges[-1:]])
    sizes = np.diff(starts)
    event = rows["_event"]
    begin = np.minimum(starts[:-1], len(event) - 1)  # a chunk may have no row
    last = np.maximum(starts[1:] - 1, begin)
    blocks = pd.DataFrame({"first": event.iloc[begin].array, "last": event.iloc[last].array, "rows": sizes})
    chunk = np.repeat(np.arange(len(sizes)), sizes)
    columns = {}
    for name, kind in features.items():
        if kind == "time":
            continue
        first = rows[name].iloc[: edges[0]]
        cells: Cells
        if kind == "category":
            cells = CategoryCells.cut(first, levels=params.levels, buckets=params.buckets)
        else:
            cells = NumericCells.cut(first, cells=params.cells)
        wide = cells.size + 1
        counts = np.bincount(chunk * wide + cells.place(rows[name]), minlength=len(sizes) * wide)
        kept: Literal["numeric", "categorical"] = "categorical" if kind == "category" else "numeric"
        columns[name] = ColumnProfile(kept, cells, counts.reshape(len(sizes), wide))
    return Counted(columns, blocks, chunks, parts)


class WindowAlarms:
    """What the drift tests of params.yaml say of a window; calibrations are made once for each model and length.

    Predictions, target and joint tests are not looked at; the features have the part of the rate that a check gives
    them.

    Args:
        counted: The columns, window by window.
        params: Of the drift tests.
        every: Time between two checks.
        task: Of the model: it says how many columns the predictions are.
    """

    def __init__(self, counted: Counted, params: DriftParams, every: pd.Timedelta, *, task: str) -> None:
        self.counted, self._params = counted, params
        features = len(counted.columns)
        share = features / (features + len(params.joint.tests) + len(score_types(task)) + 1)  # 1: the target
        self._rate = None if params.alarms is None else params.alarms.rate(every) * share
        self._calibrations: dict[tuple[int, int, int], WindowCalibration] = {}
        self._seen = {
            name: {part_seen(test) for test in tests_of(name, column, params)}
            for name, column in counted.columns.items()
        }

    def __call__(self, model: int, window: int, sliding_rows: int | None) -> tuple[str, ...]:
        """Columns that drifted since what a model was made from."""
        counted = self.counted
        first, last = counted.behind(model=model, sliding_rows=sliding_rows)
        if self._rate is None or last - first < LEAST_STRETCHES:
            return counted.drifted(self._over, model=model, window=window, sliding_rows=sliding_rows)
        now = slice(*counted.of_window(window))
        rows = int(counted.rows[now].sum())
        counts = {name: column.counts[now].sum(axis=0) for name, column in counted.columns.items()}
        waves = mean_waves(counted.blocks.iloc[now])
        alarms = self._calibrated(first, last, rows).judge(counts, rate=self._rate, waves=waves)
        alarmed = {alarm.column for alarm in alarms if alarm.alarmed and alarm.of in self._seen[alarm.column]}
        return tuple(name for name in counted.columns if name in alarmed)

    def _calibrated(self, first: int, last: int, rows: int) -> WindowCalibration:
        key = (first, last, rows)
        if key not in self._calibrations:
            alarms = self._params.alarms
            assert alarms is not None
            watched = watch(self.counted.profile(first, last))
            self._calibrations[key] = calibrate(watched, rows=rows, draws=alarms.draws, seed=alarms.seed)
        return self._calibrations[key]

    def _over(self, name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
        tests = tests_of(name, column, self._params)
        return any(
            float(DRIFT_TESTS[test](reference, current, **arguments).effect) > self._params.threshold_of(test)
            for test, arguments in tests.items()
        )


@dataclass(frozen=True)
class Periodic:
    """Costs of the periodic schedules with a given number of retrainings, over their phases.

    Args:
        median: Cost of the median phase.
        best: Cost of the best phase, which cannot be known in advance.
    """

    median: float
    best: float


def phases(windows: int, count: int) -> list[tuple[int, ...]]:
    """Every schedule of `count` checks evenly apart, one a phase; each check stands before a window after the first.

    Args:
        windows: Windows of the history, 2 or more.
    """
    period = windows / count
    found = set()
    for shift in np.arange(0.0, period, 0.5):
        checks = tuple(sorted({round(shift + number * period) for number in range(count)}))
        if len(checks) == count and checks[0] >= 1 and checks[-1] < windows:
            found.add(checks)
    return sorted(found) or [tuple(range(windows - count, windows))]


def periodic(setting: Setting, count: int, *, retraining_cost: float) -> Periodic:
    """What the periodic policy of `count` retrainings costs, at its median and at its best phase."""
    schedules = phases(setting.matrix.windows - setting.begin, count) if count else [()]
    costs = [
        play_policy(setting, [setting.begin + check for check in checks]).cost(retraining_cost) for checks in schedules
    ]
    return Periodic(float(np.median(costs)), float(min(costs)))


@dataclass(frozen=True)
class Policy:
    """A policy of a backtest, and the settings that switch it on.

    Args:
        name: Name of the policy.
        changes: Values of params.yaml by dotted key; None if the policy is only for comparison.
        rules: The rules that decide; no checks at all for never.
    """

    name: str
    changes: Mapping[str, JsonValue] | None
    rules: PlayedRules | tuple[()]

    @property
    def probes(self) -> bool:
        """Whether it needs the probe."""
        return isinstance(self.rules, PlayedRules) and self.rules.probes

    @property
    def is_calendar(self) -> bool:
        """Whether it retrains by the calendar alone."""
        return self.changes is not None and self.changes.get("triggers.rules") == ["schedule"]


@dataclass(frozen=True)
class PolicyOutcome:
    """What a policy would have cost.

    Args:
        policy: The policy.
        played: Its course, window by window.
        retraining_cost: Cost of a retraining, in mean loss times checks.
        hindsight: The best schedule under the same delays.
        probe_cost: Cost of the probe's fits: the retraining cost times their rows divided by those of a retraining.
        periodic: Periodic schedules with as many retrainings.
        costs: `cost` by stretch of the history, shape (stretches,).
        hindsight_costs: Cost of the best schedule by stretch, shape (stretches,).
    """

    policy: Policy
    played: PlayedPolicy
    retraining_cost: float
    hindsight: Schedule
    probe_cost: float
    periodic: Periodic
    costs: np.ndarray
    hindsight_costs: np.ndarray

    @property
    def cost(self) -> float:
        """Loss summed over the windows and the retraining cost of each retraining, in mean loss times checks."""
        return self.played.cost(self.retraining_cost)

    @property
    def ratio(self) -> float:
        """Cost over that of the best schedule in hindsight, the probe's own cost left out; 1 or more."""
        return self.cost / self.hindsight.cost(self.retraining_cost)

    @property
    def ratio_interval(self) -> tuple[float, float]:
        """95% interval of `ratio`, from how it differs between the stretches; no policy costs less than hindsight."""
        low, high = ratio_interval(self.costs, self.hindsight_costs)
        return max(low, min(self.ratio, 1.0)), high

    @property
    def ratio_with_probe(self) -> float:
        """The same with the probe's own cost."""
        return (self.cost + self.probe_cost) / self.hindsight.cost(self.retraining_cost)


def compare_policies(
    setting: Setting, policies: Sequence[Policy], *, retraining_cost: float, fits_per_retraining: float
) -> list[PolicyOutcome]:
    """Every policy over one history.

    Args:
        policies: Any number: none of them needs another fit.
    """
    totals, delays, edges = setting.totals, setting.delays, stretch_edges(setting)
    hindsight = best_in_hindsight(totals, delays, retraining_cost=retraining_cost)
    hindsight_costs = np.add.reduceat(hindsight.costs(totals, retraining_cost, delays), edges[:-1])
    calendar: dict[int, Periodic] = {}
    outcomes = []
    for policy in policies:
        played = play_policy(setting, policy.rules)
        if played.retrainings not in calendar:
            calendar[played.retrainings] = periodic(setting, played.retrainings, retraining_cost=retraining_cost)
        outcomes.append(
            PolicyOutcome(
                policy,
                played,
                retraining_cost,
                hindsight,
                probe_cost=retraining_cost * played.probed / (usual_fit(setting) * fits_per_retraining),
                periodic=calendar[played.retrainings],
                costs=np.add.reduceat(played.costs(retraining_cost), edges[:-1]),
                hindsight_costs=hindsight_costs,
            )
        )
    return outcomes


def usual_fit(setting: Setting) -> float:
    """Rows that a model of each training window is made from, on average over the windows, summed."""
    matrix = setting.matrix
    return float(np.mean(matrix.fitted_rows[np.ix_(list(setting.kinds), matrix.origins.tolist())], axis=1).sum())


def stretch_edges(setting: Setting) -> np.ndarray:
    """Where the stretches of the windows that count begin, and the last ends, shape (stretches + 1,)."""
    windows = setting.matrix.windows - setting.begin
    count = max(windows // STRETCH_WINDOWS, min(STRETCHES, windows))
    return np.asarray(np.linspace(setting.begin, setting.matrix.windows, count + 1).round().astype("int64"))


@dataclass(frozen=True)
class PolicyChoice:
    """The advice: whether to retrain, and by which policy, from the whole history.

    A calendar is chosen only if choosing pays: every stretch of the history is charged with what the policy cost there
    that was the cheapest on the other stretches.

    Args:
        name: The retraining policy to compare with never retraining: the shipped rule, or a calendar.
        chosen: The policy that each stretch is charged with: the rule, or the cheapest on the other stretches.
        outcomes: The shipped rule, the cheapest calendar and never retraining, the cheapest first.
        windows: Windows that count.
        ratio: Cost of never retraining divided by the cost of those policies.
        low: Lower end of the ratio's 95% interval.
        high: Upper end of this interval.
        dearer: Stretches on which never retraining cost more.
    """

    name: str
    chosen: tuple[str, ...]
    outcomes: tuple[PolicyOutcome, ...]
    windows: int
    ratio: float
    low: float
    high: float
    dearer: int

    @property
    def recommended(self) -> str | None:
        """The recommended policy, which may be never to retrain; None if there are too few windows to tell."""
        if self.windows < LEAST_WINDOWS:
            return None
        return self.name if self.ratio > 1 else NEVER

    @property
    def sentence(self) -> str:
        """The advice, and what the choices would have cost."""
        costs = ", ".join(
            "{} {:.3g} ({:.3g} to {:.3g})".format(outcome.policy.name, outcome.ratio, *outcome.ratio_interval)
            for outcome in self.outcomes
        )
        return f"{self._advice} Cost, times the best schedule in hindsight, with its 95% interval: {costs}."

    @property
    def _advice(self) -> str:
        if self.recommended is None:
            needed = f"{LEAST_WINDOWS} are needed; land more history, or raise --windows"
            return f"{self.windows} windows are too few to tell whether retraining pays: {needed}."
        if not any(outcome.played.checks for outcome in self.outcomes if outcome.policy.name == self.name):
            return f"Do not retrain: over all {self.windows} windows {self.name} started no retraining."
        retraining = self.name if set(self.chosen) == {self.name} else "what was the cheapest on the other stretches"
        ratio = f"{self.ratio:.3g} times as much as {retraining} (95% interval {self.low:.3g} to {self.high:.3g})"
        stretches = f"{self.dearer} of {len(self.chosen)} stretches"
        advice = "Do not retrain" if self.ratio <= 1 else f"Use {self.name}"
        proof = "" if self.low > 1 or self.ratio <= 1 else ", so it is not proven that retraining pays"
        return (
            f"{advice}: over all {self.windows} windows never retraining cost {ratio}, and more on {stretches}{proof}."
        )


def choose(setting: Setting, outcomes: Sequence[PolicyOutcome]) -> PolicyChoice:
    """Whether to retrain, and by the shipped rule or by which calendar.

    Args:
        setting: The whole history, at least 2 windows that count.
    """
    by_name = {outcome.policy.name: outcome for outcome in outcomes}
    rule, never = by_name[RULE], by_name[NEVER]
    calendars = [outcome for outcome in outcomes if outcome.policy.is_calendar]
    choices = [rule, *calendars]
    costs = np.array([outcome.costs for outcome in choices])
    stretches = range(costs.shape[1])
    best = int(np.argmin(costs.sum(axis=1)))
    chosen = [int(np.argmin(np.delete(costs, stretch, axis=1).sum(axis=1))) for stretch in stretches]
    if costs[chosen, stretches].sum() >= rule.costs.sum():  # choosing among calendars does not pay
        best, chosen = 0, [0 for _ in stretches]
    retraining = costs[chosen, stretches]
    low, high = ratio_interval(never.costs, retraining)
    shown = [rule, never, *sorted(calendars, key=lambda outcome: outcome.cost)[:1]]
    return PolicyChoice(
        name=choices[best].policy.name,
        chosen=tuple(choices[place].policy.name for place in chosen),
        outcomes=tuple(sorted(shown, key=lambda outcome: outcome.cost)),
        windows=setting.matrix.windows - setting.begin,
        ratio=float(never.costs.sum() / retraining.sum()),
        low=low,
        high=high,
        dearer=int((never.costs > retraining).sum()),
    )


def policies(
    setting: Setting,
    rules: PlayedRules,
    alarms: WindowAlarms,
    *,
    window_span: pd.Timedelta,
    sliding_rows: int,
    least: int,
) -> list[Policy]:
    """Never, the accumulated gain, calendars, the performance band, and drift by our alarms and by PSI.

    Args:
        rules: Those of params.yaml.
        alarms: The drift tests of params.yaml.
        sliding_rows: Of the sliding training window.
        least: Rows of a window below which no drift is tested.
    """

    def by(name: str, **changes: Any) -> PlayedRules:
        return replace(rules, triggers=rules.triggers.model_copy(update={"rules": (name,), **changes}))

    def looked(columns_over: Callable[[int, int, int | None], tuple[str, ...]]) -> Drifted:
        def drifted(live: LiveModel, window: int) -> tuple[str, ...] | None:
            if setting.matrix.rows[window] < least:
                return None
            is_sliding = setting.matrix.kinds[live.kind] == "sliding"
            return columns_over(live.model, window, sliding_rows if is_sliding else None)

        return drifted

    def usual(model: int, window: int, rows: int | None) -> tuple[str, ...]:
        return alarms.counted.drifted(_usual_psi, model=model, window=window, sliding_rows=rows)

    # PSI as it is used elsewhere: every alarm retrains.
    at_once = by("drift", drift_checks=(1, 1), cooldown_checks=0, loop_checks=0, budget=None)
    periods = [*(period for period in PERIODS if period <= setting.matrix.windows // 2), 1]
    return [
        Policy(NEVER, {"triggers.rules": []}, ()),
        Policy(RULE, {"triggers.rules": ["gain"]}, by("gain")),
        *(_calendar(rules, period, window_span) for period in periods),
        Policy("performance", {"triggers.rules": ["performance"]}, by("performance")),
        Policy("drift", {"triggers.rules": ["drift"]}, replace(by("drift"), drifted=looked(alarms))),
        Policy("psi", None, replace(at_once, drifted=looked(usual))),
    ]


def _calendar(rules: PlayedRules, period: int, window_span: pd.Timedelta) -> Policy:
    name = "always" if period == 1 else f"every-{period}"
    exact = period * window_span
    fine = next((unit for unit, size in UNITS.items() if exact > 3 * size), "s")
    span = max(exact.round(fine), UNITS["s"])
    text = next(f"{span // size}{unit}" for unit, size in UNITS.items() if not span % size)
    switched: dict[str, JsonValue] = {"rules": ["schedule"], "every": text}
    if period == 1:
        switched["budget"] = None  # it stops what retrains at every check, and here that is what was asked for
    seconds = max(int((period - EARLY) * window_span / pd.Timedelta("1s")), 1)
    played = {"every": f"{seconds}s", "cooldown_checks": 0, "loop_checks": 0}  # as follows from the rule alone
    triggers = TriggerParams.model_validate({**dict(rules.triggers), **switched, **played})
    return Policy(
        name, {f"triggers.{key}": value for key, value in switched.items()}, replace(rules, triggers=triggers)
    )


def _usual_psi(name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
    if column.kind == "numeric":
        return float(DRIFT_TESTS["psi"](reference, current, cells=10).effect) > USUAL_PSI
    return float(DRIFT_TESTS["psi_categories"](reference, current).effect) > USUAL_PSI
