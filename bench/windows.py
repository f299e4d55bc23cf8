"""Which rule chooses the training window best: all past rows, or the newest of them.

    python bench/windows.py --cache FOLDER             # fits, half an hour on one core; kept: a rerun takes seconds
    python bench/windows.py --cache FOLDER --streams bike traffic
    python bench/windows.py --cache FOLDER --whole     # the sliding window a quarter of the whole table

At 14 moments evenly from 30 to 90% of the rows of each stream one recipe is fitted on either window, on the rows
before the newest `judge_rows`, as a run does, and at earlier origins, as the stage `backtest` does. A rule sees the
losses on the rows that judge and at the origins, chooses, and pays the loss of its choice on the rows that follow. Its
regret is that loss against the better window's. Bike, bank and rodents have the settings that ship; of the others
`retrim init`'s: a quarter of the rows known at the moment is the sliding window. Of flights and census every sixth row.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from matrices import KINDS, recipe_of
from streams import Stream, load

from retrim.features.view import FeatureView
from retrim.stats.bootstrap import mean_bound
from retrim.stats.metrics import row_losses
from retrim.stats.windows import Fold, folds, past_of
from retrim.training.recipe import WindowLengths, fit_recipe

MOMENTS, FROM, UNTIL, SHARE = 14, 0.3, 0.9, 0.1
ORIGINS, LONG = 3, 16  # origins by default; long ones score a sixteenth of the rows each, as folds of the search do
SETTINGS: dict[str, tuple[int, int | None]] = {  # rows that judge, and of the sliding window; None: a quarter
    "bike": (336, 4000),
    "bank": (600, 6000),
    "rodents": (400, 4000),
    "rain": (363, None),
    "chicago": (200, None),
    "traffic": (784, None),
    "flights": (1086, None),
    "census": (833, None),
}
DRAWS, SEED = 1000, 7
Losses = dict[str, np.ndarray]
"""Loss by row and window, shape (n, 2): `judge`, `ahead`, `origin0` ... oldest first, and `long0` ..."""


def measured(stream: Stream, moment: int, *, whole: bool) -> Losses:
    """What either window's fits lost at one moment: a row number of the table."""
    judge_rows, sliding = SETTINGS[stream.name]
    table = stream.table
    sliding_rows = sliding or max((len(table) if whole else moment) // 4, 4 * judge_rows)
    event, due = table["_event"], table["_due"]
    past = past_of(event, due, moment - judge_rows)
    rows = table.iloc[past].reset_index(drop=True)
    after = min(moment + round(SHARE * len(table)), len(table))
    found = {}
    losses = fitted(stream, table, Fold(past, np.arange(moment - judge_rows, after)), sliding_rows)
    found["judge"], found["ahead"] = losses[:judge_rows], losses[judge_rows:]
    for name, length in (("origin", judge_rows), ("long", max(judge_rows, moment // LONG))):
        cut = folds(rows["_event"], rows["_due"], count=ORIGINS, rows=length)
        for number, fold in enumerate(cut):
            found[f"{name}{number}"] = fitted(stream, rows, fold, sliding_rows)
    return found


def fitted(stream: Stream, table: pd.DataFrame, fold: Fold, sliding_rows: int) -> np.ndarray:
    """Losses of the recipe on the fold's scored rows, a column a window."""
    view, scored, recipe = (
        FeatureView.learn(table.iloc[fold.fit], stream.data),
        table.iloc[fold.score],
        recipe_of(stream),
    )
    columns: list[np.ndarray] = []
    for kind in KINDS:
        if columns and len(fold.fit) <= sliding_rows:
            columns.append(columns[0])
            continue
        take = WindowLengths(sliding_rows).rows(fold.fit, kind)
        model = fit_recipe(recipe, view, table, take=take, past=fold.fit, threads=1)
        columns.append(row_losses(recipe.loss, view.actual(scored), model.predict(view.matrix(scored))))
    return np.column_stack(columns)


@dataclass(frozen=True)
class Seen:
    """What a rule knows: the losses of either window, and the rows for which errors stay alike."""

    losses: Losses
    block_rows: int

    def of(self, *parts: str) -> np.ndarray:
        """What `all` loses more than `sliding`, by row, of parts such as `judge` and `origin`, each oldest first."""
        names = [name for part in parts for name in sorted(self.losses) if name.rstrip("0123456789") == part]
        both = np.concatenate([self.losses[name] for name in names])
        return both[:, 0] - both[:, 1]


Rule = Callable[[Seen], int]
"""0: all; 1: sliding."""


def mean(*parts: str) -> Rule:
    return lambda seen: int(seen.of(*parts).mean() > 0)


def beyond_noise(confidence: float, *parts: str) -> Rule:
    def rule(seen: Seen) -> int:
        more = seen.of(*parts)
        bound = mean_bound(more, confidence=confidence, block_rows=seen.block_rows, draws=DRAWS, seed=SEED)
        return int(bound > 0)

    return rule


def evenly(*parts: str) -> Rule:
    """Judging rows weigh as much as all origins together."""
    return lambda seen: int(sum(seen.of(part).mean() for part in parts) > 0)


RULES: dict[str, Rule] = {
    "judging rows, by default": mean("judge"),
    "origins and judging rows": mean("origin", "judge"),
    "origins and judging rows, half the weight each": evenly("origin", "judge"),
    "origins": mean("origin"),
    "long origins and judging rows": mean("long", "judge"),
    "long origins and judging rows, half the weight each": evenly("long", "judge"),
    "all, unless worse at 95% on judging rows": beyond_noise(0.95, "judge"),
    "all, unless worse at 80% on judging rows": beyond_noise(0.8, "judge"),
    "all, unless worse at 95% on origins and judging rows": beyond_noise(0.95, "origin", "judge"),
    "all, unless worse at 80% on origins and judging rows": beyond_noise(0.8, "origin", "judge"),
    "all, unless worse at 80% on long origins and judging rows": beyond_noise(0.8, "long", "judge"),
    "always all": lambda _: 0,
    "always sliding": lambda _: 1,
}


def regrets(found: list[Losses], block_rows: int, *, ahead: int | None) -> dict[str, np.ndarray]:
    """Regret of each rule at each moment, as a share of the better window's loss on the next `ahead` rows."""
    made: dict[str, list[float]] = {name: [] for name in RULES}
    for losses in found:
        paid = losses["ahead"][:ahead].mean(axis=0)
        for name, rule in RULES.items():
            made[name].append(paid[rule(Seen(losses, block_rows))] / paid.min() - 1)
    return {name: np.array(each) for name, each in made.items()}


def moments(stream: Stream) -> list[int]:
    return [round(each) for each in np.linspace(FROM, UNTIL, MOMENTS) * len(stream.table)]


def collected(stream: Stream, cache: Path, cores: int, *, whole: bool) -> list[Losses]:
    """The losses at every moment; those in the cache are not made again."""
    cache.mkdir(parents=True, exist_ok=True)
    how = sha256(repr((SETTINGS[stream.name], SHARE, ORIGINS, LONG, recipe_of(stream))).encode()).hexdigest()[:8]
    files = {each: cache / f"{stream.name}-{each}{'-whole' * whole}-{how}.npz" for each in moments(stream)}
    todo = [each for each, file in files.items() if not file.exists()]
    with ProcessPoolExecutor(cores, initializer=_start, initargs=((stream, whole),)) as pool:
        for moment, losses in zip(todo, pool.map(_work, todo), strict=True):
            aside = files[moment].with_suffix(".aside.npz")
            np.savez(aside, **losses)
            aside.replace(files[moment])
    return [dict(np.load(file)) for file in files.values()]


_OF: dict[str, tuple[Stream, bool]] = {}


def _start(of: tuple[Stream, bool]) -> None:
    _OF["stream"] = of


def _work(moment: int) -> Losses:
    stream, whole = _OF["stream"]
    return measured(stream, moment, whole=whole)


def show(by_stream: dict[str, dict[str, np.ndarray]]) -> None:
    """A line a rule: mean regret by stream and over all, and how far it is from the first rule's.

    The error takes moments for independent. Where the rows that follow overlap it is too small.
    """
    print(f"| rule | {' | '.join(by_stream)} | mean | against the shipped one |\n|{'---|' * (len(by_stream) + 3)}")
    first = next(iter(RULES))
    for name in RULES:
        means = [100 * each[name].mean() for each in by_stream.values()]
        apart = np.concatenate([100 * (each[name] - each[first]) for each in by_stream.values()])
        error = np.sqrt(sum((100 * (e[name] - e[first])).var(ddof=1) / len(e[name]) for e in by_stream.values()))
        told = f"{apart.mean():+.2f} ± {error / len(by_stream):.2f}"
        print(f"| {name} | {' | '.join(f'{each:.2f}' for each in means)} | {np.mean(means):.2f} | {told} |")


def main() -> None:
    """Prints mean regret in percent: on the next tenth of the rows, and on as many as judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="losses already measured, and packages")
    parser.add_argument("--packages", type=Path, default=None)
    parser.add_argument("--streams", nargs="*", default=list(SETTINGS))
    parser.add_argument("--whole", action="store_true", help="sliding window: a quarter of the whole table")
    parser.add_argument("--cores", type=int, default=1)
    asked = parser.parse_args()
    streams = [load(name, asked.packages or asked.cache / "packages") for name in asked.streams]
    found = {stream.name: collected(stream, asked.cache, asked.cores, whole=asked.whole) for stream in streams}
    blocks = {stream.name: stream.block_rows for stream in streams}
    for title, few in (("the next tenth of the rows", False), ("as many rows as judge", True)):
        print(f"\nMean regret, %, on {title}; {MOMENTS} moments a stream\n")
        cut = {name: SETTINGS[name][0] if few else None for name in found}
        show({name: regrets(each, blocks[name], ahead=cut[name]) for name, each in found.items()})


if __name__ == "__main__":
    main()
