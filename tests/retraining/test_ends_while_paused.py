"""A run that a check decided on, and that ends during a pause: nothing goes live by itself."""

import json
from pathlib import Path

import pytest

from retrim.adapters.database import iso
from retrim.decision.stored_rows import DecisionRow, RunRow, VersionRow
from retrim.release.pause import pause
from retrim.release.versions import find_live_version
from retrim.retraining import retrain
from tests.builders.answers import kept_check
from tests.builders.desk import Desk, Shelf, make_desk
from tests.builders.proved import pass_checks

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Version 2 is live, 1 was."""
    monkeypatch.setattr(retrain, "keep_card", lambda *_, **__: None)
    for name in ("finish", "add_to_note"):
        monkeypatch.setattr(Shelf, name, lambda *_: None, raising=False)
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.make_version(10.5)
    return desk


def conclude(desk: Desk, **verdict: object) -> str:
    """The state of a run of a check that makes version 3, and is paused before it ends."""
    run = _begun(desk)
    judged = {"winner": "all", "losses": {"all": 1.5}, "promote": True, "reason": "better", "rows": 48, "checks": []}
    row = {"model": "generated", "version": 3, "run": run.id, "tag": "retrim/generated/v3", "bundle": "3" * 64}
    row |= {"as_of": run.as_of, "made": run.as_of, "model_sha256": "3" * 64, "lineage": {"champion": 2}}
    desk.workspace.store.add_version(VersionRow(**row, verdict={**judged, **verdict}))
    pass_checks(desk.workspace.store, "generated", 3, at=run.as_of)
    pause(desk.workspace, by="ines", reason="moving", now=desk.day(11))
    return retrain.conclude_run(desk.workspace, run, 3, "parent", now=desk.day(11)).state


def _begun(desk: Desk) -> RunRow:
    at = iso(desk.day(11))
    text = json.dumps(kept_check(desk.day(11), champion=2))
    row = DecisionRow("a-check", "generated", "check", at, at, "retrain", "a test", "", text)
    desk.workspace.store.add_decision(row)
    return retrain.claim_run(desk.workspace, row.id, now=desk.day(11))


def live(desk: Desk) -> int:
    return find_live_version(desk.workspace).version  # type: ignore[union-attr]


def test_a_version_that_passed_waits_for_a_person(desk: Desk) -> None:
    assert (conclude(desk), live(desk)) == ("waiting", 2)


def test_a_previous_champion_that_won_does_not_come_back(desk: Desk) -> None:
    won = [{"name": "previous champion", "passed": False, "figure": 1.0, "threshold": 1.5, "text": "version 1 won"}]

    assert conclude(desk, promote=False, checks=won, previous_champions={"restore": 1}) == "refused"
    assert live(desk) == 2
    assert "restore needed" in {row.kind for row in desk.workspace.store.alerts("generated")}
