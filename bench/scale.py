"""Time and peak memory of each phase of a first retraining, at 0.1, 1 and 10 million rows of 50 columns.

    python bench/scale.py [--rows 100000 1000000 10000000] [--one] [--search] [--keep DIR]

The table has 34 numbers, 4 whole numbers, 9 categories, a key of text, an event time and a target, over three years.
Phases: land (ten batches, or with `--one` a single file), then the stages validate, features, tune (one trial of
three folds), train, backtest (one origin) and compare, each in a process of its own, as DVC runs them; and `day`: what
`retrim predict` reads for the newest day. With `--search` the trials, folds, rounds, windows and origins are those of
the shipped params.yaml. Core seconds are those that its processes worked. Memory is the most that a
phase's whole process tree held at once (resident, sampled every 20 ms). A phase that goes beyond `--limit-gb` is ended
and said to be over it.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

import retrim
from retrim.decision.pins import Pins
from retrim.files import code_digest
from retrim.settings import effective, load_params, to_settings_file
from retrim.stats.codec import to_json, to_record
from retrim.yaml_files import dump_yaml

ROOT = Path(__file__).resolve().parent.parent
FIRST, LAST = pd.Timestamp("2021-01-01", tz="UTC"), pd.Timestamp("2023-12-30", tz="UTC")
NUMBERS, WHOLES, CATEGORIES = 34, 4, 9
STAGES = ("validate", "features", "tune", "train", "backtest", "compare")
PIECE = 500_000
ROUNDS = 10


@dataclass(frozen=True)
class Spent:
    """What a phase took: seconds, core seconds, megabytes at most, and whether it ended as it should."""

    seconds: float
    worked: float
    peak: float
    ended: str


def piece(first: int, rows: int, of: int) -> pd.DataFrame:
    """Rows `first` to `first + rows` of a table of `of` rows."""
    draw = np.random.default_rng([7, of, first])
    at = FIRST + pd.to_timedelta((first + np.arange(rows)) * ((LAST - FIRST) / of).value // 1000, unit="us")
    numbers = np.arange(first, first + rows)
    columns: dict[str, Any] = {"at": at, "id": pa.array(np.char.add("o", np.char.zfill(numbers.astype(str), 10)))}
    for place in range(NUMBERS):
        values = draw.normal(size=rows).round(4)
        columns[f"x{place}"] = np.where(draw.random(rows) < 0.02, np.nan, values) if place % 4 == 0 else values
    for place in range(WHOLES):
        columns[f"n{place}"] = draw.integers(0, 10 ** (place + 1), rows).astype("float64")
    for place in range(CATEGORIES):
        names = pa.array([f"level {number}" for number in range((4, 12, 50, 200)[place % 4])])
        columns[f"k{place}"] = pa.DictionaryArray.from_arrays(
            pa.array(draw.integers(0, len(names), rows), pa.int32()), names
        )
    hour = np.asarray(at.hour, dtype="float64")
    signal = 10 * np.sin(hour / 24 * 2 * np.pi) + 3 * columns["x1"] * columns["x2"] + columns["x3"]
    columns["y"] = (signal + draw.normal(size=rows)).round(4)
    return columns


def write_file(path: Path, first: int, rows: int, of: int) -> None:
    """A Parquet file as another program writes it: plain text columns, one row group a piece."""
    writer = None
    for start in range(first, first + rows, PIECE):
        columns = piece(start, min(PIECE, first + rows - start), of)
        arrays = {name: _plain(values) for name, values in columns.items()}
        table = pa.table(arrays)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="snappy")
        writer.write_table(table)
    assert writer is not None
    writer.close()


def _plain(values: Any) -> Any:
    if isinstance(values, pd.DatetimeIndex):
        return pa.array(values.tz_convert(None).to_numpy().astype("datetime64[us]")).cast(pa.timestamp("us", "UTC"))
    if isinstance(values, pa.DictionaryArray):
        return values.cast(pa.string())
    return values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)


def settings(rows: int, *, search: bool) -> dict[str, Any]:
    """The project's params.yaml with this table's columns and sizes that grow with it, and its search or one trial."""
    params: dict[str, Any] = load_params(ROOT / "params.yaml").as_stated()
    columns: dict[str, Any] = {"at": {"type": "time", "role": "time"}, "id": {"type": "category", "role": "forbidden"}}
    columns |= {f"x{place}": {"type": "number", "role": "feature"} for place in range(NUMBERS)}
    columns |= {f"n{place}": {"type": "integer", "role": "feature"} for place in range(WHOLES)}
    columns |= {f"k{place}": {"type": "category", "role": "feature"} for place in range(CATEGORIES)}
    columns["y"] = {"type": "number", "role": "target"}
    params["data"] |= {"model": "bench", "columns": columns, "key": ["id"], "suite": "expectations/bench.json"}
    block = max(rows // 50, 336)
    params["split"] = {"judge_rows": block, "sliding_rows": rows // 4}
    params["tune"]["fold_rows"] = block
    if not search:
        params["tune"] |= {"trials": 1, "max_rounds": ROUNDS}
        params["train"]["windows"] = ["all"]
        params["backtest"]["origins"] = 1
    params["gain"]["rows_per_check"] = max(rows // 100, 1000)
    return params


def suite() -> dict[str, Any]:
    """Thirty expectations, such as `retrim init` drafts: types, bounds, sets, keys."""

    def one(kind: str, column: str, **kwargs: Any) -> dict[str, Any]:
        return {"type": f"expect_column_values_to_{kind}", "kwargs": {"column": column, **kwargs}}

    made = [one("not_be_null", "_key"), one("be_unique", "_key"), one("not_be_null", "at"), one("not_be_null", "y")]
    made += [one("be_of_type", f"x{place}", type_="float64") for place in range(6)]
    made += [one("be_between", f"x{place}", min_value=-9, max_value=9) for place in range(8)]
    made += [one("be_between", f"n{place}", min_value=0) for place in range(4)]
    made += [one("be_of_type", f"k{place}", type_="str") for place in range(2)]
    made += [
        one("be_in_set", f"k{p}", value_set=[f"level {n}" for n in range((4, 12, 50, 200)[p % 4])]) for p in range(4)
    ]
    made += [one("match_regex", "id", regex="^[oz][0-9]{10}$"), one("not_be_null", "x1")]
    assert len(made) == 30
    return {"name": "bench", "meta": {}, "expectations": made}


LAND = """
import sys; from pathlib import Path; import pandas as pd
from retrim.lineage.workspace import open_workspace
from retrim.landing.take_in import large_file, take_in
workspace, file, now = open_workspace(Path(sys.argv[1])), Path(sys.argv[2]), pd.Timestamp(sys.argv[3])
large = large_file(workspace, file)
for done in take_in(workspace, file, now=now, labels=False, correction=False, large=large):
    assert done.outcome == "landed", done.faults
