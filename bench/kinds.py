"""Kinds of model on the shipped tables, and what balancing the classes does to each.

    python bench/kinds.py

Of the newest 12,000 rows a fifth judges, by parameters that were set and not tuned: the newest fifth, as a run would;
and every fifth row, so that classes are as frequent in the fit as among the rows that judge, which is what the
correction of balanced chances presumes. What balancing would do without it stands last.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from streams import Stream, load

from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.training.classes import Balance, BalanceCorrected, fit_balanced

ROWS, ROUNDS = 12_000, 150
TREES = {"num_leaves": 31, "learning_rate": 0.05}
GBM = {f"gbm.{name}": value for name, value in TREES.items()}
KINDS: dict[str, dict[str, Any]] = {
    "gbm": TREES,
    "forest": {"num_leaves": 127, "min_child_samples": 3},
    "linear": {"l2": 0.001},
    "logistic": {"l2": 0.001},
    "stack": {**GBM, "held_share": 0.2},
}


def main() -> None:
    """Prints a line a stream and kind."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| stream, loss | kind | newest fifth | every fifth | weights | sample | weights, not corrected |")
    print("|---|---|---|---|---|---|---|")
    for name in ("bike", "bank", "rodents"):
        stream = load(name, Path("var"))
        table = stream.table.iloc[-ROWS:].reset_index(drop=True)
        newest = table.index >= len(table) * 4 // 5
        cuts = [(table[~judges], table[judges]) for judges in (newest, table.index % 5 == 4)]
        (past, later), (others, fifths) = cuts
        said = [f"{_naive(stream, past, later):.4g}", f"{_naive(stream, others, fifths):.4g}", "", "", ""]
        print(f"| {name}, {stream.loss} | best constant | {' | '.join(said)} |")
        line = "logistic" if name != "bike" else "linear"
        for kind in ("gbm", "forest", line, "stack"):
            own = KINDS[kind] | ({f"{line}.l2": 0.001} if kind == "stack" else {})
            said = [_lost(stream, past, later, kind, own, None)[0], _lost(stream, others, fifths, kind, own, None)[0]]
            if name != "bike":
                weights = _lost(stream, others, fifths, kind, own, "weights")
                said += [weights[0], _lost(stream, others, fifths, kind, own, "sample")[0], weights[1]]
            print(f"| {name}, {stream.loss} | {kind} | {' | '.join(said + [''] * (5 - len(said)))} |", flush=True)


def _lost(
    stream: Stream, past: pd.DataFrame, later: pd.DataFrame, kind: str, own: dict[str, Any], balance: Balance | None
) -> tuple[str, str]:
    """Mean loss of a kind, and what it would be without the correction of its chances."""
    view = FeatureView.learn(past, stream.data)
    model = fit_balanced(
        kind,
        balance,
        view,
        view.matrix(past),
        view.actual(past),
        loss=stream.loss,
        hyperparameters=own,
        rounds=ROUNDS,
        weights=None,
        stop=None,
        patience=1,
        seed=7,
        threads=1,
    ).model
    bare = model.model if isinstance(model, BalanceCorrected) else model
    matrix, actual = view.matrix(later), view.actual(later)
    own_loss, bare_loss = (row_losses(stream.loss, actual, each.predict(matrix)).mean() for each in (model, bare))
    return f"{own_loss:.4g}", f"{bare_loss:.4g}"


def _naive(stream: Stream, past: pd.DataFrame, later: pd.DataFrame) -> float:
    """Mean loss of the best constant."""
    view = FeatureView.learn(past, stream.data)
    actual = view.actual(past)
    if view.task == "multiclass":
        constant = np.tile(np.eye(len(view.classes))[actual].mean(axis=0), (len(later), 1))
    else:
        constant = np.full(len(later), float(np.median(actual) if stream.loss == "mae" else actual.mean()))
    return float(row_losses(stream.loss, view.actual(later), constant).mean())


if __name__ == "__main__":
    main()
