"""Scaling, transforms, outliers and bins: figures by hand, and the powers that SciPy finds."""

import numpy as np
import pytest

from retrim.features.step import STEPS
from tests.builders.one import learn, made, numbers, past

TAIL = np.random.default_rng(5).lognormal(1.0, 0.8, 3000)


def test_minmax_maps_the_range_of_training_to_nought_and_one() -> None:
    assert made("minmax", past({"km": numbers(2, 4, 10)}), {"km": numbers(2, 4, 10, 18)})["km"] == [0, 0.25, 1, 2]


def test_zscore_counts_in_deviations_from_the_mean() -> None:
    # Mean 4, deviation 2 (both of the four rows themselves).
    assert made("zscore", past({"km": numbers(2, 2, 6, 6)}), {"km": numbers(4, 8)})["km"] == pytest.approx([0, 2])


def test_a_constant_column_becomes_nought() -> None:
    assert made("zscore", past({"km": numbers(0.1, 0.1, 0.1)}))["km"] == pytest.approx([0, 0, 0])
    assert made("minmax", past({"km": numbers(7, 7)}))["km"] == [0, 0]


def test_log_and_root_of_numbers_that_need_no_shift() -> None:
    assert made("log", past({"km": numbers(1, np.e)}))["km"] == pytest.approx([0, 1])
    assert made("sqrt", past({"km": numbers(0, 9)}))["km"] == [0, 3]


def test_log_and_root_move_numbers_up_and_hold_later_ones_below() -> None:
    # Training reaches down to -3: for the logarithm 4 is added, for the root 3.
    assert made("log", past({"km": numbers(-3, 0)}), {"km": numbers(-3, -50)})["km"] == [0, 0]
    assert made("sqrt", past({"km": numbers(-3, 1)}), {"km": numbers(1, -50)})["km"] == [2, 0]


def test_yeo_johnson_finds_the_power_that_scipy_finds_and_says_what_scipy_says() -> None:
    from scipy.stats import yeojohnson, yeojohnson_normmax

    values = TAIL - 2
    values = values / values.std()
    power = learn("yeojohnson", past({"km": values})).said["km"]["power"]

    assert power == pytest.approx(float(yeojohnson_normmax(values)), abs=1e-3)
    assert made("yeojohnson", past({"km": values}))["km"] == pytest.approx(yeojohnson(values, power))


@pytest.mark.parametrize(("by", "ends"), [("iqr", [-2.0, 14.0]), ("zscore", None)])
def test_fences_are_those_worked_by_hand(by: str, ends: list[float] | None) -> None:
    # 2, 4, 6, 8, 10: quartiles 4 and 8, so 1.5 times 4 beyond; mean 6, deviation the root of 8.
    found = learn("outlier_flag", past({"km": numbers(2, 4, 6, 8, 10)}), by=by, reach=1.5).state.fences["km"]

    assert found == pytest.approx(ends or [6 - 1.5 * 8**0.5, 6 + 1.5 * 8**0.5])


FAR = numbers(*range(1, 20), 500)  # quartiles 5.75 and 15.25: fences at -8.5 and 29.5


def test_a_number_beyond_a_fence_is_said_capped_or_missing() -> None:
    flagged = made("outlier_flag", past({"km": FAR}), by="iqr", reach=1.5)["km:outlier"]
    capped = made("outlier_cap", past({"km": FAR}), by="iqr", reach=1.5, at_most=0.1)["km"]
    gone = made("outlier_missing", past({"km": FAR}), by="iqr", reach=1.5, at_most=0.1)["km"]

    assert flagged == [0.0] * 19 + [1.0]
    assert capped == [*range(1, 20), 29.5]
    assert gone[:19] == list(range(1, 20))
    assert np.isnan(gone[19])


def test_a_row_with_an_outlier_is_not_trained_on() -> None:
    state = learn("outlier_drop", past({"km": FAR}), by="iqr", reach=1.5, at_most=0.1).state

    kept = STEPS["outlier_drop"].kept({"km": FAR}, state)

    assert kept is not None
    assert kept.tolist() == [True] * 19 + [False]


def test_more_beyond_the_fences_than_the_share_are_valid_though_rare() -> None:
    learned = learn("outlier_cap", past({"km": FAR}), by="iqr", reach=1.5, at_most=0.04)

    assert learned.state.fences == {"km": None}
    assert learned.said["km"]["kept as a tail"]


def test_bins_are_of_equal_width_or_of_equal_rows_or_as_declared() -> None:
    values = {"km": numbers(0, 1, 2, 3, 4, 5, 6, 40)}

    assert made("bins_width", past(values), bins=4)["km"] == [0, 0, 0, 0, 0, 0, 0, 3]
    assert made("bins_frequency", past(values), bins=4)["km"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert made("bins_edges", past(values), edges=(1.0, 5.5))["km"] == [0, 1, 1, 1, 1, 1, 2, 2]


def test_bins_of_equal_rows_are_fewer_where_one_value_fills_them() -> None:
    assert made("bins_frequency", past({"km": numbers(0, 0, 0, 0, 0, 0, 1, 2)}), bins=4)["km"] == [0] * 6 + [1, 1]


def test_what_bins_lose_of_the_entropy_is_as_worked_by_hand() -> None:
    # Eight values alike have ln 8; two bins of four have ln 2: two thirds are lost.
    said = learn("bins_edges", past({"km": numbers(*range(8))}), edges=(4.0,)).said

    assert said["km"]["lost"]["entropy"] == pytest.approx(2 / 3)


def test_bins_at_a_step_of_the_target_lose_nothing_of_it_and_others_do() -> None:
    values = np.arange(4000, dtype="float64") % 100
    late = (values >= 50).astype("int64")
    rows = past({"km": values}, late, classes=("fair", "late"))

    lost = [learn("bins_edges", rows, edges=(edge,)).said["km"]["lost"]["target"] for edge in (50.0, 20.0)]

    assert lost[0] == pytest.approx(0, abs=0.01)
    # Above 20 there are 30 of 80 on time: of ln 2 are left 0.8 times the entropy of 3/8.
    assert lost[1] == pytest.approx(0.8 * -(3 / 8 * np.log(3 / 8) + 5 / 8 * np.log(5 / 8)) / np.log(2), abs=0.01)
