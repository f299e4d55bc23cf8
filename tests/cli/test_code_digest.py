"""One digest stands for all code that a stage can import, wherever the package lies."""

import shutil
from pathlib import Path

import pytest

import retrim
from retrim.files import code_digest

PACKAGE = Path(retrim.__file__).parent


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path / "retrim", ignore=shutil.ignore_patterns("__pycache__")))


def test_a_changed_byte_in_any_file_changes_the_digest(copied: Path) -> None:
    whole = code_digest(copied)
    files = [path for path in sorted(copied.rglob("*")) if path.is_file()]
    unseen = []
    for path in files:
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        if code_digest(copied) == whole:
            unseen.append(path.name)
        path.write_bytes(content)

    assert len(files) > 200
    assert unseen == []


def test_a_moved_file_changes_the_digest(copied: Path) -> None:
    whole = code_digest(copied)
    (copied / "files.py").rename(copied / "places.py")

    assert code_digest(copied) != whole


def test_bytecode_and_hidden_files_do_not_count(copied: Path) -> None:
    whole = code_digest(copied)
    for name in ("stages/__pycache__/train.cpython-311.pyc", ".train.py.swp"):
        (copied / name).parent.mkdir(exist_ok=True)
        (copied / name).write_bytes(b"1")

    assert code_digest(copied) == whole == code_digest(PACKAGE)
