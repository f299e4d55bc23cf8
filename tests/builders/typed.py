"""Commands typed one after another in a workspace, and a workspace to type them in."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from retrim.cli.main import main
from retrim.lineage.workspace import Workspace
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.desk import Desk
from tests.builders.world import REPOSITORY, World, make_world

NO_SERVER = "http://127.0.0.1:9/api"


class Session:
    """Commands typed one after another in a workspace; `batch` and `held` are the batches that were named last."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.batch, self.held = folder, capsys, "", ""

    def type(self, line: str) -> tuple[int, str]:
        """Exit code of a line, and all that it printed, on one line.

        Args:
            line: A command of retrim, `set KEY VALUE` for params.yaml, or `sh COMMAND`.
        """
        line = line.replace("{batch}", self.batch).replace("{held}", self.held)
        kind, _, rest = line.partition(" ")
        if kind == "set":
            key, _, value = rest.partition(" ")
            set_key(self.folder / "params.yaml", key, load_yaml(value))
            return 0, ""
        if kind == "sh":
            return os.system(rest), ""  # noqa: S605  a line of a test
        sys.argv = ["retrim", *shlex.split(line)]
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self.capsys.readouterr()
        said = " ".join(f"{out} {err}".split())
        assert "Traceback" not in said, f"{line}: {said}"
        named = re.findall(r"batch:? ([0-9a-f]{16})", said) or re.findall(r"\b[0-9a-f]{16}\b", said)
        self.batch = named[0] if named else self.batch
        self.held = self.batch if "quarantined: batch" in said else self.held
        return int(ended.value.code or 0), said

    def says(self, line: str, *, code: int | tuple[int, ...] | None = None) -> str:
        """What a line printed, after it ended with `code`; None: with any."""
        ended, said = self.type(line)
        assert code is None or ended in ((code,) if isinstance(code, int) else code), f"{line}: {ended} {said}"
        return said


def set_key(path: Path, key: str, value: object) -> None:
    """Sets a key of params.yaml."""
    document = load_yaml(path.read_text(encoding="utf-8"))
    *above, name = key.split(".")
    section = document
    for part in above:
        section = section[part]
    section[name] = value
    path.write_text(dump_yaml(document), encoding="utf-8")


def prepare(folder: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> World:
    """A workspace in which nothing has landed, with files beside it."""
    world = make_world(folder, server=NO_SERVER, changes=changes)
    suite = world.root / "expectations" / "generated.json"
    suite.write_text(
        suite.read_text(encoding="utf-8").replace(
            '"expectations": [',
            '"expectations": [{"type": "expect_column_values_to_be_between", '
            '"kwargs": {"column": "level", "max_value": 1000}}, ',
        ),
        encoding="utf-8",
    )
    world.run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-a", "-m", "a bound")
    first, more = world.rows(None, world.day(2)), world.rows(world.day(2), world.day(3))
    files = {
        "rows": first,
        "more": more,
        "changed": first.assign(outcome=first["outcome"] + 1),
        "unlabelled": more.assign(outcome=float("nan")),
        "labels": more[["number", "outcome"]],
        "heavy": more.assign(level=2000.0),
        "light": more,
        "large": world.rows(None, world.day(10)),
    }
    for name, rows in files.items():
        rows.to_csv(world.root / f"{name}.csv", index=False)
    with (world.root / ".git" / "info" / "exclude").open("a", encoding="utf-8") as file:
        file.write("*.csv\n")
    return world


def sit_down(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Session:
    """A session in a folder; Prefect is at an address where nobody answers, and git knows who commits."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("RETRIM_PREFECT_URL", NO_SERVER)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a person")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.org")
    return Session(folder, capsys)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace in which nothing has landed; it is copied for each test."""
    return prepare(tmp_path_factory.mktemp("cures"))


@pytest.fixture
def session(
    prepared: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Session:
    """A session in a copy of the prepared workspace."""
    folder = tmp_path / "workspace"
    shutil.copytree(prepared.root, folder, symlinks=True)
    return sit_down(folder, monkeypatch, capsys)


Sit = Callable[[Desk], Session]
"""Begins a session in the folder of a desk."""


def sit_at_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Session:
    """A session in the folder of a desk, whose registry is its shelf; checks and runs are the desk's own."""
    workspace = desk.workspace
    document = workspace.params.as_stated()
    workspace.paths.params.write_text(dump_yaml(document), encoding="utf-8")
    shutil.copyfile(REPOSITORY / "dvc.yaml", workspace.paths.root / "dvc.yaml")
    monkeypatch.setattr(Workspace, "registry", desk.shelf)
    return sit_down(workspace.paths.root, monkeypatch, capsys)
