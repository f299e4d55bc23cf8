"""A lock at an address: one at a time, and none that a killed process left."""

import os
import socket
from collections.abc import Iterator

import pandas as pd
import psutil
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from retrim.errors import BusyError
from retrim.lineage.address_lock import STALE, AddressLock, LockOwner
from retrim.stats.codec import to_json, to_record

ROOT = "/locked"


@pytest.fixture
def system() -> Iterator[MemoryFileSystem]:
    system = MemoryFileSystem()
    yield system
    if system.exists(ROOT):
        system.rm(ROOT, recursive=True)


def lock(system: MemoryFileSystem) -> AddressLock:
    return AddressLock(system, ROOT, "memory://locked")


def leave(system: MemoryFileSystem, owner: LockOwner, *, before: pd.Timedelta) -> str:
    """Lays the lock of another process that was written so long ago; gives its name."""
    name = f"{ROOT}/locks/{'0' * 16}.json"
    system.pipe_file(name, to_json(to_record(owner)))
    system.store[name].modified = (pd.Timestamp.now(tz="UTC") - before).to_pydatetime()
    return name


def test_one_at_a_time_holds_it(system: MemoryFileSystem) -> None:
    with lock(system).held(), pytest.raises(BusyError, match=f"process {os.getpid()} on"), lock(system).held():
        pass


def test_one_that_was_refused_leaves_the_other_its_lock(system: MemoryFileSystem) -> None:
    with lock(system).held() as first:
        with pytest.raises(BusyError), lock(system).held():
            pass
        assert first.is_there()
        assert len(system.find(f"{ROOT}/locks")) == 1


def test_it_is_gone_with_its_block(system: MemoryFileSystem) -> None:
    with lock(system).held():
        pass
    with lock(system).held() as again:
        assert again.is_there()


def test_that_of_another_machine_holds_as_long_as_it_is_written_anew(system: MemoryFileSystem) -> None:
    leave(system, LockOwner("elsewhere", 1, 0.0), before=STALE / 2)

    with pytest.raises(BusyError, match="process 1 on elsewhere"), lock(system).held():
        pass


def test_that_of_another_machine_ends_when_it_is_written_no_longer(system: MemoryFileSystem) -> None:
    left = leave(system, LockOwner("elsewhere", 1, 0.0), before=2 * STALE)

    with lock(system).held():
        assert not system.exists(left)


def test_that_of_a_process_of_this_machine_that_is_gone_counts_no_longer(system: MemoryFileSystem) -> None:
    another_that_had_this_number = LockOwner(socket.gethostname(), os.getpid(), psutil.boot_time() - 1000)
    left = leave(system, another_that_had_this_number, before=pd.Timedelta(0))

    with lock(system).held():
        assert not system.exists(left)
