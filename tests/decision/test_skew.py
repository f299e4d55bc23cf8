"""Skew: nothing where predictions are the same, never an alarm for noise of floats, whatever their size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from pydantic import ValidationError

from retrim.decision.served_predictions import ServedParams, Skew, SkewedRow, skews_of

BOUND = ServedParams(skew=0.001)
VALUES = some.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e12, 1e12))


@settings(max_examples=100)
@given(values=VALUES)
def test_the_same_predictions_have_no_skew(values: np.ndarray) -> None:
    assert (skews_of(values, values) == 0.0).all()


@settings(max_examples=100)
@given(values=VALUES, noise=st.integers(0, 20))
def test_noise_of_floats_is_within_the_smallest_bound(values: np.ndarray, noise: int) -> None:
    near = values * (1 + noise * np.finfo(float).eps)

    assert (skews_of(values, near) < 1e-6).all()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_of_a_prediction_does_not_matter(unit: float) -> None:
    stored, now = np.array([1.0, 3.0, 3.5]) * unit, np.array([1.0, 3.0, 2.0]) * unit

    assert skews_of(stored, now) == pytest.approx([0.0, 0.0, 0.75])


def test_a_stored_value_that_is_far_away_does_not_hide_itself() -> None:
    assert skews_of(np.array([1e9, 1.0]), np.array([1.0, 1.0]))[0] > 1e8


def test_the_class_that_differs_most_counts() -> None:
    stored, now = np.array([[0.5, 0.5, 0.0]]), np.array([[0.25, 0.25, 0.5]])

    assert skews_of(stored, now) == pytest.approx([0.5 / (1 / 3)])


def test_predictions_that_are_all_nought_are_compared_as_they_are() -> None:
    assert skews_of(np.array([0.0, 0.5]), np.array([0.0, 0.0])).tolist() == [0.0, 0.5]


def test_only_what_is_beyond_the_bound_alarms() -> None:
    skew = Skew.of(["a", "b"], [1, 1], [None, None], np.array([0.0009, 0.0]), BOUND)
    more = Skew.of(["a", "b"], [1, 2], [None, "r"], np.array([0.0, 0.0011]), BOUND)

    assert (skew.over, more.over) == (0, 1)
    assert more.worst == SkewedRow("b", 2, "r")


@pytest.mark.parametrize("bound", [0.0, 1e-9, -1.0])
def test_a_bound_that_noise_would_pass_is_refused(bound: float) -> None:
    with pytest.raises(ValidationError, match="greater_than_equal"):
        ServedParams(skew=bound)
