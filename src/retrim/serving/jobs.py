"""Jobs: `retrim predict` at somebody's request over HTTP, one at a time, each in a process of its own.

A job is a small file, written whole, so it survives the server. One that was under way is run again at the next
start: `retrim predict` goes on where it was and writes its rows once. One process at a time carries jobs out: a lock
is held by a server and by what it runs, which may outlive it. Paths and addresses lie under prefixes that are named
when the server starts.
"""

import fcntl
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import Annotated, Literal

import orjson
import pandas as pd
from pydantic import JsonValue

from retrim.adapters.database import iso
from retrim.adapters.sql_table import is_database
from retrim.errors import BadInputError, BusyError, RetrimError
from retrim.files import make_private_folder, write_private
from retrim.reading.address import address_of, is_address
from retrim.serving.request_rows import wrong
from retrim.stats.codec import from_record, key, to_json, to_record

LOGGER = logging.getLogger("retrim.serve")
NAME = re.compile(r"[0-9a-f]{16}", re.ASCII)
LARGEST = 10_000
"""Bytes of a request for a job, and characters of an error."""
MOST_WAITING, MOST_KEPT = 100, 1000
"""Jobs that may wait, and that are remembered: those that ended longest ago go."""
ATTEMPTS = 5
"""Of a job that is refused, as somebody else may write to the same place, or that cannot begin."""
PAUSE_SECONDS = 30
"""Before a refused job is tried again."""
PREDICT = (
    "import os, sys; from retrim.cli.main import main; "
    "sys.argv += os.fsdecode(sys.stdin.buffer.read()).split('\\0'); main()"
)
COMMAND, LOCK = (sys.executable, "-P", "-c", PREDICT, "predict"), "lock"
"""`retrim predict`, which reads its arguments: a command line, which others can see, contains no address."""
FIELDS = {"in", "out", "version"}
JobState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Job:
    """A job as it is kept and told.

    Args:
        id: Its name in the address.
        rows: IN.
        out: OUT.
        version: Whose predictions; None: the live version's.
        state: How far it is.
        asked: When, ISO 8601.
        ended: When; None: not yet.
        result: What `retrim predict --json` printed; None: nothing yet, or it failed.
        error: Why it failed; empty: it did not.
        attempts: Times that it was begun.
    """

    id: str
    rows: str
    out: str
    version: int | None
    state: JobState
    asked: str
    ended: str | None = None
    result: JsonValue = None
    error: str = ""
    attempts: int = 0


@dataclass(frozen=True)
class AskedJob:
    """What a request for a job names, as it came."""

    rows: Annotated[JsonValue, key("in")]
    out: JsonValue
    version: JsonValue = None


class AllowedPlaces:
    """Where jobs may read and write.

    Args:
        root: Of the workspace; other paths are relative to it.
        prefixes: Folders and addresses.
    """

    def __init__(self, root: Path, prefixes: Sequence[str]) -> None:
        self._root = root
        database = next((each for each in prefixes if is_database(each)), None)
        if database is not None:
            raise BadInputError(
                f"jobs read and write no database ({address_of(database).shown}); use retrim predict for it"
            )
        self._addresses = [f"{each.rstrip('/')}/" for each in prefixes if is_address(each)]
        self._folders = [(root / each).resolve() for each in prefixes if not is_address(each)]

    def take(self, where: object, field: str) -> str:
        """An address below one of the prefixes, a path as an absolute one.

        Raises:
            WrongRequestError: It is none, or lies elsewhere.
        """
        rule = f"gives {field!r} as a path or an address without wildcards, inside one that --jobs-under allows"
        if not isinstance(where, str) or not where.isprintable() or re.search(r"[*?\[\]{}]|::|\\", where):
            raise wrong(rule, str(where)[:100])
        if is_address(where):
            inside = any(where.startswith(each) and len(where) > len(each) for each in self._addresses)
            if not inside or ".." in where or "%" in where:
                raise wrong(rule, where[:100])
            return where
        try:
            path = (self._root / where).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise wrong(rule, where[:100]) from error
        if not self._holds(path):
            raise wrong(rule, where[:100])
        return f"{path}/" if where.endswith("/") else str(path)

    def refuse_links_out(self, where: str) -> None:
        """Refuses what `take` gave, if a link leads out of the folders by now.

        Raises:
            BadInputError: Names the link.
        """
        if is_address(where):
            return
        path = Path(where)
        files = [path, *(file for file in path.rglob("*") if file.is_symlink() and file.is_file())]
        outside = next((file for file in files if not self._holds(file.resolve())), None)
        if outside is not None:
            raise BadInputError(f"{outside} leads out of the folders that jobs may use; remove this link")

    def _holds(self, path: Path) -> bool:
        """Whether a resolved path lies in one of the folders."""
        return any(folder in path.parents for folder in self._folders)


def _failed(job: Job, error: str) -> Job:
    return replace(job, state="failed", error=error[:LARGEST])


def _refused(job: Job, error: str) -> Job:
    """It is tried again, some times."""
    return replace(job, state="waiting") if job.attempts < ATTEMPTS else _failed(job, error)


