"""A gbm on a matrix that no worker may hold: in one process whole, from disk in pieces, and by lightgbm.dask.

    python bench/beyond_a_worker.py [--rows 1000000] [--limit-mb 390] [--rounds 20]

The matrix has 50 columns of float64, stored as Parquet, and is read from there. `whole` holds it. `pieces` reads it
as a `lightgbm.Sequence` and holds its bins, as `retrim.features.view.RowMatrix` lets LightGBM do. `dask` is
`lightgbm.DaskLGBMRegressor` on two workers of one core, each with the memory limit, half of the parts each. Memory is
the most that a process held (resident, sampled every 20 ms), `longest` the core seconds of the busiest one. `bytes`
compares the model's text with that of `whole`, `again` with a second run of the same way. Quality is the error on
50,000 rows that no way has seen.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS, PARTS, HOLDOUT = 50, 8, 50_000
PARAMETERS = {
    "objective": "l2",
    "num_leaves": 31,
    "learning_rate": 0.1,
    "seed": 7,
    "data_random_seed": 7,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(rows, COLUMNS))
    target = 10 * np.sin(matrix[:, 0]) + 3 * matrix[:, 1] * matrix[:, 2] + matrix[:, 3] + generator.normal(size=rows)
    return matrix, target


def write(folder: Path, rows: int) -> None:
    for part in range(PARTS):
        matrix, target = draw(rows // PARTS, part)
        columns = {f"x{place}": matrix[:, place] for place in range(COLUMNS)} | {"y": target}
        pq.write_table(pa.table(columns), folder / f"part-{part}.parquet", row_group_size=1 << 15)


def load(path: Path, group: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        table = file.read() if group is None else file.read_row_group(group)
    matrix = np.empty((table.num_rows, COLUMNS))
    for place in range(COLUMNS):
        matrix[:, place] = table.column(place).to_numpy()
    return matrix, table.column(COLUMNS).to_numpy()


def whole(folder: Path, rounds: int) -> str:
    import lightgbm

    made = [load(folder / f"part-{part}.parquet") for part in range(PARTS)]
    matrix, target = (np.concatenate(each) for each in zip(*made, strict=True))
    del made
    data = lightgbm.Dataset(matrix, target)
    return str(lightgbm.train({**PARAMETERS, "num_threads": 1}, data, rounds).model_to_string())


def pieces(folder: Path, rounds: int) -> str:
    import lightgbm

    class Part(lightgbm.Sequence):
        batch_size = 1 << 15

        def __init__(self, path: Path) -> None:
            self.path, self.held = path, (-1, np.empty(0))
            self.rows = pq.read_metadata(path).num_rows

        def __len__(self) -> int:
            return self.rows

        def __getitem__(self, places: Any) -> np.ndarray:
            start = places.start if isinstance(places, slice) else int(places)
            group = start // self.batch_size
            if self.held[0] != group:
                self.held = (group, load(self.path, group)[0])
            if isinstance(places, slice):
                return self.held[1][: places.stop - start]
            return self.held[1][start % self.batch_size]

    paths = [folder / f"part-{part}.parquet" for part in range(PARTS)]
    target = np.concatenate([pq.read_table(path, columns=["y"])["y"].to_numpy() for path in paths])
    data = lightgbm.Dataset([Part(path) for path in paths], target)
    return str(lightgbm.train({**PARAMETERS, "num_threads": 1}, data, rounds).model_to_string())


def dask(folder: Path, rounds: int, limit: float) -> str:
    sys.path.remove(str(Path(__file__).parent))  # a file there is called dask.py
    from dask import array, delayed
    from distributed import Client, LocalCluster, wait
    from lightgbm import DaskLGBMRegressor

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=int(limit * 2**20),
            local_directory=str(folder / "scratch"),
        ) as cluster,
        Client(cluster) as client,
    ):
        workers = sorted(client.scheduler_info()["workers"])
        matrices, targets = [], []
        for part in range(PARTS):
            path = folder / f"part-{part}.parquet"
            rows = pq.read_metadata(path).num_rows
            made = delayed(load, nout=2)(path)
            matrices.append(array.from_delayed(made[0], (rows, COLUMNS), dtype="float64"))
            targets.append(array.from_delayed(made[1], (rows,), dtype="float64"))
        matrix, target = (client.persist(array.concatenate(each), workers=workers) for each in (matrices, targets))
        wait([matrix, target])
        parameters = {name: value for name, value in PARAMETERS.items() if name not in ("objective", "seed")}
        model = DaskLGBMRegressor(client=client, n_estimators=rounds, random_state=7, tree_learner="data", **parameters)
        model.fit(matrix, target)
        return str(model.booster_.model_to_string())


def watch(way: str, folder: Path, rounds: int, limit: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--rounds", str(rounds)]
    began = time.perf_counter()
    out = folder / f"{way}.txt"
    out.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}
    process = psutil.Popen(
        [*command, "--limit-mb", str(limit)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    held: dict[int, float] = {}
    worked: dict[int, float] = {}
    while process.poll() is None:
        try:
            for each in [process, *process.children(recursive=True)]:
                held[each.pid] = max(held.get(each.pid, 0.0), each.memory_info().rss / 2**20)
                worked[each.pid] = sum(each.cpu_times()[:2])
        except psutil.Error:
            pass
        if time.perf_counter() - began > 400:
            for each in [*process.children(recursive=True), process]:
                each.kill()
        time.sleep(0.02)
    said = process.stderr.read().decode().strip().splitlines()
    found = {"seconds": time.perf_counter() - began, "peak": max(held.values()), "longest": max(worked.values())}
    if not out.exists():
        return {**found, "fault": (said or ["ended after 400 s"])[-1][:110]}
    import lightgbm

    text = out.read_text(encoding="utf-8")
    matrix, target = draw(HOLDOUT, 99)
    error = float(np.sqrt(np.mean((lightgbm.Booster(model_str=text).predict(matrix) - target) ** 2)))
    trees = text[: text.index("\nparameters:")]
    return {**found, "error": error, "digest": sha256(trees.encode()).hexdigest(), "fault": ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--limit-mb", type=float, default=390)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--way")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.way:
        ways = {"whole": whole, "pieces": pieces}
        made = (
            dask(given.folder, given.rounds, given.limit_mb)
            if given.way == "dask"
            else ways[given.way](given.folder, given.rounds)
        )
        (given.folder / f"{given.way}.txt").write_text(made, encoding="utf-8")
        return
    folder = Path(tempfile.mkdtemp(prefix="retrim-beyond-"))
    try:
        write(folder, given.rows)
        print(f"{given.rows:,} x {COLUMNS}: {given.rows * COLUMNS * 8 / 2**20:,.0f} MB; limit {given.limit_mb:g} MB")
        print("| way | seconds | longest | peak MB of a process | error | bytes | again | |")
        print("|" + "---|" * 8)
        first = ""
        for way in ("whole", "pieces", "dask"):
            one = watch(way, folder, given.rounds, given.limit_mb)
            figures = f"{one['seconds']:.1f} | {one['longest']:.1f} | {one['peak']:,.0f}"
            if one["fault"]:
                print(f"| {way} | {figures} | | | | {json.dumps(one['fault'])} |", flush=True)
                continue
            first = first or one["digest"]
            again = watch(way, folder, given.rounds, given.limit_mb)
            same = "the same" if one["digest"] == first else "OTHER"
            twice = "the same" if again.get("digest") == one["digest"] else "OTHER"
            print(f"| {way} | {figures} | {one['error']:.5f} | {same} | {twice} | |", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
