"""Probation: how often it rolls back a champion that is no worse, and how soon one that is.

    python bench/probation.py [--years 500] [--real]

A simulated year is 26 checks of 336 rows, with settings of params.yaml. The loss of the champion before is 1 in the
mean; the new one's differs by errors that are normal, Student's t with 3 degrees, or lognormal turned either way, each
resembling the one before by 0, 0.5 or 0.8, with a standard deviation of so much of the loss. Beside the probation, in
the same years: a t-test of all rows so far at every check, the same of block means, and one t-test of block means at
the end of the year; each at 5%, one-sided. With --real also years cut from the differences of two models that bike,
bank and rodents make as more rows come in, their mean taken out.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.special import stdtr
from streams import load

from retrim.decision.probation import ProbationParams
from retrim.features.view import FeatureView
from retrim.settings import load_params
from retrim.stats.anytime import RunningSums, log_evidence
from retrim.stats.metrics import row_losses
from retrim.training.recipe import Recipe, fit_recipe

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = load_params(ROOT / "params.yaml")
PARAMS, CHECKS, ROWS = SHIPPED.probation, 26, 336
BLOCK = PARAMS.block_rows(ROWS)
NEVER = CHECKS + 1
SEED = 7
HYPERPARAMETERS = {"num_leaves": 31, "learning_rate": 0.1, "min_child_samples": 20}


def lognormal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Lognormal errors with mean 0 and variance 1."""
    return (rng.lognormal(0.0, 1.0, size=size) - np.exp(0.5)) / ((np.e - 1) * np.e) ** 0.5


ERRORS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "Student's t, 3 degrees": lambda rng, size: rng.standard_t(3, size=size) / 3**0.5,
    "lognormal": lognormal,
    "lognormal, turned": lambda rng, size: -lognormal(rng, size),
}


def years(count: int, *, errors: str, alike: float, spread: float, worse: float) -> np.ndarray:
    """Differences, new minus previous, shape (count, rows of a year); previous has a mean loss of 1."""
    drawn = ERRORS[errors](np.random.default_rng(SEED), (count, CHECKS * ROWS + 200))
    drawn = lfilter([1.0], [1.0, -alike], drawn, axis=1)[:, 200:] * (1 - alike**2) ** 0.5
    return worse + spread * drawn


def rolled_back(found: np.ndarray, params: ProbationParams, *, with_effect: bool) -> np.ndarray:
    """The check at which each year's probation says worse, 1 on; NEVER where none does."""
    count = found.shape[1] // BLOCK
    means = found[:, : count * BLOCK].reshape(len(found), count, BLOCK).mean(axis=2)
    totals, squares = np.cumsum(means, axis=1), np.cumsum(means**2, axis=1)
    neighbours = np.cumsum(means[:, 1:] * means[:, :-1], axis=1)
    ends = np.full(len(found), NEVER)
    for year in range(len(found)):
        for check in range(1, CHECKS + 1):
            n = check * ROWS // BLOCK
            total = totals[year, n - 1]
            if with_effect and total / n < params.min_effect:
                continue
            kept = RunningSums(
                count=n,
                total=float(total),
                squares=float(squares[year, n - 1]),
                neighbours=float(neighbours[year, n - 2]) if n > 1 else 0.0,
                first=float(means[year, 0]),
                last=float(means[year, n - 1]),
            )
            if log_evidence(kept, above=0.0) >= -np.log(params.alpha_rollback):
                ends[year] = check
                break
    return ends


