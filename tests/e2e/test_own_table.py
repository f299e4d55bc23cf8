"""The session of docs/tutorial/own-table.md, run: from another program's file to a workspace in which it has landed."""

import shlex
from pathlib import Path

from retrim.onboarding.new import lay_workspace
from tests.builders.deliveries import csv
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
