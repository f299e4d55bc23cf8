"""A small world: a workspace of its own, a generated table, and real runs through the real command line.

How to use it:

    from tests.builders.world import World, make_world

    @pytest.fixture(scope="module")
    def world(tmp_path_factory, server) -> World:        # `server`: one Prefect server for all tests
        world = make_world(tmp_path_factory.mktemp("world"), server=server)
        world.land(world.day(25))                         # rows of the first 25 days arrive on day 25, one an hour
        world.retrim("retrain", "--as-of", world.day(25)) # a real run, 20 to 60 s: room, six stages, registry, verdict
        return world

Share one world in a module where tests only read it: MLflow stores absolute paths, so a
prepared one cannot be copied. A search takes 2 trials of 20 rounds. `retrim` fails the test
if the exit code is another than `code`; `start` gives the running process of a command, in
a process group of its own, to be killed or waited for. `world.workspace` is the same workspace in
this process, to read from. `drift` and `changes` dial the table and params.yaml.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from retrim.adapters import git
from retrim.adapters.dvc_session import RUN_DIRECTORY_VARIABLE
from retrim.adapters.prefect_server import LOGIN_VARIABLE, PrefectApi
from retrim.adapters.wheel import dependencies_in
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.landing.ingest import Landed, land_batch
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params
from retrim.yaml_files import dump_yaml
from tests.builders.shipped import drift_tests, whole
from tests.builders.synthetic import data_section, generate, suite

REPOSITORY = Path(__file__).parents[2]
BUSY_SECONDS = 30
START = pd.Timestamp("2024-01-01", tz="UTC")
COMMAND = "import sys; from retrim.cli.main import main; sys.argv[0] = 'retrim'; main()"

SMALL: dict[str, dict[str, Any]] = {
    "split": {"judge_rows": 96, "sliding_rows": 300},
    "judge": {"block_rows": 12},
    "tune": {
        "trials": 2, "fold_rows": 48, "max_rounds": 20,
    },
    "backtest": {"origins": 1},
    "gate": {"season": "1D"},
    "gain": {"rows_per_check": 96},
    "drift": {"tests": drift_tests()},
    "retrain": {"refit_after": False},
}  # fmt: skip
"""What the small params.yaml has other than the shipped one, section by section.

