"""The decision: each outcome, what comes before what, and the reason of each."""

import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.band import Band
from retrim.decision.history import Deferral
from retrim.decision.probe import GatePreview
from retrim.decision.retraining_cost import MoneyParams, MonthSpent
from retrim.decision.rules import RELEASE, decide
from retrim.decision.triggers import Evidence, TriggerParams

NOW = pd.Timestamp("2024-03-01", tz="UTC")
FULL, EMPTY = AccumulatedGain(9.0, 1.0), AccumulatedGain(1.0, 1.0)
QUIET = Evidence(
    now=NOW,
    champion=3,
    accumulated_gain=EMPTY,
    deposited=None,
    retraining_cost=5.0,
    errors=2.0,
    pending=0.0,
    preview=None,
    drifted=((),),
    looked=True,
    loss=1.0,
    estimate=None,
    band=Band(centre=1.0, iqr=0.1, sd=0.1),
    labels_until=NOW - pd.Timedelta("1D"),
    last_run=NOW - pd.Timedelta("5D"),
    checks_since_run=None,
    promoted_by=(),
    refusals=0,
    deferral=None,
    going_on=None,
    waiting=None,
    held=(),
    spent=(),
)
FIRING = replace(QUIET, accumulated_gain=FULL)


def waits(until: pd.Timestamp | None, *, changed: bool = False) -> Deferral:
    return Deferral(until, ("drift",), changed)


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


def outcome(evidence: Evidence, **changed: Any) -> str:
    return decide(evidence, params(**changed)).outcome


# --- outcomes


def test_quiet_rules_start_nothing_and_say_why() -> None:
    decision = decide(QUIET, params())

    assert decision.outcome == "none"
    assert re.search(r"\bgain 1 .*\bcost 5\b", decision.reason)
    assert "drift in 0 of" in decision.reason


def test_an_account_above_its_price_retrains() -> None:
    decision = decide(FIRING, params())

    assert decision.outcome == "retrain"
    assert decision.reason.startswith("accumulated gain 9 against retraining cost 5")


def test_drift_in_enough_checks_retrains() -> None:
    decision = decide(replace(QUIET, drifted=(("level",), (), ("level", "group"))), params())

    assert (decision.outcome, decision.fired) == ("retrain", ("drift",))
    assert re.fullmatch(r"drift in 2 of .* 3 checks, 2 of 3 .*: group, level", decision.reason)


def test_a_rule_that_is_not_set_starts_nothing() -> None:
    assert outcome(FIRING, rules=["drift"]) == "none"


def test_no_rule_starts_nothing() -> None:
    decision = decide(FIRING, params(rules=[]))

    assert (decision.outcome, decision.reason) == ("none", "no rule is set")


def test_every_rule_is_asked_also_when_none_can_act() -> None:
    decision = decide(replace(FIRING, deferral=waits(NOW + pd.Timedelta("1D"))), params())

    assert [said.rule for said in decision.said] == ["gain", "drift"]


# --- the drift rule


@pytest.mark.parametrize(
    ("drifted", "found"),
    [
        (((), ("a",), ("a",)), "retrain"),
        ((("a",), ("a",), (), ()), "none"),  # the oldest is past
        ((("a",), ("a",)), "retrain"),  # fewer checks than n, but m of them
        ((("a",),), "none"),
    ],
)
def test_drift_is_counted_over_the_last_checks(drifted: tuple[tuple[str, ...], ...], found: str) -> None:
    assert outcome(replace(QUIET, drifted=drifted)) == found


def test_a_check_without_rows_to_look_at_does_not_count_old_drift_again() -> None:
    assert outcome(replace(QUIET, drifted=(("a",), ("a",), ("a",)), looked=False)) == "none"


# --- cooldown, hold


DRIFTING = replace(QUIET, drifted=(("a",), ("a",)))


@pytest.mark.parametrize(("since", "found"), [(1, "none"), (2, "none"), (3, "retrain"), (None, "retrain")])
def test_no_alarm_that_may_repeat_starts_a_run_while_it_cools_down(since: int | None, found: str) -> None:
    assert outcome(replace(DRIFTING, checks_since_run=since)) == found


def test_a_cooldown_says_what_it_held_back() -> None:
    decision = decide(replace(DRIFTING, checks_since_run=1), params())

    assert decision.reason.startswith("cooldown, check 1 of 2 after the last run (drift in 2 of the last 2")
    assert decision.stopped == "cooldown"


def test_a_cooldown_does_not_hold_the_account() -> None:
    decision = decide(replace(DRIFTING, accumulated_gain=FULL, checks_since_run=1), params())

    assert (decision.outcome, decision.fired) == ("retrain", ("gain",))


