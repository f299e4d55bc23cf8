"""After a rollback: nothing starts by itself until a person has said so or enough rows have matured since."""

import re
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrim.decision.brakes import RolledBack, after_rollback
from retrim.decision.rules import Decision

START = pd.Timestamp("2024-01-01", tz="UTC")
NEEDED = 24
STEP = st.fixed_dictionaries(
    {
        "wanted": st.sampled_from(["none", "retrain", "restore", "held"]),
        "rows": st.integers(0, 20),
        "person": st.booleans() | st.just(False),
        "rolls_back": st.booleans() | st.just(False),
    }
)


def decision(outcome: Any) -> Decision:
    return Decision(outcome, "as the rules say", (), "other figures", ("gain",), ("drift",), ("schedule",))


def back(rows: int) -> RolledBack:
    return RolledBack(version=1, left=2, at=START, rows=rows, needed=NEEDED)


@pytest.mark.parametrize("outcome", ["retrain", "restore"])
def test_what_would_start_something_is_held_and_says_what_releases_it(outcome: str) -> None:
    found = after_rollback(decision(outcome), back(10))

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


@dataclass
class Life:
    """Checks one after another; now and then somebody rolls back, and now and then somebody says to go on."""

    rows_since: int | None = None  # None: no rollback that waits for an answer
    seen: list[tuple[str, str, int | None]] = field(default_factory=list)

    def step(self, step: dict[str, Any]) -> None:
        if step["rolls_back"]:
            self.rows_since = 0
        if self.rows_since is not None:
            self.rows_since += step["rows"]
        if step["person"]:
            self.rows_since = None
        waits = None if self.rows_since is None else back(self.rows_since)
        made = after_rollback(decision(step["wanted"]), waits)
        self.seen.append((step["wanted"], made.outcome, self.rows_since))
        if made.outcome in ("retrain", "restore"):  # what went live by it is what is live: no rollback any more
            self.rows_since = None


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=5, max_size=40))
def test_nothing_starts_between_a_rollback_and_its_answer_and_nothing_is_held_otherwise(
    steps: list[dict[str, Any]],
) -> None:
    life = Life()
    for step in steps:
        life.step(step)

    for wanted, outcome, rows in life.seen:
        waits = rows is not None and rows < NEEDED
        assert outcome == ("held" if waits and wanted in ("retrain", "restore") else wanted)
