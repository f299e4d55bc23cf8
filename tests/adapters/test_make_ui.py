"""`make ui` shows the pages with the environment that is there; it makes one only where there is none at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def planned(folder: Path, *, path: list[str]) -> str:
    """What `make ui` would run in a workspace without an environment of its own."""
    shutil.copyfile(ROOT / "Makefile", folder / "Makefile")
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()
    done = subprocess.run(
        ["make", "-n", "ui", "PORT=5001"],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_make_ui_uses_the_retrim_on_the_path_and_installs_nothing(tmp_path: Path) -> None:
    here = Path(sys.executable).parent
    said = planned(tmp_path, path=[str(here), os.defpath])

    assert f"{here / 'retrim'} up --only ui --port 5001" in said
    assert ".ci/setup" not in said


def test_make_ui_makes_the_environment_where_there_is_no_retrim(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "setup").touch()

    assert ".ci/setup" in planned(tmp_path, path=[os.defpath])
