"""The winner's curse: the gain of the best of several, told without the luck of the choice."""

from collections.abc import Callable

import numpy as np
import pytest

from retrim.gate.losses import corrected_gain
from retrim.stats.bootstrap import Resampling

ROWS = 400
RESAMPLING = Resampling(100, 10, 7)
Losses = dict[str, np.ndarray]


def tries(gains: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Gain on the rows that chose, and corrected, in 200 blocks; the mean loss of the champion is 10."""
    told, corrected, draw = [], [], np.random.default_rng(11)
    for _ in range(200):
        champion = 10 + draw.normal(size=ROWS)
        losses = {str(place): 10 * (1 - gain) + draw.normal(size=ROWS) for place, gain in enumerate(gains)}
        told.append(1 - min(each.mean() for each in losses.values()) / champion.mean())
        found = corrected_gain(losses, champion, RESAMPLING)
        assert found is not None
        corrected.append(found)
    return np.array(told), np.array(corrected)


def test_the_best_of_equal_models_has_no_gain_once_corrected() -> None:
    # Of four equal ones the best looks better by 1.03 standard errors of a mean, 0.05 of 10: half a percent.
    told, corrected = tries([0.0] * 4)

    assert told.mean() == pytest.approx(0.0051, abs=0.001)
    assert abs(corrected.mean()) < 3 * corrected.std() / 200**0.5


def test_a_challenger_that_is_clearly_best_keeps_its_gain() -> None:
    told, corrected = tries([0.1, 0.0, 0.0, 0.0])

    np.testing.assert_allclose(corrected, told, atol=1e-3)


def test_one_challenger_alone_had_no_luck_to_correct() -> None:
    told, corrected = tries([0.02])

    np.testing.assert_allclose(corrected, told)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_rows_to_split_say_nothing(rows: int) -> None:
    assert corrected_gain({"all": np.ones(rows), "sliding": np.ones(rows)}, np.ones(rows), RESAMPLING) is None


@pytest.mark.parametrize("change", [lambda each: each, lambda each: dict(reversed(list(each.items())))])
def test_the_order_of_challengers_changes_nothing(change: Callable[[Losses], Losses]) -> None:
    draw = np.random.default_rng(1)
    losses = {name: 10 + draw.normal(size=ROWS) for name in ("all", "sliding", "previous")}
    champion = 10 + draw.normal(size=ROWS)

    assert corrected_gain(change(losses), champion, RESAMPLING) == corrected_gain(losses, champion, RESAMPLING)
