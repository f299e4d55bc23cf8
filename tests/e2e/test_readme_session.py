"""The session of README's "Your own table", run: from another program's file to a model that is checked every week."""

import re
import shlex
from pathlib import Path

import pytest

from retrim.onboarding.example import csv, deliveries
from retrim.onboarding.new import lay_workspace
from tests.builders.sessions import is_printed, session
from tests.builders.world import REPOSITORY, World

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
WEEK = 168


def test_the_session_of_the_readme_runs_as_it_is_printed(tmp_path: Path, server: str) -> None:
    (tmp_path / "deliveries.csv").write_bytes(csv())
    week = deliveries(2400 + WEEK).tail(WEEK)
    (tmp_path / "week.csv").write_bytes(week.to_csv(index=False, sep=";", lineterminator="\n").encode())
    steps = session((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    world = World(lay_workspace(tmp_path / "deliveries").root, server)
    other = []
    for command, shown in steps:
        words = shlex.split(command)
        if words[0] != "retrim" or words[1] == "new":
            continue
        printed = world.retrim(*words[1:], environment={"COLUMNS": "120"}).stdout
        if not is_printed(shown, printed):
            other.append(f"$ {command}\n{printed}")

    tutorial = (REPOSITORY / "docs" / "tutorial" / "own-table.md").read_text(encoding="utf-8")
    (cost,) = re.findall(r"```\n\$ (retrim settings --cost[^\n]*)\n(.*?)\n```", tutorial, re.DOTALL)
    assert is_printed(
        cost[1].splitlines(),
        world.retrim(*shlex.split(cost[0])[1:], environment={"COLUMNS": "120"}).stdout,
    )
    assert other == []
    assert "no DVC remote is set, so a clone" in world.retrim("versions").stderr
    # Nothing stands in the way of the checkout, and by the cure that is printed a clone has all that it needs.
    world.run("dvc", "remote", "add", "-q", "--local", "-d", "store", str(tmp_path / "store"))
    world.run("git", "checkout", "-q", "retrim/deliveries/v1")
    world.run("dvc", "checkout", "-q")
    world.run("dvc", "push", "-q")
    assert "no DVC remote" not in world.retrim("versions").stderr
    world.run("git", "clone", "-q", "-b", "retrim/deliveries/v1", str(world.root), str(tmp_path / "clone"))
    world.run(
        "dvc", "remote", "add", "-q", "--local", "-d", "store", str(tmp_path / "store"), folder=tmp_path / "clone"
    )
    world.run("dvc", "pull", "-q", "data/raw.dvc", "data/champion.dvc", folder=tmp_path / "clone")
    assert any((tmp_path / "clone" / "data" / "raw").rglob("*.parquet"))
