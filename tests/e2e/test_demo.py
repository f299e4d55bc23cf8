"""The demo on the first weeks of bike, through the real command."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters import git
from retrim.reports.demo import make_workspace
from retrim.yaml_files import dump_yaml
from tests.builders.shipped import whole
from tests.builders.world import REPOSITORY, SHIPPED, SMALL, World, copy_repository, turn_code

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]

ROWS = 1_500  # January, February and the first hours of March 2011
FEWER_ROWS, FEWER_BEATS = 1_016, 2  # until the first check, on 15 February
LOOPS, LONGEST_SECONDS = 8, 900
LOOP = "import sys, time\nuntil = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < until: pass"
STARTS = 'time="hour_start", start=6'
"""What the code says of the shipped table: this one is shorter."""
CHANGED = {
    **SMALL,
    "tune": {**SMALL["tune"], "max_rounds": 60},
    "gate": {**SMALL["gate"], "baselines": ["mean"]},
    **SHIPPED,
}


def lay_short_demo(root: Path, rows: int) -> None:
    """A repository in `root` whose table of bike trips has so many rows."""
    copy_repository(root)
    sample = "data/samples/bike.csv.gz"
    lines = gzip.decompress((REPOSITORY / sample).read_bytes()).splitlines(keepends=True)
    (root / sample).write_bytes(gzip.compress(b"".join(lines[: rows + 1]), mtime=0))
    turn_code(root, [(STARTS, 'time="hour_start", start=1')])
    params = whole()
    for section, values in CHANGED.items():
        params[section] |= values
    (root / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")


@contextmanager
def busy_machine() -> Iterator[None]:
    """Eight processes that do nothing but use the processor."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP, str(LONGEST_SECONDS)]) for _ in range(LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    root = tmp_path_factory.mktemp("demo") / "workspace"
    lay_short_demo(root, ROWS)
    (root / "notes.txt").write_text("a person's own, not committed", encoding="utf-8")
    return World(root, server)


@pytest.fixture(scope="module")
def demo(world: World) -> dict[str, Any]:
    make_workspace(world.workspace)  # what an earlier demo left is replaced
    answer: dict[str, Any] = world.ask("demo")
    return answer


def test_it_replays_the_whole_table(demo: dict[str, Any]) -> None:
    dates = [beat["date"] for beat in demo["beats"]]

    assert dates == ["2011-02-01", "2011-02-15", "2011-03-01", "2011-03-08"]
    assert sum(beat["rows"] for beat in demo["beats"]) == ROWS


def test_it_makes_version_1_and_says_what_each_policy_lost(demo: dict[str, Any]) -> None:
    summary = demo["summary"]

    assert demo["beats"][0]["run"]["state"] == "promoted"
    assert (demo["beats"][0]["run"]["version"], demo["beats"][0]["live"]) == (1, 1)
    assert summary["rows"] == sum(beat["check"]["probe"]["reading"]["rows"] for beat in demo["beats"][1:])
    assert min(summary["system"], summary["frozen"], summary["always"]) > 0


def test_it_touches_neither_branch_nor_tags_nor_data_of_the_workspace(world: World, demo: dict[str, Any]) -> None:
    assert git.git(world.root, "tag") == ""
    assert git.git(world.root, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert git.git(world.root, "status", "--porcelain") == "?? notes.txt"
    assert not (world.root / "var" / "landing").exists()


def test_the_commands_it_names_work_in_its_folder(world: World, demo: dict[str, Any]) -> None:
    inside = World(world.root / "var" / "demo", world.server)

    assert inside.ask("versions")[0]["version"] == 1
    assert json.loads(inside.retrim("why", "2011-02-15", "--json").stdout)["source"] == "check"


def test_it_draws_the_loss_over_time(world: World, demo: dict[str, Any]) -> None:
    picture = world.root / "var" / "demo" / "var" / "loss.png"

    assert demo["summary"]["picture"] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_beside_eight_busy_loops_it_decides_the_same(world: World, demo: dict[str, Any], tmp_path: Path) -> None:
    lay_short_demo(tmp_path / "workspace", FEWER_ROWS)
    hurried = World(tmp_path / "workspace", world.server)
    with busy_machine():
        beats = hurried.ask("demo")["beats"]
    idle, busy = (World(each.root / "var" / "demo", world.server).workspace for each in (world, hurried))
    versions = {row.version: row for row in busy.store.versions("bike")}

    assert beats == demo["beats"][:FEWER_BEATS]
    assert beats[0]["live"] == max(versions)
    for row in idle.store.versions("bike")[: len(versions)]:
        assert (row.bundle, row.verdict) == (versions[row.version].bundle, versions[row.version].verdict)
