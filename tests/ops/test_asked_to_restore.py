"""A former champion that a run would bring back waits for a person where the settings say so."""

from pathlib import Path

import pytest

from retrim.adapters.store import Row, iso
from retrim.ops import retrain
from retrim.ops.person import ask_for_run
from retrim.ops.release import live
from tests.ops.desk import Desk, Shelf, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages
WON = "version 1, a former champion, goes live again instead"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Version 2 is live, 1 was."""
    monkeypatch.setattr(retrain, "keep_card", lambda *_, **__: None)
    monkeypatch.setattr(Shelf, "finish", lambda *_: None, raising=False)
    asks = {"approval": {"moves": ["restore"], "expires": "7D"}}
    desk = make_desk(tmp_path / "workspace", changes={"release": asks})
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.make_version(10.5)
    return desk


def run_that_it_wins(desk: Desk) -> Row:
    """A run whose version 3 was refused, as version 1 did better."""
    now = desk.day(11)
    run = retrain.claim(desk.house, ask_for_run(desk.house, as_of=now, reason="a test", now=now), now=now)
    checks = [{"name": "former champion", "text": WON}]
    verdict = {"winner": "all", "losses": {"all": 1.5}, "promote": False, "reason": WON, "checks": checks}
    row = {"model": "generated", "version": 3, "run": run.id, "tag": "retrim/generated/v3", "bundle": "3" * 64}
    row |= {"as_of": iso(now), "made": iso(now), "model_sha256": "3" * 64, "lineage": {"champion": 2}}
    desk.house.store.add_version(row | {"verdict": verdict | {"formers": {"restore": 1}}})
    return run


def test_a_run_does_not_bring_it_back_by_itself_and_says_what_to_type(desk: Desk) -> None:
    outcome = retrain.conclude(desk.house, run_that_it_wins(desk), 3, "parent", now=desk.day(11))

    assert live(desk.house).version == 2  # type: ignore[union-attr]
    assert outcome.state == "refused"
    assert "`retrim rollback --to 1 --reason ...`" in outcome.reason
    assert [row.kind for row in desk.house.store.alerts("generated")] == ["approval needed"]
