"""A scratch copy of a workspace, for a game day: restored from a backup of it, with stores of its own.

On Linux, as root, it lies on a small disk of its own (tmpfs), which can be filled and made read-only.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
from pydantic import JsonValue

from retrim.adapters import dvc
from retrim.adapters.database import is_sqlite
from retrim.errors import RefusedError
from retrim.files import RETRIM, WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.operations.backup import make_backup
from retrim.operations.restore import restore_backup
from retrim.parquet import read_parquet
from retrim.settings import Env, load_params

START_SECONDS, ANSWER_SECONDS, END_SECONDS = 60, 10, 300
SPARE = 64 << 20
"""Bytes that are free on the small disk when a game day begins, beside as many as the copy has."""
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)(/[^\s;]*)")


@dataclass(frozen=True)
class Said:
    """How a command ended.

    Args:
        code: Its exit code; minus the signal that ended it.
        errors: What it wrote to the standard error.
        seconds: That it took.
    """

    code: int
    errors: str
    seconds: float


@dataclass(frozen=True)
class KeptThings:
    """What must not get lost: ids of batches, decisions, versions and releases, and stored predictions by version."""

    batches: frozenset[str]
    decisions: frozenset[str]
    versions: frozenset[int]
    releases: frozenset[int]
    predictions: Mapping[int, int]

    def lost_in(self, after: "KeptThings") -> list[str]:
        """What is here and not there, in words."""
        names = ("batches", "decisions", "versions", "releases")
        lost = [f"{len(gone)} {name}" for name in names if (gone := getattr(self, name) - getattr(after, name))]
        fewer = [number for number, count in self.predictions.items() if after.predictions.get(number, 0) < count]
        return [*lost, *(f"predictions of version {number}" for number in fewer)]


@dataclass
class Scratch:
    """A scratch copy.

    Args:
        root: Its folder.
        files: A folder for files that are to land.
        disk: The mount point of the small disk that it lies on; None: it has none.
        environment: Variables of its commands, without addresses of the real stores.
    """

    root: Path
    files: Path
    disk: Path | None
    environment: dict[str, str] = field(default_factory=lambda: clean_of_addresses(os.environ))
    rows_taken: int = 0

    def workspace(self) -> Workspace:
        """The copy, opened with the stores of its own."""
        paths = WorkspacePaths(self.root)
        return Workspace(paths, load_params(paths.params), no_addresses())

    def start(self, *words: str, added: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Starts `retrim ...` in the copy, in a process group of its own."""
        return subprocess.Popen(
            [*RETRIM, *words],
            cwd=self.root,
            env={**self.environment, **(added or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, added: Mapping[str, str] | None = None, seconds: float) -> Said:
        """How `retrim ...` ends; it is killed after `seconds`."""
        began, process = time.monotonic(), self.start(*words, added=added)
        _, errors = end_within(process, seconds)
        return Said(process.returncode, errors, time.monotonic() - began)

    def end(self, *processes: "subprocess.Popen[str]") -> None:
        """Waits until commands that were started have ended; they are killed where that takes too long."""
        for process in processes:
            end_within(process, END_SECONDS)

    def kept(self) -> KeptThings:
        """What there is now."""
        workspace = self.workspace()
        store, model, landed = workspace.store, workspace.model, workspace.predictions
        stored: Counter[int] = Counter()
        for log in (landed, *landed.of_every_role()):
            stored.update({number: len(log.all_keys(number)) for number in log.versions()})
        found = KeptThings(
            batches=frozenset(file.digest for file in workspace.landing.batches()),
            decisions=frozenset(row.id for row in store.decisions(model)),
            versions=frozenset(row.version for row in store.versions(model)),
            releases=frozenset(row.sequence for row in store.releases(model)),
            predictions=stored,
        )
        store.close()  # a disk with a database that is open for writing cannot be made read-only
        return found

    def newest_rows(self) -> pd.DataFrame:
        """Rows of the newest batch, with the columns of the table."""
        files = [file for file in self.workspace().landing.standing() if file.kind == "rows"]
        table: pd.DataFrame = read_parquet(files[-1].path)
        return table[[name for name in table.columns if not str(name).startswith("_")]]

    def fresh_file(self) -> Path:
        """A file that has not landed: some rows of the newest batch again, to be landed as corrections."""
        self.rows_taken += 1
        rows = self.newest_rows()
        rows.head(max(1, len(rows) - self.rows_taken % len(rows))).to_parquet(self.same_file(), index=False)
        return self.same_file()

    def same_file(self) -> Path:
        """The last fresh file."""
        return self.files / f"{self.rows_taken}.parquet"

    def request(self) -> bytes:
        """A row as a request for a prediction."""
        row = self.newest_rows().iloc[0]
        columns = self.workspace().params.data.columns
        asked = {name: _as_json(row[name]) for name in row.index if columns[name].role != "target"}
        return orjson.dumps(asked)


def no_addresses() -> Env:
    """Everything where it is by default: in the workspace."""
    return Env(**dict.fromkeys(Env.model_fields))


def clean_of_addresses(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that name stores, alerts and keys of the real workspace."""
    own = {name: value for name, value in environment.items() if not name.startswith("RETRIM_")}
    return own | {"NO_COLOR": "1"}


def _as_json(value: Any) -> JsonValue:
    if value is None or value is pd.NaT or value != value:  # noqa: PLR0124  NaN
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    plain: JsonValue = (
        value.item() if isinstance(value, np.generic) else str(value) if isinstance(value, date) else value
    )
    return plain


@contextmanager
def scratch_copy(workspace: Workspace, *, now: pd.Timestamp) -> Iterator[Scratch]:
    """A copy of a workspace in a temporary folder, until the block ends; the workspace itself is read only.

    Raises:
        RefusedError: Its store is on a server, so a copy would need a database of its own.
    """
    if not is_sqlite(workspace.store_url):
        raise RefusedError(
            "the store of this workspace is a database on a server, which a game day cannot copy; run the game day "
            "in a workspace whose store is an SQLite file"
        )
    with tempfile.TemporaryDirectory(prefix="retrim-game-day-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        make_backup(workspace, str(folder / "backup"), keep=1, word=None, now=now)
        size = sum(path.stat().st_size for path in (folder / "backup").rglob("*") if path.is_file())
        with _small_disk(folder / "disk", 4 * size + SPARE) as disk:
            root = (disk or folder) / "workspace"
            restore_backup(str(folder / "backup"), root, until=None, word=None, env=no_addresses())
            dvc.without_remote(root)  # a retraining in the copy pushes nothing
            (folder / "files").mkdir()
            yield Scratch(root, folder / "files", disk)


@contextmanager
def _small_disk(place: Path, size: int) -> Iterator[Path | None]:
    """A disk of so many bytes, mounted until the block ends; None where that cannot be done."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "retrim-game-day", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


def end_within(process: "subprocess.Popen[str]", seconds: float | None) -> tuple[str, str]:
    """What a command printed, and its errors; SIGKILL ends it with all it started if it takes longer."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_group(process)
        return process.communicate()


def kill_group(process: "subprocess.Popen[str]") -> None:
    """Ends a command and all it started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Answering:
    """A `retrim serve` in the copy, which is asked for a prediction during each fault.

    Args:
        scratch: The copy.
    """

    def __init__(self, scratch: Scratch) -> None:
        self._scratch, self._body = scratch, scratch.request()
        self._process: subprocess.Popen[str] | None = None
        self._port, self._path = 0, ""

    def start(self) -> int:
        """Starts it; the status with which it answers the row, 0 where it does not."""
        self._process = self._scratch.start("serve", "--port", "0")
        assert self._process.stdout is not None
        late = threading.Timer(START_SECONDS, lambda: kill_group(self._process))  # type: ignore[arg-type]
        late.start()
        found = ADDRESS.search(self._process.stdout.readline())
        late.cancel()
        if found is None:
            self.stop()
            return 0
        self._port, self._path = int(found[1]), found[2]
        return self.ask()

    def ask(self) -> int:
        """The status of an answer; 0: there was none."""
        try:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
            connection.request("POST", self._path, self._body, {"content-type": "application/json"})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0

    def kill(self) -> None:
        """Ends it as a power cut does."""
        if self._process is not None:
            kill_group(self._process)
            self._process.communicate()

    def stop(self) -> None:
        """Ends it."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()


def commands(words: Sequence[str]) -> str:
    """A command as a person would type it."""
    return " ".join(("retrim", *words))
