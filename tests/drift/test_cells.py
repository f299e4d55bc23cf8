"""Cells: where values are counted, and that counting does not depend on how they are stored."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.errors import BadInputError
from retrim.stats.codec import from_record, to_record

RANDOM = np.random.default_rng(7)
NORMAL = pd.Series(RANDOM.normal(size=12_000))
LETTERS = pd.Series(RANDOM.choice(list("abc"), size=300))


def numeric(values: pd.Series, *, cells: int = 10) -> NumericCells:
    return NumericCells.cut(values, cells=cells)


def test_quantile_cells_hold_about_equal_shares() -> None:
    counts = numeric(NORMAL).count(NORMAL)

    # the outermost cells lie beyond the range, and nothing is missing
    assert counts.tolist() == [0, *[1200] * 10, 0, 0]


def test_what_lies_beyond_the_range_is_in_the_outermost_cells() -> None:
    cells = numeric(NORMAL)
    beyond = pd.Series([NORMAL.min() - 1e-9, -np.inf, NORMAL.max() + 1e-9, np.inf])

    assert cells.count(beyond)[[0, -2]].tolist() == [2, 2]


def test_a_heavy_value_is_a_cell_of_its_own() -> None:
    values = pd.Series([0.0] * 60 + list(range(1, 41)))
    cells = numeric(values)
    near = pd.Series([np.nextafter(0.0, -1), 0.0, np.nextafter(0.0, 1)])

    assert len(set(cells.place(near))) == 3


def test_missing_values_are_counted_last() -> None:
    assert numeric(NORMAL).count(pd.Series([np.nan, 0.0, np.nan]))[-1] == 2


def test_places_are_ascending_and_in_standard_deviations() -> None:
    cells = numeric(NORMAL * 3 + 10)
    shares = cells.shares[1:-1]

    assert (np.diff(cells.places) > 0).all()
    assert cells.places[1:-1] @ shares == pytest.approx(0, abs=1e-9)
    assert (cells.mean, cells.sd) == pytest.approx((10, 3), abs=0.05)


def test_the_shares_are_those_of_the_reference() -> None:
    assert numeric(NORMAL.mask(NORMAL > 1)).shares.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "values",
    [[], [np.nan] * 3, [np.inf] * 3, [-np.inf, np.inf], [2.0], [-1.7e308, 1.7e308], [np.inf, 1.0, 2.0, np.nan]],
)
def test_every_reference_has_cells(values: list[float]) -> None:
    series = pd.Series(values, dtype="float64")
    cells = numeric(series)

    assert np.isfinite(np.concatenate([cells.cuts, cells.places, cells.shares, [cells.mean, cells.sd]])).all()
    assert cells.count(series).sum() == len(series)


def test_infinity_where_the_reference_had_none_but_infinities_is_kept_apart_by_its_sign() -> None:
    counts = numeric(pd.Series([np.inf] * 5)).count(pd.Series([np.inf, -np.inf, 0.0]))

    assert counts.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("dtype", ["Int64", "int32", "float32", "Float64"])
def test_the_dtype_of_numbers_does_not_matter(dtype: str) -> None:
    whole = pd.Series(range(100))

    assert numeric(whole).count(whole.astype(dtype)).tolist() == numeric(whole).count(whole).tolist()


@pytest.mark.parametrize("cells", [1, 0])
def test_one_cell_says_nothing(cells: int) -> None:
    with pytest.raises(BadInputError, match=f"{cells} quantile cells are too few"):
        numeric(NORMAL, cells=cells)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(width=64) | st.none(), max_size=40),
    st.lists(st.floats(width=64) | st.none(), max_size=40),
    st.integers(2, 12),
)
def test_counting_is_placing_between_the_cuts(old: list, new: list, cells: int) -> None:
    cut = numeric(pd.Series(old, dtype="float64"), cells=cells)
    values = pd.Series(new, dtype="float64")
    present = values.dropna().to_numpy()
    expected = [*np.bincount([int((cut.cuts < value).sum()) for value in present], minlength=cut.size)]

    assert cut.count(values).tolist() == [*map(int, expected), len(values) - len(present)]


def test_numeric_cells_are_read_back_as_they_were() -> None:
    cells = numeric(NORMAL)
    back = from_record(NumericCells, to_record(cells))

    assert to_record(back) == to_record(cells)
    assert back.count(NORMAL).tolist() == cells.count(NORMAL).tolist()


def test_a_category_has_a_cell_and_those_not_known_share_one() -> None:
    cells = CategoryCells.cut(LETTERS, levels=3, buckets=8)

    assert cells.count(pd.Series(["c", "x", None, "a", "y", "c"])).tolist() == [1, 0, 2, 2, 1]


@pytest.mark.parametrize("dtype", ["object", "str", "category", "string"])
def test_the_dtype_of_categories_does_not_matter(dtype: str) -> None:
    cells = CategoryCells.cut(LETTERS, levels=3, buckets=8)
    values = pd.Series(["b", "a", None, "z"], dtype=dtype)

    assert cells.count(values).tolist() == [1, 1, 0, 1, 1]


def test_categories_that_are_too_many_are_hashed_into_the_stated_cells() -> None:
    names = pd.Series([f"name {number}" for number in range(4000)])
    cells = CategoryCells.cut(names, levels=100, buckets=64)
    counts = cells.count(names)

    assert (cells.size, cells.unseen, counts[-1]) == (64, None, 0)
    # 62.5 a cell, with the spread of chance: too even would hide a change as surely as too uneven
    assert 5 < counts[:-1].std() < 11


def test_a_category_is_hashed_alike_for_ever() -> None:
    cells = CategoryCells((), 64)

    assert cells.place(pd.Series(["name 1", "Zürich"])).tolist() == [54, 18]


def test_category_cells_are_read_back_as_they_were() -> None:
    cells = CategoryCells.cut(LETTERS, levels=3, buckets=8)

    assert from_record(CategoryCells, to_record(cells)) == cells
