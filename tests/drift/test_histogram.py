"""Bars for people: every row is in one bar, and what moved shows."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.cells import CategoryCells, Cells, NumericCells
from retrim.drift.profile import MOST_BARS, ColumnProfile, WindowBar, compare_windows

NUMBERS = pd.Series(np.random.default_rng(3).normal(size=4000))
FEW = pd.Series([1.0, 2.0, 2.0, 3.0] * 50)
WORDS = pd.Series(["a", "a", "b", None] * 25, dtype="str")
MANY = pd.Series([f"w{number % 70}" for number in range(700)], dtype="str")


def bars(cells: Cells, reference: pd.Series, current: pd.Series) -> tuple[WindowBar, ...]:
    kind = "numeric" if isinstance(cells, NumericCells) else "categorical"
    return compare_windows(ColumnProfile(kind, cells, cells.count(reference)[np.newaxis]), current)


@pytest.mark.parametrize("values", [NUMBERS, FEW, WORDS, MANY], ids=["numbers", "few", "words", "many"])
def test_shares_of_either_window_sum_to_one(values: pd.Series) -> None:
    numeric = values.dtype == "float64"
    cells: Cells = NumericCells.cut(values, cells=120) if numeric else CategoryCells.cut(values, levels=100, buckets=64)
    found = bars(cells, values, values.head(40))

    assert sum(bar.reference for bar in found) == pytest.approx(1)
    assert sum(bar.current for bar in found) == pytest.approx(1)
    assert len(found) <= MOST_BARS + 3


def test_a_column_with_few_values_has_a_bar_for_each() -> None:
    cells = NumericCells.cut(FEW, cells=120)
    shares = [bar.reference for bar in bars(cells, FEW, FEW) if bar.reference]

    assert shares == pytest.approx([0.25, 0.5, 0.25])


def test_a_bar_of_few_values_names_its_value() -> None:
    cells = NumericCells.cut(FEW, cells=120)

    assert [bar.label for bar in bars(cells, FEW, FEW) if bar.reference] == ["1", "2", "3"]
    assert [bar.label for bar in bars(cells, FEW, FEW + 0.5) if bar.current] == ["1 to 2", "2 to 3", "above 3"]


def test_numbers_that_moved_beyond_the_reference_keep_their_shape() -> None:
    cells = NumericCells.cut(NUMBERS, cells=120)
    found = bars(cells, NUMBERS, NUMBERS + 10)
    before, after = ([getattr(bar, window) for bar in found] for window in ("reference", "current"))

    assert sum(share > 0.01 for share in before) > 5
    assert sum(share > 0.01 for share in after) > 5
    assert np.argmax(after) - np.argmax(before) > MOST_BARS / 2


def test_infinite_and_missing_numbers_are_counted() -> None:
    cells = NumericCells.cut(NUMBERS, cells=120)
    found = bars(cells, NUMBERS, pd.Series([np.inf, -np.inf, np.nan, 0.0]))

    assert (found[0].current, found[-2].current, found[-1].label, found[-1].current) == (0.25, 0.25, "missing", 0.25)


def test_an_empty_window_has_no_share() -> None:
    cells = NumericCells.cut(NUMBERS, cells=120)

    assert sum(bar.current for bar in bars(cells, NUMBERS, NUMBERS.head(0))) == 0


def test_missing_values_have_a_bar_where_there_are_any() -> None:
    cells = CategoryCells.cut(WORDS, levels=100, buckets=64)
    found = {bar.label: bar for bar in bars(cells, WORDS, WORDS.dropna())}

    assert found["missing"].reference == pytest.approx(0.25)
    assert found["missing"].current == 0
    assert "missing" not in {bar.label for bar in bars(cells, WORDS.dropna(), WORDS.dropna())}


def test_a_category_that_the_reference_does_not_have_is_named_so() -> None:
    cells = CategoryCells.cut(WORDS, levels=100, buckets=64)
    found = bars(cells, WORDS, pd.Series(["new"] * 3, dtype="str"))

    assert (found[0].label, found[0].current) == ("not in the reference", 1.0)


def test_of_many_categories_the_rest_shares_a_bar() -> None:
    cells = CategoryCells.cut(MANY, levels=100, buckets=64)
    found = bars(cells, MANY, MANY)

    assert found[-1].label == f"{71 - MOST_BARS} others"


def test_a_hashed_column_says_so() -> None:
    cells = CategoryCells.cut(MANY, levels=10, buckets=8)

    assert all(bar.label.startswith("hashed") for bar in bars(cells, MANY, MANY) if bar.reference)
