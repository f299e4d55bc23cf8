"""Environments built from a lock file: each once, whole or anew, from hash-checked packages alone."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.adapters.environment import built_from, require_packages
from retrim.adapters.wheel import LOCK
from retrim.errors import RefusedError, RetrimError

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

    with pytest.raises(RetrimError, match=rf"(?s)HASHES.*{'0' * 64}"):
        built_from(tmp_path / "lock", tmp_path / "home", gently=False, say=quiet)


def test_refuses_a_package_without_a_hash(tmp_path: Path) -> None:
    path, _ = wheel(tmp_path)
    (tmp_path / "lock").write_text(f"tiny-answer @ {path.as_uri()}\n")

    with pytest.raises(RetrimError, match=r"[Hh]ash"):
        built_from(tmp_path / "lock", tmp_path / "home", gently=False, say=quiet)


def test_holds_nothing_of_the_caller(empty_lock: Path, tmp_path: Path) -> None:
    python = built_from(empty_lock, tmp_path / "home", gently=False, say=quiet)
    found = subprocess.run([str(python), "-c", "import numpy"], capture_output=True, text=True, check=False)

    assert "ModuleNotFoundError" in found.stderr


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


def test_two_that_build_at_once_build_one_and_neither_sees_half_of_it(tmp_path: Path) -> None:
    path, digest = wheel(tmp_path)
    (tmp_path / "lock").write_text(f"tiny-answer @ {path.as_uri()} --hash=sha256:{digest}\n")
    script = (
        "import sys; from pathlib import Path; from retrim.adapters.environment import built_from; "
        "print(built_from(Path(sys.argv[1]), Path(sys.argv[2]), gently=False, say=print))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lock"), str(tmp_path / "home")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate() for process in both]
    said = [out.splitlines() for out, _ in told]

    assert [process.returncode for process in both] == [0, 0], told
    assert sorted(len(lines) for lines in said) == [1, 2]  # one of them builds and says so
    assert {answer(Path(lines[-1])) for lines in said} == {"42\n"}


class TestItsPackages:
    @pytest.fixture
    def python(self, tmp_path: Path) -> Path:
        path, digest = wheel(tmp_path)
        (tmp_path / "lock").write_text(
            f"tiny-answer @ {path.as_uri()} --hash=sha256:{digest}\nabsent==1.0 ; python_version < '3' \\\n"
            f"    --hash=sha256:{'0' * 64}\n"
        )
        return built_from(tmp_path / "lock", tmp_path / "home", gently=False, say=quiet)

    def locked(self, tmp_path: Path, text: str) -> Path:
        lock = tmp_path / "other.lock"
        lock.write_text(text)
        return lock

    def test_are_those_of_the_lock(self, python: Path, tmp_path: Path) -> None:
        require_packages(python, tmp_path / "lock")

    def test_of_another_version_are_refused_by_name(self, python: Path, tmp_path: Path) -> None:
        lock = self.locked(tmp_path, "Tiny_Answer==1.1 \\\n    --hash=sha256:00\n")

        with pytest.raises(RefusedError, match=r"tiny-answer is 1\.0, but requirements\.lock has 1\.1"):
            require_packages(python, lock)

    def test_that_are_missing_or_too_many_are_refused_by_name(self, python: Path, tmp_path: Path) -> None:
        lock = self.locked(tmp_path, "other-answer==1.1 \\\n    --hash=sha256:00\n")

        with pytest.raises(RefusedError, match=r"\bother-answer\b.*\btiny-answer\b.*requirements\.lock"):
            require_packages(python, lock)

    def test_of_another_folder_on_the_path_are_not_seen(
        self, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", str(Path(pytest.__file__).parents[1]))

        require_packages(python, tmp_path / "lock")

    def test_do_not_matter_where_they_are_retrim_and_pip_themselves(self) -> None:
        root = Path(__file__).resolve().parents[2]

        require_packages(Path(sys.executable), root / LOCK)
