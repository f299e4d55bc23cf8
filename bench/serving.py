"""Predictions beside bare LightGBM and `mlflow models serve`, then the server against hostile requests and kills.

    python bench/serving.py [--rows 10000000] [--requests 20000] [--fuzzed 100000 --examples 320] [--kills 50]
    python bench/serving.py --only predict server faults

A model of 300 trees and 20 numbers, each held to a bound of the suite by retrim, and each answer kept.

*predict*: a Parquet file read by pyarrow, made a matrix, given to `Booster.predict` and written, beside
`retrim.serving.predict`; each in a process of its own, in turns; the fastest of each counts.

*server*: both sides are processes of their own, and answer one row as JSON. CPU is what the processes of a side used,
over the requests of one connection that stays open. p99 is at 16 connections. Cold start is from the start of the
process to the first answer, by the clock and in CPU time. Memory is the proportional set size of a side after all
requests. Swaps are moves of the live version under load.

*faults*: requests drawn by a seed: bodies that are nearly right, wrong or no JSON at all, other paths, methods and
headers, counted by class of status (5xx: none is allowed), with the memory after each tenth; `--examples` of
schemathesis for each operation of /openapi.json before them. Kills: four connections ask, the server gets SIGKILL after
a drawn time, and the next one starts: all answered requests have to be stored, and every file has to be whole.
"""

import argparse
import base64
import http.client
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if "--port" in sys.argv:  # the process that serves begins as `retrim serve` does
    sys.path[:0] = [str(ROOT / "src")]
    from retrim.files import give_memory_back, lightgbm_alone, uncollected

    give_memory_back()
    with uncollected(for_good=True):
        lightgbm_alone()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import psutil  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

sys.path[:0] = [str(ROOT)]
HOST, CONNECTIONS, CLIENTS = "127.0.0.1", 16, 4
FEATURES, TREES, FITTED, GROUP = 20, 300, 20_000, 1 << 17
COLUMNS = [f"x{place:02d}" for place in range(FEATURES)]
DESCRIBED: dict[str, Any] = {
    **{name: {"type": "number", "role": "feature"} for name in COLUMNS},
    "at": {"type": "time", "role": "time"},
    "number": {"type": "integer", "role": "forbidden"},
    "y": {"type": "number", "role": "target"},
}
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
JSON_TYPE = "application/json"
PATHS = ("/predict", "/explain", "/labels", "/health", "/ready", "/metrics", "/openapi.json", "/", "/jobs", "/jobs/x",
         "/models/none/predict", "/predict?version=99999999999999999999", "/predict?version=-1", "/predict?version=x",
         "/predict/../../etc/passwd", "/%2e%2e/%00", "/predict%ff")  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW")
ODD: tuple[Any, ...] = (None, True, "", "x", "1", -0.0, 1e308, -1e308, 2**63, 10**400, [], {}, [[]], "\ud800", "\x00",
                        "9999-12-31", "0001-01-01", "2024-13-45", "ä" * 300)  # fmt: skip
COLD_CPU: list[float] = []
"""CPU seconds of each side that was started, at its first answer."""