class Jobs:
    """The jobs of a workspace.

    Args:
        root: Of the workspace.
        folder: Where the jobs are kept.
        places: Where they may read and write.
        now: The clock.
    """

    def __init__(self, root: Path, folder: Path, places: AllowedPlaces, now: Callable[[], pd.Timestamp]) -> None:
        self._root, self._folder, self._places, self._now = root, folder, places, now
        self._lock, self._news, self._over = threading.Lock(), threading.Event(), threading.Event()
        make_private_folder(folder)
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends what is under way; the next start goes on with it."""
        self._over.set()
        self._news.set()
        self._thread.join()

    def submit(self, body: bytes) -> Job:
        """Keeps a job for later.

        Raises:
            WrongRequestError: It is none, or an address is not allowed.
            BusyError: Too many wait.
        """
        try:
            given = orjson.loads(body) if len(body) <= LARGEST else None
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict) or not {"in", "out"} <= set(given) <= FIELDS:
            raise wrong('is a JSON object, {"in": ..., "out": ...}, with "version" if needed')
        named = from_record(AskedJob, given)
        version = named.version
        if version is not None and (type(version) is not int or not 0 < version < 10**9):
            raise wrong("gives 'version' as a version number, or leaves it out", str(version)[:100])
        rows, out = self._places.take(named.rows, "in"), self._places.take(named.out, "out")
        with self._lock:
            jobs = self._all()
            if sum(job.ended is None for job in jobs) >= MOST_WAITING:
                raise BusyError(f"{MOST_WAITING} jobs are already waiting, and no more are accepted; try again later")
            asked = self._now().tz_convert("UTC").isoformat(timespec="microseconds")
            job = Job(token_hex(8), rows, out, version, "waiting", asked)
            self._keep(job)
            over = [job for job in jobs if job.ended is not None]
            for old in sorted(over, key=lambda job: job.ended or "")[: max(len(jobs) + 1 - MOST_KEPT, 0)]:
                self._file(old.id).unlink()
        self._news.set()
        return job

    def find(self, name: str) -> Job | None:
        """A job by its id; None: there is none."""
        file = self._file(name)
        return self._read(file) if NAME.fullmatch(name) and file.is_file() else None

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _keep(self, job: Job) -> None:
        write_private(self._file(job.id), to_json(to_record(job)))

    def _read(self, file: Path) -> Job | None:
        try:
            return from_record(Job, json.loads(file.read_bytes()))
        except (OSError, ValueError, RetrimError) as error:
            LOGGER.warning("%s is skipped, because it is not a readable job: %s", file, error)
            return None

    def _all(self) -> list[Job]:
        """All of them, in the order in which they were asked for."""
        files = self._folder.glob("*.json")
        found = [job for job in map(self._read, sorted(files, key=lambda file: file.name)) if job is not None]
        return sorted(found, key=lambda job: job.asked)

    def _work(self) -> None:
        while not self._over.is_set():
            self._news.clear()
            try:
                self.work_once()
            except Exception:  # the thread goes on with the next
                LOGGER.exception("the jobs could not be processed; retrim will try again")
            self._news.wait(PAUSE_SECONDS)

    def work_once(self) -> None:
        """Runs the jobs that wait; nothing while another server, or its job, does."""
        with self._alone() as lock:
            if lock is None:
                return
            for job in self._all():
                if job.ended is None and not self._over.is_set():
                    self._run(job, lock)

    @contextmanager
    def _alone(self) -> Iterator[int | None]:
        """The lock of the jobs, open; None: another process has it."""
        lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            is_ours = False
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_ours = True
            yield lock if is_ours else None
        finally:
            os.close(lock)

    def _run(self, job: Job, lock: int) -> None:
        job = replace(job, state="running", attempts=job.attempts + 1)
        self._keep(job)
        try:
            for where in (job.rows, job.out):
                self._places.refuse_links_out(where)
            ended = self._predicted(job, lock)
        except BadInputError as gone:
            ended = _failed(job, str(gone))
        except OSError as error:  # of the machine: no process, no room
            ended = _refused(job, f"the process that predicts cannot be started: {error}")
        if ended is not None:
            self._keep(ended if ended.state == "waiting" else replace(ended, ended=iso(self._now())))

    def _predicted(self, job: Job, lock: int) -> Job | None:
        """What became of a job; None: the server stops, and the next start goes on with it."""
        options = [] if job.version is None else [f"--version={job.version}"]
        with TemporaryFile() as printed, TemporaryFile() as said:
            process = subprocess.Popen(
                COMMAND,
                cwd=self._root,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=said,
                start_new_session=True,
                pass_fds=(lock,),
            )
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as arguments:  # one that has ended says why
                arguments.write(os.fsencode("\0".join(["--json", *options, "--", job.rows, job.out])))
            while process.poll() is None:
                if self._over.is_set():
                    process.terminate()
                    try:
                        process.wait(timeout=10)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
                    return None
                time.sleep(0.1)
            for file in (printed, said):
                file.seek(0)
            record, lines = printed.read(), said.read().decode(errors="replace").strip().splitlines()
        with suppress(orjson.JSONDecodeError):  # nothing, or half a record of one that was killed
            return replace(job, state="done", result=orjson.loads(record))
        error = (lines or [f"exit code {process.returncode}"])[-1].removeprefix("error: ")
        return _refused(job, error) if process.returncode == BusyError.exit_code else _failed(job, error)