def test_two_refusals_running_hold_whatever_fires() -> None:
    decision = decide(replace(DRIFTING, accumulated_gain=FULL, refusals=2, lowest=8.0), params())

    assert (decision.outcome, decision.stopped) == ("held", "hold")
    assert re.search(r"\b2 refusals\b.*\bgain above 13, now 9\b", decision.reason)


@pytest.mark.parametrize(
    ("refusals", "balance", "found"),
    [(2, 8.0, "held"), (2, 8.1, "retrain"), (3, 8.1, "held"), (3, 13.1, "retrain"), (4, 13.1, "held")],
)
def test_a_hold_ends_once_the_account_has_grown_by_a_price_for_each_refusal(
    refusals: int, balance: float, found: str
) -> None:
    evidence = replace(FIRING, accumulated_gain=AccumulatedGain(balance, 1.0), refusals=refusals, lowest=3.0)

    assert outcome(evidence) == found


def test_a_hold_does_not_end_on_noise() -> None:
    assert outcome(replace(DRIFTING, accumulated_gain=AccumulatedGain(9.0, 100.0), refusals=2, lowest=3.0)) == "held"


def test_a_hold_that_has_ended_lets_other_rules_act_too() -> None:
    assert outcome(replace(DRIFTING, accumulated_gain=FULL, refusals=2, lowest=3.0), rules=["drift"]) == "retrain"


def test_where_nobody_knows_what_was_refused_a_hold_is_a_persons() -> None:
    decision = decide(replace(FIRING, refusals=2), params())

    assert (decision.outcome, decision.stopped) == ("held", "hold")
    assert decision.change == f"a person: {RELEASE}"  # no gain ends it


def test_one_refusal_is_no_hold() -> None:
    assert outcome(replace(FIRING, refusals=1)) == "retrain"


def test_nothing_is_held_while_no_rule_fires() -> None:
    assert outcome(replace(QUIET, refusals=5)) == "none"


# --- before the first version


def test_without_a_version_the_first_is_made() -> None:
    assert outcome(replace(QUIET, champion=None)) == "retrain"


@pytest.mark.parametrize(
    ("refusals", "come", "found"),
    [(1, 0, "retrain"), (2, 99, "held"), (2, 100, "retrain"), (3, 199, "held"), (3, 200, "retrain")],
)
def test_a_first_version_refused_too_often_waits_for_as_many_new_rows_as_judged_it(
    refusals: int, come: int, found: str
) -> None:
    assert outcome(replace(QUIET, champion=None, refusals=refusals, anew=(come, 100))) == found


def test_a_first_version_on_hold_says_how_many_rows_it_waits_for() -> None:
    decision = decide(replace(QUIET, champion=None, refusals=2, anew=(40, 100)), params())

    assert decision.reason.startswith("on hold after 2 refusals in a row until 60 more rows have matured; or a person")


# --- deferral


def test_a_deferred_run_waits_for_its_labels_also_when_a_rule_fires() -> None:
    decision = decide(replace(FIRING, deferral=waits(NOW + pd.Timedelta("1h"))), params())

    assert decision.outcome == "none"
    assert "until 2024-03-01T01:00:00+00:00" in decision.reason


@pytest.mark.parametrize("late", ["0h", "3D"])
def test_a_deferred_run_is_tried_again_at_the_first_check_after_its_labels_were_due(late: str) -> None:
    # Although no rule fires any more, and while a cooldown runs.
    evidence = replace(QUIET, deferral=waits(NOW - pd.Timedelta(late)), checks_since_run=1)

    assert outcome(evidence) == "retrain"


@pytest.mark.parametrize("until", [NOW + pd.Timedelta("1h"), NOW + pd.Timedelta("300D"), None])
def test_a_deferred_run_is_tried_again_as_soon_as_something_has_changed(until: pd.Timestamp | None) -> None:
    decision = decide(replace(QUIET, deferral=waits(until, changed=True)), params())

    assert (decision.outcome, decision.fired) == ("retrain", ("drift",))
    assert decision.reason.startswith("rows, labels or settings have changed since a run was deferred")


def test_a_deferral_without_a_date_waits_for_a_change() -> None:
    decision = decide(replace(FIRING, deferral=waits(None)), params())

    assert decision.outcome == "none"
    assert decision.reason == "a deferred run waits for new rows, labels or settings"


def test_a_deferred_first_version_waits_too() -> None:
    assert outcome(replace(QUIET, champion=None, deferral=waits(NOW + pd.Timedelta("1D")))) == "none"


