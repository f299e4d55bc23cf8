"""The session of docs/own-table.md, run: from another program's file to a workspace in which it has landed."""

import re
import shlex
from pathlib import Path

from retrim.ops.new import lay
from tests.deliveries import csv
from tests.world import REPOSITORY, World

DOCUMENT = REPOSITORY / "docs" / "own-table.md"


def session() -> list[tuple[str, list[str]]]:
    """Commands of the document's session, each with the lines it prints."""
    text = DOCUMENT.read_text(encoding="utf-8")
    block = re.search(r"```\n(\$ retrim new.*?)\n```", text, re.DOTALL)
    assert block is not None
    steps: list[tuple[str, list[str]]] = []
    for line in block[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def masked(line: str) -> str:
    """A line without its figures: they may differ in the last digit on another machine."""
    return re.sub(r"[0-9a-f]{12}|\d+(?:[.,]\d+)?", "#", " ".join(line.split()))


def test_the_session_runs_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "deliveries.csv").write_bytes(csv())
    steps = session()
    laid = lay(tmp_path / "deliveries", source=REPOSITORY)
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
    assert world.run("git", "status", "--short").split() == ["M", "params.yaml", "??", "expectations/deliveries.json"]
