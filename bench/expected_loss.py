"""What a loss is expected to be: lives without change by the shape of the losses, and candidates for how hard rows are.

    python bench/expected_loss.py [--lives 200]

A holdout of 340 rows, then checks of 170 rows; a model whose error is a quarter of what a constant loses.
"""

import argparse
from collections.abc import Callable

import numpy as np

from retrim.decision.loss_comparison import RowLosses, expect_loss

HOLDOUT, WEEK, CHECKS = 340, 170, 52
Draw = Callable[[np.random.Generator, int], np.ndarray]


def autocorrelated(draw: np.random.Generator, n: int) -> np.ndarray:
    """Errors of which each takes 0.8 of the one before."""
    errors = draw.normal(size=n)
    for place in range(1, n):
        errors[place] = 0.8 * errors[place - 1] + 0.6 * errors[place]
    return errors


ERRORS: dict[str, tuple[Draw, int]] = {
    "normal": (lambda draw, n: draw.normal(size=n), 20),
    "Student, 3 degrees": (lambda draw, n: draw.standard_t(3, size=n), 20),
    "log-normal": (lambda draw, n: draw.lognormal(size=n) - np.exp(0.5), 20),
    "autocorrelated, 0.8": (autocorrelated, 20),
    "autocorrelated, blocks too short": (autocorrelated, 10),
}
LOSSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"mae": np.abs, "mse": np.square}


def is_ever_above(draw: np.random.Generator, errors: Draw, loss: str, block_rows: int) -> tuple[bool, float]:
    """Whether a life without change is ever above its band, and how high the band is over the judged loss."""
    rows = HOLDOUT + WEEK * CHECKS
    error = errors(draw, rows)
    actual, losses = 4 * draw.normal(size=rows) + error, LOSSES[loss](error)

    def part(since: int, until: int) -> RowLosses:
        return RowLosses.of(losses[since:until], actual[since:until], task="regression", loss=loss, classes=0)

    judged, above, tops = part(0, HOLDOUT), False, []
    for first in range(HOLDOUT, rows, WEEK):
        expected = expect_loss(judged, part(first, first + WEEK), block_rows=block_rows)
        assert expected is not None
        assert expected.high is not None
        above |= bool(losses[first : first + WEEK].mean() > expected.high)
        tops.append(expected.high / expected.judged)
    return above, float(np.mean(tops))


WORLDS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "nothing": lambda signal, error, _order: (signal + error, signal),
    "level shift": lambda signal, error, _order: (signal + error + 6, signal),
    "twice the volume": lambda signal, error, _order: (2 * (signal + error), 2 * signal),
    "twice the noise": lambda signal, error, _order: (signal + 2 * error, signal),
    "law change, same spread": lambda signal, error, _order: (-signal + error, signal),
    "law change, spread x 1.5": lambda signal, error, _order: (-1.5 * signal + error, signal),
    "a feature x 1.61": lambda signal, error, _order: (signal + error, 1.61 * signal),
    "shuffled labels": lambda signal, error, order: ((signal + error)[order], signal),
    "quieter target, same noise": lambda signal, error, _order: (signal / 3 + error, signal / 3),
}


def candidates(world: str, draw: np.random.Generator) -> list[float]:
    """The loss over the judged one, and by how much each candidate raises what is expected."""
    before, signal = 2 * draw.normal(size=HOLDOUT), 2 * draw.normal(size=WEEK)
    then = before + 0.5 * draw.normal(size=HOLDOUT)
    now, predicted = WORLDS[world](signal, 0.5 * draw.normal(size=WEEK), draw.permutation(WEEK))

    def lost(actual: np.ndarray, value: float) -> float:
        return float(np.abs(actual - value).mean())

    mean = lost(now, float(then.mean())) / lost(then, float(then.mean()))
    last = lost(now, float(then[-1])) / lost(then[HOLDOUT // 2 :], float(then[HOLDOUT // 2 - 1]))
    own = lost(now, float(np.median(now))) / lost(then, float(np.median(then)))
    rose = float(np.abs(now - predicted).mean() / np.abs(then - before).mean())
    return [rose, mean, last, min(mean, last), own, max(own, 1.0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lives", type=int, default=200)
    lives, draw = parser.parse_args().lives, np.random.default_rng(1)
    print("| errors | loss | lives ever above | top of the band over the judged loss |\n|---|---|---|---|")
    for name, (errors, block_rows) in ERRORS.items():
        for loss in LOSSES:
            above, tops = zip(*(is_ever_above(draw, errors, loss, block_rows) for _ in range(lives)), strict=True)
            print(f"| {name} | {loss} | {np.mean(above):.1%} | {np.mean(tops):.2f} |", flush=True)
    heads = ("change", "loss", "mean", "last value", "lower of both", "own constant", "own constant, at least 1")
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for world in WORLDS:
        figures = np.mean([candidates(world, draw) for _ in range(lives)], axis=0)
        print(f"| {world} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
