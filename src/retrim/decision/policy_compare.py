"""The policies of a backtest side by side: what each would have cost, and which one to switch on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from retrim.decision.policy_backtest import PolicyDelays
from retrim.decision.policy_gate import Setting
from retrim.decision.policy_play import play_policy
from retrim.decision.policy_rules import NEVER, RULE, Policy
from retrim.stats.bootstrap import ratio_interval
from retrim.stats.codec import Moment, Numbers, Unwritten

STRETCHES = 5  # that a history is cut into, at least
STRETCH_WINDOWS = 10  # of a stretch, where there are enough windows
LEAST_WINDOWS = 20  # for an advice: with fewer, a stretch has fewer than four


@dataclass(frozen=True)
class Schedule:
    """Checks at which a retraining is decided, and the resulting loss.

    Args:
        checks: For each decision, the window that follows it, ascending.
        loss: Sum over all windows of mean loss times share.
    """

    checks: tuple[int, ...]
    loss: float

    def cost(self, retraining_cost: float) -> float:
        return self.loss + retraining_cost * len(self.checks)

    def costs(self, totals: np.ndarray, retraining_cost: float, delays: PolicyDelays) -> np.ndarray:
        """The same by window, shape (windows,); `totals` and `delays` are those that the schedule was sought for."""
        costs = np.zeros(totals.shape[1])
        starts = [0, *self.checks]
        for check, start, end in zip((0, *self.checks), starts, [*starts[1:], None], strict=True):
            losses = totals[:, max(check - delays.age, 0), start:end]
            costs[start:end] = losses[np.argmin(losses.sum(axis=1))]
            costs[start] += retraining_cost if check else 0.0
        return costs


def best_in_hindsight(totals: np.ndarray, delays: PolicyDelays, *, retraining_cost: float) -> Schedule:
    """The cheapest schedule, looking back: which retrainings, and the best training window for each.

    A retraining decided before window `t` is of model `t - labels - held_back`, and live from window `t` on.

    Args:
        totals: `LossMatrix.totals`, of the training windows that may be chosen, shape (kinds, windows, windows).

    Returns:
        The cheapest; of equals one with the fewest retrainings.

    Source:
        Dynamic programming over the last decision, as Bellman (1957) has it; the state is the model that is live.
    """
    n = totals.shape[1]
    running = np.concatenate([np.zeros((*totals.shape[:2], 1)), np.nancumsum(totals, axis=2)], axis=2)

    def loss_of(model: int, first: int, last: int) -> float:
        return float((running[:, model, last] - running[:, model, first]).min())

    # cost_from[t]: cheapest cost of all windows from the going-live of the decision t on, its cost included.
    cost_from = np.full(n + 1, np.inf)
    count_from = np.zeros(n + 1, dtype="int64")
    then: list[int | None] = [None] * (n + 1)
    for check in range(n - 1, -1, -1):
        model = max(check - delays.age, 0)
        options: list[tuple[float, int, int | None]] = [(loss_of(model, check, n), 0, None)]
        for later in range(check + 1, n):
            cost = loss_of(model, check, later) + cost_from[later]
            options.append((cost, int(count_from[later]), later))
        cost, count, then[check] = min(options, key=lambda option: (option[0], option[1]))
        count_from[check] = count + (1 if check else 0)
        cost_from[check] = cost + (retraining_cost if check else 0.0)
    checks: list[int] = []
    at = then[0]
    while at is not None:
        checks.append(at)
        at = then[at]
    return Schedule(tuple(checks), float(cost_from[0] - retraining_cost * len(checks)))


def phases(windows: int, count: int) -> list[tuple[int, ...]]:
    """Every schedule of `count` checks evenly apart, one a phase; each check stands before a window after the first.

    Args:
        windows: Windows of the history, 2 or more.
    """
    period = windows / count
    schedules = set()
    for shift in np.arange(0.0, period, 0.5):
        checks = tuple(sorted({round(shift + number * period) for number in range(count)}))
        if len(checks) == count and checks[0] >= 1 and checks[-1] < windows:
            schedules.add(checks)
    return sorted(schedules) or [tuple(range(windows - count, windows))]


def periodic_costs(setting: Setting, count: int, *, retraining_cost: float) -> tuple[float, float]:
    """What the periodic policy of `count` retrainings costs, at its median phase and at its best, known only later."""
    schedules = phases(setting.matrix.windows - setting.begin, count) if count else [()]
    costs = [
        play_policy(setting, [setting.begin + check for check in checks]).cost(retraining_cost) for checks in schedules
    ]
    return float(np.median(costs)), float(min(costs))


@dataclass(frozen=True)
class PolicyOutcome:
    """A policy in a backtest.

    Args:
        name: Name of the policy.
        retrainings: Number of retrainings.
        refused: Runs that the gate would have refused.
        waited: Checks at which a person would have had to start the retraining.
        loss: Mean loss over the windows.
        cost: Loss plus retrainings, in mean loss times checks.
        ratio_to_hindsight: `cost` divided by the cost of the best schedule in hindsight.
        ratio_low: Lower end of the ratio's 95% interval, from how it differs between the stretches of the history.
        ratio_high: Upper end of this interval.
        probe_cost: Cost of its probes, in mean loss times checks.
        ratio_with_probe: The same ratio with the cost of the probes.
        periodic_median: Cost of a periodic schedule with as many retrainings as this policy: median over its phases.
        periodic_best: Cost of the best phase of that schedule.
        decided: Times at which it retrains.
        changes: Settings that switch it on.
        costs: `cost` by stretch of the history, shape (stretches,).
    """

    name: str
    retrainings: int
    refused: int
    waited: int
    loss: float
    cost: float
    ratio_to_hindsight: float
    ratio_low: float
    ratio_high: float
    probe_cost: float
    ratio_with_probe: float
    periodic_median: float
    periodic_best: float
    decided: tuple[Moment, ...]
    changes: dict[str, JsonValue]
    costs: Unwritten[Numbers]


def compare_policies(
    setting: Setting,
    policies: Sequence[Policy],
    hindsight: Schedule,
    *,
    retraining_cost: float,
    fits_per_retraining: float,
) -> list[PolicyOutcome]:
    """Every policy over one history, beside the best schedule of it; none of them needs another fit."""
    edges = stretch_edges(setting)
    hindsight_costs = np.add.reduceat(hindsight.costs(setting.totals, retraining_cost, setting.delays), edges[:-1])
    least = hindsight.cost(retraining_cost)
    calendars: dict[int, tuple[float, float]] = {}
    outcomes = []
    for policy in policies:
        played = play_policy(setting, policy.rules)
        count, cost = len(played.checks), played.cost(retraining_cost)
        if count not in calendars:
            calendars[count] = periodic_costs(setting, count, retraining_cost=retraining_cost)
        costs = np.add.reduceat(played.costs(retraining_cost), edges[:-1])
        low, high = ratio_interval(costs, hindsight_costs)
        # The probe's fits, as a share of the rows that a retraining fits.
        probe_cost = retraining_cost * played.probed / (usual_fit(setting) * fits_per_retraining)
        outcomes.append(
            PolicyOutcome(
                name=policy.name,
                retrainings=count,
                refused=len(played.refused),
                waited=played.waited,
                loss=played.loss,
                cost=cost,
                ratio_to_hindsight=cost / least,
                ratio_low=max(low, min(cost / least, 1.0)),  # no policy costs less than hindsight
                ratio_high=high,
                probe_cost=probe_cost,
                ratio_with_probe=(cost + probe_cost) / least,
                periodic_median=calendars[count][0],
                periodic_best=calendars[count][1],
                decided=tuple(setting.moments[check] for check in played.checks),
                changes=policy.changes,
                costs=costs,
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
            f"{outcome.name} {outcome.ratio_to_hindsight:.3g} ({outcome.ratio_low:.3g} to {outcome.ratio_high:.3g})"
            for outcome in self.outcomes
        )
        return f"{self._advice} Cost, times the best schedule in hindsight, with its 95% interval: {costs}."

    @property
    def _advice(self) -> str:
        if self.recommended is None:
            needed = f"{LEAST_WINDOWS} are needed; land more history, or raise --windows"
            return f"{self.windows} windows are too few to tell whether retraining pays: {needed}."
        if not any(outcome.retrainings for outcome in self.outcomes if outcome.name == self.name):
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
    by_name = {outcome.name: outcome for outcome in outcomes}
    rule, never = by_name[RULE], by_name[NEVER]
    calendars = [outcome for outcome in outcomes if outcome.changes.get("triggers.rules") == ["schedule"]]
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
        name=choices[best].name,
        chosen=tuple(choices[index].name for index in chosen),
        outcomes=tuple(sorted(shown, key=lambda outcome: outcome.cost)),
        windows=setting.matrix.windows - setting.begin,
        ratio=float(never.costs.sum() / retraining.sum()),
        low=low,
        high=high,
        dearer=int((never.costs > retraining).sum()),
    )
