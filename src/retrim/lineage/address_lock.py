"""A lock at an address of fsspec, by which one process at a time writes there."""

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

import pandas as pd
import psutil

from retrim.adapters.processes import began, has_begun_at
from retrim.errors import BusyError, RetrimError
from retrim.lineage.locks import repeated
from retrim.stats.codec import from_record, to_json, to_record

BEAT_SECONDS, STALE = 60.0, pd.Timedelta("15min")
"""Its owner writes it anew so often; one that was not for so long is that of a process that was killed."""


@dataclass(frozen=True)
class LockOwner:
    """Who holds the lock of an address.

    Args:
        host: The name of its machine, by which a person knows it.
        began: Seconds from the start of the machine to its own.
        machine: What tells its machine from others of that name.
    """

    host: str
    process: int
    began: float
    machine: str

    @classmethod
    def of_this_process(cls) -> "LockOwner":
        return cls(socket.gethostname(), os.getpid(), began(psutil.Process()), this_machine())

    @property
    def is_dead(self) -> bool:
        """Whether it was a process of this machine that is gone; of another machine it is not known."""
        if self.machine != this_machine():
            return False
        try:
            return not has_begun_at(psutil.Process(self.process), self.began)
        except psutil.NoSuchProcess:
            return True


def this_machine() -> str:
    """What tells this machine, since it started, and the container on it whose processes are seen, from any other.

    Its name does not: containers of one image, and machines that were copied, have one name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return socket.gethostname()


class AddressLock:
    """A lock at an address, which needs of its store no more than that a listing shows what was written before.

    Each writes an object of its own and then lists: of two that begin at once, at most one sees itself alone. Times are
    those of the store, so no clock of a machine counts.
    """

    def __init__(self, system: Any, root: str, shown: str) -> None:
        self._system, self._folder, self._shown = system, f"{root}/locks", shown
        self._own = f"{self._folder}/{secrets.token_hex(8)}.json"

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Holds it.

        Raises:
            BusyError: Another one does.
        """
        try:
            with NamedTemporaryFile() as empty:  # `pipe_file` makes no folder on a server that has them, such as SFTP
                self._system.put_file(empty.name, self._own)
            self._write()
            self._require_alone()
            with repeated(self._beat, every_seconds=BEAT_SECONDS, name="lock at an address"):
                yield self
        finally:
            with suppress(Exception):  # what remains counts for a while, and then no longer
                self._system.rm(self._own)

    def is_there(self) -> bool:
        """Whether nobody took it for that of a killed backup."""
        self._system.invalidate_cache()
        return bool(self._system.exists(self._own))

    def _write(self) -> None:
        self._system.pipe_file(self._own, to_json(to_record(LockOwner.of_this_process())))

    def _beat(self) -> None:
        with suppress(Exception):  # the store is away for a while; who writes there next says so
            if self.is_there():
                self._write()

    def _written(self, name: str) -> pd.Timestamp:
        """When an object was written, as its store says; always the same where that keeps no times."""
        try:
            written = pd.Timestamp(self._system.modified(name))
            return written.tz_localize("UTC") if written.tzinfo is None else written
        except NotImplementedError:
            return pd.Timestamp(0, tz="UTC")

    def _require_alone(self) -> None:
        self._system.invalidate_cache()
        written_at = self._written(self._own)
        for name in self._system.find(self._folder):
            if name.endswith(self._own.rpartition("/")[2]):
                continue
            try:
                owner, written = self._owner(name), self._written(name)
            except FileNotFoundError:  # it has just ended
                continue
            if written_at - written <= STALE and not (owner is not None and owner.is_dead):
                who = "another process" if owner is None else f"process {owner.process} on {owner.host}"
                raise BusyError(
                    f"{who} is writing to {self._shown}; wait until it ends, or use a different address. If that "
                    "process was killed on another machine, or before this machine was restarted, its lock "
                    f"(locks/{name.rpartition('/')[2]}) expires after 15 minutes"
                )
            with suppress(FileNotFoundError):
                self._system.rm(name)

    def _owner(self, name: str) -> LockOwner | None:
        """Who wrote a lock; None where it is not whole: its store shows what is half written, or it was killed then."""
        try:
            return from_record(LockOwner, json.loads(self._system.cat_file(name)))
        except (ValueError, RetrimError):
            return None
