"""A new champion on probation: scored beside the one before at each check, and rolled back where it is worse."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.check import check
from retrim.checking.probation import carry_out
from retrim.cli.answers import find_versions
from retrim.cli.screens.status import status_facts
from retrim.cli.status_answer import find_status
from retrim.errors import RefusedError
from retrim.release.release import rollback
from retrim.release.versions import PROBATION_ROLLBACK, find_live_version
from tests.builders.answers import PrintedCheck, decision_record, status_record
from tests.builders.desk import Desk, copy_of, make_desk, with_params
from tests.builders.shipped import drift_tests

pytestmark = pytest.mark.slow  # makes champions with the stages

QUIET: dict[str, dict[str, Any]] = {
    "drift": {"min_rows": 24, "tests": drift_tests()},
}


def begin(folder: Path, *, odd: float, **changes: dict[str, Any]) -> Desk:
    """Version 1, then a version 2 that has also learned from six days whose target lay higher by `odd`."""
    desk = make_desk(folder / "workspace", changes=QUIET | changes, version_at=12)
    desk.land(desk.rows(12, 18).assign(outcome=lambda rows: rows["outcome"] + odd), 18)
    desk.make_version(18)
    return desk


def beat(desk: Desk, day: float) -> PrintedCheck:
    """Lands two days of usual rows, and checks."""
    return desk.pass_days(day - 2, day)


def until_it_ends(desk: Desk, day: float = 20) -> tuple[PrintedCheck, float]:
    """Checks every two days until the probation ends."""
    while True:
        checked = beat(desk, day)
        if checked.record["probation"]["ended"] is not None:
            return checked, day
        assert checked.record["probation"]["outcome"] == "going on"
        day += 2


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A version 2 that is worse, looked at until it is rolled back; its account fires at every check."""
    fires = {
        "gain": {"rows_per_check": 48, "cost": 1e-9, "errors": 0.0},
        "gate": {"confidence": 0.51, "non_inferiority": None},
        "probation": {"acts": True},
    }
    desk = begin(tmp_path_factory.mktemp("worse"), odd=6.0, **fires)
    first = beat(desk, 20)
    status = status_record(desk.workspace, now=desk.day(20))
    checked, day = until_it_ends(desk, 22)
    decided = copy_of(desk, tmp_path_factory.mktemp("decided") / "workspace")
    alias = find_live_version(desk.workspace)
    done = carry_out(desk.workspace, checked.id, now=desk.day(day))
    return {
        "desk": desk, "first": first, "status": status, "checked": checked, "day": day, "before": alias, "done": done,
        "decided": decided,
    }  # fmt: skip


def test_after_a_promotion_both_are_scored_on_the_rows_that_matured(worse: dict[str, Any]) -> None:
    found = worse["first"].record["probation"]

    assert (found["version"], found["against"], found["outcome"]) == (2, 1, "going on")
    assert (found["watch"]["rows"], found["watch"]["worse"]["count"]) == (48, 2)
    assert worse["status"]["probation"]["outcome"] == "going on"


def test_the_sums_of_the_checks_are_those_of_all_rows_at_once(worse: dict[str, Any]) -> None:
    desk, day = worse["desk"], worse["day"]
    watch = worse["checked"].record["probation"]["watch"]

    assert watch["rows"] == (day - 18) * 24
    assert watch["checks"] == (day - 18) / 2
    assert desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].id == worse["checked"].id


def test_one_that_is_worse_is_rolled_back_told_and_shown(worse: dict[str, Any]) -> None:
    checked, workspace = worse["checked"], worse["desk"].workspace
    moved, decision = find_live_version(workspace), checked.record["decision"]
    envelope = workspace.store.envelope(workspace.model, 2, kind="probation")

    assert checked.outcome == "rollback"
    assert ({each["rule"]: each["fires"] for each in decision["said"]}, decision["fired"]) == ({"gain": True}, [])
    assert moved is not None
    assert (worse["before"].version, moved.version, moved.action) == (2, 1, PROBATION_ROLLBACK)
    assert "evidence" in moved.reason
    assert "version 2 against 1" in moved.reason
    assert [row.record["outcome"] for row in envelope] == ["worse"]
    assert [row.kind for row in workspace.store.alerts(workspace.model) if row.kind != "drift"] == [PROBATION_ROLLBACK]
    assert [record.probation for record in find_versions(workspace)] == [None, "worse"]
    assert decision_record(workspace, checked.id)["record"]["probation"]["outcome"] == "worse"
    # What was rolled back to is not on probation itself.
    assert status_record(workspace, now=worse["desk"].day(worse["day"]))["probation"] is None


