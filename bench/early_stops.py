"""Which rows stop a fit: the newest tenth of its past, or a tenth spread over it; the loss on what came next.

    python bench/early_stops.py --packages FOLDER [--only oil turbine] [--origins 12]

At each of `--origins` places of a raw table three folds before the judged rows say the rounds, their median, as the
search has it, of one point of the search space. All the past and its newest quarter are fitted with it, the better on
the judged rows is taken, and scored on the rows after them. FOLDER is that of `bench/tables.py`; tables of
../shared/tables need none. Two made streams stand beside: one whose level shifts for good, one without any drift.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from by_hand import FIXED, coded, loss_of
from raw_tables import TABLES

from retrim.stats.windows import folds, keep_back

POINT = {**FIXED, "num_leaves": 31, "learning_rate": 0.1, "num_threads": 1, "seed": 7}
AIMS = {"regression": "l1", "binary": "binary", "multiclass": "multiclass"}
SHARE, ROUNDS, PATIENCE, JUDGED, MOST = 0.1, 800, 30, 200, 40_000
Cut = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Rows = tuple[str, pd.DataFrame, np.ndarray, int]


def newest(past: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = len(past) - max(int(len(past) * SHARE), 1)
    return past[:at], past[at:]


RULES: dict[str, Cut] = {"newest": newest, "spread": lambda past: keep_back(past, share=SHARE)}


def rows_of(name: str, packages: Path) -> Rows:
    """Task, features and answers of the newest `MOST` rows in order of time, and the number of classes."""
    table = TABLES[name]
    rows = table.rows(table.raw(packages))
    rows = rows[rows[table.target].notna()].reset_index(drop=True)
    if table.times is not None:
        rows = rows.iloc[np.argsort(table.times(rows).to_numpy(), kind="stable")]
    rows = rows.iloc[-MOST:].reset_index(drop=True)
    answers = rows[table.target]
    classes = np.unique(answers.astype("str")) if table.task == "multiclass" else np.array([])
    return table.task, table.features(rows), coded(table, answers, classes), len(classes)


def made() -> Iterator[tuple[str, Rows]]:
    random, n = np.random.default_rng(1), 12_000
    features = pd.DataFrame(random.normal(size=(n, 8)), columns=[f"x{place}" for place in range(8)])
    still = (3 * features["x0"] + features["x1"] ** 2 + random.normal(size=n)).to_numpy()
    yield "made: no drift", ("regression", features, still, 0)
    yield "made: shifts", ("regression", features, still + 10 * (np.arange(n) // 2700), 0)


def fitted(rows: Rows, places: np.ndarray, rounds: int, stop: np.ndarray | None = None) -> lightgbm.Booster:
    task, features, actual, classes = rows
    given = {**POINT, "objective": AIMS[task]} | ({"num_class": classes} if classes else {})
    data = lightgbm.Dataset(features.iloc[places], actual[places])
    if stop is None:
        return lightgbm.train(given, data, rounds)
    held = data.create_valid(features.iloc[stop], actual[stop])
    watch = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(given, data, rounds, valid_sets=[held], callbacks=[watch])


def loss(rows: Rows, model: lightgbm.Booster, places: np.ndarray) -> float:
    task, features, actual, classes = rows
    predicted = np.asarray(model.predict(features.iloc[places]))
    if classes:
        predicted = predicted[np.arange(len(places)), actual[places].astype("int64")]
    return loss_of(task, actual[places], predicted)


def scored(rows: Rows, end: int, cut: Cut) -> tuple[float, int]:
    """Loss on the rows after `end`, and the rounds."""
    past, ahead = np.arange(end - JUDGED), max(end // 16, 30)
    at = pd.Series(pd.RangeIndex(len(past)))
    stops = [cut(fold.fit) for fold in folds(at, at, count=3, rows=min(ahead, 336))]
    rounds = int(np.median([fitted(rows, fit, ROUNDS, stop).best_iteration for fit, stop in stops]))
    models = [fitted(rows, window, rounds) for window in (past, past[-(end // 4) :])]
    best = min(models, key=lambda model: loss(rows, model, np.arange(end - JUDGED, end)))
    return loss(rows, best, np.arange(end, min(end + ahead, len(rows[2])))), rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, default=Path())
    parser.add_argument("--only", nargs="*", default=list(TABLES))
    parser.add_argument("--origins", type=int, default=12)
    given = parser.parse_args()
    print("| table | newest | spread | ratio | rounds, newest | rounds, spread |\n|---|---|---|---|---|---|")

    def show(name: str, rows: Rows) -> float:
        ends = [int(share * len(rows[2])) for share in np.linspace(0.45, 0.95, given.origins)]
        found = {rule: [scored(rows, end, cut) for end in ends] for rule, cut in RULES.items()}
        losses = {rule: float(np.mean([each for each, _ in of])) for rule, of in found.items()}
        rounds = {rule: f"{min(each for _, each in of)} to {max(each for _, each in of)}" for rule, of in found.items()}
        ratio = losses["spread"] / losses["newest"]
        cells = [name, *(f"{each:.4g}" for each in losses.values()), f"{ratio:.3f}", *rounds.values()]
        print("| " + " | ".join(cells) + " |", flush=True)
        return ratio

    ratios = [show(name, rows_of(name, given.packages)) for name in given.only]
    print(
        f"\nGeometric mean of the ratios of {len(ratios)} tables: {np.exp(np.mean(np.log(ratios))):.3f}\n", flush=True
    )
    for name, rows in made():
        show(name, rows)


if __name__ == "__main__":
    main()
