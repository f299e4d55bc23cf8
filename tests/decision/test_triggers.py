"""The decision: each outcome, what comes before what, and the reason of each."""

import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.history import Deferral
from retrim.decision.probe import GatePreview
from retrim.decision.retraining_cost import MoneyParams, MonthSpent
from retrim.decision.rules import RELEASE, decide
from retrim.decision.triggers import Evidence, TriggerParams
from tests.contracts.test_every_rule import NOW
from tests.contracts.test_every_rule import QUIET as ANY_QUIET

FULL = AccumulatedGain(9.0, 1.0)
QUIET = replace(
    ANY_QUIET, accumulated_gain=AccumulatedGain(1.0, 1.0), retraining_cost=5.0, drifted=((),), estimate=None
)
FIRING = replace(QUIET, accumulated_gain=FULL)
NO_VERSION = replace(QUIET, champion=None)
DRIFTING = replace(QUIET, drifted=(("a",), ("a",)))
AGAIN = replace(DRIFTING, checks_since_run=3, promoted_by=("drift",))
LONG_AGO = replace(AGAIN, checks_since_run=9)
SILENT = replace(QUIET, labels_until=NOW - pd.Timedelta("61D"), loss=None)
REFUSED = GatePreview(passes=False, reason="too small a gain")
EUROS = MoneyParams(cost=40.0, per_unit=0.5, currency="EUR")
GAIN_ALONE = {"rules": ["gain"]}
MANUAL = {"rules": ["manual"]}


def params(**changed: Any) -> TriggerParams:
    settings = {
        "rules": ["gain", "drift"],
        "drift_checks": [2, 3],
        "every": "90D",
        "band": {"unit": "iqr", "reach": 3.0},
        "cooldown_checks": 2,
        "loop_checks": 5,
        "refusals_to_hold": 2,
        "budget": {"runs": 2, "checks": 30},
        "max_wait": "60D",
    }
    return TriggerParams.model_validate({**settings, **changed})


def waits(hours: float | None, *, changed: bool = False) -> Deferral:
    """A deferred run that is due again so many hours from now."""
    return Deferral(None if hours is None else NOW + pd.Timedelta(hours, "h"), ("drift",), changed)


def spent(runs: int, budget: float = 100.0, money: MoneyParams = EUROS) -> MonthSpent:
    return MonthSpent("2024-05", runs, money, budget)


# Outcome, rules that fired, what stopped it; parts of its reason; the evidence, and settings that differ.
DECISIONS: dict[str, tuple[tuple[str, str, str | None], str, Evidence, dict[str, Any]]] = {
    "quiet rules start nothing and say why": (
        ("none", "", None),
        r"\bgain 1 .*\bcost 5\b.*drift in 0 of",
        QUIET,
        {},
    ),
    "an account above its price retrains": (
        ("retrain", "gain", None),
        r"^accumulated gain 9 against retraining cost 5",
        FIRING,
        {},
    ),
    "drift in enough checks retrains": (
        ("retrain", "drift", None),
        r"^drift in 2 of .* 3 checks, 2 of 3 .*: group, level$",
        replace(QUIET, drifted=(("level",), (), ("level", "group"))),
        {},
    ),
    "no rule starts nothing": (("none", "", None), r"^no rule is set$", FIRING, {"rules": []}),
    "a cooldown says what it held back": (
        ("none", "", "cooldown"),
        r"^cooldown, check 1 of 2 after the last run \(drift in 2 of the last 2",
        replace(DRIFTING, checks_since_run=1),
        {},
    ),
    "a first version on hold says how many rows it waits for": (
        ("held", "", "hold"),
        r"^on hold after 2 refusals in a row until 60 more rows have matured; or a person",
        replace(NO_VERSION, refusals=2, anew=(40, 100)),
        {},
    ),
    "a deferred run waits for its labels also when a rule fires": (
        ("none", "", None),
        r"until 2024-03-01T01:00:00\+00:00",
        replace(FIRING, deferral=waits(1)),
        {},
    ),
    "a deferral without a date waits for a change": (
        ("none", "", None),
        r"^a deferred run waits for new rows, labels or settings$",
        replace(FIRING, deferral=waits(None)),
        {},
    ),
    "no run is started beside one that is going on": (
        ("none", "", None),
        r"run-7",
        replace(FIRING, going_on="run-7"),
        {},
    ),
    "a used up budget starts nothing and says until when": (
        ("none", "", "budget"),
        r"^budget: 2 of 2 retrainings in 30 checks are used up, for 10 more checks",
        replace(FIRING, spent=(20, 10)),
        {},
    ),
    "a retraining that the month cannot pay is not started": (
        ("none", "", "budget"),
        r"^budget: retrainings of 2024-05 cost 80 of 100 EUR",
        replace(FIRING, month=spent(2)),
        {},
    ),
    "manual hands every alarm to a person": (("held", "", "manual"), "", FIRING, {"rules": ["gain", "manual"]}),
    "without labels for long the estimated loss may start a run": (
        ("retrain", "estimate", None),
        r"^no label has matured for 61 days, at most 60D are waited for one: estimated loss 1\.4",
        replace(SILENT, estimate=1.4),
        GAIN_ALONE,
    ),
    "where nothing can be estimated drift may start it": (
        ("retrain", "drift", None),
        r"at most 60D are waited for one: drift in 2",
        replace(SILENT, drifted=(("a",), ("a",))),
        GAIN_ALONE,
    ),
    "without labels for long the schedule may start a run": (
        ("retrain", "schedule", None),
        r"at most 60D are waited for one",
        replace(SILENT, last_run=NOW - pd.Timedelta("91D")),
        GAIN_ALONE,
    ),
}


