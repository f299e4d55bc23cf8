"""What was answered, kept: at once in a file beside, a little later in the data set of predictions.

A line is written before its request is answered. The system keeps what is written when the process dies, so a kill
loses no answered request; a power cut loses the last `SYNC_SECONDS`, and nothing where the log is durable. A line that
was cut off is left out: the request was not answered. What a server left behind is taken by the next one that starts,
and by any that runs beside it. Predictions are in the data set once, however often a file is read.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any

import orjson
import pyarrow as pa

from retrim.errors import RetrimError
from retrim.files import make_private_folder, open_private
from retrim.lineage.prediction_log import ROLES, SCHEMA, PredictionLog, Role, in_parts
from retrim.serving.served import RowAnswer

LOGGER = logging.getLogger("retrim.serve")
SYNC_SECONDS = 1
"""After which a line survives a power cut."""
STORE_SECONDS = 10
"""After which a prediction is in the data set: each time the month's file is written anew."""
CLOSE_SECONDS = 20
"""For the last predictions to get into the data set when the server stops; the next server stores the rest."""
LINES_AT_ONCE = 1_000
SUFFIX = ".jsonl"
STORED = len(RowAnswer.__annotations__) - 1
"""How much of what is said of a row is stored, all but what was unseen: the rest of a row is of its request."""
Line = tuple[int, str, int, Sequence[Sequence[Any]], Role, str | None]
"""Version, request, moment in microseconds since 1970, what is said of each row (`RowAnswer`), why it was, and the name
of the token that asked."""


class RequestLog:
    """Keeps answers; one for each server.

    Args:
        is_durable: Whether each line survives a power cut before its request is answered.
    """

    def __init__(self, folder: Path, predictions: PredictionLog, *, is_durable: bool) -> None:
        self._folder, self._predictions, self._is_durable = folder, predictions, is_durable
        self._lock, self._news, self._over = threading.Lock(), threading.Event(), threading.Event()
        make_private_folder(folder)
        self._file, self._synced = self._fresh(), 0
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="request log", daemon=True)

    def start(self) -> None:
        """Begins to move what is kept into the data set, what others left behind included."""
        self._thread.start()

    def add(self, line: Line) -> None:
        """Keeps what a request is answered.

        Raises:
            OSError: The disk does not take it.
        """
        version, request, at, answers, role, token = line
        content = orjson.dumps((version, request, at, [answer[:STORED] for answer in answers], role, token)) + b"\n"
        with self._lock:
            written = os.write(self._file, content)
            if written != len(content):
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)  # else it would spoil the next line
                raise OSError("the disk is full")
            if self._is_durable:
                os.fsync(self._file)
        if not self._news.is_set():
            self._news.set()

    def close(self) -> None:
        """Moves what is kept into the data set, within `CLOSE_SECONDS`; in any case it is on the disk.

        Raises:
            RetrimError: It cannot be moved; the next server tries again.
        """
        self._over.set()
        self._news.set()
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            LOGGER.warning("predictions are in a file, but not stored yet; the next server stores them")
        with self._lock:
            os.close(self._file)
            self._file = -1  # an answer that comes too late is refused, not written into what has the number next
        for path in self._folder.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):  # another server took it meanwhile
                if path.stat().st_size == 0:
                    self._take(path)
        if self._failed is not None:
            raise self._failed

    def store(self) -> None:
        """Moves what was kept until now into the data set; what cannot be moved stays for the next time."""
        with self._lock:
            if os.fstat(self._file).st_size:
                full, self._file, self._synced = self._file, self._fresh(), 0
                os.close(full)
        failed: Exception | None = None
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                self._take(path)
            except Exception as error:  # noqa: BLE001  one file does not keep the others waiting
                failed = failed or error
        if failed is not None:
            raise failed

    def _work(self) -> None:
        stored = monotonic() + 1 - STORE_SECONDS  # what others left behind is moved soon
        while not self._over.is_set():
            if self._news.wait(max(stored + STORE_SECONDS - monotonic(), 0)):
                if self._over.wait(SYNC_SECONDS):
                    break
                self._news.clear()
            is_due = monotonic() >= stored + STORE_SECONDS
            if is_due:
                stored = monotonic()
            try:
                self._sync()  # first: what cannot be stored now is on the disk all the same
                if is_due:
                    self.store()
            except (RetrimError, OSError) as error:
                LOGGER.warning("predictions are in a file, but not stored yet; retrim will try again: %s", error)
            except Exception:  # the thread goes on: what is kept beside is stored the next time
                LOGGER.exception("predictions are in a file, but not stored yet; retrim will try again")
        try:
            self._sync()
            self.store()
        except Exception as error:  # noqa: BLE001  raised where the log is closed
            self._failed = error

    def _sync(self) -> None:
        """Has the disk keep what was written since the last time."""
        with self._lock:
            size = os.fstat(self._file).st_size
            if size == self._synced:
                return
            file = os.dup(self._file)
        try:
            os.fsync(file)
        finally:
            os.close(file)
        self._synced = size

    def _fresh(self) -> int:
        """A new file, locked before it has its name, so that nobody else takes it."""
        path = self._folder / f"{token_hex(8)}.new"
        open_private(path).close()
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        fcntl.flock(handle, fcntl.LOCK_EX)
        path.rename(path.with_suffix(SUFFIX))
        return handle

    def _take(self, path: Path) -> None:
        """Moves a file that no server writes to into the data set."""
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for (version, role), rows in read_lines(file).items():
                for part in in_parts(rows):
                    self._predictions.of_role(role).add(version, part)
            path.unlink()


def read_lines(lines: Iterable[bytes]) -> dict[tuple[int, Role], pa.Table]:
    """Whole lines as rows of the data set, by version and role.

    As Python's objects, rows take twenty times as much memory: few of them are held so at a time.
    """
    parts: dict[tuple[int, Role], list[pa.Table]] = {}
    whole = (line for line in lines if line.endswith(b"\n"))
    while piece := list(islice(whole, LINES_AT_ONCE)):
        fresh: dict[tuple[int, Role], list[tuple[Any, ...]]] = {}
        for text in piece:
            with suppress(ValueError, TypeError, AttributeError):  # the disk lost it in a power cut
                of, rows = _rows_of(text)
                fresh.setdefault(of, []).extend(rows)
        for of, rows in fresh.items():
            parts.setdefault(of, []).append(_table(rows))
    return {of: pa.concat_tables(tables) for of, tables in parts.items()}


def _rows_of(text: bytes) -> tuple[tuple[int, Role], list[tuple[Any, ...]]]:
    """The version, the role and the rows of a line, in the order of the data set."""
    version, request, at, answers, role, token = orjson.loads(text)
    if role not in ROLES:
        raise ValueError(role)
    rows = []
    for key, event, prediction, label, lower, upper, shares, decision, features in answers:
        pairs = None if shares is None else list(shares.items())
        moment = at if event is None else event
        rows.append((key, moment, prediction, label, lower, upper, pairs, decision, at, request, token, role, features))
    return (version, role), rows


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = (list(values) for values in zip(*rows, strict=True))
    return pa.Table.from_pydict(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA)
