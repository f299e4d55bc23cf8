"""The comparison: what a loss is expected to be, and whether the champion loses to a naive baseline."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from retrim.decision.loss_comparison import (
    ExpectedLoss,
    LossComparison,
    RowLosses,
    constant_losses,
    expect_estimated,
    expect_loss,
    find_worse_than,
    naive_losses,
)

HOLDOUT, WEEK, CHECKS, LIVES = 340, 170, 52, 40
Draw = Callable[[np.random.Generator, int], np.ndarray]
ERRORS: dict[str, Draw] = {
    "heavy": lambda draw, n: draw.standard_t(3, size=n),
    "skewed": lambda draw, n: draw.lognormal(size=n) - np.exp(0.5),
    "autocorrelated": lambda draw, n: np.convolve(draw.normal(size=n + 9), np.ones(10) / 10**0.5, "valid"),
}


def losses_of(signal: np.ndarray, error: np.ndarray) -> RowLosses:
    return RowLosses.of(np.abs(error), signal + error, task="regression", loss="mae", classes=0)


def week(seed: int, *, rows: int = WEEK, spread: float = 4.0, level: float = 0.0, error: float = 1.0) -> RowLosses:
    """Rows of a target with this spread and level, on which a model errs so much."""
    draw = np.random.default_rng(seed)
    return losses_of(level + spread * draw.normal(size=rows), error * draw.normal(size=rows))


def expected(window: RowLosses, *, block_rows: int = 10) -> ExpectedLoss:
    found = expect_loss(week(1, rows=HOLDOUT), window, block_rows=block_rows)
    assert found is not None
    return found


def life(draw: np.random.Generator, errors: Draw) -> Iterator[tuple[float, ExpectedLoss]]:
    """The loss of each check of a life in which nothing changes, and what was expected."""
    rows = HOLDOUT + WEEK * CHECKS
    signal, error = 4 * draw.normal(size=rows), errors(draw, rows)
    judged = losses_of(signal[:HOLDOUT], error[:HOLDOUT])
    for first in range(HOLDOUT, rows, WEEK):
        window = losses_of(signal[first : first + WEEK], error[first : first + WEEK])
        found = expect_loss(judged, window, block_rows=20)
        assert found is not None
        yield float(window.champion.mean()), found


@pytest.mark.slow  # 5 s each: the law is about lives
@pytest.mark.parametrize("errors", ERRORS)
def test_of_20_lives_without_change_at_most_one_is_ever_above(errors: str) -> None:
    draw, above = np.random.default_rng(5), 0
    for _ in range(LIVES):
        above += any(found.high is not None and loss > found.high for loss, found in life(draw, ERRORS[errors]))

    assert above <= LIVES // 20


def test_a_loss_of_twice_the_judged_one_is_above() -> None:
    window = week(2, error=2.0)
    found = expected(window)

    assert found.high is not None
    assert window.champion.mean() > found.high


def test_a_level_that_moves_makes_nothing_expected() -> None:
    assert expected(week(2, level=100.0)).harder == pytest.approx(expected(week(2)).harder)


def test_a_volume_that_doubles_makes_twice_the_loss_expected() -> None:
    window = week(2, spread=8.0, error=2.0)
    found = expected(window)

    assert found.harder == pytest.approx(2.0, rel=0.15)
    assert found.high is not None
    assert window.champion.mean() < found.high


def test_a_quieter_target_makes_no_smaller_loss_expected() -> None:
    assert expected(week(2, spread=1.0)).loss == expected(week(2)).judged


def test_shuffled_labels_make_no_higher_loss_expected() -> None:
    draw = np.random.default_rng(2)
    actual = 4 * draw.normal(size=WEEK)
    window = losses_of(actual, draw.permutation(actual) - actual)
    shuffled = RowLosses(window.champion, constant_losses(actual, task="regression", loss="mae", classes=0))

    assert expected(shuffled).harder < 1.2
    assert shuffled.champion.mean() > (expected(shuffled).high or np.inf)


@pytest.mark.parametrize(("holdout", "rows"), [(39, WEEK), (HOLDOUT, 39)])
def test_fewer_than_four_blocks_have_no_band(holdout: int, rows: int) -> None:
    found = expect_loss(week(1, rows=holdout), week(2, rows=rows, error=9.0), block_rows=10)

    assert found is not None
    assert (found.low, found.high) == (None, None)


def test_an_estimate_is_held_against_the_judged_loss() -> None:
    found = expect_estimated(week(1, rows=HOLDOUT), rows=WEEK, block_rows=10)

    assert found is not None
    assert found.loss == found.judged
    assert found.high == pytest.approx(1.27 * found.judged, rel=0.05)


@pytest.mark.parametrize(
    ("task", "loss", "actual", "least"),
    [
        ("regression", "mse", [0.0, 0.0, 3.0], 2.0),
        ("regression", "mae", [0.0, 0.0, 3.0], 1.0),
        ("binary", "log_loss", [0, 0, 1, 1], np.log(2)),
        ("multiclass", "log_loss", [0, 1, 2], np.log(3)),
    ],
)
def test_the_constant_is_the_best_one(task: str, loss: str, actual: list[float], least: float) -> None:
    found = constant_losses(np.array(actual), task=task, loss=loss, classes=3)

    assert found.mean() == pytest.approx(least)


def compared(seed: int, *, excess: float, baselines: int = 2) -> LossComparison:
    draw = np.random.default_rng(seed)
    naive = {f"b{number}": draw.gamma(2, 0.5, size=WEEK) for number in range(baselines)}
    champion = draw.gamma(2, 0.5, size=WEEK) + excess
    return LossComparison(WEEK, float(champion.mean()), False, None, naive_losses(champion, naive, block_rows=17))


def test_a_champion_that_is_as_good_as_a_baseline_is_called_worse_in_one_life_of_20_at_most() -> None:
    worse, seed = 0, 0
    for _ in range(LIVES):
        past: list[LossComparison] = []
        for _ in range(CHECKS):
            seed += 1
            past.insert(0, compared(seed, excess=0.0))
        worse += any(find_worse_than(past[place], past[place + 1 :]) is not None for place in range(CHECKS))

    assert worse <= LIVES // 20


def test_a_champion_that_loses_clearly_is_worse_at_once() -> None:
    assert find_worse_than(compared(1, excess=1.0), []) is not None


def test_a_champion_that_loses_a_little_is_worse_after_some_checks() -> None:
    checks = [compared(seed, excess=0.2) for seed in range(13)]

    assert find_worse_than(checks[0], []) is None
    assert find_worse_than(checks[0], checks[1:]) is not None


def test_the_baseline_named_is_the_best_of_those_it_loses_to() -> None:
    found = compared(1, excess=1.0)

    assert find_worse_than(found, []) == found.best_naive
