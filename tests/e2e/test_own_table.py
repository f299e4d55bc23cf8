"""The session of docs/tutorial/own-table.md, run: from another program's file to a workspace in which it has landed."""

import re
import shlex
from pathlib import Path

from retrim.adapters.great_expectations import read_suite
from retrim.onboarding.example import csv
from retrim.onboarding.new import lay_workspace
from retrim.settings import parse_params
from retrim.yaml_files import load_yaml
from tests.builders.sessions import masked, session
from tests.builders.world import REPOSITORY, World

DOCUMENT = REPOSITORY / "docs" / "tutorial" / "own-table.md"


def test_the_session_runs_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "deliveries.csv").write_bytes(csv())
    steps = session(DOCUMENT.read_text(encoding="utf-8"))
    laid = lay_workspace(tmp_path / "deliveries")
    world = World(laid.root, "http://127.0.0.1:9/api")  # init asks no server
    printed = {}
    for command, _ in steps:
        words = shlex.split(command)
        if words[:2] in (["retrim", "new"], ["cd", "deliveries"]):
            continue
        done = world.retrim(*words[1:], environment={"COLUMNS": "120"})
        printed[command] = [masked(line) for line in done.stdout.splitlines() if line.strip()]
    expected = {
        command: [masked(line) for line in lines if line.strip()] for command, lines in steps if command in printed
    }

    assert printed == expected
    assert world.run("git", "status", "--short") == ""
    assert world.run("git", "log", "--format=%s").splitlines() == ["init: settings and suite of deliveries", "start"]


def test_what_follows_the_session_is_printed_by_that_of_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (after,) = re.findall(r"```\n(\$ retrim retrain.*?)\n```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)

    assert after in readme


def test_the_settings_by_hand_are_read_as_they_stand() -> None:
    (settings,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)

    assert parse_params(load_yaml(settings), "params.yaml").split.judge_rows == 280


def test_the_suite_by_hand_is_read_as_it_stands(tmp_path: Path) -> None:
    (suite,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "deliveries.json").write_text(suite, encoding="utf-8")

    assert len(read_suite(tmp_path / "deliveries.json").expectations) == 4
