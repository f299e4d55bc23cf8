"""What became of a version stands in its verdict tag in MLflow, and its card says whether it is live."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.database import iso
from retrim.cli.answers import find_versions
from retrim.decision.release_checks import RELEASE_CHECKS, ReleaseCheck, ReleaseChecks
from retrim.decision.stored_rows import VersionRow
from retrim.lineage.workspace import ask_for_run
from retrim.release.approval import approve, reject
from retrim.release.card import MARKDOWN
from retrim.release.release import rollback, sync_aliases
from retrim.retraining.retrain import claim_run, conclude_run
from retrim.stats.codec import to_record
from tests.builders.desk import Desk, copy_of, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages
ASKS: dict[str, dict[str, Any]] = {"release": {"approval": {"moves": ["promote"]}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 is live, version 2 waits for a person."""
    desk = make_desk(tmp_path_factory.mktemp("made") / "workspace", changes=ASKS)
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(11)
    desk.make_version(12, waits=True)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


def tag(desk: Desk, version: int) -> str:
    """The tag in MLflow, which is what `retrim versions` says."""
    shown = desk.shelf.tags[version]["verdict"]
    (listed,) = (each for each in find_versions(desk.workspace) if each.version == version)
    assert listed.outcome == shown
    return shown


def status(desk: Desk, version: int) -> str:
    """The status line of the card that lies in MLflow."""
    card = desk.shelf.beside[version][MARKDOWN].decode()
    return next(line for line in card.splitlines() if line.startswith("- **status**"))


def answer(desk: Desk, what: Any) -> None:
    what(desk.workspace, 2, by="ines", reason="looked at it", now=desk.day(14))


def test_a_version_that_waits_says_so(made: Desk) -> None:
    assert tag(made, 2) == "waiting for approval"


def test_a_rejected_version_says_so(desk: Desk) -> None:
    answer(desk, reject)

    assert tag(desk, 2) == "rejected"


def test_a_version_that_goes_live_has_a_card_that_says_so(desk: Desk) -> None:
    answer(desk, approve)

    assert tag(desk, 2) == "promoted"
    assert "live since" in status(desk, 2)
    assert "not live; it was live from" in status(desk, 1)


def test_a_version_that_was_rolled_back_says_so(desk: Desk) -> None:
    answer(desk, approve)
    rollback(desk.workspace, None, by="ines", reason="complaints", now=desk.day(15))

    assert (tag(desk, 1), tag(desk, 2)) == ("promoted", "rolled back")
    assert "live since" in status(desk, 1)
    assert "rolled back" in status(desk, 2)


def test_cards_that_a_kill_kept_from_being_written_are_written_by_the_next_command(desk: Desk) -> None:
    assert 1 not in desk.shelf.beside  # its release row was written, and nothing else
    sync_aliases(desk.workspace)
    card = status(desk, 1)
    desk.shelf.beside.clear()
    sync_aliases(desk.workspace)

    assert (tag(desk, 1), "live since" in card) == ("promoted", True)
    assert not desk.shelf.beside  # once


def test_a_version_that_a_release_check_refuses_does_not_stay_promoted(desk: Desk) -> None:
    workspace, now = desk.workspace, desk.day(13)
    answer(desk, reject)
    run = claim_run(workspace, ask_for_run(workspace, as_of=now, by="a test", reason="a test", now=now), now=now)
    verdict = {"winner": "all", "losses": {"all": 1.5}, "promote": True, "reason": "it passed", "rows": 48}
    desk.shelf.folders[3] = desk.shelf.folders[1]
    row = workspace.store.version(workspace.model, 1)
    assert row is not None
    facts = {"model": workspace.model, "version": 3, "run": run.id, "tag": "retrim/generated/v3", "bundle": row.bundle}
    facts |= {"as_of": iso(now), "made": iso(now), "model_sha256": "3" * 64, "lineage": {"champion": 1}}
    workspace.store.add_version(VersionRow(**facts, verdict=verdict))
    slow = to_record(ReleaseChecks((ReleaseCheck("latency", False, 9.0, 1.0, "it answers too slowly"),)))
    workspace.store.add_to_envelope(workspace.model, 3, kind=RELEASE_CHECKS, name="first", at=iso(now), record=slow)
    outcome = conclude_run(workspace, run, 3, "parent", now=now)

    assert outcome.state == "refused"
    assert tag(desk, 3) == "refused at release"
