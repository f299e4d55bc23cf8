"""`retrim serve` beside `mlflow models serve` of the same version: CPU, latency, cold start, memory; and swaps.

    .venv/bin/python bench/serving.py --requests 20000

A model of 300 trees and 20 numbers, each held to a bound of the suite by retrim, and each answer kept. Both sides are
processes of their own, and answer one row as JSON. CPU is what the processes of a side used, over the requests of one
connection that stays open. p99 is at 16 connections. Cold start is from the start of the process to the first answer,
by the clock and in CPU time of the side; where others use the machine, the latter tells more.
Memory is the proportional set size of a side after all requests. Swaps: `--swaps` moves of the live version under load.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if "--folder" in sys.argv:  # the process that serves begins as `retrim serve` does
    sys.path[:0] = [str(ROOT / "src")]
    from retrim.files import give_memory_back, lightgbm_alone, uncollected

    give_memory_back()
    with uncollected(for_good=True):
        lightgbm_alone()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import psutil  # noqa: E402

sys.path[:0] = [str(ROOT), str(ROOT / "bench")]
from predict import COLUMNS, FITTED, TREES, drawn  # noqa: E402

HOST, CONNECTIONS = "127.0.0.1", 16
SUITE = {
    "name": "bounds",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": name, "min_value": -9.0, "max_value": 9.0},
        }
        for name in COLUMNS
    ],
}


COLD_CPU: list[float] = []
"""CPU seconds of each side that was started, at its first answer."""


def described() -> dict[str, Any]:
    columns: dict[str, Any] = {name: {"type": "number", "role": "feature"} for name in COLUMNS}
    columns |= {"at": {"type": "time", "role": "time"}, "number": {"type": "integer", "role": "forbidden"}}
    return columns | {"y": {"type": "number", "role": "target"}}


def make(folder: Path) -> Any:
    """A workspace with two versions, the second live, and the first as MLflow keeps it."""
    from retrim.adapters.mlflow_package import save_model
    from retrim.files import read_folder, write_folder
    from retrim.training.bundle import open_predictor, predicting
    from tests.builders import desk as desks

    desks.TUNED = {"hyperparameters": {"num_leaves": 31, "learning_rate": 0.05}, "rounds": TREES}
    desk = desks.make_desk(folder / "workspace", data={"columns": described()})
    at = pd.date_range(desks.START, periods=FITTED, freq="1min").as_unit("us")
    rows = drawn(FITTED, 0).assign(at=at, number=np.arange(float(FITTED)))
    half = FITTED // 2
    for part, day in ((rows[:half], 10), (rows[half:], 20)):
        desk.land(part.reset_index(drop=True), day)
        desk.make_version(day)
    suite = desk.workspace.paths.root / "expectations" / "none.json"
    suite.write_text(json.dumps(SUITE), encoding="utf-8")
    files = read_folder(desk.shelf.folders[2])
    write_folder(folder / "bundle", predicting(files))
    save_model(folder / "model", folder / "bundle", open_predictor(files).view, rows[:5])
    return desk


def serve(folder: Path, port: int) -> None:
    """What `retrim serve` does, in a workspace whose versions lie in plain folders."""
    from retrim.adapters.mlflow_server import bind
    from retrim.files import WorkspacePaths, lightgbm_alone, uncollected

    listener = bind(port)
    with uncollected(for_good=True):
        lightgbm_alone()
        from retrim.lineage.workspace import Workspace
        from retrim.serving.models import open_model
        from retrim.serving.newcomers import all_at_work
        from retrim.serving.routes import run_server
        from retrim.settings import Env, Params

    params = Params.model_validate_json((folder / "params.json").read_bytes())

    class Shelf:
        def bundle_folder(self, version: int, *, run: str | None = None) -> Path:
            return folder / "workspace" / "var" / f"bundle-{version}" / "data" / "candidate"

    def opened() -> Workspace:
        workspace = Workspace(WorkspacePaths(folder / "workspace"), params, Env())
        workspace.__dict__["registry"] = Shelf()
        return workspace

    with uncollected(for_good=True):
        model = open_model(opened, None, is_local=True, is_durable=False, now=lambda: pd.Timestamp.now("UTC"))
    with all_at_work([model]) as app, suppress(KeyboardInterrupt):
        run_server(app, listener)


@contextmanager
def started(command: list[str], ask: Callable[[http.client.HTTPConnection], int]) -> Iterator[tuple[Any, float]]:
    """A side, and the seconds to its first answer."""
    began = time.perf_counter()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow looks there for uvicorn
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            try:
                if ask(http.client.HTTPConnection(HOST, int(os.environ["BENCH_PORT"]), timeout=60)) == 200:
                    break
            except OSError:
                if process.poll() is not None:
                    raise
                time.sleep(0.02)
        took = time.perf_counter() - began
        process_there = psutil.Process(process.pid)
        COLD_CPU.append(cpu_of(process_there))
        yield process_there, took
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def asker(path: str, body: bytes) -> Callable[[http.client.HTTPConnection], int]:
    def ask(connection: http.client.HTTPConnection) -> int:
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    return ask


def cpu_of(process: Any) -> float:
    every = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in every)


def at_once(ask: Callable[[http.client.HTTPConnection], int], requests: int) -> tuple[list[float], int]:
    """Seconds of each request from `CONNECTIONS` connections, and how many failed."""
    seconds: list[float] = []
    failed = [0]

    def work() -> None:
        connection = http.client.HTTPConnection(HOST, int(os.environ["BENCH_PORT"]), timeout=60)
        for _ in range(requests // CONNECTIONS):
            began = time.perf_counter()
            try:
                failed[0] += ask(connection) != 200
            except (OSError, http.client.HTTPException):
                failed[0] += 1
                connection.close()
            seconds.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return seconds, failed[0]


def measured(process: Any, cold: float, ask: Callable[[http.client.HTTPConnection], int], requests: int) -> Any:
    connection = http.client.HTTPConnection(HOST, int(os.environ["BENCH_PORT"]), timeout=60)
    for _ in range(50):
        ask(connection)
    before = cpu_of(process)
    for _ in range(requests // 4):
        ask(connection)
    each = (cpu_of(process) - before) / (requests // 4) * 1e6
    seconds, _ = at_once(ask, requests // 4)
    every = [process, *process.children(recursive=True)]
    memory = sum(one.memory_full_info().pss for one in every) / 2**20
    return {"CPU of a request, us": each, "p99, ms": float(np.quantile(seconds, 0.99)) * 1000,
            "cold start, s": cold, "CPU of a cold start, s": COLD_CPU[-1], "memory, MB": memory}  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--requests", type=int, default=8_000)
    asked.add_argument("--swaps", type=int, default=4)
    asked.add_argument("--folder", type=Path)
    asked.add_argument("--port", type=int)
    given = asked.parse_args()
    if given.folder:
        serve(given.folder, given.port)
        return
    from tests.builders.receivers import free_port

    row = dict(zip(COLUMNS, drawn(1, 7)[COLUMNS].iloc[0].tolist(), strict=True))
    row = {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124  NaN
    own = asker("/predict", json.dumps(row).encode())
    split = {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
    theirs = asker("/invocations", json.dumps(split).encode())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = make(folder)
        (folder / "params.json").write_text(json.dumps(desk.workspace.params.model_dump(mode="json")))
        os.environ["BENCH_PORT"] = str(free_port())
        port = os.environ["BENCH_PORT"]
        mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager",
                  "local", "-p", port]  # fmt: skip
        with started(mlflow, theirs) as (process, cold):
            beside = measured(process, cold, theirs, given.requests)
        os.environ["BENCH_PORT"] = port = str(free_port())
        retrim = [sys.executable, __file__, "--folder", str(folder), "--port", port]
        with started(retrim, own) as (process, cold):
            ours = measured(process, cold, own, given.requests)
            from retrim.release.release import rollback

            done: list[Any] = []
            load = threading.Thread(target=lambda: done.append(at_once(own, given.requests)))
            load.start()
            moved, version = 0, 1
            while load.is_alive() and moved < given.swaps:
                rollback(desk.workspace, version, by="bench", reason="a swap", now=desk.day(21 + moved))
                moved, version = moved + 1, 3 - version
                load.join(timeout=3)
            load.join()
        for what, value in ours.items():
            print(f"{what}: {value:,.1f} against {beside[what]:,.1f} of MLflow: 1/{beside[what] / value:.1f}")
        print(f"{moved} swaps under load: {done[0][1]} failed of {len(done[0][0]):,} requests")


if __name__ == "__main__":
    main()