@pytest.mark.parametrize(("what", "reason", "evidence", "settings"), DECISIONS.values(), ids=DECISIONS)
def test_each_decision_has_its_outcome_and_its_reason(
    what: tuple[str, str, str | None], reason: str, evidence: Evidence, settings: dict[str, Any]
) -> None:
    decision = decide(evidence, params(**settings))

    assert (decision.outcome, ", ".join(decision.fired), decision.stopped) == what
    assert re.search(reason, decision.reason)


OUTCOMES: dict[str, tuple[str, Evidence, dict[str, Any]]] = {
    "a rule that is not set starts nothing": ("none", FIRING, {"rules": ["drift"]}),
    "drift in the newest checks": ("retrain", replace(QUIET, drifted=((), ("a",), ("a",))), {}),
    "drift of which the oldest is past": ("none", replace(QUIET, drifted=(("a",), ("a",), (), ())), {}),
    "drift in m of fewer checks than n": ("retrain", DRIFTING, {}),
    "drift in one check": ("none", replace(QUIET, drifted=(("a",),)), {}),
    "a check without rows to look at counts no old drift": ("none", replace(DRIFTING, looked=False), {}),
    "cooldown, check 1": ("none", replace(DRIFTING, checks_since_run=1), {}),
    "cooldown, check 2": ("none", replace(DRIFTING, checks_since_run=2), {}),
    "after the cooldown": ("retrain", replace(DRIFTING, checks_since_run=3), {}),
    "a hold does not end on noise": (
        "held",
        replace(DRIFTING, accumulated_gain=AccumulatedGain(9.0, 100.0), refusals=2, lowest=3.0),
        {},
    ),
    "a hold that has ended lets other rules act too": (
        "retrain",
        replace(DRIFTING, accumulated_gain=FULL, refusals=2, lowest=3.0),
        {"rules": ["drift"]},
    ),
    "one refusal is no hold": ("retrain", replace(FIRING, refusals=1), {}),
    "nothing is held while no rule fires": ("none", replace(QUIET, refusals=5), {}),
    "without a version the first is made": ("retrain", NO_VERSION, {}),
    "the first version is asked for once": ("none", replace(NO_VERSION, going_on="run-1"), {}),
    "a deferred first version waits too": ("none", replace(NO_VERSION, deferral=waits(24)), {}),
    "another alarm after a promotion starts a run": ("retrain", replace(AGAIN, promoted_by=("schedule",)), {}),
    "the same alarm long after a promotion is a new one": ("retrain", replace(AGAIN, checks_since_run=6), {}),
    "runs are paid off after their checks": ("retrain", replace(FIRING, spent=(30, 10)), {}),
    "one run of two leaves one": ("retrain", replace(FIRING, spent=(10,)), {}),
    "a deferred run is taken up within the budget only": ("none", replace(QUIET, deferral=waits(0), spent=(2, 1)), {}),
    "without a budget nothing is counted": ("retrain", replace(FIRING, spent=(1,) * 50), {"budget": None}),
    "the month's first to the cent": ("retrain", replace(FIRING, month=spent(0, 40.0)), {}),
    "the month's second to the cent": ("retrain", replace(FIRING, month=spent(1, 80.0)), {}),
    "the month's third to the cent": ("retrain", replace(FIRING, month=spent(2, 120.0)), {}),
    "manual hands the first version to a person": ("held", NO_VERSION, MANUAL),
    "manual takes up what labels kept waiting": ("retrain", replace(QUIET, deferral=waits(0)), MANUAL),
    "an estimate within the band keeps drift from starting one": (
        "none",
        replace(SILENT, estimate=1.0, drifted=(("a",), ("a",))),
        GAIN_ALONE,
    ),
    "an estimate while labels are waited for": (
        "none",
        replace(SILENT, labels_until=NOW - pd.Timedelta("60D"), estimate=9.0),
        GAIN_ALONE,
    ),
    "an estimate where labels are waited for without end": (
        "none",
        replace(SILENT, labels_until=NOW - pd.Timedelta("90D"), estimate=9.0),
        GAIN_ALONE | {"max_wait": None},
    ),
}


