import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from retrim.drift.cells import Counts
from retrim.drift.tests import DRIFT_TESTS, DriftResult
from retrim.errors import BadInputError
from tests.builders.counted import counted

ALL_MISSING = pd.Series([np.nan] * 5)


def result_of(test: str, reference: pd.Series, current: pd.Series, **arguments: int) -> DriftResult:
    """One drift test of a column in two windows."""
    return DRIFT_TESTS[test](*counted(reference, current), **arguments)


def repeated(**counts: int) -> pd.Series:
    return pd.Series([name for name, n in counts.items() for _ in range(n)])


def test_psi_of_two_normals_tends_to_their_jeffreys_divergence():
    # KL(p, q) + KL(q, p) of unit normals one apart is 1. Cells lose a little of it.
    draw = np.random.default_rng(7).normal
    reference, current = pd.Series(draw(0, 1, 100_000)), pd.Series(draw(1, 1, 100_000))

    assert result_of("psi", reference, current, cells=120).effect == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("test", "reference", "current", "effect"),
    [
        # Two cells, cut at the median 1: 2 and 2 rows against 1 and 3, each a half row more: 1/2, 1/2 and 0.3, 0.7.
        pytest.param(
            "psi",
            [0.0, 1.0, 2.0, 3.0],
            [0.0, 2.0, 5.0, 9.0],
            0.2 * math.log(0.5 / 0.3 * 0.7 / 0.5),
            id="psi of two cells",
        ),
        # One cell with rows on both sides, one with missing: 10 and 0 against 5 and 5, each a half row more.
        pytest.param(
            "psi",
            [1.0] * 10,
            [1.0] * 5 + [np.nan] * 5,
            (10 / 11 - 0.5 + 0.5 / 11) * math.log(21),
            id="psi of missing values",
        ),
        # 100 rows leave one cell and fill another: 2 * (100 / 101) * ln(100.5 / 0.5)
        pytest.param(
            "psi", [3.0] * 100, [2.999] * 100, 2 * 100 / 101 * math.log(201), id="psi of a constant that falls"
        ),
        pytest.param(
            "psi", [3.0] * 100, [3.001] * 100, 2 * 100 / 101 * math.log(201), id="psi of a constant that rises"
        ),
        # At 3 all 4 rows of the reference and 1 of the 4 current ones are passed.
        pytest.param("ks", [0.0, 1.0, 2.0, 3.0], [2.5, 4.0, 5.0, 6.0], 3 / 4, id="ks"),
        pytest.param("ks", [*range(50)], [*range(50), *[np.nan] * 5], 0, id="ks drops missing values"),
        pytest.param("ks", [np.nan] * 5, [np.nan] * 5, 0, id="ks of a column missing on both sides"),
        # The share of rows that would have to change.
        pytest.param("chi2", "a" * 10 + "b" * 20, "a" * 20 + "b" * 10, 1 / 3, id="chi2"),
        pytest.param("chi2", "aaabbbb", "c" * 9, 1, id="chi2 of windows with nothing in common"),
        pytest.param("chi2", "aaaa", ["a", "a", None, None], 1 / 2, id="chi2 counts missing as a category"),
        # 100.5 and 0.5 of 101 against 50.5 and 50.5: (50 / 101) (ln 101 - ln(50.5 / 100.5)) = (50 / 101) ln 201
        pytest.param("psi_categories", "a" * 100, "ab" * 50, 50 / 101 * math.log(201), id="psi of a new category"),
        pytest.param("psi_categories", "ab" * 50, "a" * 100, 50 / 101 * math.log(201), id="psi of a vanished category"),
        pytest.param("missing_share", [1.0] * 5, [np.inf] * 5, 0, id="infinities are not missing"),
    ],
)
def test_an_effect_is_as_worked_by_hand(test: str, reference: list, current: list, effect: float) -> None:
    arguments = {"cells": 2} if test == "psi" else {}
    found = result_of(test, pd.Series(list(reference)), pd.Series(list(current)), **arguments)

    assert found.effect == pytest.approx(effect)


@pytest.mark.parametrize("cells", [2, 3, 10])
def test_psi_sees_a_value_that_spans_cells_move_down(cells: int):
    # Zeros on 3 of 4 rows turn to -1: every cut that ends at 0 would hide it.
    reference = pd.Series([0.0] * 75 + list(range(1, 26)))

    assert result_of("psi", reference, reference.replace(0.0, -1.0), cells=cells).effect > 3