def test_a_rollback_and_a_check_that_are_repeated_change_nothing(worse: dict[str, Any]) -> None:
    desk, now = worse["desk"], worse["desk"].day(worse["day"])
    before = len(desk.workspace.store.releases(desk.workspace.model))
    again, checked = (
        carry_out(desk.workspace, worse["checked"].id, now=now),
        check(desk.workspace, by="a test", now=now),
    )

    assert again == worse["done"]
    assert len(desk.workspace.store.releases(desk.workspace.model)) == before
    assert not checked.fresh
    assert checked.record.probation == worse["checked"].made.record.probation


def test_one_that_is_better_is_confirmed_once_and_stays(tmp_path: Path) -> None:
    good = make_desk(tmp_path / "other", changes=QUIET)
    good.land(good.rows(0, 12).assign(outcome=lambda rows: rows["outcome"] + 6.0), 12)
    good.make_version(12)
    good.land(good.rows(12, 18), 18)
    good.make_version(18)
    checked, day = until_it_ends(good)
    later = beat(good, day + 2)

    assert checked.record["probation"]["outcome"] == "confirmed"
    assert later.record["probation"] == checked.record["probation"]
    alerts = [row.kind for row in good.workspace.store.alerts(good.workspace.model)]
    assert [kind for kind in alerts if kind.startswith("probation")] == ["probation confirmed"]
    assert find_live_version(good.workspace).version == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes", [{}, {"probation": {"acts": True}, "triggers": {"rules": ["gain", "manual"]}}], ids=["shipped", "manual"]
)
def test_a_rollback_is_proposed_once_where_it_is_a_persons(tmp_path: Path, changes: dict[str, Any]) -> None:
    desk = begin(tmp_path, odd=6.0, **changes)
    checked, day = until_it_ends(desk)
    later = beat(desk, day + 2)
    alerts = [row.kind for row in desk.workspace.store.alerts(desk.workspace.model)]
    status = dict(status_facts(find_status(desk.workspace, now=desk.day(day + 2))))

    assert checked.record["probation"]["outcome"] == "worse"
    assert {checked.outcome, later.outcome} <= {"none", "held", "retrain"}
    assert alerts.count("probation worse") == 1
    assert find_live_version(desk.workspace).version == 2  # type: ignore[union-attr]
    assert "retrim versions rollback --reason WHY" in status["probation"]


def test_a_rollback_that_is_refused_is_told_and_decided_again(worse: dict[str, Any]) -> None:
    desk, day = worse["decided"], worse["day"]
    bundle = desk.shelf.folders[1] / "features/view.json"
    kept = bundle.read_bytes()
    bundle.write_bytes(kept + b" ")
    with pytest.raises(RefusedError, match="altered"):
        carry_out(desk.workspace, worse["checked"].id, now=desk.day(day))
    bundle.write_bytes(kept)
    again = beat(desk, day + 2)

    assert [row.kind for row in desk.workspace.store.alerts(desk.workspace.model) if row.kind != "drift"] == [
        "rollback refused"
    ]
    assert again.outcome == "rollback"


def test_a_champion_before_that_was_altered_ends_it(tmp_path: Path) -> None:
    desk = begin(tmp_path, odd=6.0)
    bundle = desk.shelf.folders[1] / "features/view.json"
    bundle.write_bytes(bundle.read_bytes() + b" ")
    checked = beat(desk, 20)

    assert checked.record["probation"]["outcome"] == "over"
    assert "altered" in checked.record["probation"]["said"]


def test_a_champion_before_that_uses_a_column_forbidden_by_now_does_not_come_back(tmp_path: Path) -> None:
    desk = begin(tmp_path, odd=6.0)
    columns = desk.workspace.params.data.model_dump(mode="json")["columns"]
    column = next(iter(desk.workspace.params.data.features))
    columns[column]["role"] = "forbidden"
    strict = with_params(desk, data={"columns": columns})
    checked = beat(strict, 20)

    assert checked.record["probation"]["outcome"] == "over"
    assert f"uses {column}, which data.columns forbids" in checked.record["probation"]["said"]


def test_a_person_who_rolls_back_ends_it(tmp_path: Path) -> None:
    desk = begin(tmp_path, odd=6.0)
    beat(desk, 20)
    rollback(desk.workspace, None, by="a test", reason="complaints", now=desk.day(20.5))
    checked = beat(desk, 22)
    kept = desk.workspace.store.envelope(desk.workspace.model, 2, kind="probation")

    assert checked.record["probation"] is None
    assert [row.record["outcome"] for row in kept] == ["replaced"]


def test_no_probation_where_params_say_none(tmp_path: Path) -> None:
    desk = with_params(begin(tmp_path, odd=6.0), probation={"checks": 0})

    assert beat(desk, 20).record["probation"] is None
