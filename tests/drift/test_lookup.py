"""The grid counts what a search of the cuts counts, whatever the column looks like."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.drift import cells
from retrim.drift.cells import NumericCells, count_between

ROWS = 3 * cells.PART // 2  # two parts, the second not full
RANDOM = np.random.default_rng(7)
COLUMNS: dict[str, Callable[[int], np.ndarray]] = {
    "normal": lambda n: RANDOM.normal(size=n),
    "far from zero": lambda n: 1e9 + RANDOM.normal(size=n),
    "long tail": lambda n: np.exp(3 * RANDOM.normal(size=n)),
    "both tails": RANDOM.standard_cauchy,
    "few huge": lambda n: np.where(RANDOM.random(n) < 0.01, 1e300, RANDOM.normal(size=n)),
    "both ends of the numbers": lambda n: RANDOM.uniform(-1.7, 1.7, n) * 1e308,
    "hours": lambda n: RANDOM.integers(0, 24, n).astype("float64"),
    "rounded": lambda n: RANDOM.normal(size=n).round(1),
    "half zero": lambda n: np.where(RANDOM.random(n) < 0.5, 0.0, RANDOM.exponential(size=n)),
    "constant": lambda n: np.full(n, 3.0),
    "two next to each other": lambda n: np.where(RANDOM.random(n) < 0.5, 1.0, np.nextafter(1.0, 2)),
    "missing and infinite": lambda n: RANDOM.choice([np.nan, np.inf, -np.inf, 0.5, *RANDOM.normal(size=50)], size=n),
    "smallest": lambda n: RANDOM.integers(0, 40, n) * 5e-324,
}


def slowly(values: np.ndarray, cuts: np.ndarray) -> list[int]:
    present = values[~np.isnan(values)]
    rows = np.bincount(np.searchsorted(cuts, present, side="left"), minlength=len(cuts) + 1)
    return [*rows.tolist(), len(values) - len(present)]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("cells", [12, 120])
def test_a_grid_counts_as_a_search_does(column: str, cells: int) -> None:
    values = COLUMNS[column](ROWS)
    cut = NumericCells.cut(pd.Series(values[:5000]), cells=cells)

    assert count_between(values, cut.cuts, cut.shares).tolist() == slowly(values, cut.cuts)


@pytest.mark.parametrize(("reference", "current"), [("normal", "far from zero"), ("long tail", "hours")])
def test_a_window_unlike_the_reference_is_counted_right_too(reference: str, current: str) -> None:
    cut = NumericCells.cut(pd.Series(COLUMNS[reference](5000)), cells=120)
    values = COLUMNS[current](ROWS)

    assert count_between(values, cut.cuts, cut.shares).tolist() == slowly(values, cut.cuts)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=10, max_size=60, unique=True))
def test_values_on_a_cut_and_next_to_it_are_counted_right(numbers: list[float]) -> None:
    cuts = np.sort(np.array(numbers))
    with np.errstate(over="ignore"):
        near = np.concatenate([cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf)])
    values = np.tile(near, cells.FEW_ROWS // len(near) + 1)
    shares = np.full(len(cuts) + 1, 1 / (len(cuts) + 1))

    assert count_between(values, cuts, shares).tolist() == slowly(values, cuts)