# --- settings


def test_an_unknown_rule_is_refused_where_it_is_set() -> None:
    with pytest.raises(ValidationError, match="trigger rule 'gian'"):
        params(rules=["gian"])


# --- a run under way ------------------------------------------------------------------------------


def test_no_run_is_started_beside_one_that_is_going_on() -> None:
    decision = decide(replace(FIRING, going_on="run-7"), params())

    assert (decision.outcome, "run-7" in decision.reason) == ("none", True)


def test_the_first_version_is_asked_for_once() -> None:
    assert outcome(replace(QUIET, champion=None, going_on="run-1")) == "none"


# --- the loop breaker -----------------------------------------------------------------------------

AGAIN = replace(QUIET, drifted=(("a",), ("a",)), checks_since_run=3, promoted_by=("drift",))


def test_the_alarm_that_started_the_promoted_run_goes_to_a_person_when_it_is_up_again() -> None:
    decision = decide(AGAIN, params())

    assert (decision.outcome, decision.held) == ("held", ("drift",))
    assert "3 checks ago" in decision.reason


def test_another_alarm_after_a_promotion_starts_a_run() -> None:
    assert outcome(replace(AGAIN, promoted_by=("schedule",))) == "retrain"


def test_the_same_alarm_long_after_a_promotion_is_a_new_one() -> None:
    assert outcome(replace(AGAIN, checks_since_run=6)) == "retrain"


def test_the_account_may_fire_again_after_its_own_promotion() -> None:
    decision = decide(replace(AGAIN, accumulated_gain=FULL, promoted_by=("gain", "drift")), params())

    assert (decision.outcome, decision.fired, decision.held) == ("retrain", ("gain",), ("drift",))


def test_a_held_alarm_stays_held_when_the_promotion_is_long_past() -> None:
    decision = decide(replace(AGAIN, checks_since_run=9, held=("drift",)), params())

    assert (decision.outcome, decision.held) == ("held", ("drift",))
    assert "an earlier check" in decision.reason


def test_a_held_alarm_that_goes_quiet_is_not_forgotten() -> None:
    assert decide(replace(QUIET, held=("drift",)), params()).held == ("drift",)


def test_a_settled_alarm_that_stays_up_starts_nothing_and_waits_for_nobody() -> None:
    decision = decide(replace(AGAIN, checks_since_run=9, settled=("drift",)), params())

    assert (decision.outcome, decision.held, decision.settled) == ("none", (), ("drift",))
    assert decision.reason.endswith("; drift was acknowledged by a person and has not cleared since")


def test_a_settled_alarm_that_goes_quiet_is_settled_no_longer() -> None:
    assert decide(replace(QUIET, settled=("drift",)), params()).settled == ()


def test_beside_a_settled_alarm_the_account_may_fire() -> None:
    decision = decide(replace(AGAIN, accumulated_gain=FULL, settled=("drift",)), params())

    assert (decision.outcome, decision.fired, decision.settled) == ("retrain", ("gain",), ("drift",))


# --- the budget -----------------------------------------------------------------------------------


def test_a_used_up_budget_starts_nothing_and_says_until_when() -> None:
    decision = decide(replace(FIRING, spent=(20, 10)), params())

    assert (decision.outcome, decision.stopped) == ("none", "budget")
    assert decision.reason.startswith("budget: 2 of 2 retrainings in 30 checks are used up, for 10 more checks")
    assert re.search(r"more than 2 runs, .*\b10 more checks$", decision.change)


@pytest.mark.parametrize("spent", [(30, 10), (10,), ()])
def test_runs_so_many_checks_ago_are_paid_off(spent: tuple[int, ...]) -> None:
    assert outcome(replace(FIRING, spent=spent)) == "retrain"


def test_a_deferred_run_is_taken_up_again_within_the_budget_only() -> None:
    assert outcome(replace(QUIET, deferral=waits(NOW), spent=(2, 1))) == "none"


def test_without_a_budget_nothing_is_counted() -> None:
    assert outcome(replace(FIRING, spent=(1,) * 50), budget=None) == "retrain"


EUROS = MoneyParams(cost=40.0, per_unit=0.5, currency="EUR")


def spent(runs: int, budget: float = 100.0) -> MonthSpent:
    return MonthSpent("2024-05", runs, EUROS, budget)


def test_a_retraining_that_the_month_cannot_pay_is_not_started() -> None:
    decision = decide(replace(FIRING, month=spent(2)), params())

    assert (decision.outcome, decision.stopped) == ("none", "budget")
    assert decision.reason.startswith("budget: retrainings of 2024-05 cost 80 of 100 EUR")
    assert re.search(r"\bbudget of 120 EUR\b.*\bmonth$", decision.change)


