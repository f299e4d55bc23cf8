"""What late rows and late labels do to the accumulated gain, for several ways of judging them.

    python bench/stragglers.py --packages FOLDER           # twenty minutes on one core
    python bench/stragglers.py --packages FOLDER --streams bike --seeds 2

Each stream is walked check by check, 30 windows of equal rows after the first 40%. P % of their rows
become known late, each by a span drawn evenly up to a quarter of the whole history: whether the row or only its label
was late makes no difference to the probe, which takes rows when mature. Once the first champion stays for ever,
which says what a design makes of the accumulated gain; once a check that finds it above the retraining cost retrains
at once on all that is mature, which says what it makes of the decisions. All past rows are fitted on; the cost is a
fifteenth of the gain that the first champion has accumulated at the end without delay. What has not come by a check
cannot count by then: the first line of each share says what the rows that have come gain without delay.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matrices import recipe_of
from streams import Stream, load

from retrim.decision.accumulated_gain import EMPTY
from retrim.decision.probe import judged_blocks, reading_of
from retrim.features.view import FeatureView
from retrim.stats.bootstrap import mean_error
from retrim.stats.metrics import row_losses
from retrim.stats.windows import past_of, spans
from retrim.training.estimators import Model
from retrim.training.recipe import fit_recipe

STREAMS = ("bike", "bank", "chicago")
FIRST, CHECKS, LONGEST, PRICE, ERRORS = 0.4, 30, 0.25, 1 / 15, 2.0
SHARES = (0.01, 0.05, 0.2)
COME = "without delay, on the rows that have come"
Losses = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Said:
    """What a design makes of a check's rows: the gain of each judged row, how many rows it counts, its fits."""

    gains: np.ndarray
    counted: int
    fits: int


Gain = Callable[[np.ndarray], np.ndarray]
"""Of places among a check's rows, all judged by one fit on what was due before the first of them."""
Design = Callable[[np.ndarray, np.ndarray, Gain], Said]
"""From the row numbers of a check's rows among all mature ones, ascending, and the champion's loss on each."""


def oldest(newest: np.ndarray, lost: np.ndarray, gain: Gain) -> Said:
    return Said(gain(np.arange(len(newest))), len(newest), 1)


def apart(newest: np.ndarray, gain: Gain) -> tuple[np.ndarray, np.ndarray, int]:
    """The gain of rows that came in time, places of the others, and fits."""
    parts = judged_blocks(newest, blocks=1)
    late = np.setdiff1d(np.arange(len(newest)), np.concatenate(parts))
    return np.concatenate([*map(gain, parts)]), late, len(parts)


def nought(newest: np.ndarray, lost: np.ndarray, gain: Gain) -> Said:
    gains, late, fits = apart(newest, gain)
    return Said(np.concatenate([np.zeros(len(late)), gains]), len(newest), fits)


def alike(newest: np.ndarray, lost: np.ndarray, gain: Gain) -> Said:
    gains, _, fits = apart(newest, gain)
    return Said(gains, len(newest), fits)


def shipped(newest: np.ndarray, lost: np.ndarray, gain: Gain) -> Said:
    gains, late, fits = apart(newest, gain)
    usual = np.delete(lost, late)
    weight = reading_of(usual, usual - gains, apart=lost[late], block_rows=1).weight
    return Said(weight * gains, len(newest), fits)


def own_blocks(most: int) -> Design:
    """Late rows are judged by fits of their own, that many at most, each cut at the oldest of its rows."""

    def design(newest: np.ndarray, lost: np.ndarray, gain: Gain) -> Said:
        gains, late, fits = apart(newest, gain)
        parts = spans(len(late), most)
        return Said(np.concatenate([*(gain(late[part]) for part in parts), gains]), len(newest), fits + len(parts))

    return design


DESIGNS: dict[str, Design] = {
    "all cut at the oldest row": oldest,
    "late rows gain nothing, or do not count": nought,
    "late rows count like the others": alike,
    "the same, less where the champion loses less": shipped,
    "late rows have a fit of their own": own_blocks(1),
    "late rows have four fits of their own": own_blocks(4),
}


