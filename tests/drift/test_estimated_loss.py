"""Estimated loss: right where probabilities are right, sees covariates move, blind to a changed target as it says."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.performance import (
    ChampionRows,
    EstimateQuality,
    ScoredEstimate,
    estimate_loss,
    expected_losses,
    quality,
)
from retrim.stats.metrics import row_losses

MADE = pd.Timestamp("2024-01-12", tz="UTC")
DRAW = np.random.default_rng(7)


def noisy(n: int, *, share: float) -> tuple[ChampionRows, np.ndarray]:
    """Rows of a regression predicted as 0, of which a share (feature 1) has errors ten times as large."""
    hard = (DRAW.random(n) < share).astype(float)
    losses = np.abs(DRAW.normal(0, np.where(hard == 1, 10.0, 1.0)))
    return ChampionRows(np.column_stack([hard, DRAW.normal(size=n)]), np.zeros(n)), losses


def coins(n: int, *, spread: float) -> tuple[ChampionRows, np.ndarray]:
    """Rows of a binary task whose probabilities are right, the surer the larger the spread."""
    p = 1 / (1 + np.exp(-DRAW.normal(0, spread, n)))
    actual = (DRAW.random(n) < p).astype("int64")
    return ChampionRows(p[:, None], p), row_losses("log_loss", actual, p)


def test_the_expected_log_loss_of_a_coin_is_its_entropy() -> None:
    p = np.array([0.5, 0.9])
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))

    assert expected_losses(p, loss="log_loss") == pytest.approx(entropy)


def test_of_two_columns_it_is_the_same_as_of_one() -> None:
    p = np.array([0.2, 0.7])

    assert expected_losses(np.column_stack([1 - p, p]), loss="log_loss") == pytest.approx(
        expected_losses(p, loss="log_loss")
    )


def test_a_classifier_less_sure_of_new_rows_is_estimated_to_lose_what_it_loses() -> None:
    (known, losses), (fresh, realised) = coins(4000, spread=4.0), coins(4000, spread=0.5)
    found = estimate_loss(known, losses, fresh, since=MADE, task="binary", loss="log_loss", seed=1)

    assert found is not None
    assert found.by == "confidence"
    assert found.loss == pytest.approx(realised.mean(), rel=0.06)
    assert realised.mean() > 2 * found.naive


def test_a_classifier_that_is_too_sure_is_scaled_by_what_is_known() -> None:
    seen, losses = coins(4000, spread=2.0)
    sure = ChampionRows(seen.matrix, seen.predicted**3 / (seen.predicted**3 + (1 - seen.predicted) ** 3))
    found = estimate_loss(sure, 2 * losses, sure, since=MADE, task="binary", loss="log_loss", seed=1)

    assert found is not None
    assert found.loss == pytest.approx(2 * losses.mean())


def test_a_regression_is_estimated_to_lose_more_where_it_was_seen_to() -> None:
    (known, losses), (fresh, realised) = noisy(600, share=0.1), noisy(600, share=0.7)
    found = estimate_loss(known, losses, fresh, since=MADE, task="regression", loss="mae", seed=1)

    assert found is not None
    assert found.by == "loss model"
    assert found.loss == pytest.approx(realised.mean(), rel=0.25)
    assert abs(found.loss - realised.mean()) < 0.3 * abs(found.naive - realised.mean())


def test_with_few_labels_nothing_is_said() -> None:
    (known, losses), (fresh, _) = noisy(49, share=0.1), noisy(100, share=0.1)

    assert estimate_loss(known, losses, fresh, since=MADE, task="regression", loss="mae", seed=1) is None


def test_it_is_the_same_when_asked_again() -> None:
    (known, losses), (fresh, _) = noisy(300, share=0.2), noisy(300, share=0.4)
    said = [estimate_loss(known, losses, fresh, since=MADE, task="regression", loss="mae", seed=1) for _ in range(2)]

    assert said[0] == said[1]


def test_its_quality_is_the_mean_error_beside_that_of_no_estimate() -> None:
    scored = [ScoredEstimate(MADE, 10, 4.0, 1.0, 5.0), ScoredEstimate(MADE, 10, 4.0, 5.0, 3.0)]

    assert quality(scored) == EstimateQuality(scored=2, off=0.25, naive_off=0.75)
    assert quality([]) is None
