"""DVC in a process of its own, started once for all that a run asks of it: a start takes longer than most commands."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import psutil

from retrim.adapters.dvc_cache import dvc_config, refuse_altered
from retrim.adapters.environment import GENTLE
from retrim.adapters.processes import Heartbeat, StageHungError, start_reaper
from retrim.errors import RetrimError
from retrim.training.mode import StageLimits

Say = Callable[[str], None]
RUN_DIRECTORY_VARIABLE = "RETRIM_RUN_DIRECTORY"  # in the environment of all that works in a run directory
EXITED = re.compile(r"failed to run: .*, exited with (\d+)")
WORKER = Path(__file__).with_name("dvc_worker.py")
SECRETS = ("ALERTS", "BACKUP", "LANDING", "MLFLOW_URL", "PING", "PREDICTIONS_TABLE", "STORE_URL")
SECRET_ADDRESSES = tuple(f"RETRIM_{name}{suffix}" for name in SECRETS for suffix in ("", "_FILE"))
"""Variables that no stage sees: the code of a custom model runs there."""


class StageFailedError(RetrimError):
    """A stage ended without its outputs. Its exit code is the stage's own: 1 the answer is no, 2 bad input, else 3."""

    def __init__(self, stage: str, output: str) -> None:
        super().__init__(f"stage {stage} failed:\n{output.strip()}")
        self.stage = stage
        codes = EXITED.findall(output)  # DVC's own code says only that a stage failed
        self.exit_code = int(codes[-1]) if codes and codes[-1] in ("1", "2") else RetrimError.exit_code


class DvcSession:
    """A DVC process in a run directory, in a process group of its own that ends with the session.

    Args:
        environment: Variables for the stages beside the inherited ones.
        python: Interpreter to run with; None for this one.
        gently: Everything else may go before it.

    Attributes:
        seconds: What each stage that has ended took.
    """

    def __init__(
        self,
        run_directory: Path,
        environment: Mapping[str, str],
        *,
        python: Path | None = None,
        gently: bool = False,
    ) -> None:
        self.run_directory = run_directory
        self.seconds: dict[str, float] = {}
        start_reaper()
        self._token = secrets.token_hex(16)
        python = python or Path(sys.executable)
        self._process = subprocess.Popen(
            [str(python), "-P", str(WORKER), self._token],  # -P: files beside it are not DVC's modules
            cwd=run_directory,
            env={**clean_environment(environment, python), RUN_DIRECTORY_VARIABLE: str(run_directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",  # a stage may print what is not text
            start_new_session=True,
        )
        if gently:
            with suppress(psutil.Error):  # it has ended already
                psutil.Process(self._process.pid).nice(GENTLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    @cached_property
    def _cache(self) -> Path:
        return Path(dvc_config(self.run_directory).get("cache", {}).get("dir") or self.run_directory / ".dvc" / "cache")

    def reproduce(self, stage: str, say: Say, limits: StageLimits) -> str:
        """Runs one stage, and gives all it printed.

        Raises:
            StageFailedError: It did not end well; carries what it printed.
            StageHungError: It took too long, or gave no sign of life for too long.
            RefusedError: DVC took its outputs from the cache, and they are not what was recorded.
        """
        printed = self.run(stage, ["repro", "--single-item", stage], say, limits)
        refuse_altered(self.run_directory, stage, self._cache)
        return printed

    def run(self, stage: str, arguments: list[str], say: Say, limits: StageLimits) -> str:
        """Runs a command, and gives all it printed; errors name it as `stage`.

        Raises:
            StageFailedError: It did not end well; carries what it printed.
            StageHungError: It took too long, or gave no sign of life for too long.
        """
        assert self._process.stdin is not None
        lines: list[str] = []
        with suppress(BrokenPipeError):  # it was killed: there is nothing to read then, either
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
        with Heartbeat(self._process, limits) as heart:
            code = self._follow(lines, say, heart)
        if heart.why is not None:
            raise StageHungError(stage, heart.why, "".join(lines))
        if code != 0:
            raise StageFailedError(stage, "".join(lines))
        self.seconds[stage] = heart.seconds
        return "".join(lines)

    def _follow(self, lines: list[str], say: Say, heart: Heartbeat) -> int | None:
        """Reads what a command prints; gives its exit code, or None if DVC died of it."""
        assert self._process.stdout is not None
        for read in self._process.stdout:
            heart.beat()
            line, ended, code = read.partition(self._token)
            if line:
                lines.append(line)
                say(line.rstrip())
            if ended:
                return int(code)
        return None


def clean_environment(added: Mapping[str, str], python: Path) -> dict[str, str]:
    """The inherited environment, with `python` first and without what would change what runs."""
    dropped = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", *SECRET_ADDRESSES}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(("GIT_", "DVC_", "PREFECT_"))  # a stage has no use for a login
    }
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return {**inherited, "DVC_NO_ANALYTICS": "1", "PATH": path, **added}


def end_survivors(run_directory: Path) -> int:
    """Kills what a killed run left working in its run directory, and waits until it is gone; gives how many processes.

    They carry the run directory's name in their environment, so a person's shell in there lives on.
    """
    killed = 0
    while survivors := [process for process in psutil.process_iter() if _works_in(process, run_directory)]:
        for process in survivors:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(survivors, timeout=10)
        killed += len(survivors)
    return killed


def _works_in(process: psutil.Process, run_directory: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(RUN_DIRECTORY_VARIABLE) == str(run_directory)
    except (psutil.Error, OSError):
        return False
