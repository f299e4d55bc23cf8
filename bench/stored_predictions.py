"""What a check and a scoring run cost beside stored predictions: core seconds and peak memory with none and many.

    .venv/bin/python bench/stored_predictions.py --rows 10000000 --turns 3

The stored rows are of the live version, two years of them up to the check, so that the newest lie among those that are
asked for. Each measurement is a process of its own on a copy of one workspace, in turns; the least of each counts.
"""

import argparse
import os
import resource
import shutil
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

from retrim.checking.score import score  # noqa: E402
from retrim.lineage.prediction_log import ROW_GROUP, ROWS, SCHEMA  # noqa: E402
from tests.builders.desk import Desk, make_desk  # noqa: E402

MADE, CHECKED, MONTHS = 20, 30, 24


def workspace_in(folder: Path, stored: int) -> Desk:
    """A desk with a live version, ten days of later rows, and that many stored predictions."""
    desk = make_desk(folder)
    for day in range(CHECKED - 1):
        desk.land(desk.rows(day, day + 1), day + 1)
    desk.make_version(MADE)
    end, random = desk.day(CHECKED), np.random.default_rng(0)
    log = desk.workspace.paths.root / "var" / "predictions" / f"model={desk.workspace.model}" / "version=1"
    for month in pd.period_range(end=end.tz_localize(None).to_period("M"), periods=MONTHS, freq="M"):
        first, last = month.start_time.tz_localize("UTC"), min(month.end_time.tz_localize("UTC"), end)
        for part, start in enumerate(range(0, stored // MONTHS, ROWS)):
            n = min(ROWS, stored // MONTHS - start)
            event = pd.DatetimeIndex(np.sort(random.integers(first.value, last.value, n)), tz="UTC").as_unit("us")
            made = {
                "key": pa.array([f"{month}-{part}-{row}" for row in range(n)]),
                "event_time": pa.array(event),
                "prediction": pa.array(random.normal(size=n)),
                "at": pa.array(event),
                "request_id": pa.array([f"{month}-{part}"] * n),
                "batch": pa.array([f"{month}-{part}"] * n),
            }
            columns = [made.get(each.name, pa.nulls(n)).cast(each.type) for each in SCHEMA]
            (log / f"month={month}").mkdir(parents=True, exist_ok=True)
            path = log / f"month={month}" / f"part-{part:04d}.parquet"
            pq.write_table(pa.table(columns, SCHEMA), path, compression="zstd", row_group_size=ROW_GROUP)
    return desk


def measure(folder: Path, stored: int, what: str) -> None:
    desk = workspace_in(folder / "workspace", 0)
    source = folder.parent / "stored" / "var" / "predictions"
    if stored:
        shutil.copytree(source, desk.workspace.paths.root / "var" / "predictions", dirs_exist_ok=True)
    desk.check(CHECKED - 1) if what == "score" else score(desk.workspace, now=desk.day(CHECKED - 1))
    before, began = time.process_time(), time.perf_counter()
    desk.check(CHECKED) if what == "check" else score(desk.workspace, now=desk.day(CHECKED))
    worked, took = time.process_time() - before, time.perf_counter() - began
    print(worked, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(Path(given.one[0]), int(given.one[1]), given.one[2])
        return
    with tempfile.TemporaryDirectory(prefix="retrim-stored-") as scratch:
        desk = workspace_in(Path(scratch) / "stored", given.rows)
        sizes = [path.stat().st_size for path in (desk.workspace.paths.root / "var" / "predictions").rglob("*.parquet")]
        print(f"{given.rows:,} stored predictions in {len(sizes)} files of {sum(sizes) / 1e6:,.0f} MB", flush=True)
        print("| | stored | core s | s | MB |\n|---|---|---|---|---|")
        for what in ("check", "score"):
            for stored in (0, given.rows):
                found = []
                for turn in range(given.turns):
                    own = Path(scratch) / f"{what}-{stored}-{turn}"
                    own.mkdir()
                    command = [sys.executable, __file__, "--one", str(own), str(stored), what]
                    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
                    found.append([float(each) for each in done.stdout.split()[-3:]])
                    shutil.rmtree(own)
                worked, took, memory = map(min, zip(*found, strict=True))
                print(f"| {what} | {stored:,} | {worked:.2f} | {took:.2f} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
