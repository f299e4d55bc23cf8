"""What is held, settled by a person without a retraining."""

import re
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.database import iso
from retrim.checking.holds import acknowledge
from retrim.errors import BadInputError, RefusedError
from tests.builders.answers import decision_record, status_record
from tests.builders.desk import START, Desk, copy_of, make_desk
from tests.builders.shipped import drift_tests

pytestmark = pytest.mark.slow  # makes champions with the stages

LEVEL = {"rules": ["drift"], "drift_checks": [1, 1], "cooldown_checks": 0}
WIDE = drift_tests(psi=1.0, ks=0.4, chi2=1.0, psi_categories=1.0, missing_share=0.5)


def beat(desk: Desk, day: float, *, level: float) -> Any:
    """Lands two days of rows whose level is moved, and checks."""
    return desk.pass_days(day - 2, day, level=level)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A drift that a promotion did not end: it is held on day 14."""
    made = make_desk(
        tmp_path_factory.mktemp("held") / "workspace",
        drift={"kind": "none", "size": 0.0, "since": START},
        changes={
            "triggers": LEVEL,
            "drift": {"min_rows": 24, "alarms": None, "tests": WIDE, "score": {}},
        },
        version_at=10,
    )
    first = beat(made, 12, level=6)
    made.make_version(12, decision=first.id)
    assert beat(made, 14, level=-6).outcome == "held"
    return made


@pytest.fixture
def desk(held: Desk, tmp_path: Path) -> Desk:
    return copy_of(held, tmp_path / "workspace")


def status(desk: Desk, day: float) -> dict[str, Any]:
    return status_record(desk.workspace, now=desk.day(day))


def test_an_answer_is_kept_shown_and_holds_while_the_alarm_stays_up(desk: Desk) -> None:
    before = status(desk, 14.5)
    done = acknowledge(desk.workspace, reason="town fair", by="ines", now=desk.day(14.5))
    record, after = decision_record(desk.workspace, done.id), status(desk, 14.5)
    answered = decision_record(desk.workspace, "2024-01-15T00:00")["answered"]
    checked = beat(desk, 16, level=-6)

    assert (record["source"], record["outcome"], record["by"]) == ("settlement", "settled", "ines")
    assert record["reason"] == answered["reason"] == "town fair"
    assert record["record"] == {
        "as_of": desk.day(14.5).isoformat(),
        "rules": ["drift"],
        "answers": "generated-20240115T000000Z",
    }
    assert (before["held"], before["settled"]) == (True, None)
    assert (after["held"], after["settled"]["by"], after["settled"]["rules"]) == (False, "ines", ["drift"])
    assert (checked.outcome, checked.record["decision"]["held"]) == ("none", [])
    assert checked.record["decision"]["settled"] == ["drift"]
    assert status(desk, 16)["settled"]["by"] == "ines"


def test_an_alarm_that_comes_up_again_is_a_new_one(desk: Desk) -> None:
    acknowledge(desk.workspace, reason="town fair", by="ines", now=desk.day(14.5))
    quiet = beat(desk, 16, level=0)
    again = beat(desk, 18, level=-6)

    assert (quiet.outcome, quiet.record["decision"]["settled"], status(desk, 16)["settled"]) == ("none", [], None)
    assert (again.outcome, again.record["decision"]["held"]) == ("held", ["drift"])


def test_under_manual_a_settled_alarm_is_answered_while_it_stays_up(tmp_path: Path) -> None:
    desk = make_desk(
        tmp_path / "manual",
        changes={
            "triggers": LEVEL | {"rules": ["drift", "manual"]},
            "drift": {"min_rows": 24, "alarms": None, "tests": WIDE, "score": {}},
        },
        version_at=10,
    )
    held = beat(desk, 12, level=6)
    acknowledge(desk.workspace, reason="town fair", by="ines", now=desk.day(12))
    after = beat(desk, 14, level=6)

    assert (held.outcome, held.record["decision"]["held"]) == ("held", [])  # no rule is named: everything is a person's
    assert (after.outcome, after.record["decision"]["settled"]) == ("none", ["drift"])


def test_a_decision_held_anew_is_told_though_the_one_before_was_told_just_now(desk: Desk) -> None:
    def told() -> list[str]:
        rows = desk.workspace.store.alerts(desk.workspace.model)
        return [row.about for row in rows if row.kind == "held" and row.queued is not None]

    beat(desk, 16, level=-6)
    still = told()
    acknowledge(desk.workspace, reason="a fair in town", by="ines", now=desk.day(16.5))
    beat(desk, 18, level=0)
    again = beat(desk, 20, level=-6)

    assert still == ["since 2024-01-15 00:00"]
    assert again.outcome == "held"
    assert told() == ["since 2024-01-15 00:00", "since 2024-01-21 00:00"]


@pytest.mark.parametrize(
    ("every", "days", "outcomes"),
    [("3D", (14, 16, 18), ["held", "none", "retrain"]), ("1D", (12, 14), ["held", "retrain"])],
)
def test_a_timetable_settled_after_refusals_counts_them_anew_and_is_due_a_span_later(
    tmp_path: Path, every: str, days: tuple[int, ...], outcomes: list[str]
) -> None:
    triggers = LEVEL | {"rules": ["schedule"], "every": every, "refusals_to_hold": 1}
    desk = make_desk(tmp_path / "timetable", changes={"triggers": triggers}, version_at=10)
    desk.make_version(11, promote=False)
    held = beat(desk, days[0], level=0)
    acknowledge(desk.workspace, reason="the gate was right", by="ines", now=desk.day(days[0]))

    assert [held.outcome, *(beat(desk, day, level=0).outcome for day in days[1:])] == outcomes


def test_what_cannot_be_settled_is_refused(desk: Desk) -> None:
    def refuse(error: type[Exception], match: str, *, by: str = "ines", reason: str = "a fair", day: float) -> None:
        with pytest.raises(error, match=match):
            acknowledge(desk.workspace, reason=reason, by=by, now=desk.day(day))

    refuse(BadInputError, "^--reason is blank", reason=" ", day=14.5)
    refuse(BadInputError, "^--by is blank", by="", day=14.5)
    refuse(BadInputError, re.escape(iso(desk.day(13))), day=13)  # before the check
    acknowledge(desk.workspace, reason="town fair", by="ines", now=desk.day(14.5))
    refuse(RefusedError, r"on hold: .*`retrim status`", day=14.6)
