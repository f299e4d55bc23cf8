"""A game day: faults planted in a scratch copy, each with what is documented to happen, as a table of pass and fail.

While a fault lasts, commands end as documented and a server that runs goes on answering. When it is over, what is
asked afterwards works by itself, and no batch, decision, version, release or prediction is gone.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil

from retrim.adapters.prefect_server import NOTE, ServerNote, known_server
from retrim.errors import RetrimError
from retrim.lineage.workspace import report_progress
from retrim.operations.scratch import ANSWER_SECONDS, START_SECONDS, Answering, Said, Scratch, commands, kill_group
from retrim.stats.codec import from_record

AWAY = "http://127.0.0.1:9"
"""An address at which nothing answers: the port of `discard`."""
NOWHERE = "http://nowhere.invalid"
"""A name that no DNS knows (RFC 2606)."""
DONE, ANSWERED = (0, 1), (0, 1, 2, 3)
MOST_KILLS = 40
"""Attempts to kill a command before it ends."""
Outcome = Literal["pass", "fail", "not tried"]
Plant = Callable[[Scratch], AbstractContextManager[Mapping[str, str] | None]]


@dataclass(frozen=True)
class Asked:
    """A command, and how it is documented to end.

    Args:
        words: Behind `retrim`.
        codes: Exit codes that are right.
        says: What the error names; empty: nothing is asked for.
    """

    words: tuple[str, ...]
    codes: tuple[int, ...] = DONE
    says: str = ""


@dataclass(frozen=True)
class PlantedFault:
    """A fault.

    Args:
        name: What is wrong.
        expected: What is documented to happen, in a sentence.
        plant: Plants it until the block ends; gives variables for commands, or None where it cannot be tried here.
        during: What is asked while it lasts. `FILE` stands for a file that has not landed yet, `SAME` for the last one.
        after: What is asked when it is over.
        served: Statuses with which a server that runs may answer meanwhile; None: it is stopped, as what it has open
            would keep the fault from being planted.
        seconds: Time limit of each command.
    """

    name: str
    expected: str
    plant: Plant
    during: tuple[Asked, ...]
    after: tuple[Asked, ...] = (Asked(("check",)),)
    served: tuple[int, ...] | None = (HTTPStatus.OK,)
    seconds: float = 300


@dataclass(frozen=True)
class FaultResult:
    """The result of one injected fault.

    Args:
        fault: Name of the fault.
        expected: The documented behaviour.
        outcome: `pass`, `fail`, or `not tried` if this machine or workspace cannot try the fault.
        found: What differed from the documented behaviour, or why the fault was not tried; empty if the fault passed.
        seconds: Duration of the slowest command, in seconds.
        limit: Time limit for a command, in seconds.
    """

    fault: str
    expected: str
    outcome: Outcome
    found: str
    seconds: float
    limit: float


FILE, SAME, RUBBISH = "FILE", "SAME-FILE", "rubbish.csv"
INGEST, CHECK, PREDICT = ("ingest", FILE, "--correction"), ("check",), ("predict",)
AGAIN, BALANCED = ("ingest", SAME, "--correction"), Asked(("batch", "audit"), (0,))


@contextmanager
def variables(_scratch: Scratch, **named: str) -> Iterator[Mapping[str, str]]:
    """Other addresses for the commands."""
    yield {f"RETRIM_{name.upper()}": value for name, value in named.items()}


def away(**named: str) -> Plant:
    """Addresses at which nothing answers."""
    return lambda scratch: variables(scratch, **named)


@contextmanager
def landed(scratch: Scratch, **named: str) -> Iterator[Mapping[str, str]]:
    """Rows have come that no check has seen, and other addresses."""
    scratch.run("ingest", str(scratch.fresh_file()), "--correction", seconds=120)
    with variables(scratch, **named) as found:
        yield found


@contextmanager
def predictions_away(scratch: Scratch) -> Iterator[Mapping[str, str] | None]:
    """Predictions go to an S3 that does not answer."""
    if find_spec("boto3") is None:
        yield None
        return
    with variables(scratch, predictions="s3://away/predictions") as named:
        keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_MAX_ATTEMPTS": "1"}
        yield {**named, **keys, "AWS_ENDPOINT_URL": AWAY}


@contextmanager
def store_locked(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """Another process writes to the store for three seconds."""
    store, holds = scratch.workspace().store, threading.Event()

    def hold() -> None:
        with store.begin():
            holds.set()
            time.sleep(3)
        store.close()

    writer = threading.Thread(target=hold)
    writer.start()
    holds.wait()
    try:
        yield {}
    finally:
        writer.join()


@contextmanager
def altered(file: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """A file has other bytes, and then its own again."""
    aside = file.with_name(f".{file.name}.game-day")
    shutil.copy2(file, aside)
    mode = file.stat().st_mode
    file.chmod(0o600)
    try:
        file.write_bytes(change(file.read_bytes()))
        yield
    finally:
        file.unlink(missing_ok=True)
        aside.replace(file)
        file.chmod(mode)


def flipped(content: bytes) -> bytes:
    """The same with its middle byte turned."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@contextmanager