class History:
    """A stream of which some rows become known late, and the fits on it."""

    def __init__(self, stream: Stream, *, share: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.stream, self.recipe, table = stream, recipe_of(stream), stream.table
        span = table["_event"].iloc[-1] - table["_event"].iloc[0]
        late = (draw.random(len(table)) < share) & (np.arange(len(table)) >= FIRST * len(table))
        wait = np.where(late, draw.random(len(table)) * LONGEST, 0.0) * span
        self.known = table["_due"] + pd.Series(pd.to_timedelta(wait), index=table.index)
        self.edges = np.linspace(FIRST * len(table), len(table), CHECKS + 1).round().astype("int64")
        self.moments = [table["_due"].iloc[edge - 1] for edge in self.edges]
        self._fits: dict[tuple[int, int], Losses] = {}

    def mature(self, check: int) -> np.ndarray:
        return np.flatnonzero((self.known <= self.moments[check]).to_numpy())

    def come(self, check: int) -> np.ndarray:
        """The share of each window's rows that have come by a check, shape (check,)."""
        there = (self.known <= self.moments[check]).to_numpy(dtype="float64")
        begins = self.edges[: check + 1]
        return np.add.reduceat(there[: begins[-1]], begins[:-1]) / np.diff(begins)

    def champion(self, check: int) -> Losses:
        return self._fit(check, None)

    def probe(self, check: int, first: int) -> Losses:
        """The refit at a check on what was due before row `first`."""
        return self._fit(check, first)

    def _fit(self, check: int, first: int | None) -> Losses:
        key = (check, -1 if first is None else first)
        if key not in self._fits:
            table, past = self.stream.table, self.mature(check)
            if first is not None:
                past = np.intersect1d(past, past_of(table["_event"], table["_due"], first))
            rows = table.iloc[past]
            view = FeatureView.learn(rows, self.stream.data)
            self._fits[key] = self._losses(view, fit_recipe(self.recipe, view, rows, threads=1))
        return self._fits[key]

    def _losses(self, view: FeatureView, model: Model) -> Losses:
        def losses(rows: np.ndarray) -> np.ndarray:
            judged = self.stream.table.iloc[rows]
            return row_losses(self.recipe.loss, view.actual(judged), model.predict(view.matrix(judged)))

        return losses


@dataclass(frozen=True)
class Walked:
    """Accumulated gain after each check, its standard error, the checks that retrained, rows and fits of the probe."""

    balances: tuple[float, ...]
    errors: tuple[float, ...]
    retrained: tuple[int, ...]
    rows: int
    fits: int


def walk(history: History, design: Design, *, retraining_cost: float | None) -> Walked:
    """Check by check; without a retraining cost nothing is ever retrained."""
    usual = (1 - FIRST) * len(history.stream.table) / CHECKS
    made, champion = 0, history.champion(0)
    until, accumulated_gain = int(history.mature(0).max()), EMPTY
    balances: list[float] = []
    errors: list[float] = []
    retrained: list[int] = []
    rows, fits, counted = 0, 0, set(history.mature(0).tolist())
    for check in range(1, CHECKS + 1):
        mature = history.mature(check)
        fresh = np.array([row for row in mature if row not in counted and row > until], dtype="int64")
        counted.update(mature.tolist())
        if len(fresh) < 2:
            continue
        said = design(np.searchsorted(mature, fresh), champion(fresh), gains_of(history, champion, check, fresh))
        error = mean_error(said.gains, block_rows=history.stream.block_rows)
        accumulated_gain = accumulated_gain.deposit(float(said.gains.mean()), error=error, share=said.counted / usual)
        rows, fits = rows + said.counted, fits + said.fits
        if retraining_cost is not None and accumulated_gain.pays(retraining_cost, errors=ERRORS, ahead=0.0):
            made, champion, accumulated_gain = check, history.champion(check), EMPTY
            until = int(history.mature(made).max())
            retrained.append(check)
        balances.append(accumulated_gain.balance)
        errors.append(accumulated_gain.error)
    return Walked(tuple(balances), tuple(errors), tuple(retrained), rows, fits)


def gains_of(history: History, champion: Losses, check: int, fresh: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    def gain(ranks: np.ndarray) -> np.ndarray:
        rows = fresh[ranks]
        return champion(rows) - history.probe(check, int(rows[0]))(rows)

    return gain


_OF: dict[str, Stream] = {}


def _start(name: str, packages: Path) -> None:
    _OF["stream"] = load(name, packages)


def _work(
    asked: tuple[float, int, float | None, tuple[float, ...], tuple[str, ...]],
) -> dict[str, tuple[Walked, Walked | None]]:
    share, seed, retraining_cost, gains, designs = asked
    history = History(_OF["stream"], share=share, seed=seed)
    if not share:
        plain = walk(history, oldest, retraining_cost=None)
        return {
            "no delay": (
                plain,
                None if retraining_cost is None else walk(history, oldest, retraining_cost=retraining_cost),
            )
        }
    come = [history.come(check) for check in range(1, CHECKS + 1)]
    rows = round(float(come[-1] @ np.diff(history.edges)))
    balances = tuple(float(part @ np.array(gains[: len(part)])) for part in come)
    found: dict[str, tuple[Walked, Walked | None]] = {COME: (Walked(balances, (), (), rows, CHECKS), None)}
    for name in designs:
        found[name] = (
            walk(history, DESIGNS[name], retraining_cost=None),
            walk(history, DESIGNS[name], retraining_cost=retraining_cost),
        )
    return found


def shown(checks: Sequence[object]) -> str:
    return " ".join(map(str, checks)) or "none"


def show(name: str, packages: Path, *, seeds: int, cores: int, designs: Sequence[str]) -> None:
    """Prints a stream's tables."""
    with ProcessPoolExecutor(cores, initializer=_start, initargs=(name, packages)) as pool:
        (plain,) = pool.map(_work, [(0.0, 0, None, (), ())])
        still = plain["no delay"][0]
        retraining_cost = still.balances[-1] * PRICE
        (plain,) = pool.map(_work, [(0.0, 0, retraining_cost, (), ())])
        moving = plain["no delay"][1]
        assert moving is not None
        gains = tuple(np.diff((0.0, *still.balances)).tolist())
        jobs = [(share, seed, retraining_cost, gains, tuple(designs)) for share in SHARES for seed in range(seeds)]
        found = dict(zip(jobs, pool.map(_work, jobs), strict=True))
    told = " and ".join(f"{still.balances[at]:.4g} ± {still.errors[at]:.2g}" for at in (6, -1))
    print(
        f"\n{name}: accumulated without delay after 7 and {CHECKS} checks {told}; at cost {retraining_cost:.3g} "
        "it retrains"
    )
    print(f"at checks {shown(moving.retrained)}\n")
    print(
        "| late | design | after 7 | after 30 | rows counted | retrainings, by seed | first at check | fits a check |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for share in SHARES:
        for design in (COME, *designs):
            pairs = [found[share, seed, retraining_cost, gains, tuple(designs)][design] for seed in range(seeds)]
            ends = [np.array([each.balances[at] for each, _ in pairs]) for at in (6, -1)]
            runs = [each.retrained for _, each in pairs if each is not None]
            cells = (
                f"{share:.0%}",
                design,
                *(f"{end.mean():.3g} ± {end.std(ddof=1):.2g}" for end in ends),
                f"{np.mean([each.rows for each, _ in pairs]) / still.rows:.0%}",
                shown([len(run) for run in runs]) if runs else "",
                shown([run[0] if run else "-" for run in runs]) if runs else "",
                f"{np.mean([each.fits for each, _ in pairs]) / CHECKS:.1f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder for the streams that are downloaded")
    parser.add_argument("--streams", nargs="*", default=list(STREAMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS), choices=list(DESIGNS))
    asked = parser.parse_args()
    for name in asked.streams:
        show(name, asked.packages, seeds=asked.seeds, cores=asked.cores, designs=asked.designs)


if __name__ == "__main__":
    main()
