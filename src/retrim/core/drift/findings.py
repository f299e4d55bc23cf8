"""Every column of two windows through the drift tests that params.yaml names, the worst first."""

import inspect
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import Field, model_validator

from retrim.core.drift import univariate as _tests  # noqa: F401 - enters the tests in their table
from retrim.core.drift.result import DRIFT_TESTS
from retrim.core.section import Section
from retrim.core.table import ColumnType
from retrim.errors import BadInputError, EmptyWindowError, UnknownNameError

SCORE = "_score"
Tests = dict[str, dict[str, int | float | str]]  # test -> its arguments


class DriftParams(Section):
    """Which tests look at which columns, and how far is far."""

    numeric: Tests = Field(description="tests of each number and integer feature")
    categorical: Tests = Field(description="tests of each category feature")
    missing: Tests = Field(description="tests of each feature, of any type")
    score: Tests = Field(description="tests of the champion's predictions")
    thresholds: dict[str, float] = Field(description="of each test, on its effect; above 0")
    min_rows: int = Field(ge=1, description="rows of the current window, at least")

    @model_validator(mode="after")
    def _agree(self) -> "DriftParams":
        allowed = {
            "numeric": ("numeric", "any"),
            "categorical": ("categorical", "any"),
            "missing": ("any",),
            "score": ("numeric", "any"),
        }
        for section, columns in allowed.items():
            for name, arguments in getattr(self, section).items():
                self._check(section, name, arguments, columns)
        for name, threshold in self.thresholds.items():
            _check_known(name)
            if not threshold > 0:
                raise ValueError(f"thresholds.{name} is {threshold}; a threshold is above 0")
        return self

    def _check(self, section: str, name: str, arguments: dict[str, Any], columns: tuple[str, ...]) -> None:
        _check_known(name)
        entry = DRIFT_TESTS.entry(name)
        if entry.facts["column"] not in columns:
            fitting = ", ".join(e.name for e in DRIFT_TESTS if e.facts["column"] in columns)
            raise ValueError(f"{section}: {name!r} is a test of {entry.facts['column']} columns; here go: {fitting}")
        wanted = [p.name for p in inspect.signature(entry.value).parameters.values() if p.kind is p.KEYWORD_ONLY]
        if sorted(arguments) != sorted(wanted):
            given = ", ".join(sorted(arguments)) or "none"
            raise ValueError(f"{section}.{name} has the arguments: {given}; it takes: {', '.join(wanted) or 'none'}")
        if name not in self.thresholds:
            raise ValueError(f"{section}.{name} has no threshold; add thresholds.{name}, on its effect")


def _check_known(name: str) -> None:
    try:
        DRIFT_TESTS.entry(name)
    except UnknownNameError as wrong:
        raise ValueError(str(wrong)) from wrong


@dataclass(frozen=True)
class Extent:
    """What a window held: event time of its first and last row, and how many rows."""

    first: pd.Timestamp
    last: pd.Timestamp
    rows: int

    def as_record(self) -> dict[str, Any]:
        return {"first": self.first.isoformat(), "last": self.last.isoformat(), "rows": self.rows}


@dataclass(frozen=True)
class Finding:
    """What one test said of one column."""

    column: str
    test: str
    statistic: float
    effect: float
    p_value: float | None
    threshold: float
    over: bool
    reference: Extent
    current: Extent

    def as_record(self) -> dict[str, Any]:
        """The finding in plain JSON types, times in ISO 8601."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "reference": self.reference.as_record(), "current": self.current.as_record()}


def findings(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: dict[str, ColumnType],
    params: DriftParams,
    *,
    time: str,
) -> list[Finding]:
    """Every configured test of every feature, and of `_score` where both windows have it.

    A feature of type time moves with the calendar, so only the tests under `missing` look at it.

    Args:
        reference: Rows the model was fitted to expect, with the features and `time`.
        current: Rows seen since, with the same columns.
        features: Names and types of the columns to look at.
        params: Tests, thresholds, least rows.
        time: Name of the column of event times, such as `_event`.

    Returns:
        Ranked by effect over threshold, highest first. Empty when `current` has fewer than `params.min_rows` rows.

    Raises:
        EmptyWindowError: The reference has no rows.
        BadInputError: A window lacks a column.
    """
    for name, window in (("reference", reference), ("current", current)):
        lacking = [column for column in (time, *features) if column not in window.columns]
        if lacking:
            raise BadInputError(f"the {name} window lacks the columns {', '.join(lacking)}; it must have every feature")
    if len(reference) == 0:
        raise EmptyWindowError("reference")
    if len(current) < params.min_rows:
        return []
    windows = [Extent(window[time].min(), window[time].max(), len(window)) for window in (reference, current)]
    found = []
    for column, tests in _plan(features, params, scored=SCORE in reference and SCORE in current):
        for test, arguments in tests.items():
            result = DRIFT_TESTS[test](reference[column], current[column], **arguments)
            limit = params.thresholds[test]
            numbers = (result.statistic, result.effect, result.p_value)
            found.append(Finding(column, test, *numbers, limit, result.effect > limit, *windows))
    return sorted(found, key=lambda f: (-f.effect / f.threshold, f.column, f.test))


def _plan(features: dict[str, ColumnType], params: DriftParams, *, scored: bool) -> list[tuple[str, Tests]]:
    by_type: dict[ColumnType, Tests] = {
        "number": params.numeric,
        "integer": params.numeric,
        "category": params.categorical,
        "time": {},
    }
    plan = [(column, {**by_type[kind], **params.missing}) for column, kind in features.items()]
    return [*plan, (SCORE, params.score)] if scored else plan
