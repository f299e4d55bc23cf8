"""A game day on a copy of a real workspace: what is documented passes, and the workspace stays as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from retrim.files import folder_digest
from tests.builders.world import World

pytestmark = [pytest.mark.drill, pytest.mark.server, pytest.mark.slow]
SCRIPT = Path(__file__).parents[2] / "deploy" / "gameday.py"


def game_day(world: World, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), str(world.workspace.paths.root), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_what_is_documented_passes_and_the_workspace_is_only_read(two_versions: World) -> None:
    paths = two_versions.workspace.paths
    before = folder_digest(paths.landing), (paths.var / "retrim.db").read_bytes()

    done = game_day(two_versions, "--only", "disk", "--only", "live model", "--only", "params.yaml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("pass") >= 2
    assert (folder_digest(paths.landing), (paths.var / "retrim.db").read_bytes()) == before


def test_a_fault_that_is_unknown_is_refused_with_those_that_there_are(two_versions: World) -> None:
    done = game_day(two_versions, "--only", "nothing of the kind")

    assert done.returncode == 2
    assert "the disk is full" in done.stderr
