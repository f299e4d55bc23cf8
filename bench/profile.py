"""Time and peak memory of `retrim profile` on a landed table of 1,000,000 rows of 50 columns.

    python bench/profile.py [--rows 100000 1000000] [--sample 50000] [--keep DIR]

The table has 26 numbers of several laws, 6 counts, 12 categories of 2 to 5,000 levels, a personal and a forbidden
column, a text key, an event time over three years and a binary target that four of them tell; a fifth of the columns
have gaps. It lands in 36 batches, a month each. `retrim profile` runs in a process of its own; memory is the kernel's
peak of that process (resident). The load of the machine is printed with the figures.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.landing_zone import Landing
from retrim.files import WorkspacePaths, dump_yaml

ROOT = Path(__file__).resolve().parent.parent
FIRST, LAST = pd.Timestamp("2021-01-01", tz="UTC"), pd.Timestamp("2023-12-31", tz="UTC")
NUMBERS, COUNTS, LEVELS = 26, 6, (2, 3, 4, 5, 8, 12, 20, 50, 100, 365, 1000, 5000)
BATCHES = 36
COMMAND = """
import resource, sys, time
from retrim.cli.main import app
began = time.perf_counter()
try:
    app(["profile", "--rows", sys.argv[1], "--json"], standalone_mode=False)
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(*(f"{figure:.1f}" for figure in figures), file=sys.stderr)
"""


def piece(first: int, rows: int, of: int) -> pd.DataFrame:
    """Rows `first` to `first + rows` of a table of `of` rows, typed as landing types them."""
    draw = np.random.default_rng([7, of, first])
    at = FIRST + pd.to_timedelta((first + np.arange(rows)) * ((LAST - FIRST) / of).value // 1000, unit="us")
    made: dict[str, Any] = {"at": pd.Series(at).dt.as_unit("us")}
    made["id"] = pd.Series(np.char.add("o", np.char.zfill(np.arange(first, first + rows).astype(str), 10)), dtype="str")
    laws = (
        lambda: draw.normal(10, 3, rows),
        lambda: draw.lognormal(1, 0.8, rows),
        lambda: draw.exponential(4, rows),
        lambda: draw.gamma(3, 2, rows),
        lambda: draw.uniform(-2, 5, rows),
        lambda: np.where(draw.random(rows) < 0.4, 0.0, draw.gamma(2, 2, rows)),
    )
    for place in range(NUMBERS):
        values = laws[place % len(laws)]()
        made[f"x{place}"] = np.where(draw.random(rows) < 0.05, np.nan, values) if place % 5 == 4 else values
    for place in range(COUNTS):
        made[f"n{place}"] = draw.poisson(1 + 2 * place, rows).astype("float64")
    for place, levels in enumerate(LEVELS):
        names = np.array([f"level {number}" for number in range(levels)])
        values = pd.Series(names[(levels * draw.random(rows) ** 2).astype("int64")], dtype="str")
        made[f"k{place}"] = values.mask(draw.random(rows) < 0.1) if place % 5 == 4 else values
    made["mail"] = "guest" + made["id"] + "@example.org"
    made["sex"] = pd.Series(draw.choice(["f", "m"], rows), dtype="str")
    signal = (made["x0"] - 10) / 3 + (made["x3"] - 6) / 4 + (made["k1"] == "level 0") - made["n1"] / 2
    chance = 1 / (1 + np.exp(-signal))
    made["y"] = pd.Series(np.where(draw.random(rows) < chance, "yes", "no"), dtype="str")
    return pd.DataFrame(made)


def settings() -> dict[str, Any]:
    """The project's params.yaml with this table's columns."""
    from retrim.settings import load_params

    params: dict[str, Any] = load_params(ROOT / "params.yaml").as_stated()
    columns: dict[str, Any] = {"at": {"type": "time", "role": "time"}, "id": {"type": "category", "role": "forbidden"}}
    columns |= {f"x{place}": {"type": "number", "role": "feature"} for place in range(NUMBERS)}
    columns |= {f"n{place}": {"type": "integer", "role": "feature"} for place in range(COUNTS)}
    columns |= {f"k{place}": {"type": "category", "role": "feature"} for place in range(len(LEVELS))}
    columns |= {"mail": {"type": "category", "role": "feature"}, "sex": {"type": "category", "role": "forbidden"}}
    columns["y"] = {"type": "category", "role": "target"}
    params["data"] |= {"model": "bench", "columns": columns, "key": ["id"], "task": "binary", "positive": "yes"}
    params["judge"] |= {"loss": "log_loss", "metrics": ["log_loss"]}
    params["gate"]["baselines"] = ["mean"]
    return params


def lay(root: Path, rows: int) -> None:
    """A workspace in which the table has landed, a batch a month."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dvc.yaml").touch()
    (root / "params.yaml").write_text(dump_yaml(settings()), encoding="utf-8")
    landing = Landing(WorkspacePaths(root).landing)
    size = -(-rows // BATCHES)
    with landing.locked():
        for number, first in enumerate(range(0, rows, size)):
            frame = piece(first, min(size, rows - first), rows)
            arrived = FIRST + (number + 1) * (LAST - FIRST) / BATCHES
            frame.insert(0, "_key", frame["id"])
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            landing.land_rows(frame, digest=digest, arrived=arrived, correction=False, released="")


def measure(root: Path, rows: int, sample: int) -> tuple[float, float, float, int]:
    """Seconds, seconds of a core and megabytes of the command, and its findings."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(sample)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, worked, peak = map(float, done.stderr.split()[-3:])
    record = json.loads(done.stdout)
    assert record["rows"] == rows, record["rows"]
    return seconds, worked, peak, len(record["findings"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--sample", type=int, default=50_000)
    parser.add_argument(
        "--keep", type=Path, default=None, help="folder for the workspaces, used again if they are there"
    )
    given = parser.parse_args()
    print("| rows | columns | seconds | core seconds | peak memory, MB | findings | load before |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for rows in given.rows:
            root = (given.keep or Path(temporary)) / f"profile-{rows}"
            if not (root / "params.yaml").exists():
                lay(root, rows)
                time.sleep(1)
            load = os.getloadavg()[0]
            seconds, worked, peak, found = measure(root, rows, given.sample)
            columns = len(settings()["data"]["columns"])
            told = (f"{seconds:.1f}", f"{worked:.1f}", f"{peak:,.0f}", found, f"{load:.1f}")
            print("| " + " | ".join(map(str, (f"{rows:,}", columns, *told))) + " |", flush=True)


if __name__ == "__main__":
    main()
