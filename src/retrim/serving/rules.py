"""What a suite asks of single rows: bounds, sets and filled cells, without Great Expectations; the rest is left to it.

Loading Great Expectations takes 5 s and 200 MB, and asking it 20 ms. A test holds the two equal.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters import great_expectations
from retrim.adapters.great_expectations import by_row, for_columns, read_suite
from retrim.errors import BadInputError, RetrimError
from retrim.stats.codec import from_record
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
class CellRule:
    """What one expectation allows of the cells of a column; a blank one breaks it only if it must be filled.

    Args:
        low: Allowed itself, as `high` is.
        allowed: All that it may be; None: not a set.
        filled: Whether a cell may not be blank; then nothing else is asked.
    """

    column: str
    low: float = -np.inf
    high: float = np.inf
    allowed: frozenset[float | str] | None = None
    filled: bool = False

    def holds(self, cell: Any) -> bool:
        """Whether a cell keeps it; a blank one is None."""
        if cell is None:
            return not self.filled
        if self.allowed is not None:
            return cell in self.allowed
        return self.filled or self.low <= cell <= self.high

    def broken(self, cells: pd.Series) -> np.ndarray:
        """Cells that break it, shape (n,)."""
        blank = cells.isna().to_numpy()
        if self.filled:
            return blank
        if self.allowed is not None:
            return ~blank & ~cells.isin(list(self.allowed)).to_numpy()
        numbers = cells.to_numpy(dtype="float64", na_value=np.nan)
        return ~blank & ~((numbers >= self.low) & (numbers <= self.high))


def rule_of(expectation: Expectation, types: Mapping[str, ColumnType]) -> CellRule | None:
    """An expectation as a rule; None where it asks something else."""
    kind, given, column = expectation.type, expectation.arguments, expectation.arguments.column
    if kind not in TAKES or not set(expectation.kwargs) <= TAKES[kind] or column not in types:
        return None
    is_number = types[column] in NUMBERS
    if kind == NOT_NULL:
        return CellRule(column, filled=True)
    if kind == IN_SET:
        values = [value for value in given.value_set if isinstance(value, str | int | float)]
        fits = values and all(_is_number(value) if is_number else isinstance(value, str) for value in given.value_set)
        return CellRule(column, allowed=frozenset(values)) if fits and types[column] != "time" else None
    low, high = given.min_value, given.max_value
    if not is_number or not all(bound is None or _is_number(bound) for bound in (low, high)):
        return None
    least = -np.inf if low is None else float(low)
    most = np.inf if high is None else float(high)
    return CellRule(
        column,
        float(np.nextafter(least, np.inf)) if given.strict_min and low is not None else least,
        float(np.nextafter(most, -np.inf)) if given.strict_max and high is not None else most,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def rows_that_break(
    frame: pd.DataFrame, suite: Suite, types: Mapping[str, ColumnType]
) -> dict[int, Sequence[int] | np.ndarray]:
    """Places of the rows that break each expectation, by its number in the suite; those that hold are left out.

    Raises:
        BadInputError: An expectation could not be computed.
    """
    rules = [rule_of(expectation, types) for expectation in suite.expectations]
    broken: dict[int, Sequence[int] | np.ndarray] = {
        number: np.flatnonzero(rule.broken(frame[rule.column])) for number, rule in enumerate(rules) if rule is not None
    }
    others = [number for number, rule in enumerate(rules) if rule is None]
    rest = suite.only(suite.expectations[number] for number in others)
    broken |= {others[n]: rows for n, rows in great_expectations.rows_that_break(frame, rest).items()}
    return {number: broken[number] for number in sorted(broken) if len(broken[number])}


def suite_of_rows(path: Path, types: Mapping[str, ColumnType]) -> Suite:
    """The part of a suite that is asked of each row, about these columns; the rest is asked when rows land.

    Raises:
        BadInputError: It is not there, or cannot be read.
    """
    if not path.is_file():
        raise BadInputError(f"suite {path} does not exist; restore it: git checkout {path}")
    try:
        of_rows = _of_rows(from_record(Suite, json.loads(path.read_bytes())), types)
        if all(rule_of(expectation, types) is not None for expectation in of_rows.expectations):
            return of_rows
    except (OSError, ValueError, RetrimError):
        pass  # what is wrong with it is said below
    return _of_rows(read_suite(path), types)


def _of_rows(suite: Suite, types: Mapping[str, ColumnType]) -> Suite:
    return suite.only(filter(_is_of_rows, for_columns(suite, types).expectations))


def _is_of_rows(expectation: Expectation) -> bool:
    """Whether it is asked of each row by itself; what type a column has, its declaration says."""
    conditional = expectation.arguments.row_condition is not None
    return by_row(expectation) and not conditional and not expectation.type.endswith("of_type")
