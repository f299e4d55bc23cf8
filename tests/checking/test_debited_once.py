"""Every refused run is debited once, in whatever order checks are made and runs end."""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrim.adapters.database import iso
from retrim.checking.gain import balance, balance_after, refused_since
from retrim.checking.history import CHECK, checks_of
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.check_record import CheckRecord, GainEvidence
from retrim.decision.stored_rows import ApprovalAnswer, DecisionRow, RunClaim, RunDetail, as_text
from retrim.lineage.workspace import Workspace
from tests.builders.answers import QUIET
from tests.builders.desk import START, make_desk

COST, DEPOSIT = 1.0, 100.0  # a debit never meets the zero
ENDS = ("refused", "rejected", "promoted", "restored", "failed", "deferred")
STEPS = st.lists(
    st.sampled_from(["check", "check", "check", "late check", "run", "run by a person", "crash", *ENDS]),
    max_size=40,
)


@dataclass
class Life:
    """A model's checks and runs as the store keeps them, and the refused runs whose cost its champion has to bear."""

    workspace: Workspace
    now: pd.Timestamp = START
    champion: int = 1
    run: RunClaim | None = None
    first: str | None = None
    newest: str | None = None
    deposits: float = 0.0
    runs: int = 0
    paid: list[str] = field(default_factory=list)

    def step(self, step: str) -> None:
        self.now += pd.Timedelta("1h")
        if step == "check":
            self.check()
        elif step == "late check" and self.newest is not None:
            at = pd.Timestamp(self.newest) - pd.Timedelta("1min")
            self.store_check(
                at,
                as_text(
                    CheckRecord(
                        as_of=at, gain=GainEvidence(now=AccumulatedGain.empty(), retraining_cost=COST), decision=QUIET
                    )
                ),
            )
        elif step in ("run", "run by a person") and self.run is None and self.newest is not None:
            self.runs += 1
            as_of = self.newest if step == "run" else iso(self.now)
            name = f"{self.workspace.model}-{self.runs}"
            self.run = RunClaim(f"run-{name}", self.workspace.model, name, as_of, "refit", iso(self.now))
            self.workspace.store.claim_run(self.run)
        elif step == "crash" and self.run is not None:
            self.end("crashed")
            self.workspace.store.claim_run(self.run)
        elif step in ENDS and self.run is not None:
            self.finish(self.run, step)

    def check(self) -> None:
        """What a check does with the accumulated gain."""
        past = checks_of(self.workspace)
        if self.first is None:
            self.first, self.deposits, self.paid = iso(self.now), 0.0, []
        refused = refused_since(self.workspace, past)
        before = balance_after(self.champion, past, refused)
        after = replace(before, balance=before.balance + DEPOSIT)
        self.deposits += DEPOSIT
        self.newest = iso(self.now)
        record = CheckRecord(
            as_of=self.now,
            champion=self.champion,
            gain=GainEvidence(now=after, retraining_cost=COST, debited=tuple(run.id for run in refused)),
            decision=QUIET,
        )
        self.store_check(self.now, as_text(record))

    def store_check(self, as_of: pd.Timestamp, text: str) -> None:
        at, model = iso(as_of), self.workspace.model
        row = DecisionRow(f"{model}-{at}", model, CHECK, at, at, outcome="none", actor="", reason="", text=text)
        self.workspace.store.add_decision(row)

    def finish(self, run: RunClaim, end: str) -> None:
        dates = {"refused": run.as_of, "rejected": iso(self.now)}
        if end in dates and self.first is not None and dates[end] >= self.first:
            self.paid.append(run.id)
        if end == "promoted":
            self.champion, self.first = self.champion + 1, None
        at = iso(self.now)
        answers = {"rejected": RunDetail(answer=ApprovalAnswer(1, "rejected", "a test", "", at))}
        details = {"restored": RunDetail(restored=self.champion), **answers}
        state = {"rejected": "refused", "restored": "refused"}.get(end, end)
        self.end(state, details.get(end, RunDetail()))
        self.run = None

    def end(self, state: str, detail: RunDetail | None = None) -> None:
        assert self.run is not None
        self.workspace.store.end_run(
            self.run.id, state=state, ended=iso(self.now), version=None, detail=detail or RunDetail()
        )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_desk(tmp_path_factory.mktemp("debited") / "workspace").workspace


NUMBERS = count()


def another(workspace: Workspace) -> Workspace:
    """Another model in the same store."""
    data = workspace.params.data.model_copy(update={"model": f"model{next(NUMBERS)}"})
    made = Workspace(workspace.paths, workspace.params.model_copy(update={"data": data}), workspace.env)
    made.__dict__["store"] = workspace.store
    return made


@settings(deadline=None, max_examples=100)
@given(steps=STEPS)
@example(steps=["run", "check", "check", "refused"])
@example(steps=["run", "check", "late check", "crash", "check", "rejected", "check"])
def test_a_refused_run_is_debited_once_whenever_it_ends(workspace: Workspace, steps: list[str]) -> None:
    life = Life(another(workspace))
    for step in ["check", *steps, "check"]:
        life.step(step)
    checks = checks_of(life.workspace)
    times = Counter(run for check in checks for run in check.record.gain.debited)

    assert checks[-1].record.gain.now.balance == life.deposits - COST * len(life.paid)
    assert set(times.values()) <= {1}
    assert set(life.paid) <= set(times)
    assert balance(life.workspace, life.champion, checks) == checks[-1].record.gain.now
