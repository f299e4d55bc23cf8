"""Workspaces that released versions left behind are opened by this one: read, scored, upgraded."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builders.deliveries import deliveries
from tests.builders.world import COMMAND
from tests.fixtures.states.make import FIRST, ROWS, asked, predicted_in

STATES = Path(__file__).parents[1] / "fixtures" / "states"
RELEASED = sorted(path.name.removesuffix(".tar.xz") for path in STATES.glob("*.tar.xz"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=RELEASED)
def state(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The workspace, laid where it has never been, and what it said of itself when it was made."""
    folder = tmp_path_factory.mktemp("state")
    shutil.unpack_archive(STATES / f"{request.param}.tar.xz", folder)
    return folder / "workspace", json.loads((STATES / f"{request.param}.json").read_text(encoding="utf-8"))


def test_there_is_one_at_all() -> None:
    assert "0.1.0" in RELEASED


def test_it_says_what_it_said(state: tuple[Path, dict[str, Any]]) -> None:
    workspace, said = state

    assert asked(workspace) == {name: said[name] for name in ("live", "versions", "decision")}


def test_its_model_predicts_as_it_did(state: tuple[Path, dict[str, Any]]) -> None:
    workspace, said = state
    deliveries(ROWS).tail(ROWS - FIRST).to_csv(workspace.parent / "next.csv", index=False)
    command = [sys.executable, "-c", COMMAND, "predict", "../next.csv", "../predicted.csv"]
    subprocess.run(command, cwd=workspace, check=True)

    assert predicted_in(workspace.parent / "predicted.csv") == said["predicted"]


def test_a_check_goes_on_from_it(state: tuple[Path, dict[str, Any]]) -> None:
    workspace, _ = state
    command = [sys.executable, "-c", COMMAND, "check", "--now", "2025-01-02", "--json"]
    done = subprocess.run(command, cwd=workspace, check=True, stdout=subprocess.PIPE, text=True)

    assert json.loads(done.stdout)["check"]["as_of"] == "2025-01-02T00:00:00+00:00"
