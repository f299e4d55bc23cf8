"""What a suite asks of each row, without Great Expectations: bounds, sets and filled cells.

A server asks it of every request. Loading Great Expectations takes 5 s and 200 MB, and asking it 20 ms. A suite that
asks anything else of its rows is left to it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from retrim.adapters.great_expectations import for_columns, rows_that_break
from retrim.serving.checked_rows import Breaks, is_of_rows, suite_of_rows
from retrim.table.data import ColumnType
from retrim.table.fault import Expectation, Suite

BETWEEN, IN_SET, NOT_NULL = (f"expect_column_values_to_{kind}" for kind in ("be_between", "be_in_set", "not_be_null"))
TAKES = {
    BETWEEN: {"column", "min_value", "max_value", "strict_min", "strict_max", "mostly"},
    IN_SET: {"column", "value_set", "mostly"},
    NOT_NULL: {"column", "mostly"},
}
NUMBERS = ("number", "integer")


@dataclass(frozen=True)
class Bound:
    """What one expectation allows of a cell that is there.

    Args:
        column: Whose cells.
        low: The least number.
        high: The largest number.
        allowed: All that it may be; None: not a set.
        filled: Whether a blank cell breaks it.
    """

    column: str
    low: float = -np.inf
    high: float = np.inf
    allowed: frozenset[float | str] | None = None
    filled: bool = False

    def broken(self, values: pd.Series) -> np.ndarray:
        """Cells that break it, shape (n,)."""
        blank = values.isna().to_numpy()
        if self.filled:
            return blank
        if self.allowed is not None:
            return ~blank & ~values.isin(list(self.allowed)).to_numpy()
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        return ~blank & ~((numbers >= self.low) & (numbers <= self.high))


def suite_to_ask(path: Path, types: Mapping[str, ColumnType]) -> Suite:
    """What is asked of each row about these columns; Great Expectations reads it where it is more than bounds.

    Raises:
        BadInputError: The suite is not there, or cannot be read.
    """
    try:
        suite = for_columns(json.loads(path.read_bytes()), types)
        asked: Suite = {**suite, "expectations": [one for one in suite["expectations"] if is_of_rows(one)]}
        if bounds_of(asked, types) is not None:
            return asked
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass  # what is wrong with it is said below
    return suite_of_rows(path, types)


def bounds_of(suite: Suite, types: Mapping[str, ColumnType]) -> tuple[Bound, ...] | None:
    """The expectations of a suite as bounds; None where one is none."""
    found = [bound_of(one, types) for one in suite["expectations"]]
    return None if None in found else tuple(each for each in found if each is not None)


def bound_of(expectation: Expectation, types: Mapping[str, ColumnType]) -> Bound | None:
    """An expectation as a bound; None where it is none."""
    kind, given = expectation["type"], expectation["kwargs"]
    if kind not in TAKES or not set(given) <= TAKES[kind] or given["column"] not in types:
        return None
    column = given["column"]
    is_number = types[column] in NUMBERS
    if kind == NOT_NULL:
        return Bound(column, filled=True)
    if kind == IN_SET:
        values = given["value_set"]
        fits = values and all(_is_number(each) if is_number else isinstance(each, str) for each in values)
        return Bound(column, allowed=frozenset(values)) if fits and types[column] != "time" else None
    low, high = given.get("min_value"), given.get("max_value")
    if not is_number or not all(each is None or _is_number(each) for each in (low, high)):
        return None
    least = -np.inf if low is None else float(low)
    most = np.inf if high is None else float(high)
    return Bound(
        column,
        float(np.nextafter(least, np.inf)) if given.get("strict_min") and low is not None else least,
        float(np.nextafter(most, -np.inf)) if given.get("strict_max") and high is not None else most,
    )


def asker_of(bounds: tuple[Bound, ...] | None) -> Breaks:
    """What asks rows these bounds; without any, Great Expectations."""
    return rows_that_break if bounds is None else partial(_rows_out_of_bounds, bounds)


def _rows_out_of_bounds(bounds: tuple[Bound, ...], frame: pd.DataFrame, suite: Suite) -> dict[int, list[int]]:
    own = [bound for bound in bounds if bound.column in frame]  # as `for_columns` leaves the others out
    places = {number: np.flatnonzero(bound.broken(frame[bound.column])).tolist() for number, bound in enumerate(own)}
    return {number: rows for number, rows in places.items() if rows}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
