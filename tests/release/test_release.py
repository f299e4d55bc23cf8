"""What may go live again: a version that was live, and no other."""

import pandas as pd
import pytest

from retrim.adapters.database import iso
from retrim.checking.previous_champions import files_for_run
from retrim.decision.alerts import AlertKind
from retrim.errors import RefusedError
from retrim.landing.withdraw import withdraw
from retrim.release import release
from retrim.release.release import make_live, rollback, tell_promoted
from retrim.release.versions import find_live_version
from retrim.retraining.recover import recover
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 was live, 2 is; version 3 was refused by the gate."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day, promote in ((10, True), (11, True), (12, False)):
        desk.make_version(day, promote=promote)
    return desk


def test_the_version_before_goes_live_again(desk: Desk) -> None:
    rollback(desk.workspace, None, by="a test", reason="complaints", now=desk.day(13))
    now_live = find_live_version(desk.workspace)

    assert now_live is not None
    assert (now_live.version, now_live.previous, now_live.action) == (1, 2, "rollback")


def test_the_message_of_a_promotion_has_the_loss_before_and_after_on_the_same_rows(desk: Desk) -> None:
    better = desk.make_version(13, promote=True, losses={"all": 1.4, "champion": 1.52})
    for version in (1, better):
        tell_promoted(desk.workspace, version, reason="better", now=desk.day(13))
    texts = {row.about: row.text for row in desk.workspace.store.alerts(desk.workspace.model) if "better" in row.text}
    row = desk.workspace.store.version(desk.workspace.model, better)

    assert row is not None
    assert texts == {
        "1": "version 1 is live: better",
        str(better): (
            f"version {better} is live: better (mae on the same {row.judged.rows:,} rows: 1.52 before, 1.4 now)"
        ),
    }


def test_what_the_gate_refused_does_not_go_live_by_a_rollback(desk: Desk) -> None:
    with pytest.raises(RefusedError, match=r"version 3 .*gate.*: 1, 2"):
        rollback(desk.workspace, 3, by="a test", reason="a back door", now=desk.day(13))

    assert len(desk.workspace.store.releases("generated")) == 2


def withdraw_rows(desk: Desk) -> str:
    """Withdraws the only batch, which every version holds; gives its id."""
    (batch,) = desk.workspace.landing.batches()
    withdraw(desk.workspace, batch.batch, by="ada", reason="of another place", now=desk.day(12.5))
    return batch.batch


def test_a_version_that_holds_a_withdrawn_batch_needs_a_reason_that_names_it(desk: Desk) -> None:
    batch = withdraw_rows(desk)
    with pytest.raises(RefusedError, match=rf"version 1 .*{batch}.* ada .*of another place.*--reason '{batch[:8]}: "):
        rollback(desk.workspace, None, by="a test", reason="complaints", now=desk.day(13))
    moved = rollback(desk.workspace, None, by="a test", reason=f"{batch[:8]}: complaints are worse", now=desk.day(13))

    assert moved.version == 1


def test_no_move_by_itself_releases_a_version_that_holds_a_withdrawn_batch(desk: Desk) -> None:
    withdraw_rows(desk)
    for action in ("promote", *release.MOVES_BACK):
        with pytest.raises(RefusedError, match="withdrew"):
            move_back(desk, action, desk.day(13))
    now_live = find_live_version(desk.workspace)

    assert files_for_run(desk.workspace, now_live, before=None) == {}
    assert len(desk.workspace.store.releases("generated")) == 2


class Killed(BaseException):
    """A process is gone."""


def kill(*_: object, **__: object) -> None:
    raise Killed


def moves_back_told(desk: Desk) -> list[tuple[str, str]]:
    alerts = desk.workspace.store.alerts(desk.workspace.model)
    return [(row.kind, row.text) for row in alerts if row.kind in set(release.MOVES_BACK.values())]


def move_back(desk: Desk, action: str, now: pd.Timestamp) -> None:
    make_live(desk.workspace, 1, action=action, expected=2, by="ines", reason="complaints", now=now)


@pytest.mark.parametrize("action", [*release.MOVES_BACK])
def test_a_move_back_that_was_killed_before_its_alert_is_told_once(
    desk: Desk, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(release, "record_alert", kill)
        with pytest.raises(Killed):
            move_back(desk, action, desk.day(13))
    before = moves_back_told(desk)
    recover(desk.workspace, now=desk.day(14))
    recover(desk.workspace, now=desk.day(15))
    told = moves_back_told(desk)

    assert (before, [kind for kind, _ in told]) == ([], [release.MOVES_BACK[action]])
    assert told[0][1].startswith("version 1 is live again")
    assert told[0][1].endswith("complaints")


def test_a_move_back_is_told_also_when_no_alias_can_be_moved(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "sync_aliases", kill)  # as when MLflow is away
    with pytest.raises(Killed):
        move_back(desk, "rollback", desk.day(13))

    text = f"version 1 is live again as of {iso(desk.day(13))}, in place of 2, moved by ines: complaints"
    assert moves_back_told(desk) == [(AlertKind.ROLLED_BACK, text)]


def test_a_move_back_that_was_killed_is_told_before_another_move_follows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(release, "record_alert", kill)
        with pytest.raises(Killed):
            move_back(desk, "rollback", desk.day(13))
    rollback(desk.workspace, 2, by="ines", reason="the wrong one", now=desk.day(14))

    assert [text.rpartition(": ")[2] for _, text in moves_back_told(desk)] == ["complaints", "the wrong one"]