@pytest.mark.parametrize(("runs", "budget"), [(0, 40.0), (1, 80.0), (2, 120.0)])
def test_a_retraining_that_uses_the_month_up_to_the_cent_is_started(runs: int, budget: float) -> None:
    assert outcome(replace(FIRING, month=spent(runs, budget))) == "retrain"


def test_the_last_one_that_fits_is_warned_of() -> None:
    assert [spent(runs).is_nearly_used_up for runs in range(4)] == [False, True, False, False]


@pytest.mark.parametrize(("cost", "budget"), [(1.1, 3.3), (0.1, 0.3), (40.0, 120.0), (40.0, 159.99)])
def test_a_month_pays_for_three_retrainings_to_the_cent(cost: float, budget: float) -> None:
    money = MoneyParams(cost=cost, per_unit=0.5, currency="EUR")
    months = [MonthSpent("2024-05", runs, money, budget) for runs in range(4)]

    assert [month.is_used_up for month in months] == [False, False, False, True]
    assert [month.is_nearly_used_up for month in months] == [False, False, True, False]


def test_what_the_gate_would_refuse_is_said_to_be_stopped_by_it() -> None:
    refused = GatePreview(passes=False, reason="too small a gain")

    assert decide(replace(FIRING, preview=refused), params()).stopped == "gate"
    assert decide(replace(QUIET, preview=refused), params()).stopped is None


# --- manual ---------------------------------------------------------------------------------------


def test_manual_hands_every_alarm_to_a_person() -> None:
    decision = decide(FIRING, params(rules=["gain", "manual"]))

    assert (decision.outcome, decision.stopped) == ("held", "manual")


def test_manual_hands_the_first_version_to_a_person() -> None:
    assert outcome(replace(QUIET, champion=None), rules=["manual"]) == "held"


def test_manual_takes_up_what_a_person_asked_for_and_labels_kept_waiting() -> None:
    assert outcome(replace(QUIET, deferral=waits(NOW)), rules=["manual"]) == "retrain"


# --- labels that do not come ----------------------------------------------------------------------

SILENT = replace(QUIET, labels_until=NOW - pd.Timedelta("61D"), loss=None)


def test_without_labels_for_long_the_estimated_loss_may_start_a_run() -> None:
    decision = decide(replace(SILENT, estimate=1.4), params(rules=["gain"]))

    assert (decision.outcome, decision.fired) == ("retrain", ("estimate",))
    assert decision.reason.startswith(
        "no label has matured for 61 days, at most 60D are waited for one: estimated loss 1.4"
    )


def test_where_nothing_can_be_estimated_drift_may_start_it() -> None:
    decision = decide(replace(SILENT, drifted=(("a",), ("a",))), params(rules=["gain"]))

    assert (decision.outcome, decision.fired) == ("retrain", ("drift",))
    assert "at most 60D are waited for one: drift in 2" in decision.reason


def test_without_labels_for_long_the_schedule_may_start_a_run() -> None:
    decision = decide(replace(SILENT, last_run=NOW - pd.Timedelta("91D")), params(rules=["gain"], every="90D"))

    assert (decision.outcome, decision.fired) == ("retrain", ("schedule",))
    assert "at most 60D are waited for one" in decision.reason


def test_an_estimate_within_the_band_keeps_drift_from_starting_one() -> None:
    evidence = replace(SILENT, estimate=1.0, drifted=(("a",), ("a",)))

    assert outcome(evidence, rules=["gain"]) == "none"


@pytest.mark.parametrize(("waited", "most"), [("60D", "60D"), ("90D", None)])
def test_estimates_start_nothing_while_labels_come_or_are_waited_for(waited: str, most: str | None) -> None:
    evidence = replace(SILENT, labels_until=NOW - pd.Timedelta(waited), estimate=9.0)

    assert outcome(evidence, rules=["gain"], max_wait=most) == "none"


# --- what would have changed the answer -----------------------------------------------------------


def test_a_quiet_decision_says_what_would_have_changed_each_rule() -> None:
    change = decide(QUIET, params()).change

    assert change.startswith("gain: it would have fired at a retraining cost below 1")
    assert "drift: it would" in change


def test_a_cooldown_says_how_much_longer_it_lasts() -> None:
    change = decide(replace(DRIFTING, checks_since_run=1), params()).change

    assert re.search(r"fewer than 1 checks, .*\b2 more checks$", change)
