"""Rows that come more than once, counted by hand."""

import numpy as np
import pytest

from tests.builders.look_tables import answers, looked


@pytest.mark.parametrize(
    ("columns", "target", "rows", "conflicting"),
    [
        # Rows 0 and 1 are the same; 2 and 3 differ in the target alone; 4 is alone; 5 has no label.
        ({"a": [1, 1, 2, 2, 3, 2], "b": ["x", "x", "y", "y", "z", "y"]}, ["p", "p", "p", "q", "p", None], 1, 2),
        ({"a": [1, 2], "b": [2, 1]}, ["p", "p"], 0, 0),  # the same value in two columns is not the same row
        ({"a": [np.nan, np.nan], "b": [1, 1]}, ["p", "p"], 1, 0),  # missing cells are alike
    ],
)
def test_duplicates_and_conflicts_are_those_of_a_table_counted_by_hand(
    columns: dict[str, list[object]], target: list[object], rows: int, conflicting: int
) -> None:
    look = looked(columns, target)

    assert (look.repeated, look.conflicting) == (rows, conflicting)


@pytest.mark.parametrize("planted", [20, 200])
def test_rows_that_were_sent_twice_are_found(planted: int) -> None:
    draw = np.random.default_rng(1)
    values, target = draw.normal(size=(1000, 3)), answers(1000)
    values[-planted:] = values[:planted]
    target[-planted:] = target[:planted]
    look = looked({"a": values[:, 0], "b": values[:, 1], "c": values[:, 2]}, target)

    assert look.repeated == planted
