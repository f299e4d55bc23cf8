"""What the refusals of each check of the gate cost and saved, on the streams of `streams.py`.

    python bench/gate_checks.py [--packages FOLDER] [--streams bike bank]

Models are made before every fifth of 50 windows, of all past rows and of a sliding window. A run is played for each
pair of an older and a newer moment: the older model is the champion, the newer two are the challengers, judged by
every check on the window that begins there, which none of them has seen. What the winner would have saved on the five
windows after that, as a share of the champion's loss, is known too.

A check *costs* where it refuses a winner that would have saved, and *saves* where it refuses one that would have
lost. Both are sums over all runs, in per cent of the champion's loss in one run, and so is what it did alone: where no
other check refused. The limits of `worst fold` and `worst slice` are those of --fold and --slice, as params.yaml only
reports them; the first is shown as a bare figure, and refused beyond its noise.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matrices import FIRST, KINDS, WINDOWS, recipe_of
from streams import NAMES, ROOT, Stream, load, shuffled

from retrim.decision.policy_backtest import equal_rows
from retrim.drift.slices import SliceParams
from retrim.features.view import FeatureView
from retrim.gate.models import judge_models
from retrim.gate.verdict import HoldoutJudgement, ScoredModel, StatedInterval
from retrim.settings import load_params
from retrim.stats.metrics import row_losses
from retrim.stats.windows import past_of
from retrim.training.recipe import WindowLengths, fit_recipe

PARAMS = load_params(ROOT / "params.yaml")
STEP, SERVED = 5, 5  # windows between two moments at which models are made; windows that a promoted one serves
BARE = "worst fold, bare"


@dataclass(frozen=True)
class Model:
    """A fitted model: predictions and losses of every row from its own moment on."""

    view: FeatureView
    predicted: np.ndarray
    actual: np.ndarray
    losses: np.ndarray
    begin: int

    def on(self, rows: slice, stated: StatedInterval | None) -> ScoredModel:
        own = slice(rows.start - self.begin, rows.stop - self.begin)
        classes = self.view.classes
        return ScoredModel(self.predicted[own], self.actual[own], classes, self.losses[own], stated)

    def mean(self, rows: slice) -> float:
        return float(self.losses[rows.start - self.begin : rows.stop - self.begin].mean())


@dataclass(frozen=True)
class Ran:
    """What a run's checks said, and what its winner would have saved, as a share of the champion's loss."""

    stream: str
    refused: frozenset[str]
    saved: float


def model_of(stream: Stream, start: int, kind: str) -> Model:
    table, recipe = stream.table, recipe_of(stream)
    past = past_of(table["_event"], table["_due"], start)
    view = FeatureView.learn(table.iloc[past], stream.data, ())
    sliding_rows = round(len(table) * FIRST)
    take = WindowLengths(sliding_rows).rows(past, kind)
    model = fit_recipe(recipe, view, table, take=take, past=past, threads=1)
    rows = table.iloc[start:]
    predicted, actual = model.predict(view.matrix(rows)), view.actual(rows)
    return Model(view, predicted, actual, row_losses(recipe.loss, actual, predicted), start)


def stated_of(earlier: Model | None, rows: slice) -> StatedInterval | None:
    """The interval that a regression would have promised: that of the errors of an earlier model up to its moment."""
    if earlier is None or earlier.view.classes:
        return None
    own = slice(rows.start - earlier.begin, rows.stop - earlier.begin)
    level = PARAMS.backtest.interval
    away = earlier.actual[own] - earlier.predicted[own]
    low, high = np.quantile(away, [(1 - level) / 2, (1 + level) / 2])
    return StatedInterval(level, float(low), float(high))


def runs_of(stream: Stream, fold: float, slice_limit: float) -> Iterator[Ran]:
    n = len(stream.table)
    edges = equal_rows(n, first=round(n * FIRST), windows=WINDOWS)
    moments = range(0, WINDOWS - SERVED, STEP)
    made = {(at, kind): model_of(stream, int(edges[at]), kind) for at in moments for kind in KINDS}

    def interval(at: int, kind: str) -> StatedInterval | None:
        before = made.get((at - STEP, kind))
        return None if before is None else stated_of(before, slice(int(edges[at - STEP]), int(edges[at])))

    gate = PARAMS.gate.model_copy(
        update={
            "min_rows": 2,
            "worst_fold": fold,
            "slices": PARAMS.gate.slices.model_copy(update={"worst": slice_limit}),
        }
    )
    for old in moments:
        for new in moments:
            if new <= old:
                continue
            rows = slice(int(edges[new]), int(edges[new + 1]))
            later = slice(int(edges[new + 1]), int(edges[new + 1 + SERVED]))
            challengers = {kind: made[new, kind] for kind in KINDS}
            champion = made[old, KINDS[0]]
            judged = HoldoutJudgement(
                rows=stream.table.iloc[rows].reset_index(drop=True),
                features=stream.data.features,
                task=stream.data.task,
                challengers={kind: each.on(rows, interval(new, kind)) for kind, each in challengers.items()},
                champion=champion.on(rows, interval(old, KINDS[0])),
                floors={},
            )
            verdict = judge_models(
                judged,
                gate,
                SliceParams(),
                draws=PARAMS.judge.draws,
                block_rows=stream.block_rows,
                uses=0.0,
            )
            refused = {check.name for check in verdict.checks if not check.passed}
            if any(check.name == "worst fold" and check.figure > fold for check in verdict.checks):
                refused.add(BARE)
            saved = 1 - challengers[verdict.winner].mean(later) / champion.mean(later)
            yield Ran(stream.name, frozenset(refused), saved)


def table_of(ran: list[Ran], checks: list[str]) -> pd.DataFrame:
    lines = []
    for check in checks:
        others = {BARE, "worst fold"} if "fold" in check else {check, BARE}
        own = np.array([each.saved for each in ran if check in each.refused])
        alone = np.array([each.saved for each in ran if check in each.refused and not each.refused - others])
        lines.append(
            {
                "check": check,
                "refused": len(own),
                "cost": 100 * own.clip(min=0).sum(),
                "saved": 100 * (-own).clip(min=0).sum(),
                "alone": len(alone),
                "cost alone": 100 * alone.clip(min=0).sum(),
                "saved alone": 100 * (-alone).clip(min=0).sum(),
            }
        )
    return pd.DataFrame(lines)


def show(frame: pd.DataFrame) -> None:
    print("| " + " | ".join(frame.columns) + " |\n|" + "---|" * len(frame.columns))
    for row in frame.itertuples(index=False):
        print("| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, help="folder that keeps the packages of the streams")
    parser.add_argument("--streams", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--fold", type=float, default=0.25)
    parser.add_argument("--slice", type=float, default=0.1)
    given = parser.parse_args()
    checks = ["gain", "non-inferiority", BARE, "worst fold", "worst slice", "calibration kept"]
    real: list[Ran] = []
    still: list[Ran] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.streams:
            stream = load(name, given.packages or Path(folder))
            own = list(runs_of(stream, given.fold, given.slice))
            print(f"{name}: {len(own)} runs, {sum(each.saved > 0 for each in own)} of them would have saved")
            show(table_of(own, checks))
            real += own
            still += runs_of(shuffled(stream, seed=1), given.fold, given.slice)
    print(f"all streams: {len(real)} runs, {sum(each.saved > 0 for each in real)} of them would have saved")
    show(table_of(real, checks))
    print(f"the same shuffled: {len(still)} runs, {sum(each.saved > 0 for each in still)} would have saved")
    show(table_of(still, checks))


if __name__ == "__main__":
    main()
