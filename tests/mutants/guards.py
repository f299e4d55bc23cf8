"""Runs tests in a copy of the tree, each time in a new process that has the libraries already.

Most guards take less time than what they import. So one process imports the libraries, none of our own code, and a
copy of it is made for each run (`forkserver` of the standard library).
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

LIBRARIES = [
    "alembic.command", "hypothesis.strategies", "lightgbm", "matplotlib.figure", "pandas", "pyarrow.parquet",
    "pydantic_settings", "pytest", "rich.table", "ruamel.yaml", "scipy.stats", "sklearn.linear_model",
    "sklearn.preprocessing", "sqlalchemy", "typer",
]  # fmt: skip
"""What most guards import; one that needs more imports it itself."""
OWN = {"retrim", "retrim_flows", "tests"}
DROPPED = ("PYTEST_", "COV_", "PYTHONDONTWRITEBYTECODE")
"""Variables of an outer run of pytest; compiling all anew takes longer than most guards."""

forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(LIBRARIES)


def run_guards(tree: Path, guards: Sequence[str], seconds: float | None = None) -> tuple[int, str]:
    """Runs tests in a copy of the tree, with the code of that copy: pytest's exit code and what it printed."""
    printed, ended = Path(f"{tree}.printed"), Path(f"{tree}.ended")
    ended.unlink(missing_ok=True)
    process = forked.Process(target=run_here, args=(tree, guards, printed, ended))
    process.start()
    process.join(seconds)
    if process.is_alive() and not ended.exists():
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return -1, f"ended: it took longer than {seconds:.0f} s"
    text = printed.read_text(encoding="utf-8", errors="replace")
    return (int(ended.read_text(encoding="utf-8")) if ended.exists() else -1), text


def run_here(tree: Path, guards: Sequence[str], printed: Path, ended: Path) -> None:
    """Runs tests in this process, which is theirs alone: folder, variables and modules become the tree's."""
    os.setsid()
    with printed.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name in [name for name in os.environ if name.startswith(DROPPED)]:
        del os.environ[name]
    os.environ["PYTHONPATH"] = str(tree / "src")
    sys.dont_write_bytecode = False
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    outer = {"", str(Path(__file__).parents[2]), str(Path.cwd())}
    sys.path[:] = [str(tree), str(tree / "src"), *(path for path in sys.path if path not in outer)]
    os.chdir(tree)
    code = pytest.main(["-q", "-p", "no:cacheprovider", "--tb=short", f"--basetemp={tree}.tmp", *guards])
    sys.stdout.flush()
    ended.write_text(str(int(code)), encoding="utf-8")