def by_t(found: np.ndarray, *, rows: int, checks: range) -> np.ndarray:
    """The first of these checks at which a one-sided t-test of the means of `rows` rows says worse; NEVER if none."""
    count = found.shape[1] // rows
    means = found[:, : count * rows].reshape(len(found), count, rows).mean(axis=2)
    ends = np.full(len(found), NEVER)
    for check in reversed(checks):
        so_far = means[:, : check * ROWS // rows]
        n = so_far.shape[1]
        t = so_far.mean(axis=1) / np.maximum(so_far.std(axis=1, ddof=1) / n**0.5, 1e-12)
        ends[stdtr(n - 1, t) > 1 - PARAMS.alpha_rollback] = check
    return ends


def line(name: str, found: np.ndarray) -> str:
    """The share of years that each of the tests rolls back."""
    every, last = range(1, CHECKS + 1), range(CHECKS, CHECKS + 1)
    ends = (
        rolled_back(found, PARAMS, with_effect=True),
        rolled_back(found, PARAMS, with_effect=False),
        by_t(found, rows=1, checks=every),
        by_t(found, rows=BLOCK, checks=every),
        by_t(found, rows=BLOCK, checks=last),
    )
    return f"| {name} | " + " | ".join(f"{np.mean(each < NEVER):.1%}" for each in ends) + " |"


def how_soon(found: np.ndarray) -> str:
    """Checks until the probation rolls back: median, and by when 90% have; its share of years; that of one test."""
    ends = rolled_back(found, PARAMS, with_effect=True)
    shown = [f"{value:.0f}" if value < NEVER else "-" for value in np.quantile(ends, (0.5, 0.9), method="higher")]
    fixed = by_t(found, rows=BLOCK, checks=range(CHECKS, CHECKS + 1))
    return f"{shown[0]} | {shown[1]} | {np.mean(ends < NEVER):.0%} | {np.mean(fixed < NEVER):.0%}"


def real_years(name: str, count: int, *, flipped: bool, checks: int = CHECKS) -> np.ndarray:
    """Years cut from the differences of two models made from more and more rows of a shipped table, mean taken out.

    Flipped, each check's rows keep their order and are turned by the toss of a coin: no difference, whatever wanders.
    """
    stream, rng = load(name, Path()), np.random.default_rng(SEED)
    n, shares = len(stream.table), (0.2, 0.3, 0.4, 0.5, 0.6)
    recipe = Recipe("gbm", stream.loss, HYPERPARAMETERS, 30 if name == "rodents" else 100, SEED)
    losses = []
    for share in shares:
        past = stream.table.iloc[: int(n * share)]
        view = FeatureView.learn(past, stream.data)
        model = fit_recipe(recipe, view, past, threads=1)
        losses.append(row_losses(stream.loss, view.actual(stream.table), model.predict(view.matrix(stream.table))))
    found = []
    for pair in range(len(shares) - 1):
        later = slice(int(n * shares[pair + 1]), n)
        difference = (losses[pair + 1] - losses[pair])[later] / losses[pair][later].mean()
        difference = difference - difference.mean()
        starts = rng.integers(0, len(difference), size=count // 4)
        found += [np.resize(np.roll(difference, -start), checks * ROWS) for start in starts]
    signs = np.repeat(
        rng.choice([-1.0, 1.0], size=(len(found), checks if flipped else 1)), ROWS if flipped else 1, axis=1
    )
    return np.array(found) * signs


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--years", type=int, default=500)
    asked.add_argument("--real", action="store_true")
    given = asked.parse_args()
    print("| no difference | probation | without min_effect | t of rows, every check | t of blocks | t once |")
    print("|---|---|---|---|---|---|")
    for alike in (0.0, 0.5, 0.8):
        for errors in ERRORS:
            found = years(given.years, errors=errors, alike=alike, spread=0.3, worse=0.0)
            print(line(f"{errors}, {alike:g}", found), flush=True)
    if given.real:
        for flipped in (True, False):
            for name in ("bike", "bank", "rodents"):
                what = "real, turned by check" if flipped else "real, wandering"
                print(line(f"{name}: {what}", real_years(name, given.years, flipped=flipped)), flush=True)
    worse = 2 * PARAMS.min_effect
    print(f"\n| worse by {worse:.0%} | checks, median | 90% | rolled back in a year | t once, at its end |")
    print("|---|---|---|---|---|")
    for spread in (0.1, 0.2, 0.4):
        for alike in (0.0, 0.5, 0.8):
            found = years(given.years, errors="normal", alike=alike, spread=spread, worse=worse)
            print(f"| spread {spread:g}, {alike:g} | {how_soon(found)} |", flush=True)


if __name__ == "__main__":
    main()