"""
DAY = """
import sys; from pathlib import Path; import pandas as pd
from retrim.lineage.workspace import open_workspace
from retrim.landing.as_of_view import read_as_of
table = read_as_of(open_workspace(Path(sys.argv[1])), as_of=pd.Timestamp(sys.argv[2]))
event = table.times["_event"]
assert len(table.only(event > event.iloc[-1] - pd.Timedelta("1D")).read())
"""
STAGE = """
from pathlib import Path
from retrim.files import Paths
from retrim.stages import {0}
from retrim.stages._common import _arguments
{0}.run(**_arguments({0}.run, Paths(Path.cwd())))
"""


def watched(code: str, *arguments: str, folder: Path, limit: float) -> Spent:
    """Runs Python code in a process of its own and looks at what its whole tree holds."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", "OMP_WAIT_POLICY": "passive", "RETRIM_CORES": "2"}
    began, worked = time.perf_counter(), _worked()
    process = psutil.Popen(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, stderr=subprocess.PIPE
    )
    most, over = 0.0, False
    while process.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            held = sum(each.memory_info().rss for each in tree) / 2**20
            most = max(most, held)
            if held > limit * 1024:
                over = True
                process.kill()
        except psutil.Error:
            pass
        time.sleep(0.02)
    told = process.stderr.read().decode().strip().splitlines()
    ended = f"over {limit:g} GB" if over else "" if process.returncode == 0 else (told or ["killed"])[-1][:200]
    return Spent(time.perf_counter() - began, _worked() - worked, most, ended)


def _worked() -> float:
    """Core seconds of all processes that this one has started and seen end."""
    spent = os.times()
    return spent.children_user + spent.children_system


