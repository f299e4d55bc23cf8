"""A previous champion that a run would bring back: it waits for a person where the settings say so, or cannot."""

from pathlib import Path

import pytest

from retrim.adapters.database import iso
from retrim.decision.stored_rows import VersionRow
from retrim.landing.withdraw import withdraw
from retrim.lineage.workspace import ask_for_run
from retrim.release.versions import find_live_version
from retrim.retraining import retrain
from tests.builders.desk import Desk, Shelf, make_desk, with_params

pytestmark = pytest.mark.slow  # versions are made with the stages
WON = "version 1, a previous champion, goes live again instead"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Version 2 is live, 1 was."""
    monkeypatch.setattr(retrain, "keep_card", lambda *_, **__: None)
    asks = {"approval": {"moves": ["restore"]}}
    desk = make_desk(tmp_path / "workspace", changes={"release": asks})
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.make_version(10.5)
    return desk


def run_that_it_wins(desk: Desk, *, against: int = 2) -> VersionRow:
    """A run whose version 3 was refused, as version 1 did better."""
    now = desk.day(11)
    run = retrain.claim_run(
        desk.workspace, ask_for_run(desk.workspace, as_of=now, by="a test", reason="a test", now=now), now=now
    )
    checks = [{"name": "previous champion", "passed": False, "figure": 1.0, "threshold": 1.5, "text": WON}]
    verdict = {"winner": "all", "losses": {"all": 1.5}, "promote": False, "reason": WON, "rows": 48, "checks": checks}
    row = {"model": "generated", "version": 3, "run": run.id, "tag": "retrim/generated/v3", "bundle": "3" * 64}
    row |= {"as_of": iso(now), "made": iso(now), "model_sha256": "3" * 64, "lineage": {"champion": against}}
    desk.workspace.store.add_version(VersionRow(**row, verdict=verdict | {"previous_champions": {"restore": 1}}))
    return run


def test_a_run_does_not_bring_it_back_by_itself_and_says_what_to_type(desk: Desk) -> None:
    outcome = retrain.conclude_run(desk.workspace, run_that_it_wins(desk), 3, "parent", now=desk.day(11))

    assert find_live_version(desk.workspace).version == 2  # type: ignore[union-attr]
    assert outcome.state == "refused"
    assert "`retrim versions rollback --to 1 --reason ...`" in outcome.reason
    assert {row.kind for row in desk.workspace.store.alerts("generated")} == {"restore needed", "refused"}


def test_one_that_cannot_come_back_leaves_the_run_refused_with_both_reasons(desk: Desk) -> None:
    nobody = with_params(desk, release={"approval": {"moves": []}})
    run = run_that_it_wins(nobody, against=7)
    outcome = retrain.conclude_run(nobody.workspace, run, 3, "parent", now=desk.day(11))

    assert outcome.state == "refused"
    assert outcome.reason.startswith(WON)
    assert [each in outcome.reason for each in ("version 1 ", "against version 7, ", "2 is live")] == [True] * 3
    assert nobody.workspace.store.run(run.id).version == 3  # type: ignore[union-attr]


def test_a_run_whose_batch_was_withdrawn_meanwhile_ends_refused_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "add_to_note", lambda *_: None, raising=False)
    now, batch = desk.day(11), desk.workspace.landing.batches()[0].batch
    version = desk.make_version(11, waits=True)
    row = desk.workspace.store.version("generated", version)
    run = desk.workspace.store.run(row.run)  # type: ignore[union-attr]
    withdraw(desk.workspace, batch, by="ada", reason="of another place", now=desk.day(11.5))
    outcome = retrain.conclude_run(desk.workspace, run, version, "parent", now=now)  # type: ignore[arg-type]

    assert (outcome.state, find_live_version(desk.workspace).version) == ("refused", 2)  # type: ignore[union-attr]
    assert batch in outcome.reason
