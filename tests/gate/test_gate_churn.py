"""Churn: how many answers change, by hand; it refuses nothing."""

import numpy as np
import pytest

from retrim.gate.models import churn
from retrim.gate.verdict import Check, ScoredModel
from retrim.stats.bootstrap import Resampling


def scored(predicted: np.ndarray, classes: tuple[str, ...] = (), actual: np.ndarray | None = None) -> ScoredModel:
    rows = len(predicted)
    return ScoredModel(predicted, np.zeros(rows) if actual is None else actual, classes, np.zeros(rows), None)


def changed(challenger: ScoredModel, champion: ScoredModel) -> Check:
    found = churn(challenger, champion, confidence=0.95, resampling=Resampling(400, 10, 7))
    assert found is not None
    return found


def test_of_two_classes_it_is_the_share_of_rows_on_another_side_of_a_half() -> None:
    own, its = np.full(200, 0.4), np.full(200, 0.3)
    own[::10] = 0.6

    assert changed(scored(own, ("no", "yes")), scored(its, ("no", "yes"))).figure == pytest.approx(0.1)


def test_classes_are_compared_by_name_not_by_place() -> None:
    # The champion knew no "b": its second class is the challenger's third.
    own = scored(np.tile([0.1, 0.2, 0.7], (100, 1)), ("a", "b", "c"))
    its = scored(np.tile([0.2, 0.8], (100, 1)), ("a", "c"))

    assert changed(own, its).figure == 0


def test_of_numbers_it_is_the_99th_percentile_in_standard_deviations_of_the_target() -> None:
    actual = np.tile([-2.0, 2.0], 500)  # standard deviation 2
    change = np.linspace(0, 10, 1000)

    assert changed(scored(change, actual=actual), scored(np.zeros(1000))).figure == pytest.approx(4.95, abs=0.01)


def test_it_is_reported_only() -> None:
    found = changed(scored(np.ones(100), ("no", "yes")), scored(np.zeros(100), ("no", "yes")))

    assert (found.figure, found.threshold, found.passed) == (1.0, None, True)


def test_the_interval_of_the_percentile_holds_the_true_one_nine_times_in_ten() -> None:
    # |Z| has its 99th percentile at 2.5758; the targets' own deviation is 1. Three standard errors: 5.2 points.
    held, actual = 0, np.tile([-1.0, 1.0], 1000)
    for seed in range(300):
        change = np.random.default_rng(seed).normal(size=2000)
        found = changed(scored(change, actual=actual), scored(np.zeros(2000)))
        assert found.interval is not None
        held += found.interval[0] <= 2.5758 <= found.interval[1]

    assert held / 300 == pytest.approx(0.9, abs=0.06)