def drawn(rows: int, seed: int) -> pd.DataFrame:
    """A table of numbers, a tenth of one column missing, and a target that a model can learn."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(rows, FEATURES)), columns=COLUMNS)
    frame.loc[random.random(rows) < 0.1, COLUMNS[0]] = np.nan
    frame["y"] = frame[COLUMNS[1]] * 2 + frame[COLUMNS[2]] ** 2 + random.normal(size=rows)
    return frame


def make(folder: Path) -> Any:
    """A workspace with two versions, the second live, and the first as MLflow keeps it."""
    from retrim.adapters.mlflow_package import save_model
    from retrim.files import read_folder, write_folder
    from retrim.training.bundle import open_predictor, predicting
    from tests.builders import desk as desks

    desks.TUNED = {"hyperparameters": {"num_leaves": 31, "learning_rate": 0.05}, "rounds": TREES}
    desk = desks.make_desk(folder / "workspace", data={"columns": DESCRIBED})
    at = pd.date_range(desks.START, periods=FITTED, freq="1min").as_unit("us")
    rows = drawn(FITTED, 0).assign(at=at, number=np.arange(float(FITTED)))
    half = FITTED // 2
    for part, day in ((rows[:half], 10), (rows[half:], 20)):
        desk.land(part.reset_index(drop=True), day)
        desk.make_version(day)
    suite = desk.workspace.paths.root / "expectations" / "generated.json"
    suite.write_text(json.dumps(SUITE), encoding="utf-8")
    files = read_folder(desk.shelf.folders[2])
    (folder / "params.json").write_text(json.dumps(desk.workspace.params.model_dump(mode="json")))
    write_folder(folder / "bundle", predicting(files))
    save_model(folder / "model", folder / "bundle", open_predictor(files).view, rows[:5])
    return desk


def write_rows(file: Path, rows: int) -> None:
    """A Parquet file of rows to predict."""
    writer = None
    for first in range(0, rows, GROUP):
        table = pa.Table.from_pandas(drawn(min(GROUP, rows - first), 1 + first).drop(columns="y"), preserve_index=False)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def bare(folder: Path) -> None:
    import lightgbm

    from retrim.files import count_cores

    text = next((folder / "workspace" / "var" / "bundle-2").rglob("models/*/model.txt")).read_text()
    booster = lightgbm.Booster(model_str=text)
    rows = pq.read_table(folder / "in.parquet").to_pandas()
    said = booster.predict(rows.to_numpy(), num_threads=count_cores())
    pq.write_table(pa.table({"prediction": said}), folder / "bare.parquet")


def open_here(folder: Path) -> Any:
    """The workspace that `make` wrote, whose versions lie in plain folders."""
    from retrim.environment import Env
    from retrim.files import WorkspacePaths
    from retrim.lineage.workspace import Workspace
    from retrim.settings import Params

    class Shelf:
        def bundle_folder(self, version: int, *, run: str | None = None) -> Path:
            return folder / "workspace" / "var" / f"bundle-{version}" / "data" / "candidate"

    params = Params.model_validate_json((folder / "params.json").read_bytes())
    workspace = Workspace(WorkspacePaths(folder / "workspace"), params, Env())
    workspace.__dict__["registry"] = Shelf()
    return workspace


def retrim(folder: Path) -> None:
    from retrim.serving.predict import predict

    given = {"version": 2, "explained": 0, "query": None, "table": None, "into": ""}
    now = pd.Timestamp.now("UTC")
    predict(open_here(folder), str(folder / "in.parquet"), str(folder / "out.parquet"), now=now, **given)  # type: ignore[arg-type]


def timed(side: str, folder: Path) -> tuple[float, float]:
    """Seconds, start of Python left out, and megabytes."""
    (folder / "out.parquet").unlink(missing_ok=True)
    code = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    done = subprocess.run(code, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["seconds"], found["megabytes"]


def one_side(side: str, folder: Path) -> None:
    """Prints seconds and megabytes of this process; the import of LightGBM is not measured."""
    import lightgbm  # noqa: F401

    began = time.perf_counter()
    {"bare": bare, "retrim": retrim}[side](folder)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": peak}))


def predicted(folder: Path, rows: int, turns: int) -> None:
    """Prints both sides of *predict*."""
    write_rows(folder / "in.parquet", rows)
    took: dict[str, list[tuple[float, float]]] = {"bare": [], "retrim": []}
    for _ in range(turns):
        for side, found in took.items():
            found.append(timed(side, folder))
    answers = [pq.read_table(folder / file, columns=["prediction"]) for file in ("out.parquet", "bare.parquet")]
    best = {side: min(found) for side, found in took.items()}
    for side, (seconds, peak) in best.items():
        print(f"{side}: {seconds:.1f} s, {rows / seconds:,.0f} rows a second, {peak:,.0f} MB at most")
    ratio = best["bare"][0] / best["retrim"][0]
    same = answers[0].equals(answers[1])
    print(f"{rows:,} rows, {FEATURES} features, {TREES} trees: {ratio:.2f} of the speed; same bits: {same}", flush=True)


def serve(folder: Path, port: int) -> None:
    """What `retrim serve` does, in a workspace whose versions lie in plain folders."""
    from retrim.adapters.mlflow_server import bind
    from retrim.files import lightgbm_alone, uncollected

    listener = bind(port)
    with uncollected(for_good=True):
        lightgbm_alone()
        from retrim.serving.models import open_model
        from retrim.serving.newcomers import all_at_work
        from retrim.serving.routes import run_server

    with uncollected(for_good=True):
        model = open_model(
            lambda: open_here(folder), None, is_local=True, is_durable=False, now=lambda: pd.Timestamp.now("UTC")
        )
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
    return {"CPU of a request, us": each, "p99, ms": float(np.quantile(seconds, 0.99)) * 1000,
            "cold start, s": cold, "CPU of a cold start, s": COLD_CPU[-1],
            "memory, MB": memory_of(process)}  # fmt: skip


def fuzzed(draw: random.Random, row: dict[str, Any]) -> tuple[str, str, bytes, dict[str, str]]:
    """A request: method, path, body, headers."""
    kind = draw.random()
    head = {"content-type": JSON_TYPE}
    if kind < 0.5:  # a row that is nearly right, or several
        rows: Any = [dict(row) for _ in range(draw.choice((1, 1, 2, 30)))]
        for _ in range(draw.choice((0, 1, 1, 3))):
            one, name = draw.choice(rows), draw.choice((*COLUMNS, "unknown", "at"))
            if draw.random() < 0.2:
                one.pop(name, None)
            else:
                one[name] = draw.choice(ODD)
        body = json.dumps(rows if len(rows) > 1 or draw.random() < 0.2 else rows[0], ensure_ascii=True).encode()
        return "POST", draw.choice(("/predict", "/predict", "/explain", "/labels")), body, head
    if kind < 0.8:  # bytes of such a row, cut or flipped; nesting; no JSON
        body = bytearray(json.dumps(row).encode())
        for _ in range(draw.randrange(1, 6)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        text = draw.choice((bytes(body), bytes(body[: draw.randrange(len(body))]), b"[" * draw.randrange(1, 5000),
                            draw.randbytes(draw.randrange(2000)), b"NaN", b"1e999", b'{"x0": 1, "x0": 2}'))  # fmt: skip
        return "POST", draw.choice(PATHS[:3]), text, head
    head = {
        "content-type": draw.choice((JSON_TYPE, "", "text/plain", "multipart/form-data; boundary=x")),
        draw.choice(("accept", "x-request-id", "expect", "authorization", "host", "origin", "range")): draw.choice(
            ("*/*", "Bearer x", "100-continue", "bytes=0-", "\xff", "a" * 3000, "http://elsewhere.example")
        ),
    }
    return draw.choice(METHODS), draw.choice(PATHS), draw.randbytes(draw.randrange(50)), head


def memory_of(process: psutil.Process) -> float:
    """MB of the proportional set size of a side."""
    return sum(each.memory_full_info().pss for each in (process, *process.children(recursive=True))) / 2**20


def fuzz(process: psutil.Process, row: dict[str, Any], requests: int, seed: int) -> None:
    """Prints the answers by class, and the memory."""
    seen, bad = Counter[str](), []

    def work(client: int) -> None:
        draw = random.Random(f"{seed} {client}")
        connection = http.client.HTTPConnection(HOST, int(os.environ["BENCH_PORT"]), timeout=60)
        for _ in range(requests // CLIENTS // 10):
            method, path, body, head = fuzzed(draw, row)
            try:
                connection.request(method, path, body, head)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException, UnicodeError):
                seen["closed by the server, or not sent"] += 1
                connection.close()
                continue
            seen[f"{answer.status // 100}xx"] += 1
            if answer.status >= 500:
                bad.append((answer.status, said[:300], method, path, head, base64.b64encode(body)))

    memory = []
    for tenth in range(1, 11):
        threads = [threading.Thread(target=work, args=(100 * tenth + number,)) for number in range(CLIENTS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        memory.append(memory_of(process))
        print(f"  {sum(seen.values()):,} requests: {memory[-1]:,.0f} MB, 5xx: {len(bad)}", flush=True)
    print(f"{sum(seen.values()):,} fuzzed requests: " + ", ".join(f"{n:,} {name}" for name, n in sorted(seen.items())))
    print(f"memory by tenth: {', '.join(f'{each:,.0f}' for each in memory)} MB; lives: {process.is_running()}")
    for each in bad[:5]:
        print("  ", each)


def by_schema(process: psutil.Process, folder: Path, program: Path | None, examples: int) -> None:
    """Has schemathesis ask; prints what it counted, and the memory."""
    if program is None:
        venv.create(folder / "schemathesis", with_pip=True)
        program = folder / "schemathesis" / "bin" / "schemathesis"
        subprocess.run([program.with_name("python"), "-m", "pip", "install", "-q", "schemathesis"], check=True)
    address = f"http://{HOST}:{os.environ['BENCH_PORT']}/openapi.json"
    options = ["-c", "not_a_server_error", "--max-examples", str(examples), "--seed", "1", "--continue-on-failure"]
    quiet = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [program, "run", address, *options], cwd=folder, capture_output=True, text=True, check=False, env=quiet
    )
    print(f"schemathesis, exit code {done.returncode}:")
    told = done.stdout[done.stdout.rfind("= SUMMARY") :] if "= SUMMARY" in done.stdout else done.stdout + done.stderr
    print("\n".join(f"  {line}" for line in told[-3000:].splitlines() if line.strip()))
    print(f"memory after it: {memory_of(process):,.0f} MB", flush=True)


def stored(folder: Path) -> set[str]:
    """The requests that the data set holds, and those in whole lines beside it. A part that is torn ends this."""
    requests: set[str] = set()
    for part in (folder / "workspace" / "var" / "predictions").rglob("*.parquet"):
        requests |= set(pq.read_table(part, columns=["request_id"])["request_id"].to_pylist())
    for file in (folder / "workspace" / "var" / "serve" / "requests").glob("*.jsonl"):
        for line in file.read_bytes().split(b"\n")[:-1]:
            requests.add(json.loads(line)[1])
    return requests


def kill(folder: Path, command: list[str], row: dict[str, Any], kills: int, seed: int) -> None:
    """Prints what was answered, what was lost, and how long the next server took."""
    draw, answered, waits = random.Random(seed), set[str](), []
    body = json.dumps(row).encode()
    for _ in range(kills):
        with started(command, asker("/predict", body)) as (process, cold):
            waits.append(cold)
            over = threading.Event()

            def ask(over: threading.Event = over) -> None:
                connection = http.client.HTTPConnection(HOST, int(os.environ["BENCH_PORT"]), timeout=60)
                with suppress(OSError, http.client.HTTPException, ValueError):
                    while not over.is_set():
                        connection.request("POST", "/predict", body, {"content-type": JSON_TYPE})
                        answer = connection.getresponse()
                        said = answer.read()
                        if answer.status == 200:
                            answered.add(json.loads(said)["request_id"])

            threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
            for each in threads:
                each.start()
            time.sleep(draw.uniform(0.1, 14))  # the data set is written after 10 s
            os.killpg(process.pid, signal.SIGKILL)
            over.set()
            for each in threads:
                each.join()
    lost = answered - stored(folder)
    print(f"{kills} kills under load: {len(answered):,} answered requests, {len(lost)} lost, no part torn")
    print(f"ready again after {max(waits):.1f} s at most, {sorted(waits)[len(waits) // 2]:.1f} s usually")


def compared(desk: Any, folder: Path, row: dict[str, Any], requests: int, swaps: int) -> None:
    """Prints both sides of *server*."""
    from retrim.release.release import rollback
    from tests.builders.receivers import free_port

    own = asker("/predict", json.dumps(row).encode())
    split = {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
    theirs = asker("/invocations", json.dumps(split).encode())
    os.environ["BENCH_PORT"] = port = str(free_port())
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager",
              "local", "-p", port]  # fmt: skip
    with started(mlflow, theirs) as (process, cold):
        beside = measured(process, cold, theirs, requests)
    with started(server_of(folder), own) as (process, cold):
        ours = measured(process, cold, own, requests)
        done: list[Any] = []
        load = threading.Thread(target=lambda: done.append(at_once(own, requests)))
        load.start()
        moved, version = 0, 1
        while load.is_alive() and moved < swaps:
            rollback(desk.workspace, version, by="bench", reason="a swap", now=desk.day(21 + moved))
            moved, version = moved + 1, 3 - version
            load.join(timeout=3)
        load.join()
    for what, value in ours.items():
        print(f"{what}: {value:,.1f} against {beside[what]:,.1f} of MLflow: 1/{beside[what] / value:.1f}")
    print(f"{moved} swaps under load: {done[0][1]} failed of {len(done[0][0]):,} requests", flush=True)


def server_of(folder: Path) -> list[str]:
    """The command of our side, on a port of its own."""
    from tests.builders.receivers import free_port

    os.environ["BENCH_PORT"] = str(free_port())
    return [sys.executable, __file__, "--folder", str(folder), "--port", os.environ["BENCH_PORT"]]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", nargs="*", default=["predict", "server", "faults"], help="parts to measure")
    asked.add_argument("--rows", type=int, default=1_000_000, help="of the file to predict")
    asked.add_argument("--turns", type=int, default=2, help="predictions of it on each side")
    asked.add_argument("--requests", type=int, default=8_000)
    asked.add_argument("--swaps", type=int, default=4)
    asked.add_argument("--fuzzed", type=int, default=10_000, help="requests")
    asked.add_argument("--kills", type=int, default=5)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--examples", type=int, default=0, help="of schemathesis, for each operation")
    asked.add_argument("--schemathesis", type=Path, help="where it is installed; else in a temporary environment")
    asked.add_argument("--side", choices=("bare", "retrim"), help=argparse.SUPPRESS)
    asked.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.side:
        one_side(given.side, given.folder)
        return
    if given.port:
        serve(given.folder, given.port)
        return
    row = drawn(1, 7)[COLUMNS].astype(object).iloc[0]
    row = row.where(row.notna(), None).to_dict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = make(folder)
        if "predict" in given.only:
            predicted(folder, given.rows, given.turns)
        if "server" in given.only:
            compared(desk, folder, row, given.requests, given.swaps)
        if "faults" in given.only:
            command = server_of(folder)
            with started(command, asker("/predict", json.dumps(row).encode())) as (process, _):
                if given.examples:
                    by_schema(process, folder, given.schemathesis, given.examples)
                fuzz(process, row, given.fuzzed, given.seed)
            kill(folder, command, row, given.kills, given.seed)


if __name__ == "__main__":
    main()