@pytest.mark.parametrize(("outcome", "evidence", "settings"), OUTCOMES.values(), ids=OUTCOMES)
def test_evidence_has_its_outcome(outcome: str, evidence: Evidence, settings: dict[str, Any]) -> None:
    assert decide(evidence, params(**settings)).outcome == outcome


def test_every_rule_is_asked_also_when_none_can_act() -> None:
    decision = decide(replace(FIRING, deferral=waits(24)), params())

    assert [result.rule for result in decision.said] == ["gain", "drift"]


def test_an_unknown_rule_is_refused_where_it_is_set() -> None:
    with pytest.raises(ValidationError, match="trigger rule 'gian'"):
        params(rules=["gian"])


# --- cooldown, hold


def test_a_cooldown_does_not_hold_the_account() -> None:
    decision = decide(replace(DRIFTING, accumulated_gain=FULL, checks_since_run=1), params())

    assert (decision.outcome, decision.fired) == ("retrain", ("gain",))


def test_two_refusals_running_hold_whatever_fires() -> None:
    decision = decide(replace(DRIFTING, accumulated_gain=FULL, refusals=2, lowest=8.0), params())

    assert (decision.outcome, decision.stopped) == ("held", "hold")
    assert re.search(r"\b2 refusals\b.*\bgain above 13, now 9\b", decision.reason)


@pytest.mark.parametrize(
    ("refusals", "balance", "outcome"),
    [(2, 8.0, "held"), (2, 8.1, "retrain"), (3, 8.1, "held"), (3, 13.1, "retrain"), (4, 13.1, "held")],
)
def test_a_hold_ends_once_the_account_has_grown_by_a_price_for_each_refusal(
    refusals: int, balance: float, outcome: str
) -> None:
    evidence = replace(FIRING, accumulated_gain=AccumulatedGain(balance, 1.0), refusals=refusals, lowest=3.0)

    assert decide(evidence, params()).outcome == outcome


def test_where_nobody_knows_what_was_refused_a_hold_is_a_persons() -> None:
    decision = decide(replace(FIRING, refusals=2), params())

    assert (decision.outcome, decision.stopped) == ("held", "hold")
    assert decision.change == f"a person: {RELEASE}"  # no gain ends it


@pytest.mark.parametrize(
    ("refusals", "new_rows", "outcome"),
    [(1, 0, "retrain"), (2, 99, "held"), (2, 100, "retrain"), (3, 199, "held"), (3, 200, "retrain")],
)
def test_a_first_version_refused_too_often_waits_for_as_many_new_rows_as_judged_it(
    refusals: int, new_rows: int, outcome: str
) -> None:
    assert decide(replace(NO_VERSION, refusals=refusals, anew=(new_rows, 100)), params()).outcome == outcome


# --- deferral


