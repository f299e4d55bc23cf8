"""`retrim predict` of a Parquet file beside bare LightGBM: rows a second, and the most memory, in one run.

    .venv/bin/python bench/predict.py --rows 10000000

Bare: the file is read by pyarrow, made a matrix, given to `Booster.predict` with as many threads, and the answers are
written as Parquet. Retrim: the same file, model and machine by `retrim.serving.predict`: cells checked, each column
held to a bound of the suite, rejected ones apart. Each in a process of its own, in turns, `--turns` times;
the fastest of each counts.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
FEATURES, TREES, FITTED, GROUP = 20, 300, 20_000, 1 << 17
COLUMNS = [f"x{place:02d}" for place in range(FEATURES)]


def drawn(rows: int, seed: int) -> pd.DataFrame:
    """A table of numbers, a tenth of one column missing, and a target that a model can learn."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, FEATURES)), columns=COLUMNS)
    frame.loc[random.random(rows) < 0.1, COLUMNS[0]] = np.nan
    frame["y"] = frame[COLUMNS[1]] * 2 + frame[COLUMNS[2]] ** 2 + random.normal(size=rows)
    return frame


def make(folder: Path, rows: int) -> None:
    """A workspace with a live version, and the file of rows."""
    from tests.builders import desk as desks

    columns = {name: {"type": "number", "role": "feature"} for name in COLUMNS}
    columns |= {"at": {"type": "time", "role": "time"}, "number": {"type": "integer", "role": "forbidden"}}
    columns |= {"y": {"type": "number", "role": "target"}}
    desks.TUNED = {"hyperparameters": {"num_leaves": 31, "learning_rate": 0.05}, "rounds": TREES}
    desk = desks.make_desk(folder / "workspace", data={"columns": columns})
    at = pd.date_range(desks.START, periods=FITTED, freq="1min").as_unit("us")
    desk.land(drawn(FITTED, 0).assign(at=at, number=np.arange(float(FITTED))), 20)
    desk.make_version(20)
    bounds = [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": name, "min_value": -9.0, "max_value": 9.0},
        }
        for name in COLUMNS
    ]
    suite = desk.workspace.paths.root / "expectations" / "none.json"
    suite.write_text(json.dumps({"name": "bounds", "expectations": bounds}), encoding="utf-8")
    writer = None
    for first in range(0, rows, GROUP):
        table = pa.Table.from_pandas(drawn(min(GROUP, rows - first), 1 + first).drop(columns="y"), preserve_index=False)
        writer = writer or pq.ParquetWriter(folder / "in.parquet", table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def bare(folder: Path) -> None:
    import lightgbm

    from retrim.files import count_cores

    text = next((folder / "workspace" / "var" / "bundle-1").rglob("models/*/model.txt")).read_text()
    booster = lightgbm.Booster(model_str=text)
    rows = pq.read_table(folder / "in.parquet").to_pandas()
    said = booster.predict(rows.to_numpy(), num_threads=count_cores())
    pq.write_table(pa.table({"prediction": said}), folder / "bare.parquet")


def retrim(folder: Path) -> None:
    from retrim.files import WorkspacePaths
    from retrim.lineage.workspace import Workspace
    from retrim.serving.predict import predict
    from retrim.settings import Env, Params
    from tests.builders import desk as desks
    from tests.builders.shipped import whole
    from tests.builders.synthetic import data_section

    document = whole()
    columns = {name: {"type": "number", "role": "feature"} for name in COLUMNS}
    columns |= {"at": {"type": "time", "role": "time"}, "number": {"type": "integer", "role": "forbidden"}}
    columns |= {"y": {"type": "number", "role": "target"}}
    document["data"] = data_section("regression", labels="with_rows", horizon="1h", suite="expectations/none.json")
    document["data"] |= {"columns": columns}
    workspace = Workspace(WorkspacePaths(folder / "workspace"), Params.model_validate(document), Env())
    bundle = folder / "workspace" / "var" / "bundle-1" / "data" / "candidate"
    workspace.__dict__["registry"] = desks.Shelf({1: bundle})
    given = {"version": 1, "explained": 0, "query": None, "table": None, "into": ""}
    predict(workspace, str(folder / "in.parquet"), str(folder / "out.parquet"), now=pd.Timestamp.now("UTC"), **given)  # type: ignore[arg-type]


def timed(side: str, folder: Path) -> tuple[float, float]:
    """Seconds, start of Python left out, and megabytes."""
    (folder / "out.parquet").unlink(missing_ok=True)
    code = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    done = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["megabytes"]


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--turns", type=int, default=2)
    asked.add_argument("--side", choices=("bare", "retrim"))
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    if given.side:
        import lightgbm  # noqa: F401  its import is not measured

        began = time.perf_counter()
        {"bare": bare, "retrim": retrim}[given.side](given.folder)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "megabytes": peak}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, given.rows)
        took: dict[str, list[tuple[float, float]]] = {"bare": [], "retrim": []}
        for _ in range(given.turns):
            for side, found in took.items():
                found.append(timed(side, folder))
        same = pq.read_table(folder / "out.parquet", columns=["prediction"]).equals(
            pq.read_table(folder / "bare.parquet")
        )
        best = {side: min(found) for side, found in took.items()}
        for side, (seconds, peak) in best.items():
            print(f"{side}: {seconds:.1f} s, {given.rows / seconds:,.0f} rows a second, {peak:,.0f} MB at most")
        ratio = best["bare"][0] / best["retrim"][0]
        print(f"{given.rows:,} rows, {FEATURES} features, {TREES} trees: {ratio:.2f} of the speed; same bits: {same}")


if __name__ == "__main__":
    main()