A promotion has no final fit: most tests that make a version are not about that. `SHIPPED` switches it on.
"""
SHIPPED: dict[str, dict[str, Any]] = {"retrain": {"refit_after": True}}


@dataclass(frozen=True)
class World:
    """A workspace, the address of the Prefect server its flows use, the arguments of its table, and who runs commands.

    Where the workspace has no src/, they run what is installed beside `python`.
    """

    root: Path
    server: str
    table: Mapping[str, Any] = field(default_factory=dict)
    python: Path = Path(sys.executable)

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, as a reader in this process."""
        return Workspace(
            WorkspacePaths(self.root), load_params(self.root / "params.yaml"), Env(prefect_url=self.server)
        )

    def day(self, number: float) -> str:
        """The moment `number` days after the first row, as the command line takes it."""
        return (START + pd.Timedelta(number, "D")).isoformat()

    def rows(self, since: str | None, until: str) -> pd.DataFrame:
        """Rows of the table with an event in `[since, until)`; one an hour."""
        first = START if since is None else pd.Timestamp(since)
        count = int((pd.Timestamp(until) - START) / pd.Timedelta("1h"))
        frame = generate(**{**self.table, "start": START, "every": "1h", "rows": max(count, 1)})
        return frame[(frame["at"] >= first) & (frame["at"] < pd.Timestamp(until))]

    def land(self, until: str, *, since: str | None = None, arrived: pd.Timestamp | None = None) -> Landed:
        """Lands the rows in `[since, until)` as one batch that arrives at `until`, or when `arrived` says."""
        file = self.root / "var" / "arriving" / f"{pd.Timestamp(until):%Y%m%dT%H%M}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        self.rows(since, until).to_csv(file, index=False)
        params = self.workspace.params
        return land_batch(
            file,
            workspace=self.workspace.paths,
            data=params.data,
            now=pd.Timestamp(until) if arrived is None else arrived,
            correction=False,
            batches=params.batches,
            at=self.workspace.landing_address,
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a command that works in this world, with this world's own code."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        path = os.pathsep.join([str(self.python.parent), os.environ.get("PATH", os.defpath)])
        own = {"PYTHONPATH": str(self.root / "src"), "RETRIM_PREFECT_URL": self.server, "PATH": path}
        quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
        return {**kept, **quiet, **own}

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Starts `retrim ...` in a process group of its own; its output is text, errors in stderr."""
        return subprocess.Popen(
            [self.python, "-c", COMMAND, *arguments],
            cwd=self.root,
            env={**self.environment, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def retrim(
        self, *arguments: str, code: int | tuple[int, ...] = 0, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """What `retrim ...` printed, after it ended with `code`."""
        process = self.start(*arguments, environment=environment)
        out, err = process.communicate()
        allowed = (code,) if isinstance(code, int) else code
        assert process.returncode in allowed, f"retrim {' '.join(arguments)}: {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ask(
        self, *arguments: str, code: int | tuple[int, ...] = 0, environment: Mapping[str, str] | None = None
    ) -> Any:
        """The record that `retrim ... --json` printed."""
        return json.loads(self.retrim(*arguments, "--json", code=code, environment=environment).stdout)

    def run(
        self, *command: str, folder: Path | None = None, code: int = 0, environment: Mapping[str, str] | None = None
    ) -> str:
        """What a plain command (git, dvc, python) printed, both streams, after it ended with `code`."""
        own = {name: value for name, value in self.environment.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command,
            cwd=folder or self.root,
            env={**own, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout


def lend_environment(world: World, *, lock: str | None = None) -> None:
    """Lets proofs run in this environment, as if it had been built from the lock: building one takes minutes.

    Args:
        world: Whose versions are proved.
        lock: The lock; None: that of the workspace, for proofs.
    """
    text = lock or dependencies_in((world.root / "requirements.lock").read_text(encoding="utf-8"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    folder = world.workspace.paths.environments / f"{digest[:16]}-{platform.python_version()}"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    (folder / "bin" / "python").chmod(0o755)
    (folder / "complete").touch()


def copy_repository(root: Path) -> None:
    """Copies this repository as it lies here, with edits and new files, but for what git ignores."""
    listed = git.git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, root / name)
    copy_bytecode(root, "src")
    copy_bytecode(root, "flows")


def copy_bytecode(root: Path, folder: str) -> None:
    """Copies what is compiled already: Python takes it where size and time of a file are those it was compiled from."""
    for compiled in (REPOSITORY / folder).rglob("__pycache__/*.pyc"):
        there = root / compiled.relative_to(REPOSITORY)
        there.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # compiled anew just now
            shutil.copyfile(compiled, there)


def prefect_settings(server: str) -> dict[Any, str]:
    """Settings with which Prefect in this process calls the tests' server."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

    return {PREFECT_API_URL: server, PREFECT_API_AUTH_STRING: os.environ[LOGIN_VARIABLE]}


def make_world(
    folder: Path,
    *,
    server: str,
    task: str = "regression",
    drift: Mapping[str, Any] | None = None,
    labels: str = "with_rows",
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 7,
    code: Sequence[tuple[str, str]] = (),
) -> World:
    """Makes a workspace in `folder`: all of this repository, but a generated table and small settings.

    Args:
        folder: Where; made if it is not there.
        server: Address of a Prefect server.
        task: `regression` or `binary`.
        drift: `kind`, `size` and `since` of `tests.builders.synthetic.generate`; none by default.
        labels: `with_rows` or `later`.
        changes: Values of params.yaml to set beside `SMALL`, section by section.
        seed: Of the table.
        code: Values that params.yaml may not turn: pieces of its src/ and what stands there instead.
    """
    root = folder / "workspace"
    copy_repository(root)
    turn_code(root, code)
    describe(root, task=task, labels=labels, changes=changes)
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")
    changed = {"kind": "none", "size": 0.0, "since": START, **(drift or {})}
    return World(root, server, {"task": task, "seed": seed, **changed})


def lay_world(root: Path, *, changes: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 7) -> World:
    """A workspace in `root` as `retrim new` lays it: its code is the package that runs this. A server of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", COMMAND, "new", str(root)], check=True, env=kept, stdout=subprocess.DEVNULL)
    describe(root, task="regression", changes=changes)
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "table")
    return World(root, "", {"task": "regression", "seed": seed, "kind": "none", "size": 0.0, "since": START})


def turn_code(root: Path, code: Sequence[tuple[str, str]]) -> None:
    """Writes other pieces into the code of a workspace, where each piece stands once."""
    for piece, other in code:
        texts = {file: file.read_text(encoding="utf-8") for file in (root / "src").rglob("*.py")}
        (file,) = [file for file, text in texts.items() if piece in text]
        assert texts[file].count(piece) == 1, f"{file}: {piece}"
        file.write_text(texts[file].replace(piece, other), encoding="utf-8")


def without_cooldown(checks: int = 0) -> list[tuple[str, str]]:
    """The code that makes the drift rule fire at each check with drift, with so many checks of cooldown."""
    return [("default=(2, 3)", "default=(1, 1)"), ("_but_by_calendar(2)", f"_but_by_calendar({checks})")]


def describe(
    root: Path, *, task: str, labels: str = "with_rows", changes: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Writes the settings and the suite of a generated table, as `make_world` takes them."""
    params = whole()
    params["data"] = data_section(task, labels=labels, horizon="1h")  # type: ignore[arg-type]
    params["judge"] |= {"regression": {}, "binary": {"loss": "log_loss", "metrics": ["log_loss", "auc"]}}[task]
    if task == "binary":
        params["gate"]["baselines"] = ["mean"]
    for part in (SMALL, changes or {}):
        for section, values in part.items():
            params[section] |= values
    path = root / f"expectations/{params['data']['model']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(suite()), encoding="utf-8")
    params["data"]["suite"] = f"expectations/{path.name}"
    (root / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")


def ask_when_free(api: PrefectApi, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
    """What a Prefect server answers; asked again while its database is busy."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return api.ask(path, body, method=method)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                raise
        time.sleep(0.25)


def processes_of(root: Path) -> list[psutil.Process]:
    """Living processes that work in a folder or a room of it, or whose Prefect keeps its state there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            variables = process.environ()
            places = [process.cwd(), variables.get("PREFECT_HOME", ""), variables.get(RUN_DIRECTORY_VARIABLE, "")]
            if process.status() != psutil.STATUS_ZOMBIE and any(place.startswith(str(root)) for place in places):
                found.append(process)
    return found


def commands_of(root: Path) -> list[str]:
    """The command lines of those processes."""
    found = []
    for process in processes_of(root):
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found