def test_psi_of_equal_shares_in_windows_of_unlike_size_is_zero():
    reference = pd.Series(np.arange(1000.0))

    assert result_of("psi", reference, reference.iloc[4::10], cells=10).effect == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("cells", [1, 0, -3])
def test_psi_needs_two_cells(cells: int):
    with pytest.raises(BadInputError, match=f"{cells} quantile cells are too few"):
        result_of("psi", ALL_MISSING, ALL_MISSING, cells=cells)


def test_ks_of_two_normals_tends_to_the_distance_of_their_distribution_functions():
    # Largest half way between: Phi(1/2) - Phi(-1/2) = 0.3829
    draw = np.random.default_rng(7).normal
    found = result_of("ks", pd.Series(draw(0, 1, 50_000)), pd.Series(draw(1, 1, 50_000)))

    assert found.effect == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.01)


@pytest.mark.parametrize(("reference", "current"), [(ALL_MISSING, pd.Series([1.0])), (pd.Series([1.0]), ALL_MISSING)])
def test_ks_of_a_column_missing_on_one_side_is_one(reference: pd.Series, current: pd.Series):
    assert (result_of("ks", reference, current).effect, result_of("ks", reference, current).p_value) == (1.0, 1.0)


def test_ks_loses_at_most_a_cell() -> None:
    # Every current value lies at the low end of its cell: the worst there is.
    reference = pd.Series(np.arange(1200.0))
    current = pd.Series(np.arange(120) * 10.0)
    exact = 9 / 1200
    lost = exact - float(result_of("ks", reference, current).effect)

    assert 0 < lost <= 1 / 120


def test_new_categories_are_a_share_of_the_current_rows() -> None:
    found = result_of("new_categories", repeated(a=10, b=20), repeated(a=5, c=2, d=1))

    assert (found.statistic, found.effect) == (3, 3 / 8)


def test_a_category_that_one_part_of_the_reference_lacks_is_new_to_that_part() -> None:
    both, now = counted(repeated(a=10, b=20), repeated(a=6, b=2))
    part = Counts(both.cells, both.rows - [0, 20, 0, 0])

    assert DRIFT_TESTS["new_categories"](part, now).effect == 2 / 8


def test_hashed_categories_drift_too() -> None:
    before, after = (pd.Series([f"{kind}{n % 500}" for n in range(5000)]) for kind in ("a", "b"))
    found = DRIFT_TESTS["chi2"](*counted(before, after, levels=100, buckets=64))

    assert found.effect > 0.1


def test_chi2_is_as_worked_by_hand():
    # n (ad - bc)^2 over the product of the four margins; with one degree of freedom p = 2 (1 - Phi(sqrt(chi2)))
    found = result_of("chi2", repeated(a=10, b=20), repeated(a=20, b=10))
    statistic = 60 * (10 * 10 - 20 * 20) ** 2 / 30**4

    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(2 * norm.sf(math.sqrt(statistic)))


def test_chi2_of_one_category_says_nothing_has_moved():
    found = result_of("chi2", repeated(a=3), repeated(a=9))

    assert (found.statistic, found.effect, found.p_value) == (0, 0, 1)


def test_psi_of_categories_tends_to_its_figure_by_hand():
    # (1/4 - 1/2) ln(1/2) + (3/4 - 1/2) ln(3/2) = ln(3) / 4
    found = result_of("psi_categories", repeated(a=200_000, b=200_000), repeated(a=100_000, b=300_000))

    assert found.effect == pytest.approx(math.log(3) / 4, abs=1e-4)


def test_missing_share_is_as_worked_by_hand():
    # 10 and 20 of 100: pooled 0.15, z = 0.1 / sqrt(0.15 * 0.85 * 0.02) = 1.9803, p = 0.0477
    reference, current = (pd.Series([np.nan] * n + [1.0] * (100 - n)) for n in (10, 20))
    found = result_of("missing_share", reference, current)

    assert found.effect == pytest.approx(0.1)
    assert (found.statistic, found.p_value) == pytest.approx((1.9803, 0.0477), abs=1e-4)


def test_fewer_missing_values_are_drift_too():
    found = result_of("missing_share", ALL_MISSING, pd.Series([1.0] * 5))

    assert found.effect == 1
    assert found.statistic < 0
