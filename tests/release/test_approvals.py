"""A version that waits for a person: answered once, by name and with a reason, or refused by silence."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from retrim.checking.gain import balance
from retrim.checking.history import checks_of
from retrim.cli.answers import find_versions
from retrim.decision.brakes import ApprovalParams
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.landing.withdraw import withdraw
from retrim.lineage.workspace import ask_for_run
from retrim.release import approval as op
from retrim.release import release
from retrim.release.approval import approve, approve_all, end_waiting, reject, waiting
from retrim.release.release import rollback
from retrim.release.versions import find_live_version
from retrim.retraining.retrain import outcome_of
from retrim.stats.codec import to_record
from tests.builders.answers import status_record
from tests.builders.desk import Desk, make_desk
from tests.builders.shipped import drift_tests

pytestmark = pytest.mark.slow  # makes champions with the stages

ASKS = {"moves": ["promote"]}
CHANGES: dict[str, dict[str, Any]] = {
    "drift": {"min_rows": 24, "tests": drift_tests()},
    "release": {"approval": ASKS},
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Version 1 is live, version 2 of day 12 waits until day 19."""
    made = make_desk(tmp_path / "workspace", changes=CHANGES)
    made.land(made.rows(0, 10), 10)
    made.make_version(10)
    made.land(made.rows(10, 12), 12)
    made.make_version(12, waits=True)
    return made


def run_state(desk: Desk, version: int) -> str:
    row = desk.workspace.store.version(desk.workspace.model, version)
    assert row is not None
    return str(desk.workspace.store.run(row.run).state)  # type: ignore[union-attr]


def live_version(desk: Desk) -> int:
    return find_live_version(desk.workspace).version  # type: ignore[union-attr]


def alerts(desk: Desk) -> list[str]:
    return [row.kind for row in desk.workspace.store.alerts(desk.workspace.model)]


def say(desk: Desk, what: Any, version: int = 2, day: float = 13, *, reason: str = "looked at it") -> Any:
    return what(desk.workspace, version, by="ines", reason=reason, now=desk.day(day))


RUN = "generated-20240113T000000Z-person"
"""The run whose version waits."""


def test_a_version_that_waits_is_not_live_and_status_says_what_to_type(desk: Desk) -> None:
    status = status_record(desk.workspace, now=desk.day(12))

    assert (live_version(desk), alerts(desk)) == (1, ["approval needed"])
    assert [(each["version"], each["expires"]) for each in status["waiting"]] == [(2, "2024-01-20T00:00:00+00:00")]
    assert "retrim versions approve 2" in status["alerts"][-1]["text"]


def test_a_version_whose_batch_was_withdrawn_waits_on_until_the_reason_names_it(desk: Desk) -> None:
    batch = desk.workspace.landing.batches()[-1].batch
    withdraw(desk.workspace, batch, by="ada", reason="of another place", now=desk.day(12.5))
    with pytest.raises(RefusedError, match=batch):
        say(desk, approve)

    assert run_state(desk, 2) == "waiting"
    say(desk, approve, reason=f"{batch[:8]}: it is only a part")
    assert live_version(desk) == 2


def test_an_approved_version_is_live_and_its_log_row_says_who_and_why(desk: Desk) -> None:
    say(desk, approve)
    now_live = find_live_version(desk.workspace)

    assert now_live is not None
    assert (now_live.version, now_live.previous, run_state(desk, 2)) == (2, 1, "promoted")
    assert now_live.reason.endswith("approved by ines: looked at it")


def test_who_when_and_why_is_kept_in_the_envelope(desk: Desk) -> None:
    say(desk, approve)
    (row,) = desk.workspace.store.envelope(desk.workspace.model, 2, kind="approval")

    assert row.record == {
        "answer": "approved",
        "by": "ines",
        "reason": "looked at it",
        "at": "2024-01-14T00:00:00+00:00",
    }
    assert to_record(find_versions(desk.workspace)[1])["approval"]["by"] == "ines"


def test_a_rejected_version_is_refused_and_the_account_debited_once(desk: Desk) -> None:
    desk.land(desk.rows(12, 14), 14)
    before = desk.check(14)
    say(desk, reject, day=14.5)
    desk.land(desk.rows(14, 16), 16)
    checked = desk.check(16)
    desk.land(desk.rows(16, 18), 18)

    assert (live_version(desk), run_state(desk, 2)) == (1, "refused")
    assert RUN in before.reason
    assert len(checked.record["gain"]["debited"]) == 1
    assert desk.check(18).record["gain"]["debited"] == []
    assert balance(desk.workspace, 1, checks_of(desk.workspace)).balance >= 0


def test_a_second_answer_is_refused(desk: Desk) -> None:
    say(desk, reject)
    with pytest.raises(RefusedError, match=r"\brejected\b.*\bines\b"):
        say(desk, approve)
    with pytest.raises(RefusedError, match=r"\brejected\b.*\bines\b.*\bchanged\b"):
        say(desk, reject)

    assert live_version(desk) == 1


def test_silence_is_a_no(desk: Desk) -> None:
    early, late = end_waiting(desk.workspace, now=desk.day(19)), end_waiting(desk.workspace, now=desk.day(19.1))

    assert early == []
    assert [each.answer for each in late] == ["expired"]
    assert (run_state(desk, 2), live_version(desk)) == ("refused", 1)
    assert "2024-01-20" in outcome_of(desk.workspace, RUN).reason  # type: ignore[union-attr]
    assert alerts(desk)[-1] == "approval expired"


