"""What is flushed to the disk, so that a power cut cannot keep a row of the store and lose what it stands for."""

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from retrim.adapters import dvc_cache, git
from retrim.adapters.store import Store
from retrim.files import flush_all


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What this process flushes while the test runs, in order; it is flushed anyway."""
    real = os.fsync
    seen: list[Path] = []

    def noted(handle: int) -> None:
        seen.append(Path(f"/proc/self/fd/{handle}").readlink())
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    return seen


def test_files_go_before_the_folders_that_name_them(tmp_path: Path, flushed: list[Path]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    files = [tmp_path / "a" / "b" / "one", tmp_path / "a" / "two"]
    for file in files:
        file.write_bytes(b"x")
    flush_all(files, below=tmp_path)

    assert flushed == [*files, tmp_path / "a" / "b", tmp_path / "a", tmp_path]


def test_a_tag_is_flushed_with_all_that_its_commit_is_made_of(tmp_path: Path, flushed: list[Path]) -> None:
    git.git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    git.git(tmp_path, "add", "file")
    git.git(tmp_path, *git.IDENTITY, "commit", "-q", "-m", "start")
    git.tag(tmp_path, "retrim/shop/v1", git.git(tmp_path, "rev-parse", "HEAD"), same=[])
    git.flush(tmp_path, "retrim/shop/v1")
    own = tmp_path / ".git"
    objects = {path for path in (own / "objects").rglob("*") if path.is_file()}
    assert len(objects) == 4  # file, tree, commit, tag

    assert {*objects, *(path.parent for path in objects), own / "objects"} <= set(flushed)
    assert flushed.index(own / "refs/tags/retrim/shop/v1") < flushed.index(own / "refs/tags/retrim/shop")


def test_the_cache_is_flushed_with_the_members_of_its_folders(tmp_path: Path, flushed: list[Path]) -> None:
    git.git(tmp_path, "init", "-q")
    made = {"11" * 16 + ".dir": b'[{"md5": "' + b"22" * 16 + b'", "relpath": "a"}]', "22" * 16: b"a", "33" * 16: b"b"}
    paths = {digest: tmp_path / ".dvc/cache/files/md5" / digest[:2] / digest[2:] for digest in made}
    for digest, content in made.items():
        paths[digest].parent.mkdir(parents=True, exist_ok=True)
        paths[digest].write_bytes(content)
    outs = f"    - md5: {'11' * 16}.dir\n      path: a\n    - md5: {'33' * 16}\n      path: b\n"
    lock = f"stages:\n  train:\n    outs:\n{outs}"
    (tmp_path / "dvc.lock").write_text(lock, encoding="utf-8")
    git.git(tmp_path, "add", "dvc.lock")
    git.git(tmp_path, *git.IDENTITY, "commit", "-q", "-m", "start")
    dvc_cache.flush(tmp_path, "HEAD")

    assert {*paths.values(), tmp_path / ".dvc/cache"} <= set(flushed)


def test_the_store_flushes_each_transaction(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'retrim.db'}")
    with store.begin() as connection:
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 3  # EXTRA
