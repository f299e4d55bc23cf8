"""A search, its challengers and its backtest on a Dask cluster of one and of two workers, beside one process.

    python bench/dask.py [--rows 60000] [--trials 12] [--rounds 200]

The table is that of bench/scale.py (50 columns). Every way makes the stages tune, train and backtest from the same
view, and the bytes that they write are compared. Seconds are those of a stage's whole process: start, reading, the
cluster. `longest`: core seconds of the process that worked the most, which other work on the machine changes little.
`at 2`: how many times as fast two workers are as one, by the clock and by `longest`. `busy` is what other processes
took of the cores meanwhile. Memory is the most that a worker, and the whole tree of processes, held (resident, every
20 ms).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa
import scale

from retrim.decision.pins import Pins
from retrim.files import Paths, folder_digest, write_file
from retrim.settings import effective, to_settings_file
from retrim.stats.codec import to_json, to_parquet, to_record

WAYS = {"one process, 1 thread": ("", "1"), "one worker": ("workers:1", "1"), "two workers": ("workers:2", "2")}
STAGES = ("tune", "train", "backtest")


@dataclass(frozen=True)
class Measured:
    """Seconds of a stage, core seconds of its busiest process, what others took of the cores, and megabytes."""

    seconds: float
    longest: float
    busy: float
    worker: float
    tree: float


def make_run_directory(folder: Path, rows: int, trials: int, rounds: int) -> None:
    """What the stages need: the table as validate leaves it, the settings, and the features made from them."""
    parts = [
        pd.DataFrame(
            {
                name: values.to_pandas() if isinstance(values, pa.Array) else values
                for name, values in scale.piece(start, min(scale.PIECE, rows - start), rows).items()
            }
        )
        for start in range(0, rows, scale.PIECE)
    ]
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(**{name: table[name].astype("str") for name in table if table[name].dtype == "category"})
    table = table.assign(_key=table["id"].astype("str"), _event=table["at"], _due=table["at"] + pd.Timedelta("1h"))
    write_file(folder / "data" / "table.parquet", to_parquet(table))
    settings = scale.settings(rows, search=True)
    settings["tune"] |= {"trials": trials, "folds": 3, "max_rounds": rounds}
    settings["train"]["windows"] = ["all", "sliding"]
    settings["backtest"]["origins"] = 3
    pinned = effective(folder, settings, "params.yaml")
    write_file(folder / "data" / "settings.json", to_settings_file(pinned))
    (folder / "expectations").mkdir()
    (folder / "requirements.lock").write_text("", encoding="utf-8")
    for name in ("champion", "previous", "raw"):
        write_file(folder / "data" / name / "none.json", b"{}")
    pins = Pins(pd.Timestamp("2024-01-01", tz="UTC"), "search", code_digest="bench")
    write_file(folder / "data" / "pins.json", to_json(to_record(pins)))
    scale.watched(scale.STAGE.format("features"), folder=folder, limit=64)


def measure(stage: str, folder: Path, cluster: str, cores: str) -> Measured:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{scale.ROOT / 'src'}",
        "OMP_WAIT_POLICY": "passive",
        "RETRIM_DASK": cluster,
        "RETRIM_CORES": cores,
        "RETRIM_TRIALS": str(folder / "trials"),
    }
    shutil.rmtree(folder / "trials", ignore_errors=True)
    # A file of its own: Dask's workers import what started them.
    script = folder / "stage.py"
    script.write_text(
        "if __name__ == '__main__':\n"
        + "\n".join(f"    {line}" for line in scale.STAGE.format(stage).strip().splitlines()),
        encoding="utf-8",
    )
    began, others = time.perf_counter(), _busy()
    own = _worked()
    process = psutil.Popen([sys.executable, str(script)], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    worker = tree = 0.0
    cores_of: dict[int, float] = {}
    while process.poll() is None:
        try:
            every = [process, *process.children(recursive=True)]
            held = [each.memory_info().rss / 2**20 for each in every]
            cores_of |= {each.pid: sum(each.cpu_times()[:2]) for each in every}
            tree, worker = max(tree, sum(held)), max([worker, *held[1:]])
        except psutil.Error:
            pass
        time.sleep(0.02)
    assert process.returncode == 0, stage
    seconds = time.perf_counter() - began
    taken = (_busy() - others - (_worked() - own)) / seconds
    return Measured(seconds, max(cores_of.values()), max(taken, 0.0), worker, tree)


def _busy() -> float:
    """Core seconds that the machine has worked."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def _worked() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="retrim-dask-"))
    try:
        make_run_directory(folder, given.rows, given.trials, given.rounds)
        paths = Paths(folder)
        size = paths.view.stat().st_size / 2**20
        print(f"{given.rows:,} rows x 50, view {size:.0f} MB; {given.trials} trials of 3 folds, 2 windows, 3 origins")
        print("| way | stage | seconds | longest | at 2 | busy | worker MB | all MB | loss | bytes |")
        print("|" + "---|" * 10)
        found: dict[tuple[str, str], Measured] = {}
        bytes_of: dict[str, str] = {}
        for way, (cluster, cores) in WAYS.items():
            for stage in STAGES:
                found[way, stage] = one = measure(stage, folder, cluster, cores)
                out = {"tune": paths.tuning, "train": paths.models, "backtest": paths.backtest}[stage]
                digest = folder_digest(out)
                same = "the same" if bytes_of.setdefault(stage, digest) == digest else "OTHER"
                faster = ""
                if way == "two workers":
                    before = found["one worker", stage]
                    faster = f"{before.seconds / one.seconds:.2f}, {before.longest / one.longest:.2f}"
                loss = json.loads((paths.tuning / "hyperparameters.json").read_bytes())["loss"]
                print(
                    f"| {way} | {stage} | {one.seconds:.1f} | {one.longest:.1f} | {faster} | {one.busy:.2f} | "
                    f"{one.worker:,.0f} | {one.tree:,.0f} | {loss:.6g} | {same} |",
                    flush=True,
                )
        for name in ("seconds", "longest"):
            one_worker, two = (
                sum(getattr(found[way, stage], name) for stage in STAGES) for way in ("one worker", "two workers")
            )
            print(f"{name}: {one_worker:.1f} with one worker, {two:.1f} with two: {one_worker / two:.2f} (1.7 asked)")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