@pytest.mark.parametrize("late", [0, 72])
def test_a_deferred_run_is_tried_again_at_the_first_check_after_its_labels_were_due(late: int) -> None:
    # Although no rule fires any more, and while a cooldown runs.
    assert decide(replace(QUIET, deferral=waits(-late), checks_since_run=1), params()).outcome == "retrain"


@pytest.mark.parametrize("until", [1, 7200, None])
def test_a_deferred_run_is_tried_again_as_soon_as_something_has_changed(until: int | None) -> None:
    decision = decide(replace(QUIET, deferral=waits(until, changed=True)), params())

    assert (decision.outcome, decision.fired) == ("retrain", ("drift",))
    assert decision.reason.startswith("rows, labels or settings have changed since a run was deferred")


# --- alarms that a person has to answer, or has answered: outcome, what fired, what waits, what is settled

ALARMS: dict[str, tuple[tuple[str, str, str, str], str, Evidence]] = {
    "the alarm that started the promoted run goes to a person when it is up again": (
        ("held", "", "drift", ""),
        "3 checks ago",
        AGAIN,
    ),
    "the account may fire again after its own promotion": (
        ("retrain", "gain", "drift", ""),
        "",
        replace(AGAIN, accumulated_gain=FULL, promoted_by=("gain", "drift")),
    ),
    "a held alarm stays held when the promotion is long past": (
        ("held", "", "drift", ""),
        "an earlier check",
        replace(LONG_AGO, held=("drift",)),
    ),
    "a held alarm that goes quiet is not forgotten": (("none", "", "drift", ""), "", replace(QUIET, held=("drift",))),
    "a settled alarm that stays up starts nothing and waits for nobody": (
        ("none", "", "", "drift"),
        "; drift was acknowledged by a person and has not cleared since$",
        replace(LONG_AGO, settled=("drift",)),
    ),
    "a settled alarm that goes quiet is settled no longer": (
        ("none", "", "", ""),
        "",
        replace(QUIET, settled=("drift",)),
    ),
    "beside a settled alarm the account may fire": (
        ("retrain", "gain", "", "drift"),
        "",
        replace(AGAIN, accumulated_gain=FULL, settled=("drift",)),
    ),
}


@pytest.mark.parametrize(("what", "reason", "evidence"), ALARMS.values(), ids=ALARMS)
def test_an_alarm_waits_for_its_person_and_no_longer(
    what: tuple[str, str, str, str], reason: str, evidence: Evidence
) -> None:
    decision = decide(evidence, params())
    rules = (decision.fired, decision.held, decision.settled)

    assert (decision.outcome, *(", ".join(names) for names in rules)) == what
    assert re.search(reason, decision.reason)


# --- the budget of a month, and the gate


@pytest.mark.parametrize(("cost", "budget"), [(1.1, 3.3), (0.1, 0.3), (40.0, 120.0), (40.0, 159.99)])
def test_a_month_pays_for_three_retrainings_to_the_cent_and_the_last_is_warned_of(cost: float, budget: float) -> None:
    money = MoneyParams(cost=cost, per_unit=0.5, currency="EUR")
    months = [spent(runs, budget, money) for runs in range(4)]

    assert [month.is_used_up for month in months] == [False, False, False, True]
    assert [month.is_nearly_used_up for month in months] == [False, False, True, False]


def test_what_the_gate_would_refuse_is_said_to_be_stopped_by_it() -> None:
    stopped = [decide(replace(evidence, preview=REFUSED), params()).stopped for evidence in (FIRING, QUIET)]

    assert stopped == ["gate", None]


# --- what would have changed the answer


@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        (r"^gain: it would have fired at a retraining cost below 1.*drift: it would", QUIET),
        (r"fewer than 1 checks, .*\b2 more checks$", replace(DRIFTING, checks_since_run=1)),
        (r"more than 2 runs, .*\b10 more checks$", replace(FIRING, spent=(20, 10))),
        (r"\bbudget of 120 EUR\b.*\bmonth$", replace(FIRING, month=spent(2))),
    ],
    ids=["quiet rules", "cooldown", "budget", "month"],
)
def test_a_decision_says_what_would_have_changed_it(change: str, evidence: Evidence) -> None:
    assert re.search(change, decide(evidence, params()).change)