def test_a_check_ends_what_has_expired(desk: Desk) -> None:
    desk.land(desk.rows(12, 20), 20)
    desk.check(20)

    assert run_state(desk, 2) == "refused"


def test_an_approval_after_the_date_is_refused(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="2024-01-20"):
        say(desk, approve, day=20)

    assert (run_state(desk, 2), live_version(desk)) == ("refused", 1)


def test_where_the_champion_has_changed_an_approval_is_refused_and_says_to_retrain(desk: Desk) -> None:
    desk.make_version(12.5)  # a person asked for it meanwhile, and it is live
    with pytest.raises(RefusedError, match=r"\bchampion 1\b.* 3 .*\bretrain\b"):
        say(desk, approve)

    assert (run_state(desk, 2), live_version(desk)) == ("refused", 3)


def test_a_killed_approval_is_finished_by_saying_it_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(op, "promote_version", killed)
        with pytest.raises(Killed):
            say(desk, approve)
    between = (live_version(desk), run_state(desk, 2))
    with pytest.raises(RefusedError, match="to make that answer take effect"):
        say(desk, reject)
    say(desk, approve, day=30)

    assert between == (1, "waiting")
    assert (live_version(desk), run_state(desk, 2)) == (2, "promoted")


def test_a_killed_approval_is_finished_by_maintenance_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(op, "_finish", lambda *_, **__: None)
        say(desk, approve)
    end_waiting(desk.workspace, now=desk.day(40))

    assert (live_version(desk), run_state(desk, 2)) == (2, "promoted")


def test_a_kill_keeps_nobody_from_being_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    first = desk.workspace.store.runs(desk.workspace.model)[0]
    with monkeypatch.context() as patched:
        patched.setattr(op, "record_alert", killed)
        with pytest.raises(Killed):
            op.let_wait(desk.workspace, first, 1, reason="better", now=desk.day(13))
        with pytest.raises(Killed):
            end_waiting(desk.workspace, now=desk.day(20))
    between = (run_state(desk, 1), run_state(desk, 2))
    end_waiting(desk.workspace, now=desk.day(21))

    assert between == ("promoted", "waiting")
    assert (run_state(desk, 2), alerts(desk)[-1]) == ("refused", "approval expired")


def test_of_two_that_carry_out_one_approval_the_slower_does_not_refuse_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = release.make_live

    def slower(*given: Any, **named: Any) -> None:
        real(*given, **named)  # maintenance, while our own process was looking at the release checks
        real(*given, **named)

    monkeypatch.setattr(release, "make_live", slower)
    say(desk, approve)

    assert (live_version(desk), run_state(desk, 2)) == (2, "promoted")


def test_an_approved_version_whose_bundle_was_altered_ends_refused(desk: Desk) -> None:
    file = desk.shelf.folders[2] / "features/view.json"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(RefusedError, match="altered"):
        say(desk, approve)

    assert (run_state(desk, 2), live_version(desk)) == ("refused", 1)


def test_a_version_whose_bundle_is_gone_still_waits_and_can_be_rejected(desk: Desk) -> None:
    shutil.rmtree(desk.shelf.folders[2])
    with pytest.raises(RetrimError, match="incomplete"):
        say(desk, approve)
    end_waiting(desk.workspace, now=desk.day(13))
    state = run_state(desk, 2)
    say(desk, reject)

    assert (state, run_state(desk, 2)) == ("waiting", "refused")


def test_a_version_that_does_not_wait_is_not_answered(desk: Desk) -> None:
    with pytest.raises(RefusedError, match=r"version 1 .*`retrim status`"):
        say(desk, approve, version=1)
    with pytest.raises(BadInputError, match="no version 9"):
        say(desk, approve, version=9)
    with pytest.raises(BadInputError, match="--reason"):
        say(desk, approve, reason=" ")


def test_a_person_may_ask_for_another_run_meanwhile(desk: Desk) -> None:
    ask_for_run(desk.workspace, as_of=desk.day(13), by="a test", reason="version 2 will not do", now=desk.day(13))

    assert [each.version for each in waiting(desk.workspace)] == [2]


def test_a_version_rolled_back_to_meanwhile_leaves_nothing_to_approve(desk: Desk) -> None:
    desk.make_version(12.5)
    rollback(desk.workspace, 1, by="a test", reason="complaints", now=desk.day(12.6))
    say(desk, approve)  # what it was judged against is live again

    assert live_version(desk) == 2


def test_in_a_demo_what_waits_goes_live(desk: Desk) -> None:
    approve_all(desk.workspace, by="retrim demo", reason="nobody is asked", now=desk.day(13))

    assert (live_version(desk), waiting(desk.workspace)) == (2, [])


@pytest.mark.parametrize(
    ("moves", "against", "asks"),
    [((), 1, False), (("promote",), 1, True), (("promote",), None, False), (("first",), None, True)],
)
def test_which_moves_are_asked_for(*, moves: Any, against: int | None, asks: bool) -> None:
    assert ApprovalParams(moves=moves).asks(against) is asks
