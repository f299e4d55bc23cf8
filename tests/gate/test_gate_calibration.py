"""Calibration: figures worked by hand, intervals that hold what they say, and refusals only when sure."""

from typing import Any

import numpy as np
import pytest

from retrim.gate import models
from retrim.gate.models import calibration, miscalibration
from retrim.gate.verdict import ScoredModel, StatedInterval, mark_of
from retrim.stats.bootstrap import Resampling
from retrim.stats.codec import from_record
from retrim.training.recipe import StatedErrors

RESAMPLING = Resampling(400, 10, 7)
NORMAL = StatedInterval(0.8, -1.2816, 1.2816)


def binary(predicted: np.ndarray, actual: np.ndarray) -> ScoredModel:
    return ScoredModel(predicted, actual.astype("int64"), ("no", "yes"), np.zeros(len(actual)), None)


def drawn(rows: int, *, off: float, seed: int) -> tuple[ScoredModel, ScoredModel]:
    """A challenger whose chances are too high by `off`, and a champion whose chances are right."""
    draw = np.random.default_rng(seed)
    chance = draw.uniform(0.05, 0.75, size=rows)
    happened = draw.random(rows) < chance
    return binary(chance + off, happened), binary(chance, happened)


def regression(rows: int, *, sd: float, seed: int, stated: StatedInterval | None = NORMAL) -> ScoredModel:
    return ScoredModel(np.zeros(rows), np.random.default_rng(seed).normal(0, sd, rows), (), np.zeros(rows), stated)


def error_of(scored: ScoredModel) -> float:
    found = miscalibration(scored, RESAMPLING)
    assert found is not None
    return found.error


# --- figures by hand


def test_the_error_is_the_mean_distance_of_chance_and_share_over_bins() -> None:
    # Ten rows at 0.2, three of which happened: 0.1 off. Ten at 0.9, five of which happened: 0.4 off.
    predicted = np.repeat([0.2, 0.9], 10)
    actual = np.array([1] * 3 + [0] * 7 + [1] * 5 + [0] * 5)

    assert error_of(binary(predicted, actual)) == pytest.approx(0.25)


def test_with_many_classes_the_chance_is_that_of_the_class_called() -> None:
    # Class 2 is called with 0.6 on all rows, and is right on half of them; one class was never seen.
    predicted = np.tile([0.1, 0.3, 0.6], (8, 1))
    actual = np.array([2, 2, 2, 2, 0, 1, 1, -1])
    scored = ScoredModel(predicted, actual, ("a", "b", "c"), np.zeros(8), None)

    assert error_of(scored) == pytest.approx(0.1)


def test_of_a_regression_it_is_how_far_the_coverage_is_from_what_was_stated() -> None:
    # Six of eight rows lie within -1 and 1.
    actual = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 0.2, 3.0, -2.0])
    scored = ScoredModel(np.zeros(8), actual, (), np.zeros(8), StatedInterval(0.9, -1.0, 1.0))

    assert error_of(scored) == pytest.approx(0.15)


# --- limits


def test_a_challenger_that_is_as_calibrated_as_the_champion_passes() -> None:
    challenger, champion = drawn(2000, off=0.0, seed=1)

    assert all(check.passed for check in calibration(challenger, champion, RESAMPLING))


def test_a_challenger_that_is_surely_worse_than_the_champion_is_refused() -> None:
    challenger, champion = drawn(2000, off=0.15, seed=1)
    own, kept = calibration(challenger, champion, RESAMPLING)

    assert own.passed
    assert not kept.passed
    assert kept.figure == pytest.approx(0.13, abs=0.03)


def test_a_regression_whose_errors_have_grown_is_refused() -> None:
    challenger, champion = regression(1000, sd=2.0, seed=1), regression(1000, sd=1.0, seed=2)
    own, kept = calibration(challenger, champion, RESAMPLING)

    assert mark_of(own) == "reported"
    assert not kept.passed
    assert own.figure == pytest.approx(0.8 - 0.478, abs=0.03)  # P(|2 Z| < 1.2816) is 47.8%


@pytest.mark.parametrize(("sd", "said"), [(0.6, "too wide"), (1.0, "as stated"), (2.0, "too narrow")])
def test_an_interval_that_is_off_beyond_noise_is_said_to_be(sd: float, said: str) -> None:
    (check,) = calibration(regression(1000, sd=sd, seed=1), None, RESAMPLING)

    assert f": {said}" in check.text


def test_nothing_is_said_of_a_regression_without_residuals() -> None:
    assert calibration(regression(100, sd=1.0, seed=1, stated=None), None, RESAMPLING) == []


def test_a_champion_from_before_there_were_residuals_is_not_compared_with() -> None:
    found = calibration(regression(100, sd=1.0, seed=1), regression(100, sd=1.0, seed=1, stated=None), RESAMPLING)

    assert [check.name for check in found] == ["calibration"]


# --- intervals


def test_the_interval_of_the_coverage_holds_the_true_one_nineteen_times_in_twenty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "CALIBRATION_CONFIDENCE", 0.975)
    # Two one-sided bounds at 97.5%: 95%; three standard errors of that in 300 tries are 3.8 points.
    held = 0
    for seed in range(300):
        found = miscalibration(regression(400, sd=1.3, seed=seed), RESAMPLING)
        assert found is not None
        held += found.interval[0] <= abs(0.6758 - 0.8) <= found.interval[1]  # P(|1.3 Z| < 1.2816) is 0.6758

    assert held / 300 == pytest.approx(0.95, abs=0.038)


def test_equal_calibration_is_refused_in_at_most_one_of_twenty_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "CALIBRATION_WORSE", 0.0)
    refused = 0
    for seed in range(200):
        challenger, champion = drawn(400, off=0.0, seed=seed)
        flipped = binary(champion.predicted + np.random.default_rng(seed).normal(0, 0.02, 400), champion.actual)
        refused += not calibration(flipped, challenger, RESAMPLING)[1].passed

    assert refused / 200 <= 0.08


RECORD = {"interval": {"level": 0.8, "residuals": {"all": [-1.0, 1.0], "refit-all": [-2.0, 2.0]}}}


@pytest.mark.parametrize(("name", "high"), [("all", 1.0), ("sliding", 1.0), ("refit-all", 2.0), ("refit-sliding", 2.0)])
def test_a_window_that_never_differed_has_the_interval_of_its_own_recipe_on_all_rows(name: str, high: float) -> None:
    assert StatedInterval.of(from_record(StatedErrors, RECORD), name) == StatedInterval(0.8, -high, high)


@pytest.mark.parametrize("record", [{}, {"interval": None}])
def test_an_older_bundle_states_no_interval(record: dict[str, Any]) -> None:
    assert StatedInterval.of(from_record(StatedErrors, record), "all") is None
