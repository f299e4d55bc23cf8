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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A lock of one package, and the Python of its environment."""
    folder = tmp_path_factory.mktemp("built")
    path, digest = wheel(folder)
    lock = folder / "lock"
    lock.write_text(
        f"tiny-answer @ {path.as_uri()} --hash=sha256:{digest}\nabsent==1.0 ; python_version < '3' \\\n"
        f"    --hash=sha256:{'0' * 64}\n"
    )
    return lock, built_from(lock, folder / "home", gently=False, say=quiet)


def test_holds_what_the_lock_says_and_nothing_of_the_caller(built: tuple[Path, Path]) -> None:
    _, python = built
    imported = subprocess.run([str(python), "-c", "import numpy"], capture_output=True, text=True, check=False)

    assert answer(python) == "42\n"
    assert "ModuleNotFoundError" in imported.stderr


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


def test_is_built_once_and_kept_by_lock_and_python(built: tuple[Path, Path]) -> None:
    lock, python = built
    lines: list[str] = []

    assert built_from(lock, python.parents[2], gently=False, say=lines.append) == python
    assert lines == []
    assert python.parents[1].name.endswith(f"-{platform.python_version()}")


def test_of_another_lock_is_another_and_built_anew_where_it_was_interrupted(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    empty_lock, home = tmp_path / "requirements.lock", built[1].parents[2]
    empty_lock.write_text("# nothing\n")
    python = built_from(empty_lock, home, gently=False, say=quiet)
    assert python != built[1]
    folder = python.parents[1]
    (folder / "complete").unlink()
    (folder / "half-written").touch()
    python.unlink()
    built_from(empty_lock, home, gently=False, say=quiet)

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
    def test_are_those_of_the_lock_whatever_lies_on_the_path(
        self, built: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONPATH", str(Path(pytest.__file__).parents[1]))
        lock, python = built

        require_packages(python, lock)

    @pytest.mark.parametrize(
        ("line", "named"),
        [
            ("Tiny_Answer==1.1", r"tiny-answer is 1\.0, but requirements\.lock has 1\.1"),
            ("other-answer==1.1", r"\bother-answer\b.*\btiny-answer\b.*requirements\.lock"),
        ],
        ids=["another version", "missing and too many"],
    )
    def test_that_differ_are_refused_by_name(
        self, built: tuple[Path, Path], tmp_path: Path, line: str, named: str
    ) -> None:
        (tmp_path / "other.lock").write_text(f"{line} \\\n    --hash=sha256:00\n")

        with pytest.raises(RefusedError, match=named):
            require_packages(built[1], tmp_path / "other.lock")

    def test_do_not_matter_where_they_are_retrim_and_pip_themselves(self) -> None:
        root = Path(__file__).resolve().parents[2]

        require_packages(Path(sys.executable), root / LOCK)
