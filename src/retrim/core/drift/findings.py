"""Every column of a window through the drift tests that params.yaml names, against a profile of the reference."""

from collections.abc import Iterable, Mapping

import pandas as pd

from retrim.core.drift.alarms import Asked
from retrim.core.drift.calibrated import alarms_of, calibrated
from retrim.core.drift.finding import Extent, Finding
from retrim.core.drift.params import DriftParams, Tests
from retrim.core.drift.profile import ColumnProfile, Profile
from retrim.core.drift.result import DRIFT_TESTS
from retrim.core.drift.scores import CONFIDENCE, SCORE, TARGET
from retrim.errors import BadInputError


def findings(
    profile: Profile,
    current: pd.DataFrame,
    params: DriftParams,
    *,
    time: str,
    importances: Mapping[str, float],
    alarms: Asked | None,
) -> list[Finding]:
    """Every configured test of every column that the profile and the current window share.

    Args:
        profile: The rows the model was made from, or its predictions for those that judged it.
        current: Rows seen since, with `time`.
        params: Tests, thresholds, least rows.
        time: Name of the column of event times, such as `_event`.
        importances: Of the columns, 0 to 1; a column that is not named has 1.
        alarms: How often these columns may raise a false alarm; None: they are over by the thresholds of params.yaml.

    Returns:
        In order of `ranked`. Empty when `current` has fewer than `params.min_rows` rows, or shares no column.

    Raises:
        BadInputError: The current window has no times.
    """
    if time not in current.columns:
        raise BadInputError(f"the current window lacks the column {time}; every window has event times")
    if len(current) < params.min_rows:
        return []
    extents = Extent.of_profile(profile), Extent.of(current[time])
    found = []
    shared = {name: column for name, column in profile.columns.items() if name in current.columns}
    windows = {name: column.of(current[name]) for name, column in shared.items()}
    for name, column in shared.items():
        reference, window = column.window(), windows[name]
        for test, arguments in tests_of(name, column, params).items():
            result = DRIFT_TESTS[test](reference, window, **arguments)
            limit, effect = params.thresholds[test], float(result.effect)
            p_value = None if result.p_value is None else float(result.p_value)
            rank = importances.get(name, 1.0) * effect / limit
            numbers = (float(result.statistic), effect, p_value, limit, effect > limit)
            found.append(Finding(name, test, *numbers, None, None, None, None, None, rank, *extents))
    if alarms is not None:
        counts = {name: window.rows for name, window in windows.items()}
        found = calibrated(found, alarms_of(profile, counts, times=current[time], asked=alarms))
    return ranked(found)


def ranked(found: Iterable[Finding]) -> list[Finding]:
    """Those over their threshold first, then by what they cost, are likely to cost, and effect over threshold."""
    return sorted(
        found,
        key=lambda f: (not f.over, -(f.loss_change or 0.0), -f.rank, -f.effect / f.threshold, f.column, f.test),
    )


def tests_of(name: str, column: ColumnProfile, params: DriftParams) -> Tests:
    """The tests that look at a column, with their arguments."""
    by_kind = {"numeric": params.numeric, "categorical": params.categorical}[column.kind]
    if name in (SCORE, CONFIDENCE):
        return params.score if column.kind == "numeric" else by_kind
    return by_kind if name == TARGET else {**by_kind, **params.missing}
