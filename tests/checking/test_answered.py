"""Which answer of a person belongs to which check, and what a settlement settles: with checks as they are kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.database import iso
from retrim.checking.holds import acknowledge
from retrim.decision.stored_rows import DecisionRow
from retrim.decision.triggers import RuleResult
from retrim.lineage.workspace import Workspace, ask_for_run
from tests.builders.answers import QUIET, decision_record, kept_check
from tests.builders.desk import Desk, make_desk


class Kept:
    """A workspace whose checks are written down, not made."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    @property
    def workspace(self) -> Workspace:
        return self.desk.workspace

    def check(self, day: float, outcome: str = "held", *, up: tuple[str, ...] = (), held: tuple[str, ...] = ()) -> str:
        """A check, with the rules that fired and those it left to a person; gives its id."""
        at = iso(self.desk.day(day))
        said = tuple(RuleResult(rule, rule in up, text="", change="") for rule in ("gain", "drift"))
        made = kept_check(self.desk.day(day), champion=1, decision=replace(QUIET, said=said, held=held))
        row = {"id": f"check-{day:g}", "model": self.workspace.model, "source": "check", "as_of": at, "at": at}
        self.workspace.store.add_decision(
            DecisionRow(**row, outcome=outcome, actor="a test", reason="", text=json.dumps(made))
        )
        return f"check-{day:g}"

    def settle(self, day: float, reason: str = "a fair") -> tuple[str, ...]:
        """What is settled by a settlement of a day."""
        return acknowledge(self.workspace, reason=reason, by="ines", now=self.desk.day(day)).rules

    def ask(self, day: float, reason: str) -> None:
        ask_for_run(self.workspace, as_of=self.desk.day(day), by="a test", reason=reason, now=self.desk.day(day))

    def answer(self, check: str) -> Any:
        """The reason of the answer to a check; None where it has none."""
        found = decision_record(self.workspace, check)["answered"]
        return None if found is None else found["reason"]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(make_desk(tmp_path / "workspace"))


# --- what is settled


@pytest.mark.parametrize(
    ("outcome", "rules", "settled"),
    [
        ("held", {"up": ("gain", "drift")}, ("drift",)),  # as under `manual`, or after refusals: none is named as held
        ("none", {"up": ("drift",), "held": ("drift",)}, ("drift",)),
        ("none", {"held": ("drift",)}, ()),
    ],
    ids=["all that is up but the account", "one left to a person", "a quiet one is not"],
)
def test_alarms_that_are_up_are_settled(kept: Kept, outcome: str, rules: Any, settled: tuple[str, ...]) -> None:
    kept.check(1, outcome, **rules)

    assert kept.settle(1) == settled


# --- which answer is whose


def test_a_settlement_answers_the_check_it_names_and_no_earlier_one(kept: Kept) -> None:
    first, _, third = kept.check(1), kept.check(2, "none"), kept.check(3)
    kept.settle(3, "a fair")

    assert (kept.answer(first), kept.answer(third)) == (None, "a fair")


def test_a_run_answers_the_checks_that_waited_for_it(kept: Kept) -> None:
    first, second = kept.check(1), kept.check(2)
    kept.ask(2.5, "a new meter")
    kept.check(3, "none")

    assert (kept.answer(first), kept.answer(second)) == ("a new meter", "a new meter")


def test_a_run_after_a_check_that_held_nothing_is_no_answer_to_the_one_before(kept: Kept) -> None:
    first = kept.check(1)
    kept.check(2, "none")
    kept.ask(3, "a new meter")

    assert kept.answer(first) is None


@pytest.mark.parametrize("outcome", ["held", "retrain"])
def test_the_first_answer_is_shown_also_of_a_check_that_acted(kept: Kept, outcome: str) -> None:
    check = kept.check(1, outcome, up=("drift",), held=("drift",))
    kept.settle(1.5, "a fair")
    kept.ask(1.6, "a new meter")

    assert kept.answer(check) == "a fair"
