"""A suite on a table that is seen a piece at a time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from retrim.adapters.validation import answers, columns_of
from retrim.core.fault import EXAMPLES_KEPT, Example, Fault

BY_ROW = frozenset(
    f"expect_column_{kind}"
    for kind in (
        "values_to_be_between",
        "values_to_be_in_set",
        "values_to_be_null",
        "values_to_be_of_type",
        "values_to_match_regex",
        "values_to_not_be_in_set",
        "values_to_not_be_null",
        "values_to_not_match_regex",
        "value_lengths_to_be_between",
        "value_lengths_to_equal",
        "pair_values_a_to_be_greater_than_b",
        "pair_values_to_be_equal",
    )
)
"""Expectations that hold for a table when they hold for each of its rows."""


def by_row(expectation: dict[str, Any]) -> bool:
    """Whether an expectation may be asked of each piece; one with `mostly` is about a share of all rows."""
    return expectation["type"].lower() in BY_ROW and expectation["kwargs"].get("mostly") in (None, 1)


class PiecesSuite:
    """A suite, asked of pieces: `look` at each in turn, `look_whole` at what no piece can answer."""

    def __init__(self, suite: dict[str, Any]) -> None:
        self.suite = suite
        self._faults: dict[int, Fault] = {}
        self._rows = 0
        self._by_row = [number for number, one in enumerate(suite["expectations"]) if by_row(one)]
        self._whole = [number for number in range(len(suite["expectations"])) if number not in self._by_row]

    @property
    def asks_whole(self) -> bool:
        """Whether it has expectations that no piece can answer."""
        return bool(self._whole)

    def whole_columns(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that they need: all, where one of them has a condition on its rows."""
        asked = [self.suite["expectations"][number] for number in self._whole]
        if any(one["kwargs"].get("row_condition") is not None for one in asked):
            return list(columns)
        needed = {name for one in asked for name in columns_of(one)}
        return [name for name in columns if name in needed]

    def look(self, piece: pd.DataFrame) -> None:
        """Asks a piece what can be asked of it: the rows after those of the pieces before."""
        for number, fault in self._asked(piece, self._by_row).items():
            examples = tuple(_later(example, self._rows) for example in fault.examples)
            before = self._faults.get(number)
            if before is None:
                self._faults[number] = replace(fault, examples=examples)
            elif before.examples[0].row is not None:
                kept = (*before.examples, *examples)[:EXAMPLES_KEPT]
                self._faults[number] = replace(before, count=before.count + fault.count, examples=kept)
        self._rows += len(piece)

    def look_whole(self, table: pd.DataFrame) -> None:
        """Asks the rest of the whole table; it may have those columns alone that the rest is about."""
        self._faults |= self._asked(table, self._whole)

    def faults(self) -> tuple[Fault, ...]:
        """What was broken, in the order of the suite."""
        return tuple(fault for _, fault in sorted(self._faults.items()))

    def _asked(self, rows: pd.DataFrame, numbers: Sequence[int]) -> dict[int, Fault]:
        asked = {**self.suite, "expectations": [self.suite["expectations"][number] for number in numbers]}
        return {numbers[place]: fault for place, fault in answers(rows, asked).items()}


def _later(example: Example, rows: int) -> Example:
    return example if example.row is None else replace(example, row=example.row + rows)
