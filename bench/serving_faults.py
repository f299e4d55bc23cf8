"""`retrim serve` against hostile requests, and killed under load.

    .venv/bin/python bench/serving_faults.py --requests 100000 --examples 500 --kills 50

The model is that of serving.py. Fuzzed requests are drawn by a seed: bodies that are nearly right, wrong or no JSON at
all, other paths, methods and headers. It prints how many were answered with which
class of status (5xx: none is allowed), and the memory (proportional set size) after each tenth of them. Labels and
jobs are among them; whatever lands is quarantined, and no job that is drawn is one.

`--examples` has schemathesis draw that many requests for each operation of /openapi.json, before all others: it is
installed into an environment of its own, in a temporary folder, or taken from `--schemathesis FILE`.

Kills: four connections ask for predictions, the server gets SIGKILL after a drawn time, and the next one starts. All
answered requests have to be in the data set or in a whole line beside it; every part of the data set has to be whole.
"""

import argparse
import base64
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
from predict import COLUMNS, drawn  # noqa: E402
from serving import HOST, asker, make, started  # noqa: E402

CLIENTS = 4
JSON_TYPE = "application/json"
PATHS = ("/predict", "/explain", "/labels", "/health", "/ready", "/metrics", "/openapi.json", "/", "/jobs", "/jobs/x",
         "/models/none/predict", "/predict?version=99999999999999999999", "/predict?version=-1", "/predict?version=x",
         "/predict/../../etc/passwd", "/%2e%2e/%00", "/predict%ff")  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW")
ODD: tuple[Any, ...] = (None, True, "", "x", "1", -0.0, 1e308, -1e308, 2**63, 10**400, [], {}, [[]], "\ud800", "\x00",
                        "9999-12-31", "0001-01-01", "2024-13-45", "ä" * 300)  # fmt: skip


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


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--requests", type=int, default=10_000)
    asked.add_argument("--kills", type=int, default=5)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--examples", type=int, default=0, help="of schemathesis, for each operation")
    asked.add_argument("--schemathesis", type=Path, help="where it is installed")
    given = asked.parse_args()
    from tests.builders.receivers import free_port

    row = {name: None if value != value else value  # noqa: PLR0124  NaN
           for name, value in zip(COLUMNS, drawn(1, 7)[COLUMNS].iloc[0].tolist(), strict=True)}  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = make(folder)
        (folder / "params.json").write_text(json.dumps(desk.workspace.params.model_dump(mode="json")))
        os.environ["BENCH_PORT"] = port = str(free_port())
        command = [sys.executable, str(Path(__file__).parent / "serving.py"), "--folder", name, "--port", port]
        with started(command, asker("/predict", json.dumps(row).encode())) as (process, _):
            if given.examples:
                by_schema(process, folder, given.schemathesis, given.examples)
            fuzz(process, row, given.requests, given.seed)
        if given.kills:
            kill(folder, command, row, given.kills, given.seed)


if __name__ == "__main__":
    main()
