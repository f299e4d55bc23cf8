"""A game day on a copy of a real workspace: what is documented passes, what is not fails, the workspace stays."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from retrim.files import folder_digest
from retrim.operations.game_day import CHECK, FAULTS, Asked, FaultResult, PlantedFault, altered, flipped, play
from retrim.operations.scratch import Scratch, scratch_copy
from tests.builders.world import World

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]
NOW = pd.Timestamp("2024-03-01", tz="UTC")
SHORT = (
    "S3 is unreachable",
    "the disk is full",
    "the live model is altered",
    "params.yaml is broken",
    "a file is rubbish",
)
CANNOT = "this machine or workspace cannot produce the fault"


@contextmanager
def nothing(_scratch: Scratch) -> Iterator[Mapping[str, str]]:
    yield {}


@contextmanager
def batch_removed(scratch: Scratch) -> Iterator[Mapping[str, str]]:
    """What no fault may do."""
    scratch.workspace().landing.standing()[-1].path.unlink()
    yield {}


UNDOCUMENTED = (
    PlantedFault("a check ends otherwise", "", nothing, (Asked(CHECK, (9,)),), ()),
    PlantedFault("an error says nothing", "", nothing, (Asked(("ingest", "none.csv"), (2,), "such words"),), ()),
    PlantedFault("a batch is lost", "", batch_removed, (), ()),
)


@pytest.fixture(scope="module")
def played(two_versions: World) -> tuple[dict[str, FaultResult], bool]:
    """The results by fault, and whether landing zone and store of the workspace are as they were."""
    paths = two_versions.workspace.paths
    faults = [fault for fault in FAULTS if fault.name in SHORT]
    before = folder_digest(paths.landing), (paths.var / "retrim.db").read_bytes()
    with scratch_copy(two_versions.workspace, now=NOW) as scratch:
        results = play(scratch, [*faults, *UNDOCUMENTED])
    after = folder_digest(paths.landing), (paths.var / "retrim.db").read_bytes()
    return {each.fault: each for each in results}, before == after


@pytest.mark.parametrize("name", ["no fault", *SHORT, "the server is killed"])
def test_what_is_documented_passes(played: tuple[dict[str, FaultResult], bool], name: str) -> None:
    found = played[0][name]

    assert (found.outcome, found.found) in (("pass", ""), ("not tried", CANNOT))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a check ends otherwise", "retrim check ended with exit code "),
        ("an error says nothing", "did not print 'such words'"),
        ("a batch is lost", "lost: 1 batches"),
    ],
)
def test_what_is_not_documented_fails(played: tuple[dict[str, FaultResult], bool], name: str, found: str) -> None:
    assert played[0][name].outcome == "fail"
    assert found in played[0][name].found


def test_the_workspace_itself_is_only_read(played: tuple[dict[str, FaultResult], bool]) -> None:
    assert played[1]


def test_a_fault_that_is_unknown_is_refused_with_those_that_there_are(two_versions: World) -> None:
    ended = two_versions.retrim("gameday", "--only", "nothing of the kind", code=2)

    assert "the disk is full" in ended.stderr


def test_a_file_that_was_altered_has_its_own_bytes_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(json.dumps([1, 2, 3]).encode())
    before = file.read_bytes(), file.stat().st_mode
    with altered(file, flipped):
        during = file.read_bytes()

    assert during != before[0]
    assert (file.read_bytes(), file.stat().st_mode) == before
