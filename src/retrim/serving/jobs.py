"""Jobs: `retrim predict` at somebody's request over HTTP, one at a time, each in a process of its own.

A job is a small file, written whole, so it survives the server. One that was under way is run again at the next
start: `retrim predict` writes its rows once. One process at a time carries jobs out: a lock
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Literal

import orjson
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from retrim.adapters.database import iso
from retrim.adapters.sql_table import is_database
from retrim.errors import BadInputError, BusyError, RetrimError
from retrim.files import make_private_folder, write_private
from retrim.lineage.locks import try_flock
from retrim.reading.address import address_of, is_address
from retrim.serving.request_rows import wrong
from retrim.stats.codec import from_record, to_json, to_record

LOGGER = logging.getLogger("retrim.serve")
NAME = re.compile(r"[0-9a-f]{16}", re.ASCII)
LARGEST = 10_000
"""Bytes of a request for a job, and characters of an error."""
MOST_WAITING, MOST_KEPT = 100, 1000
"""Jobs that may wait, and that are remembered: those that ended longest ago go."""
ATTEMPTS = 5
"""Of a job that is refused, as somebody else may write to the same place."""
PAUSE_SECONDS = 30
"""Before a refused job is tried again."""
STOP_SECONDS = 10
"""For a job to end when the server is stopped."""
PREDICT = (
    "import os, sys; from retrim.cli.main import main; "
    "sys.argv += os.fsdecode(sys.stdin.buffer.read()).split('\\0'); main()"
)
COMMAND = (sys.executable, "-P", "-c", PREDICT, "predict")
"""`retrim predict`, which reads its arguments: a command line, which others can see, contains no address."""
JobState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Job:
    """A job as it is kept and told.

    Args:
        version: Whose predictions; None: the live version's.
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


class JobRequest(BaseModel):
    """What a request for a job names."""

    model_config = ConfigDict(extra="forbid", strict=True)
    rows: str = Field(alias="in")
    out: str
    version: int | None = Field(None, gt=0, lt=10**9)


class AllowedPlaces:
    """Where jobs may read and write: below prefixes, which are addresses, or folders relative to the workspace."""

    def __init__(self, root: Path, prefixes: Sequence[str]) -> None:
        self._root = root
        database = next(filter(is_database, prefixes), None)
        if database is not None:
            raise BadInputError(
                f"jobs read and write no database ({address_of(database).shown}); use retrim predict for it"
            )
        self._addresses = [f"{prefix.rstrip('/')}/" for prefix in prefixes if is_address(prefix)]
        self._folders = [(root / prefix).resolve() for prefix in prefixes if not is_address(prefix)]

    def take(self, where: str, field: str) -> str:
        """An address below one of the prefixes, a path as an absolute one.

        Raises:
            WrongRequestError: It is none, or lies elsewhere.
        """
        rule = f"gives {field!r} as a path or an address without wildcards, inside one that --jobs-under allows"
        if where.isprintable() and not re.search(r"[*?\[\]{}]|::|\\", where):
            if is_address(where):
                inside = any(where.startswith(prefix) and where != prefix for prefix in self._addresses)
                if inside and ".." not in where and "%" not in where:
                    return where
            else:
                with suppress(OSError, ValueError, RuntimeError):  # none that the system can look at
                    path = (self._root / where).resolve()
                    if self._holds(path):
                        return f"{path}/" if where.endswith("/") else str(path)
        raise wrong(rule, where[:100])

    def refuse_links_out(self, where: str) -> None:
        """Refuses what `take` gave, if a link leads out of the folders by now."""
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


class Jobs:
    """The jobs of a workspace, kept in a folder, and the thread that has them run."""

    def __init__(self, root: Path, folder: Path, places: AllowedPlaces, now: Callable[[], pd.Timestamp]) -> None:
        self._root, self._folder, self._places, self._now = root, folder, places, now
        self._lock, self._news, self._over = threading.Lock(), threading.Event(), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        make_private_folder(folder)
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends what is under way; the next start goes on with it."""
        with self._lock:  # no process starts from here on
            self._over.set()
        self._news.set()
        if self._process is not None:
            self._process.terminate()
            self._thread.join(STOP_SECONDS)
            self._process.kill()
        self._thread.join()

    def submit(self, body: bytes) -> Job:
        """Keeps a job for later.

        Raises:
            WrongRequestError: It is none, or an address is not allowed.
            BusyError: Too many wait.
        """
        try:
            request = JobRequest.model_validate_json(body[: LARGEST + 1])
        except ValidationError as error:
            raise wrong(
                'is a JSON object, {"in": ..., "out": ...}, with "version", a whole number, if needed'
            ) from error
        rows, out = self._places.take(request.rows, "in"), self._places.take(request.out, "out")
        with self._lock:
            jobs = self._all()
            if sum(job.ended is None for job in jobs) >= MOST_WAITING:
                raise BusyError(f"{MOST_WAITING} jobs are already waiting, and no more are accepted; try again later")
            at = self._now().tz_convert("UTC").isoformat(timespec="microseconds")
            job = Job(token_hex(8), rows, out, request.version, "waiting", at)
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
        jobs = (self._read(file) for file in sorted(self._folder.glob("*.json")))
        return sorted((job for job in jobs if job is not None), key=lambda job: job.asked)

    def _work(self) -> None:
        while not self._over.is_set():
            self._news.clear()
            try:
                self.work_once()
            except Exception:  # the thread goes on with the next
                LOGGER.exception("the jobs could not be processed; retrim will try again")
            self._news.wait(PAUSE_SECONDS)

    def work_once(self) -> None:
        """Runs the jobs that wait; nothing while another server does, or what outlived one."""
        with (self._folder / "lock").open("a") as lock:
            if not try_flock(lock, fcntl.LOCK_EX):
                return
            for job in self._all():
                if job.ended is None and not self._over.is_set():
                    self._run(job, lock.fileno())

    def _run(self, job: Job, lock: int) -> None:
        job = replace(job, state="running", attempts=job.attempts + 1)
        self._keep(job)
        try:
            for where in (job.rows, job.out):
                self._places.refuse_links_out(where)
            ended = self._predicted(job, lock)
        except (BadInputError, OSError) as error:  # no process, no room
            ended = replace(job, state="failed", error=str(error)[:LARGEST])
        if not self._over.is_set() or ended.state == "done":  # else the next start goes on with it
            self._keep(ended if ended.state == "waiting" else replace(ended, ended=iso(self._now())))

    def _predicted(self, job: Job, lock: int) -> Job:
        """What became of a job."""
        options = [] if job.version is None else [f"--version={job.version}"]
        arguments = os.fsencode("\0".join(["--json", *options, "--", job.rows, job.out]))
        with self._lock:
            if self._over.is_set():
                return job
            self._process = process = subprocess.Popen(
                COMMAND,
                cwd=self._root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(lock,),
            )
        printed, logged = process.communicate(arguments)
        with suppress(orjson.JSONDecodeError):  # nothing, or half a record of one that was killed
            return replace(job, state="done", result=orjson.loads(printed))
        if process.returncode == BusyError.exit_code and job.attempts < ATTEMPTS:
            return replace(job, state="waiting")
        lines = logged.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        return replace(job, state="failed", error=lines[-1].removeprefix("error: ")[:LARGEST])
