"""Random sequences of checks, runs and persons: what holds whatever comes. Histories are put together as in life."""

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.band import Band
from retrim.decision.brakes import RolledBack, after_rollback
from retrim.decision.history import Acknowledgement, CheckHistory, PastCheck, PastRun, summarise_checks
from retrim.decision.rules import Decision, decide
from retrim.decision.triggers import Evidence, TriggerParams

START = pd.Timestamp("2024-01-01", tz="UTC")
NEEDED = 24  # rows that matured after a rollback, before anything starts by itself
STEP = st.fixed_dictionaries(
    {
        "gain": st.booleans(),
        "drift": st.sampled_from([(), ("a",), ("a", "b"), None]),
        "loss": st.sampled_from([None, 1.0, 9.0]),
        "labels": st.booleans(),
        "days": st.sampled_from([0.25, 1, 7, 40]),
        "comes_of_it": st.sampled_from(["promoted", "refused", "deferred", "failed", "running", "crashed"]),
        "ends": st.sampled_from(["promoted", "refused", "failed"]),
        "person": st.booleans() | st.just(False),
        "settles": st.booleans() | st.just(False),
        "rolls_back": st.booleans() | st.just(False),
        "rows": st.integers(0, 12),
    }
)
STEPS = st.lists(STEP, min_size=5, max_size=40)
RULES = st.lists(
    st.sampled_from(["gain", "drift", "schedule", "performance", "estimate", "manual"]), unique=True, max_size=6
)


@dataclass
class Life:
    """A model's life: checks come one after the other, runs come of them, and now and then a person asks for one."""

    params: TriggerParams
    now: pd.Timestamp = START
    runs: list[PastRun] = field(default_factory=list)
    checks: list[PastCheck] = field(default_factory=list)
    asked: list[pd.Timestamp] = field(default_factory=list)
    settled: list[Acknowledgement] = field(default_factory=list)
    champion: int | None = None
    newest: int = 0
    back: RolledBack | None = None
    backs: list[RolledBack | None] = field(default_factory=list)
    labels_until: pd.Timestamp = START
    decisions: list[tuple[pd.Timestamp, Decision, Evidence]] = field(default_factory=list)
    most_going_on: int = 0

    def step(self, step: dict[str, Any]) -> None:
        self.now += pd.Timedelta(step["days"], "D")
        if self._going():
            self._end(step["ends"])  # the run that went on has come to its end by the next check, or the one after
        if step["person"] and not self._going():
            self.asked.append(self.now)
            self._run((), step["comes_of_it"])
            self.now += pd.Timedelta("1h")
        if step["settles"] and self.checks:
            last = self.decisions[-1][1]
            up = [said.rule for said in last.said if said.fires and said.rule != "gain"]
            waits = up if last.outcome == "held" else last.held
            self.settled.append(Acknowledgement(self.now, tuple(rule for rule in up if rule in waits)))
            self.now += pd.Timedelta("1h")
        if step["rolls_back"] and self.champion is not None and self.champion > 1:
            self.back = RolledBack(self.champion - 1, self.champion, self.now, rows=0, needed=NEEDED)
            self.champion -= 1
            self.now += pd.Timedelta("1h")
        self._look_back(step["rows"])
        if step["labels"]:
            self.labels_until = self.now
        evidence = Evidence(
            now=self.now,
            champion=self.champion,
            accumulated_gain=AccumulatedGain(9.0, 1.0) if step["gain"] else AccumulatedGain.empty(),
            deposited=None,
            retraining_cost=5.0,
            errors=2.0,
            pending=0.0,
            preview=None,
            loss=step["loss"],
            estimate=step["loss"],
            band=Band(1.0, 0.1, 0.1),
            labels_until=self.labels_until,
            **vars(
                summarise_checks(
                    CheckHistory(self.runs, self.checks, self.asked, self.settled),
                    champion=self.champion,
                    drifted=step["drift"],
                )
            ),
        )
        decision = after_rollback(decide(evidence, self.params), self.back)
        self.backs.append(self.back)
        self.decisions.append((self.now, decision, evidence))
        balance, retraining_cost = evidence.accumulated_gain.balance, evidence.retraining_cost
        self.checks.append(
            PastCheck(self.now, self.champion, step["drift"], decision.held, decision.settled, balance, retraining_cost)
        )
        if decision.outcome == "retrain":
            self._run(decision.fired, step["comes_of_it"])

    def _look_back(self, rows: int) -> None:
        """More rows have matured since the rollback; and it is over where a person has spoken, or another went live."""
        if self.back is None:
            return
        answers = [*self.asked, *(each.at for each in self.settled)]
        if self.champion != self.back.version or any(at > self.back.at for at in answers):
            self.back = None
        else:
            self.back = replace(self.back, rows=self.back.rows + rows)

    def _promote(self) -> None:
        self.newest += 1
        self.champion = self.newest

    def _going(self) -> list[PastRun]:
        return [run for run in self.runs if run.state in ("running", "crashed")]

    def _run(self, rules: tuple[str, ...], state: str) -> None:
        until = self.now + pd.Timedelta("10D") if state == "deferred" else None
        self.runs.append(PastRun(f"run-{len(self.runs) + 1}", self.now, state, rules, until))
        self.most_going_on = max(self.most_going_on, len(self._going()))
        if state == "promoted":
            self._promote()

    def _end(self, state: str) -> None:
        for place, run in enumerate(self.runs):
            if run.state in ("running", "crashed"):
                self.runs[place] = PastRun(run.id, run.as_of, state, run.rules, None)
                if state == "promoted":
                    self._promote()