def landed_file_damaged(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """A byte of the newest landed file is another."""
    with altered(scratch.workspace().landing.standing()[-1].path, flipped):
        yield {}


@contextmanager
def model_altered(scratch: Scratch) -> Iterator[Mapping[str, str] | None]:
    """A byte of a file of the live model is another."""
    workspace = scratch.workspace()
    releases = workspace.store.releases(workspace.model)
    if not releases or releases[-1].version is None:
        yield None
        return
    bundle = workspace.registry.bundle_folder(releases[-1].version)
    with altered(
        max((path for path in bundle.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size), flipped
    ):
        yield {}


@contextmanager
def settings_broken(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """params.yaml is no YAML any more."""
    with altered(scratch.root / "params.yaml", lambda content: content + b"\n  : {\n"):
        yield {}


@contextmanager
def store_cut(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """The store's file was cut to half."""
    with altered(scratch.root / "var" / "retrim.db", lambda content: content[: len(content) // 2]):
        yield {}


@contextmanager
def rubbish(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """A file that is none of this table is there."""
    (scratch.root / "var" / RUBBISH).write_bytes(b"\x00\xff,\n\n;;;\n")
    yield {}


@contextmanager
def disk_full(scratch: Scratch) -> Iterator[Mapping[str, str] | None]:
    """No byte is free on the disk of the copy."""
    if scratch.disk is None:
        yield None
        return
    ballast = scratch.disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(1 << 9))
    try:
        yield {}
    finally:
        ballast.unlink()


@contextmanager
def disk_read_only(scratch: Scratch) -> Iterator[Mapping[str, str] | None]:
    """Nothing can be written to the disk of the copy."""
    if scratch.disk is None:
        yield None
        return

    def remount(how: str) -> int:
        return subprocess.run(
            ["mount", "-o", f"remount,{how}", str(scratch.disk)], check=False, capture_output=True
        ).returncode

    if remount("ro"):  # something has a file open for writing
        yield None
        return
    try:
        yield {}
    finally:
        remount("rw")


@contextmanager
def going_on(scratch: Scratch, words: Sequence[str], *, seed: int) -> Iterator[Mapping[str, str] | None]:
    """A command was killed with all it started, somewhere on its way."""
    words = [str(scratch.fresh_file()) if word == FILE else word for word in words]
    began = time.monotonic()
    scratch.end(scratch.start(*words))
    whole, draw = time.monotonic() - began, random.Random(seed)
    for _ in range(MOST_KILLS):
        words = [str(scratch.fresh_file()) if word.endswith(".parquet") else word for word in words]
        process = scratch.start(*words)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=draw.uniform(0.2, 0.9) * whole)
        if process.poll() is None:
            kill_group(process)
            scratch.end(process)
            yield {}
            return
    yield None


def killed(*words: str, seed: int) -> Plant:
    """As `going_on`."""
    return lambda scratch: going_on(scratch, words, seed=seed)


@contextmanager
def prefect_dies(scratch: Scratch) -> Iterator[Mapping[str, str] | None]:
    """The Prefect server of a check was killed while it was made."""
    scratch.run("ingest", str(scratch.fresh_file()), "--correction", seconds=120)
    process, note = scratch.start("check"), scratch.root / "var" / "prefect" / NOTE
    server = None
    while process.poll() is None and server is None:
        with suppress(OSError, ValueError, RetrimError, psutil.Error):
            if known_server(note.parent, None) is not None:  # it has started
                server = psutil.Process(from_record(ServerNote, json.loads(note.read_text(encoding="utf-8"))).pid)
        time.sleep(0.05)
    if server is not None:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
    scratch.end(process)
    yield {} if server is not None else None


@contextmanager
def at_once(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """The same file is landed, and a check made, by three commands each at the same moment."""
    file = str(scratch.fresh_file())
    started = [scratch.start("ingest", file, "--correction") for _ in range(3)] + [
        scratch.start("check") for _ in range(3)
    ]
    scratch.end(*started)
    yield {}


class Receiver(BaseHTTPRequestHandler):
    """Takes alerts."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(HTTPStatus.OK)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Nothing is written."""


@contextmanager
def alerts_back(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """Alerts could not be sent, and now their address takes them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    address = f"json://127.0.0.1:{server.server_address[1]}"
    server.server_close()
    scratch.run("alerts", "test", added={"RETRIM_ALERTS": address}, seconds=120)
    again = ThreadingHTTPServer(("127.0.0.1", server.server_address[1]), Receiver)
    threading.Thread(target=again.serve_forever, daemon=True).start()
    try:
        yield {"RETRIM_ALERTS": address}
    finally:
        again.shutdown()
        again.server_close()


FAULTS = (
    PlantedFault(
        "Prefect is unreachable",
        "a check with new rows reports it; predictions continue",
        lambda scratch: landed(scratch, prefect_url=f"{AWAY}/api"),
        (Asked(CHECK, (3,), "no Prefect server responds"), Asked(PREDICT)),
    ),
    PlantedFault(
        "Prefect dies during a check",
        "the next check finishes it",
        prefect_dies,
        (Asked(PREDICT),),
    ),
    PlantedFault(
        "MLflow is unreachable",
        "predictions continue; the entries for MLflow's page are written later",
        away(mlflow_url=AWAY),
        (Asked(PREDICT),),
    ),
    PlantedFault(
        "MLflow's name is unknown (DNS)",
        "predictions continue",
        away(mlflow_url=NOWHERE),
        (Asked(PREDICT),),
    ),
    PlantedFault(
        "PostgreSQL is unreachable",
        "a command names the store; the server keeps answering",
        away(store_url="postgresql+psycopg://retrim@127.0.0.1:9/retrim"),
        (Asked(PREDICT, (2, 3), "store"), Asked(CHECK, (2, 3), "store")),
    ),
    PlantedFault(
        "PostgreSQL's name is unknown (DNS)",
        "a command names the store; the server keeps answering",
        away(store_url="postgresql+psycopg://retrim@nowhere.invalid/retrim"),
        (Asked(CHECK, (2, 3), "store"),),
    ),
    PlantedFault(
        "the store is locked",
        "a command waits, then succeeds",
        store_locked,
        (Asked(CHECK),),
    ),
    PlantedFault(
        "S3 is unreachable",
        "a prediction names the address; the server keeps its predictions in a file",
        predictions_away,
        (Asked(PREDICT, (3,), "s3://away/predictions"),),
    ),
    PlantedFault(
        "the alerts' address is unreachable",
        "a check runs, and unsent alerts wait",
        away(alerts="json://127.0.0.1:9"),
        (Asked(("alerts", "test"), (1, 2, 3)), Asked(CHECK)),
    ),
    PlantedFault("the alerts' address is back", "waiting alerts are sent", alerts_back, (Asked(("alerts", "send")),)),
    PlantedFault(
        "the disk is full",
        "a command reports it and leaves no file half written; the server refuses what it cannot store",
        disk_full,
        (Asked(INGEST, (3,)), Asked(CHECK, (3,))),
        (Asked(INGEST), Asked(CHECK)),
        served=(HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    PlantedFault(
        "the disk is read-only",
        "a command reports it and leaves no file half written",
        disk_read_only,
        (Asked(("ingest", "params.yaml"), (2, 3)), Asked(CHECK, (3,))),
        (Asked(INGEST), Asked(CHECK)),
        served=None,
    ),
    PlantedFault(
        "a landed file is damaged",
        "a check refuses to run, and names the file",
        landed_file_damaged,
        (Asked(CHECK, (1, 2, 3), "altered"),),
    ),
    PlantedFault(
        "the live model is altered",
        "a command refuses it; the server keeps answering with the loaded model",
        model_altered,
        (Asked(CHECK, (1,), "altered"),),
    ),
    PlantedFault(
        "params.yaml is broken",
        "a command says where params.yaml is broken; the server keeps answering",
        settings_broken,
        (Asked(CHECK, (2,), "params.yaml"),),
    ),
    PlantedFault(
        "the store is cut",
        "a command names the store; the server keeps answering",
        store_cut,
        (Asked(CHECK, (2, 3), "store"),),
    ),
    PlantedFault(
        "a file is rubbish",
        "it is refused or quarantined, and no row of it lands",
        rubbish,
        (Asked(("ingest", f"var/{RUBBISH}"), (2,)),),
    ),
    PlantedFault(
        "an ingest is killed",
        "a second ingest lands the file, and each row is counted once",
        killed(*INGEST, seed=1),
        (),
        (Asked(AGAIN), Asked(CHECK), BALANCED),
    ),
    PlantedFault(
        "a check is killed",
        "the next check works, and each row is counted once",
        killed(*CHECK, seed=2),
        (),
        (Asked(CHECK), BALANCED),
    ),
    PlantedFault(
        "a prediction is killed", "the next one works", killed(*PREDICT, seed=3), (), (Asked(PREDICT), Asked(CHECK))
    ),
    PlantedFault(
        "six commands at once",
        "each waits or reports that another one is running, and each row is counted once",
        at_once,
        (Asked(PREDICT),),
        (Asked(CHECK), BALANCED),
    ),
)
"""In the order in which they are tried: what changes nothing for good comes as it comes."""


def play(scratch: Scratch, faults: Sequence[PlantedFault] = FAULTS) -> list[FaultResult]:
    """Plants each fault in the copy, one after the other, and says how it went."""
    answering = Answering(scratch)
    status = answering.start()
    results, serves = [_no_fault(status)], status == HTTPStatus.OK
    try:
        for number, fault in enumerate(faults):
            report_progress(fault.name, number, len(faults))
            results.append(_tried(scratch, fault, answering if serves else None))
        if serves:
            results.append(_server_killed(answering))
    finally:
        answering.stop()
    return results


def _tried(scratch: Scratch, fault: PlantedFault, answering: Answering | None) -> FaultResult:
    before, trial = scratch.kept(), _Trial(scratch, fault)
    stopped = answering is not None and fault.served is None
    if answering is not None and stopped:
        answering.stop()
    with fault.plant(scratch) as added:
        for asked in fault.during if added is not None else ():
            trial.ask(asked, added or {})
        if answering is not None and fault.served is not None:
            trial.expect_answer(answering, fault.served, "during the fault")
    if answering is not None and stopped:
        answering.start()
    if added is None:
        return trial.result("this machine or workspace cannot produce the fault", outcome="not tried")
    for asked in fault.after:
        trial.ask(asked, {})
    if answering is not None:
        trial.expect_answer(answering, (HTTPStatus.OK,), "after the fault")
    trial.wrong += [f"lost: {what}" for what in before.lost_in(scratch.kept())]
    return trial.result("; ".join(trial.wrong), outcome="fail" if trial.wrong else "pass")


class _Trial:
    """What is asked while a fault is tried, and what was wrong."""

    def __init__(self, scratch: Scratch, fault: PlantedFault) -> None:
        self._scratch, self._fault = scratch, fault
        self.wrong: list[str] = []
        self._slowest = 0.0

    def ask(self, asked: Asked, added: Mapping[str, str]) -> None:
        files = {FILE: self._scratch.fresh_file, SAME: self._scratch.same_file}
        words = [str(files[word]()) if word in files else word for word in asked.words]
        said = self._scratch.run(*words, added=added, seconds=self._fault.seconds)
        self._slowest = max(self._slowest, said.seconds)
        self.wrong += filter(None, [_otherwise(asked, said, self._fault.seconds)])

    def expect_answer(self, answering: Answering, statuses: tuple[int, ...], when: str) -> None:
        status = answering.ask()
        if status not in statuses:
            self.wrong.append(f"the server's response was {status or 'missing'} {when}")

    def result(self, found: str, *, outcome: Outcome) -> FaultResult:
        fault, seconds = self._fault, round(self._slowest, 1)
        return FaultResult(fault.name, fault.expected, outcome, found, seconds, fault.seconds)


def _otherwise(asked: Asked, said: Said, limit: float) -> str | None:
    """What a command did that is not documented; None: nothing."""
    last = (said.errors.strip().splitlines() or [""])[-1][:300]
    if said.seconds >= limit:
        return f"{commands(asked.words)} did not end within {limit:g} s"
    if said.code not in asked.codes:
        return f"{commands(asked.words)} ended with exit code {said.code}: {last}"
    if "Traceback" in said.errors:
        return f"{commands(asked.words)} printed a traceback: {last}"
    if asked.says not in said.errors:
        return f"{commands(asked.words)} did not print {asked.says!r}: {last}"
    return None


def _no_fault(status: int) -> FaultResult:
    """Whether a row of the newest batch is answered before anything is planted; else no server is asked further on."""
    expected = "a server predicts a row of the newest batch"
    if status == HTTPStatus.OK:
        return FaultResult("no fault", expected, "pass", "", 0.0, ANSWER_SECONDS)
    found = f"its response was {status or 'missing'}, so no server is tested during the faults"
    return FaultResult("no fault", expected, "not tried", found, 0.0, ANSWER_SECONDS)


def _server_killed(answering: Answering) -> FaultResult:
    began = time.monotonic()
    answering.kill()
    answers = answering.start() == HTTPStatus.OK
    outcome: Outcome = "pass" if answers else "fail"
    found = "" if answers else "the server does not respond"
    seconds = round(time.monotonic() - began, 1)
    return FaultResult("the server is killed", "it responds after a restart", outcome, found, seconds, START_SECONDS)
