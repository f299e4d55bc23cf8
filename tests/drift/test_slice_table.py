"""The slice table: what stands in it, and that its intervals hold what they promise."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.slices import mean_interval, slice_table

COLOURS = ["red"] * 40 + ["blue"] * 131 + ["green"] * 29
ROWS = pd.DataFrame({"colour": pd.Series(COLOURS, dtype="str"), "n": range(200)})


def test_every_slice_with_enough_rows_stands_in_it_with_both_losses() -> None:
    losses = np.where(ROWS["colour"] == "red", 3.0, 1.0)
    found = slice_table(ROWS, losses, losses + 0.5, {"colour": "category"}, block_rows=5)

    assert [(each.name, each.rows, each.loss, each.other) for each in found] == [
        ("blue", 131, 1.0, 1.5),
        ("red", 40, 3.0, 3.5),
    ]
    assert [each.saved for each in found] == [(0.5, 0.5, 0.5)] * 2


def test_a_number_is_cut_into_its_quantile_cells() -> None:
    found = slice_table(ROWS, np.arange(200.0), None, {"n": "integer"}, block_rows=5)

    assert [(each.rows, each.loss) for each in found] == [(50, 24.5), (50, 74.5), (50, 124.5), (50, 174.5)]


@pytest.mark.parametrize("rows", [0, 5])
def test_of_few_rows_nothing_is_said(rows: int) -> None:
    few = ROWS.head(rows)

    assert slice_table(few, np.ones(rows), None, {"n": "integer"}, block_rows=5) == ()


def test_a_column_that_the_rows_lack_is_passed_over() -> None:
    found = slice_table(ROWS, np.ones(200), None, {"gone": "number"}, block_rows=5)

    assert found == ()


@pytest.mark.slow
@pytest.mark.parametrize(("alike", "least"), [(0.0, 0.93), (0.6, 0.90)])
def test_an_interval_holds_the_mean_about_as_often_as_it_says(alike: float, least: float) -> None:
    draw, held = np.random.default_rng(8), 0
    for _ in range(400):
        steps = draw.normal(size=260)
        series = np.empty(260)
        series[0] = steps[0]
        for at in range(1, 260):  # each row is so much like the one before
            series[at] = alike * series[at - 1] + steps[at]
        _, low, high = mean_interval(series[20:], confidence=0.95, block_rows=20)
        held += low <= 0 <= high

    assert held / 400 >= least
    assert held / 400 < 1
