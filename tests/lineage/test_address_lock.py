"""A lock at an address: one at a time, and none that a killed process left."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

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


class FolderSystem(MemoryFileSystem):
    """A server with folders, such as SFTP: a file can be made only in a folder that is there."""

    def _open(self, path: str, mode: str = "rb", **how: Any) -> Any:
        if mode == "wb" and not self.isdir(self._parent(path)):
            raise FileNotFoundError(path)
        return super()._open(path, mode, **how)


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


def test_the_first_one_makes_its_folder(system: MemoryFileSystem) -> None:
    folders = FolderSystem()
    assert not system.exists(ROOT)
    with lock(folders).held() as first:
        assert first.is_there()


def test_that_of_another_machine_holds_as_long_as_it_is_written_anew(system: MemoryFileSystem) -> None:
    leave(system, LockOwner("elsewhere", 1, 0.0, "another"), before=STALE / 2)

    with pytest.raises(BusyError, match="process 1 on elsewhere"), lock(system).held():
        pass


def test_that_of_another_machine_ends_when_it_is_written_no_longer(system: MemoryFileSystem) -> None:
    left = leave(system, LockOwner("elsewhere", 1, 0.0, "another"), before=2 * STALE)

    with lock(system).held():
        assert not system.exists(left)


def test_that_of_a_process_of_this_machine_that_is_gone_counts_no_longer(system: MemoryFileSystem) -> None:
    another_that_had_this_number = replace(LockOwner.of_this_process(), began=-1000.0)
    left = leave(system, another_that_had_this_number, before=pd.Timedelta(0))

    with lock(system).held():
        assert not system.exists(left)


def test_a_clock_that_is_set_makes_no_process_dead(system: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    with lock(system).held():
        later, boot = psutil.Process().create_time() + 60, psutil.boot_time() + 60
        monkeypatch.setattr(psutil.Process, "create_time", lambda _: later)
        monkeypatch.setattr(psutil, "boot_time", lambda: boot)
        with pytest.raises(BusyError), lock(system).held():
            pass


def test_another_machine_of_the_same_name_holds_its_own(system: MemoryFileSystem) -> None:
    leave(system, LockOwner(socket.gethostname(), 2**22 + 1, 5.0, "another"), before=pd.Timedelta("1min"))

    with pytest.raises(BusyError), lock(system).held():
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]"])
def test_one_that_is_not_whole_holds_for_a_while_and_then_no_longer(system: MemoryFileSystem, content: bytes) -> None:
    name = leave(system, LockOwner("elsewhere", 1, 0.0, "another"), before=pd.Timedelta("1min"))
    written = system.store[name].modified
    system.pipe_file(name, content)
    system.store[name].modified = written
    with pytest.raises(BusyError, match="another process is writing"), lock(system).held():
        pass

    system.store[name].modified = written - 2 * STALE
    with lock(system).held():
        assert not system.exists(name)


def test_one_that_could_not_be_written_whole_is_taken_away(
    system: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = system.pipe_file

    def full(path: str, content: bytes) -> None:
        whole(path, content[:5])
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(system, "pipe_file", full)
        with pytest.raises(OSError, match="no space"), lock(system).held():
            pass
    assert system.find(f"{ROOT}/locks") == []
