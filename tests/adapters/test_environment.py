"""Environments built from a lock file: each once, whole or anew, from hash-checked packages alone."""

import platform
import subprocess
from pathlib import Path

import pytest

from retrim.adapters.environment import built_from
from retrim.errors import RetrimError

pytestmark = pytest.mark.slow


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.fixture
def empty_lock(tmp_path: Path) -> Path:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# nothing\n")
    return lock


def wheel(folder: Path) -> tuple[Path, str]:
    """A package of one module, and its SHA-256."""
    import base64
    import hashlib
    import zipfile

    def entry(name: str, content: bytes) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        return f"{name},sha256={digest},{len(content)}\n"

    info = "tiny_answer-1.0.dist-info"
    files = {
        "tiny_answer.py": b"ANSWER = 42\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-answer\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(entry(name, content) for name, content in files.items()) + f"{info}/RECORD,,\n"
    path = folder / "tiny_answer-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, content)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def answer(python: Path) -> str:
    return subprocess.check_output([str(python), "-c", "import tiny_answer; print(tiny_answer.ANSWER)"], text=True)


def test_holds_what_the_lock_says(tmp_path: Path) -> None:
    path, digest = wheel(tmp_path)
    (tmp_path / "lock").write_text(f"tiny-answer @ {path.as_uri()} --hash=sha256:{digest}\n")

    assert answer(built_from(tmp_path / "lock", tmp_path / "home", gently=False, say=quiet)) == "42\n"


def test_refuses_a_package_with_another_hash(tmp_path: Path) -> None:
    path, _ = wheel(tmp_path)
    (tmp_path / "lock").write_text(f"tiny-answer @ {path.as_uri()} --hash=sha256:{'0' * 64}\n")

    with pytest.raises(RetrimError, match=r"(?s)the environment could not be built: .*HASHES"):
        built_from(tmp_path / "lock", tmp_path / "home", gently=False, say=quiet)


def test_refuses_a_package_without_a_hash(tmp_path: Path) -> None:
    path, _ = wheel(tmp_path)
    (tmp_path / "lock").write_text(f"tiny-answer @ {path.as_uri()}\n")

    with pytest.raises(RetrimError, match=r"(?s)the environment could not be built: .*[Hh]ash"):
        built_from(tmp_path / "lock", tmp_path / "home", gently=False, say=quiet)


def test_holds_nothing_of_the_caller(empty_lock: Path, tmp_path: Path) -> None:
    python = built_from(empty_lock, tmp_path / "home", gently=False, say=quiet)
    found = subprocess.run([str(python), "-c", "import numpy"], capture_output=True, text=True, check=False)

    assert "No module named 'numpy'" in found.stderr


def test_is_built_once_and_kept_by_lock_and_python(empty_lock: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = built_from(empty_lock, tmp_path / "home", gently=False, say=said.append)
    again = built_from(empty_lock, tmp_path / "home", gently=False, say=said.append)

    assert first == again
    assert len(said) == 1
    assert first.parents[1].name.endswith(f"-{platform.python_version()}")


def test_another_lock_has_another_environment(empty_lock: Path, tmp_path: Path) -> None:
    first = built_from(empty_lock, tmp_path / "home", gently=False, say=quiet)
    empty_lock.write_text("# another\n")

    assert built_from(empty_lock, tmp_path / "home", gently=False, say=quiet) != first


def test_that_was_interrupted_is_built_anew(empty_lock: Path, tmp_path: Path) -> None:
    python = built_from(empty_lock, tmp_path / "home", gently=False, say=quiet)
    folder = python.parents[1]
    (folder / "complete").unlink()
    (folder / "half-written").touch()
    python.unlink()
    built_from(empty_lock, tmp_path / "home", gently=False, say=quiet)

    assert python.exists()
    assert not (folder / "half-written").exists()
