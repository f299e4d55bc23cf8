"""Every move says who made it and why: in the release log, with the decision, with the batch."""

from pathlib import Path

import pytest

from retrim.checking.holds import acknowledge
from retrim.errors import BadInputError
from retrim.landing.ingest import drop_quarantined, release_quarantined
from retrim.lineage.workspace import ask_for_run
from retrim.release.approval import approve
from retrim.release.release import rollback
from retrim.release.versions import find_live_version, release_log
from tests.builders.answers import decision_record
from tests.builders.counter import HEAVY, Counter
from tests.builders.desk import Desk, make_desk
from tests.builders.landed import quarantine_show
from tests.checking.test_settle import desk as held_desk  # noqa: F401  a fixture
from tests.checking.test_settle import held  # noqa: F401  a fixture

slow = pytest.mark.slow  # versions are made with the stages


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Two moves by a person, and a version that waits for one."""
    desk = make_desk(tmp_path / "workspace", changes={"release": {"approval": {"moves": ["promote"]}}})
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 11):
        desk.make_version(day)
    desk.make_version(12, waits=True)
    return desk


@slow
def test_a_rollback_says_who_made_it(desk: Desk) -> None:
    rollback(desk.workspace, None, by="ines", reason="complaints", now=desk.day(13))
    moved = find_live_version(desk.workspace)

    assert {name: getattr(release_log(desk.workspace)[-1], name) for name in ("by", "reason")} == {
        "by": "ines",
        "reason": "complaints",
    }
    assert moved is not None
    assert moved.by == "ines"


@slow
def test_an_approved_version_went_live_by_who_approved_it(desk: Desk) -> None:
    approve(desk.workspace, 3, by="ines", reason="looked at it", now=desk.day(13))

    assert release_log(desk.workspace)[-1].by == "ines"


@slow
def test_a_run_that_was_asked_for_says_by_whom(desk: Desk) -> None:
    asked = ask_for_run(desk.workspace, as_of=desk.day(14), by="ines", reason="new settings", now=desk.day(14))
    record = decision_record(desk.workspace, asked)

    assert (record["by"], record["reason"]) == ("ines", "new settings")


@slow
def test_a_check_says_who_ran_it(desk: Desk) -> None:
    checked = desk.check(14)

    assert decision_record(desk.workspace, checked.id)["by"] == "a test"


@slow
def test_a_settlement_says_who_settled(held_desk: Desk) -> None:  # noqa: F811
    done = acknowledge(held_desk.workspace, reason="a fair in town", by="ines", now=held_desk.day(14.5))

    assert decision_record(held_desk.workspace, done.id)["by"] == "ines"


@slow
@pytest.mark.parametrize(
    ("by", "reason", "blank"), [("", "why", "--by"), (" ", "why", "--by"), ("ines", " ", "--reason")]
)
def test_a_move_without_who_or_why_is_refused(desk: Desk, by: str, reason: str, blank: str) -> None:
    with pytest.raises(BadInputError, match=blank):
        rollback(desk.workspace, None, by=by, reason=reason, now=desk.day(13))
    with pytest.raises(BadInputError, match=blank):
        ask_for_run(desk.workspace, as_of=desk.day(14), by=by, reason=reason, now=desk.day(14))


def test_a_batch_that_was_released_or_dropped_says_by_whom(counter: Counter) -> None:
    first, second = counter.land(HEAVY).batch, counter.land(HEAVY.replace("3,", "7,")).batch
    how = {"workspace": counter.workspace, "now": counter.now, "by": "ines"}
    release_quarantined(first, data=counter.data, reason="weighed again", **how)
    drop_quarantined(second, reason="a test file", **how)

    assert [quarantine_show(counter.workspace, batch).by for batch in (first, second)] == ["ines", "ines"]
