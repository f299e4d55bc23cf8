"""Where backups lie: each content once, whole, and gone once nothing names it."""

import errno
import os
import re
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters.database import dump_postgresql
from retrim.errors import BadInputError, RetrimError
from retrim.operations.backup_record import Backup, BackupFile, GitState
from retrim.operations.backup_store import BackupStore

FIRST = pd.Timestamp("2026-01-01", tz="UTC")


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    return BackupStore(str(tmp_path / "backups"))


def kept(store: BackupStore, content: bytes, place: str = "file") -> BackupFile:
    return store.put(BytesIO(content), place)


def backup(store: BackupStore, day: int, *contents: bytes) -> str:
    """A backup of the given day; gives its name."""
    files = tuple(kept(store, content, f"file {number}") for number, content in enumerate(contents))
    bundle = kept(store, b"bundle", "git.bundle")
    state = GitState(bundle=bundle, refs={}, head="refs/heads/main", commit="", changed=(), removed=())
    return store.add(
        Backup(
            model="shop",
            at=FIRST + pd.Timedelta(day, "D"),
            retrim="1",
            root="/shop",
            artifacts="/shop/var/mlflow",
            git=state,
            databases=(),
            files=files,
        )
    )


def objects(store: BackupStore) -> dict[str, Path]:
    return {path.name: path for path in (Path(store.shown) / "objects").rglob("*") if path.is_file()}


def test_the_same_content_lies_there_once(store: BackupStore) -> None:
    assert kept(store, b"rows").digest == kept(store, b"rows").digest
    assert len(objects(store)) == 1


def test_a_content_comes_back_as_it_was(store: BackupStore, tmp_path: Path) -> None:
    store.get(kept(store, b"rows").digest, tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == b"rows"


def test_a_content_that_was_altered_is_not_given(store: BackupStore, tmp_path: Path) -> None:
    digest = kept(store, b"rows").digest
    objects(store)[digest].write_bytes(b"rowz")

    with pytest.raises(RetrimError, match=f"{digest} is damaged"):
        store.get(digest, tmp_path / "out")


class Unreadable(BytesIO):
    """A file on a disk that fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_cannot_be_read_is_named_and_not_the_place_of_backups(store: BackupStore) -> None:
    with pytest.raises(RetrimError, match=r"^var/rows cannot be read \(") as failed:
        store.put(Unreadable(), "var/rows")

    assert store.shown not in str(failed.value)
    assert objects(store) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_where_a_content_goes_is_named_and_not_the_place_of_backups(store: BackupStore) -> None:
    digest = kept(store, b"rows").digest

    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ENOSPC))) as failed:
        store.get(digest, Path("/dev/full"))

    assert failed.value.filename == "/dev/full"


def test_a_content_that_was_cut_is_brought_again(store: BackupStore) -> None:
    digest = kept(store, b"rows").digest
    file = objects(store)[digest]
    file.write_bytes(b"ro")

    kept(BackupStore(store.shown), b"rows")

    assert file.read_bytes() == b"rows"


def test_a_record_that_was_altered_is_refused(store: BackupStore) -> None:
    name = backup(store, 0, b"rows")
    file = Path(store.shown) / "backups" / name
    file.write_bytes(file.read_bytes().replace(b"shop", b"shoq", 1))

    with pytest.raises(RetrimError, match="is damaged"):
        store.read(name)


def test_a_time_chooses_the_newest_backup_until_then(store: BackupStore) -> None:
    names = [backup(store, day, b"rows") for day in (0, 10, 20)]

    assert store.chosen(FIRST + pd.Timedelta("10D")) == names[1]
    assert store.chosen(FIRST + pd.Timedelta("15D")) == names[1]
    assert store.chosen(None) == names[2]
    with pytest.raises(BadInputError, match=names[0][:16]):
        store.chosen(FIRST - pd.Timedelta("1D"))


def test_a_place_without_a_backup_says_so(store: BackupStore) -> None:
    with pytest.raises(BadInputError, match=rf"^{re.escape(store.shown)} .*\bno backup;"):
        store.chosen(None)


@pytest.mark.parametrize(
    "address", ["me:planted@host/store?sslmode=require", "me@host/s?sslmode=require&password=planted"]
)
def test_no_password_is_in_the_list_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    tool = tmp_path / "pg_dump"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@" > "$0.given"\n', encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")

    dump_postgresql(f"postgresql+psycopg://{address}", tmp_path / "out")

    password, *typed = (tmp_path / "pg_dump.given").read_text(encoding="utf-8").splitlines()
    assert password == "planted"  # noqa: S105  a test's
    assert [word for word in typed if "planted" in word] == []
    assert "sslmode=require" in typed[-2]