def live(steps: list[dict[str, Any]], rules: list[str], *, running_stays: bool = False) -> Life:
    settings_ = {
        "rules": rules,
        "drift_checks": [1, 2],
        "every": "20D",
        "band": {"unit": "iqr", "reach": 3.0},
        "cooldown_checks": 1,
        "loop_checks": 4,
        "refusals_to_hold": 2,
        "budget": {"runs": 3, "checks": 6},
        "max_wait": "30D",
    }
    life = Life(TriggerParams.model_validate(settings_))
    for step in steps:
        life.step(step)
    return life


def by_check(life: Life) -> list[tuple[pd.Timestamp, Decision, Evidence]]:
    return [each for each in life.decisions if each[1].outcome == "retrain"]


def no_two_runs_go_on_at_once(life: Life) -> None:
    assert life.most_going_on <= 1


def no_check_starts_a_run_over_the_budget(life: Life) -> None:
    paid = [run.as_of for run in life.runs if run.state != "deferred"]
    times = [now for now, _, _ in life.decisions]

    for place, (now, decision, _) in enumerate(life.decisions):
        if decision.outcome == "retrain":
            since = times[place - 5] if place >= 5 else START
            assert sum(since <= each < now for each in paid) < 3


def after_two_refusals_no_check_starts_a_run_before_a_person_has_or_the_account_has_grown(life: Life) -> None:
    for now, decision, evidence in life.decisions:
        ended = [run for run in life.runs if run.as_of < now and run.state in ("promoted", "refused")]
        settled = any(ended and ended[-2:][0].as_of <= each.at <= now for each in life.settled)
        grown = (
            evidence.lowest is not None
            and evidence.accumulated_gain.balance > evidence.lowest + evidence.retraining_cost
        )
        refused = [run.state for run in ended[-2:]] == ["refused"] * 2
        if refused and evidence.deferral is None and evidence.champion is not None and not settled:
            assert grown or decision.outcome != "retrain"


def an_alarm_held_for_a_person_starts_nothing_until_one_has_answered(life: Life) -> None:
    held: set[str] = set()
    before = START

    for now, decision, evidence in life.decisions:
        if any(before <= at <= now for at in (*life.asked, *(each.at for each in life.settled))):
            held = set()
        if evidence.deferral is None:
            assert not held & set(decision.fired)
        assert held <= set(decision.held)
        held |= set(decision.held)
        before = now


def a_settled_alarm_starts_nothing_while_it_stays_up(life: Life) -> None:
    answered: set[str] = set()
    before: tuple[pd.Timestamp, int | None] = (START, None)

    for now, decision, evidence in life.decisions:
        if evidence.champion != before[1]:
            answered = set()
        else:
            answered |= {rule for each in life.settled if before[0] <= each.at <= now for rule in each.rules}
        answered &= {said.rule for said in decision.said if said.fires and said.rule != "schedule"}
        if evidence.deferral is None:
            assert not answered & set(decision.fired)
        assert set(decision.settled) == answered
        before = (now, evidence.champion)


def a_settled_timetable_is_not_due_before_its_span_is_over(life: Life) -> None:
    settled = [each.at for each in life.settled if "schedule" in each.rules]

    for now, decision, _ in life.decisions:
        fires = any(said.rule == "schedule" and said.fires for said in decision.said)
        assert not (fires and any(at <= now < at + pd.Timedelta("20D") for at in settled))


def a_repeating_alarm_never_starts_the_next_run_right_after_its_own_promotion(life: Life) -> None:
    for _, decision, evidence in by_check(life):
        if evidence.checks_since_run is not None and evidence.checks_since_run <= 4 and evidence.deferral is None:
            assert not set(decision.fired) & set(evidence.promoted_by) - {"gain"}


def after_a_rollback_no_check_starts_a_run_before_a_person_has_answered_or_enough_rows_have_matured(life: Life) -> None:
    for (now, decision, _), back in zip(life.decisions, life.backs, strict=True):
        if back is not None and back.rows < NEEDED:
            assert decision.outcome != "retrain"
            assert not any(back.at < at <= now for at in (*life.asked, *(each.at for each in life.settled)))


LAWS = (
    no_two_runs_go_on_at_once,
    no_check_starts_a_run_over_the_budget,
    after_two_refusals_no_check_starts_a_run_before_a_person_has_or_the_account_has_grown,
    an_alarm_held_for_a_person_starts_nothing_until_one_has_answered,
    a_settled_alarm_starts_nothing_while_it_stays_up,
    a_settled_timetable_is_not_due_before_its_span_is_over,
    a_repeating_alarm_never_starts_the_next_run_right_after_its_own_promotion,
    after_a_rollback_no_check_starts_a_run_before_a_person_has_answered_or_enough_rows_have_matured,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, rules=RULES)
def test_every_law_holds_whatever_comes(steps: list[dict[str, Any]], rules: list[str]) -> None:
    life = live(steps, rules)

    for law in LAWS:
        law(life)
    assert live(steps, rules).decisions == life.decisions


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, rules=RULES)
def test_while_everything_is_a_persons_no_check_starts_what_nobody_asked_for(
    steps: list[dict[str, Any]], rules: list[str]
) -> None:
    life = live(steps, [*(rule for rule in rules if rule != "manual"), "manual"])

    assert all(evidence.deferral is not None for _, _, evidence in by_check(life))
