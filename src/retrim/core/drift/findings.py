"""Every column of a window through the drift tests that params.yaml names, against a profile of the reference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.core.drift.params import DriftParams, Tests
from retrim.core.drift.profile import ColumnProfile, Profile
from retrim.core.drift.result import DRIFT_TESTS
from retrim.core.drift.scores import CONFIDENCE, SCORE, TARGET
from retrim.errors import BadInputError


@dataclass(frozen=True)
class Extent:
    """What a window held: event time of its first and last row, and how many rows."""

    first: pd.Timestamp
    last: pd.Timestamp
    rows: int

    @classmethod
    def of(cls, event: "pd.Series[pd.Timestamp]") -> "Extent":
        """The extent of rows with these event times, 1 or more."""
        return cls(event.min(), event.max(), len(event))

    @classmethod
    def of_profile(cls, profile: Profile) -> "Extent":
        """The extent of a profile's rows."""
        return cls(profile.blocks["first"].iloc[0], profile.blocks["last"].iloc[-1], profile.rows)

    def as_record(self) -> dict[str, Any]:
        return {"first": self.first.isoformat(), "last": self.last.isoformat(), "rows": self.rows}


@dataclass(frozen=True)
class Finding:
    """What one test said of one column.

    Args:
        column: A feature, `_score`, `_confidence` or `_target`.
        test: Its name.
        statistic: The test's own.
        effect: How far the windows are apart.
        p_value: For rows that know nothing of one another; None where the test has none.
        threshold: On the effect.
        over: Whether the effect exceeds it.
        seen: The smallest effect that a window of these rows would most likely show; None where it is not known.
        rank: Importance times effect over threshold: how much it is likely to hurt. A feature's importance is its
            share of the champion's gain, 0 to 1; predictions and target have 1.
        reference: The reference window.
        current: The current one.
    """

    column: str
    test: str
    statistic: float
    effect: float
    p_value: float | None
    threshold: float
    over: bool
    seen: float | None
    rank: float
    reference: Extent
    current: Extent

    def as_record(self) -> dict[str, Any]:
        """The finding in plain JSON types, times in ISO 8601."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "reference": self.reference.as_record(), "current": self.current.as_record()}


def findings(
    profile: Profile,
    current: pd.DataFrame,
    params: DriftParams,
    *,
    time: str,
    importances: Mapping[str, float],
) -> list[Finding]:
    """Every configured test of every column that the profile and the current window share.

    Args:
        profile: The rows the model was made from, or its predictions for those that judged it.
        current: Rows seen since, with `time`.
        params: Tests, thresholds, least rows.
        time: Name of the column of event times, such as `_event`.
        importances: Of the columns, 0 to 1; a column that is not named has 1.

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
    for name, column in profile.columns.items():
        if name not in current.columns:
            continue
        reference, window = column.window(), column.of(current[name])
        for test, arguments in tests_of(name, column, params).items():
            result = DRIFT_TESTS[test](reference, window, **arguments)
            limit, effect = params.thresholds[test], float(result.effect)
            p_value = None if result.p_value is None else float(result.p_value)
            rank = importances.get(name, 1.0) * effect / limit
            numbers = (float(result.statistic), effect, p_value, limit, effect > limit, None, rank)
            found.append(Finding(name, test, *numbers, *extents))
    return ranked(found)


def ranked(found: Iterable[Finding]) -> list[Finding]:
    """Those over their threshold first, then by how much they are likely to hurt, then by effect over threshold."""
    return sorted(found, key=lambda f: (not f.over, -f.rank, -f.effect / f.threshold, f.column, f.test))


def tests_of(name: str, column: ColumnProfile, params: DriftParams) -> Tests:
    """The tests that look at a column, with their arguments."""
    by_kind = {"numeric": params.numeric, "categorical": params.categorical}[column.kind]
    if name in (SCORE, CONFIDENCE):
        return params.score if column.kind == "numeric" else by_kind
    return by_kind if name == TARGET else {**by_kind, **params.missing}
