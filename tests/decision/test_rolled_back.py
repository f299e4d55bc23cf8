"""After a rollback: nothing starts by itself until a person has said so or enough rows have matured since."""

import re
from typing import Any

import pandas as pd
import pytest

from retrim.decision.brakes import RolledBack, after_rollback
from retrim.decision.rules import Decision

START = pd.Timestamp("2024-01-01", tz="UTC")
NEEDED = 24


def decision(outcome: Any) -> Decision:
    return Decision(outcome, "as the rules say", (), "other figures", ("gain",), ("drift",), ("schedule",))


def back(rows: int) -> RolledBack:
    return RolledBack(version=1, left=2, at=START, rows=rows, needed=NEEDED)


def test_what_would_start_something_is_held_and_says_what_releases_it() -> None:
    found = after_rollback(decision("retrain"), back(10))

    assert (found.outcome, found.fired) == ("held", ())
    assert re.search(r"version 2 was rolled back to version 1 at ", found.reason)
    assert "10 rows have" in found.reason
    assert "14 more" in found.change
    assert "retrim retrain --reason" in found.change


@pytest.mark.parametrize("outcome", ["none", "held"])
def test_what_starts_nothing_stays_as_it_is(outcome: str) -> None:
    assert after_rollback(decision(outcome), back(0)) == decision(outcome)


@pytest.mark.parametrize(("rows", "outcome"), [(23, "held"), (24, "retrain"), (25, "retrain")])
def test_as_many_new_rows_as_the_gate_needs_release_it(rows: int, outcome: str) -> None:
    assert after_rollback(decision("retrain"), back(rows)).outcome == outcome


def test_alarms_that_wait_for_a_person_wait_on() -> None:
    found = after_rollback(decision("retrain"), back(0))

    assert (found.held, found.settled) == (("drift",), ("schedule",))


@pytest.mark.parametrize("outcome", ["none", "retrain", "held"])
def test_without_a_rollback_every_decision_stands(outcome: str) -> None:
    assert after_rollback(decision(outcome), None) == decision(outcome)