def phases(
    rows: int, folder: Path, *, one: bool, search: bool, limit: float, only: tuple[str, ...]
) -> dict[str, Spent]:
    """All phases of one size, in a workspace and a run directory below `folder`; it stops at the first that fails."""
    (folder / "expectations").mkdir(parents=True, exist_ok=True)
    stated = settings(rows, search=search)
    (folder / "params.yaml").write_text(dump_yaml(stated), encoding="utf-8")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "settings.json").write_bytes(to_settings_file(effective(folder, stated, "params.yaml")))
    (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    (folder / "requirements.lock").write_text("", encoding="utf-8")
    (folder / "expectations" / "bench.json").write_text(json.dumps(suite()), encoding="utf-8")
    found: dict[str, Spent] = {}
    count = 1 if one else 10
    if "land" in only:
        landed = []
        for number in range(count):
            file = folder / "batch.parquet"
            write_file(file, number * (rows // count), rows // count, rows)
            now = LAST + pd.Timedelta(number + 1, "h")
            landed.append(watched(LAND, str(folder), str(file), now.isoformat(), folder=folder, limit=limit))
            print(f"  {rows:,}: landed {number}: {landed[-1]}", flush=True)
            file.unlink()
            if landed[-1].ended:
                break
        seconds, worked = (sum(getattr(each, name) for each in landed) for name in ("seconds", "worked"))
        found["land"] = Spent(seconds, worked, max(each.peak for each in landed), landed[-1].ended)
        if landed[-1].ended:
            return found
    lay_run_directory(folder)
    now = (LAST + pd.Timedelta(1, "D")).isoformat()
    for phase in (*STAGES, "day"):
        if phase in only:
            code, given = (DAY, (str(folder), now)) if phase == "day" else (STAGE.format(phase), ())
            found[phase] = watched(code, *given, folder=folder, limit=limit)
            print(f"  {rows:,}: {phase}: {found[phase]}", flush=True)
            if found[phase].ended:
                break
    return found


def lay_run_directory(folder: Path) -> None:
    """What a run directory holds beside its code: the batches, the pins, no champion."""
    data = folder / "data"
    raw = data / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    for name in ("champion", "previous"):
        (data / name).mkdir(parents=True, exist_ok=True)
        (data / name / "none.json").write_text("{}", encoding="utf-8")
    raw.mkdir()
    zone = folder / "var" / "landing"
    for file in sorted(zone.rglob("*")):
        if file.is_file() and file.suffix in (".parquet", ".sha256"):
            link = raw / file.relative_to(zone)
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, link)
    as_of = LAST + pd.Timedelta(2, "D")
    code = code_digest(Path(retrim.__file__).parent)
    pins = Pins(as_of, "search", model="bench", python=platform.python_version(), code_digest=code)
    (data / "pins.json").write_bytes(to_json(to_record(pins)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--one", action="store_true", help="land a single file")
    parser.add_argument("--search", action="store_true", help="the shipped search instead of one trial of three folds")
    parser.add_argument("--only", nargs="+", default=["land", *STAGES, "day"], help="phases")
    parser.add_argument("--limit-gb", type=float, default=8.0)
    parser.add_argument("--keep", type=Path, help="a folder that is used and left")
    given = parser.parse_args()
    lines, before = [], {}
    for rows in given.rows:
        scratch = Path(given.keep or tempfile.mkdtemp(prefix="retrim-scale-")) / str(rows)
        load = os.getloadavg()[0]
        found = phases(rows, scratch, one=given.one, search=given.search, limit=given.limit_gb, only=tuple(given.only))
        for phase, spent in found.items():
            growth = ""
            if phase in before and not spent.ended:
                last, times = before[phase]
                grown = (spent.seconds / last.seconds, spent.worked / last.worked, spent.peak / last.peak)
                growth = ", ".join(f"{each:.1f}" for each in grown) + f" ({rows / times:.0f})"
            before[phase] = (spent, rows)
            figures = f"{spent.seconds:.1f} | {spent.worked:.1f} | {spent.peak:,.0f}"
            lines.append(f"| {rows:,} | {phase} | {figures} | {growth} | {spent.ended} |")
        lines.append(f"| {rows:,} | load before: {load:.1f} | | | | | |")
        if given.keep is None:
            shutil.rmtree(scratch)
    print("| rows | phase | seconds | core seconds | peak MB | times those of the size before (rows) | |")
    print("|" + "---|" * 7)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
