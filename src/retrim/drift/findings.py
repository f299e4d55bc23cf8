"""Findings of drift: every column of a window, and all together, through the tests that params.yaml names.

Their p-values and alarms come from the history of the reference.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from retrim.drift.alarms import LEAST_STRETCHES, Alarm, AlarmRequest, Promise, promise
from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.joint import JOINT_TESTS, judge_joint, thinned_rows
from retrim.drift.params import DriftParams, Tests
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET, TOGETHER, ColumnProfile, Profile
from retrim.drift.season import waves_of
from retrim.drift.tests import DRIFT_TESTS
from retrim.drift.watched import noise_of, watch
from retrim.errors import BadInputError
from retrim.stats.codec import Instant


@dataclass(frozen=True)
class WindowExtent:
    """Extent of a window: event times of its first and last row, and its number of rows."""

    first: Instant
    last: Instant
    rows: int


@dataclass(frozen=True, kw_only=True)
class DriftFinding:
    """The result of one drift test of one column.

    Args:
        column: A feature, `predictions`, `confidence`, `target` or `all columns together`. A feature with one of these
            names stands in quotes.
        test: Name of the test.
        statistic: The test's statistic.
        effect: Distance between the two windows, in the test's unit.
        p_value: With calibration: probability that, without drift, any column of a window deviates this much.
            Otherwise: the test's p-value for independent rows; None if the test has none.
        threshold: Limit for the effect.
        over: With calibration: whether the p-value is at most the requested rate. Otherwise: whether the effect exceeds
            the threshold.
        contrast: What deviates most, such as "location". Without calibration this and the next four are None.
        shift: Shift of that contrast from the reference to the current window.
        seen: Smallest shift of that contrast that a window of this size detects with 80% probability.
        unit: Unit of `shift` and `seen`: `sd`, `spread` (growth of the variance) or `share`.
        promise: Whether the history is long enough to keep the requested rate for this column.
        rank: Importance times effect, divided by the threshold: how likely the drift is to do harm. A feature's
            importance is its share of the champion's gain, 0 to 1; predictions and target have 1.
        reference: Extent of the reference window.
        current: Extent of the current window.
        loss_change: Change of the champion's mean loss that follows from this column's shift alone, from the known loss
            in each of its slices; 0 within noise, None if it is not known.
    """

    column: str
    test: str
    statistic: float
    effect: float
    p_value: float | None
    threshold: float
    over: bool
    contrast: str | None = None
    shift: float | None = None
    seen: float | None = None
    unit: str | None = None
    promise: str | None = None
    rank: float
    reference: WindowExtent
    current: WindowExtent
    loss_change: float | None = None

    @property
    def importance(self) -> float:
        """The column's share of the champion's gain, 0 to 1; 1 of predictions and target; 0 without an effect."""
        return self.rank * self.threshold / self.effect if self.effect else 0.0


def alarms_of(
    profile: Profile, windows: Mapping[str, np.ndarray], *, times: pd.Series, asked: AlarmRequest
) -> list[Alarm]:
    """What calibration says of values and missing values of each column, p-values adjusted for the whole check.

    By the null that the profile keeps, where its windows are about as long; else one is drawn. Nothing where the
    history has too few blocks to show how anything strays.

    Args:
        times: Event time of each row of the window, UTC, 1 or more: its rows are held against their time of year.
    """
    known = {name: column for name, column in profile.columns.items() if name in windows}
    if not known or len(profile.blocks) < LEAST_STRETCHES:
        return []
    rows, waves = len(times), waves_of(times).mean(axis=0)
    watched = watch(Profile(known, profile.blocks, profile.sample))
    null = next((null for null in profile.nulls.alone if null.serves(tuple(known), rows)), None)
    if null is None:
        calibration = calibrate(watched, rows=rows, draws=asked.draws, seed=asked.seed)
    else:
        calibration = WindowCalibration(watched, noise_of(watched, rows), null, rows)
    alarms = calibration.judge(windows, rate=asked.rate * asked.share, waves=waves)
    return [replace(alarm, p_value=min(alarm.p_value / asked.share, 1.0)) for alarm in alarms]


def part_seen(test: str) -> Literal["missing", "values"]:
    """Which part of a column a drift test sees: that cells are missing, or the values of those that are there."""
    return "missing" if DRIFT_TESTS.entry(test).facts["sees"] == "missing" else "values"


def calibrated(tested: Iterable[DriftFinding], alarms: Iterable[Alarm]) -> list[DriftFinding]:
    """Findings with the p-value, the smallest shift and the promise of their column, over where that is alarmed.

    Where the history is too short for an alarm, a finding keeps its threshold on the effect, and says that nothing can
    be promised.
    """
    by_column: dict[tuple[str, str], Alarm] = {(alarm.column, alarm.of): alarm for alarm in alarms}
    decided = []
    for finding in tested:
        alarm = by_column.get((finding.column, part_seen(finding.test)))
        if alarm is None:
            decided.append(replace(finding, p_value=None, promise="cannot be promised"))
            continue
        decided.append(
            replace(
                finding,
                p_value=alarm.p_value,
                over=alarm.alarmed,
                contrast=alarm.contrast,
                shift=alarm.shift,
                seen=alarm.smallest,
                unit=alarm.unit,
                promise=_in_words(alarm.promise, alarm.reach),
            )
        )
    return decided


def _in_words(kept: Promise, reach: float) -> str:
    return f"{kept}: the history covers 1 in {max(int(reach), 1)}" if kept == "cannot be promised" else kept


def findings(
    profile: Profile,
    current: pd.DataFrame,
    params: DriftParams,
    *,
    time: str,
    importances: Mapping[str, float],
    alarms: AlarmRequest | None,
) -> list[DriftFinding]:
    """Every configured test of every column that the profile and the current window share.

    They are in order of `ranked`; none where `current` has fewer than `params.min_rows` rows.

    Args:
        importances: Of the columns, 0 to 1; a column that is not named has 1.
        alarms: How often these columns may raise a false alarm; None: they are over by the thresholds of params.yaml.

    Raises:
        BadInputError: The current window has no times.
    """
    if time not in current.columns:
        raise BadInputError(f"the current window lacks the column {time} with the event times; add this column")
    if len(current) < params.min_rows:
        return []
    extents = _extents(profile, current[time])
    tested = []
    shared = {name: column for name, column in profile.columns.items() if name in current.columns}
    windows = {name: column.of(current[name]) for name, column in shared.items()}
    for name, column in shared.items():
        reference, window = column.window(), windows[name]
        for test, arguments in tests_of(name, column, params).items():
            result = DRIFT_TESTS[test](reference, window, **arguments)
            limit, effect = params.threshold_of(test), float(result.effect)
            finding = DriftFinding(
                column=name,
                test=test,
                statistic=float(result.statistic),
                effect=effect,
                p_value=None if result.p_value is None else float(result.p_value),
                threshold=limit,
                over=effect > limit,
                rank=importances.get(name, 1.0) * effect / limit,
                reference=extents[0],
                current=extents[1],
            )
            tested.append(finding)
    if alarms is not None:
        counts = {name: window.rows for name, window in windows.items()}
        tested = calibrated(tested, alarms_of(profile, counts, times=current[time], asked=alarms))
    return ranked(tested)


def ranked(tested: Iterable[DriftFinding]) -> list[DriftFinding]:
    """Those over their threshold first, then by what they cost, are likely to cost, and effect over threshold."""
    return sorted(
        tested,
        key=lambda f: (not f.over, -(f.loss_change or 0.0), -f.rank, -f.effect / f.threshold, f.column, f.test),
    )


def tests_of(name: str, column: ColumnProfile, params: DriftParams) -> Tests:
    """The tests that look at a column, with their arguments."""
    by_kind = params.of_columns(column.kind)
    if name in (SCORE, CONFIDENCE):
        return params.score if column.kind == "numeric" else by_kind
    return by_kind if name == TARGET else {**by_kind, **params.of_columns("any")}


def together(
    profile: Profile, current: pd.DataFrame, params: DriftParams, *, time: str, alarms: AlarmRequest | None, cores: int
) -> list[DriftFinding]:
    """A finding of each joint test on the features that the profile and the current window share, two or more.

    There is none where the window has fewer than `params.min_rows` rows, or is too small to be thinned as the sample.

    Args:
        alarms: How often these tests may raise a false alarm; None: one is over when its effect exceeds the threshold
            of params.yaml and no window of the reference strayed as far. Over is nothing that was held against fewer
            than 8 windows of the reference.
        cores: Cores to use; changes no result.
    """
    columns = tuple(name for name in profile.columns if name in current.columns and name != TARGET)
    if len(current) < params.min_rows or len(columns) < 2:
        return []
    ordered = current.sort_values(time, kind="stable", ignore_index=True)
    extents = _extents(profile, current[time])
    joint, tested = params.joint, []
    for name, arguments in joint.tests.items():
        given = {**arguments, "seed": joint.seed}
        test = partial(JOINT_TESTS[name], **given)
        rows = thinned_rows(profile, len(current)) or 0
        usual = (kept.strayed for kept in profile.nulls.together if kept.serves(name, given, columns, rows))
        sizes = {"windows": joint.windows, "seed": joint.seed, "cores": cores}
        result = judge_joint(test, profile, ordered, columns, **sizes, usual=next(usual, None))
        if result is None:
            continue
        limit, p_value, words = params.threshold_of(name), result.p_value, None
        over = result.beyond and result.effect > limit
        if alarms is not None:
            share = alarms.share / len(joint.tests)
            words = _in_words(promise(alarms.rate * share, result.windows), result.windows)
            over = p_value is not None and p_value <= alarms.rate * share
            p_value = None if p_value is None else min(p_value / share, 1.0)
        finding = DriftFinding(
            column=TOGETHER,
            test=name,
            statistic=result.statistic,
            effect=result.effect,
            p_value=p_value,
            threshold=limit,
            over=over,
            contrast=result.about or None,
            promise=words,
            rank=result.effect / limit,
            reference=extents[0],
            current=extents[1],
        )
        tested.append(finding)
    return tested


def _extents(profile: Profile, event: "pd.Series[pd.Timestamp]") -> tuple[WindowExtent, WindowExtent]:
    """The extents of the reference and of the current window."""
    blocks = profile.blocks
    reference = WindowExtent(blocks["first"].iloc[0], blocks["last"].iloc[-1], profile.rows)
    return reference, WindowExtent(event.min(), event.max(), len(event))
