"""The session of README's "Your own table", run: from another program's file to a model that is checked every week."""

import shlex
from pathlib import Path

import pytest

from retrim.ops.new import lay
from tests.deliveries import csv, deliveries
from tests.sessions import is_printed, session
from tests.world import REPOSITORY, World

pytestmark = [pytest.mark.server, pytest.mark.slow]
WEEK = 168


def test_the_session_of_the_readme_runs_as_it_is_printed(tmp_path: Path, server: str) -> None:
    (tmp_path / "deliveries.csv").write_bytes(csv())
    week = deliveries(2400 + WEEK).tail(WEEK)
    (tmp_path / "week.csv").write_bytes(week.to_csv(index=False, sep=";", lineterminator="\n").encode())
    steps = session((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    world = World(lay(tmp_path / "deliveries", source=REPOSITORY).root, server)
    other = []
    for command, shown in steps:
        words = shlex.split(command)
        if words[0] != "retrim" or words[1] == "new":
            continue
        printed = world.retrim(*words[1:], environment={"COLUMNS": "120"}).stdout
        if not is_printed(shown, printed):
            other.append(f"$ {command}\n{printed}")

    assert other == []
