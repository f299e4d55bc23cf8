"""A replay beside history: what is paired, what counts as a difference, why, and what both sides lost."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.card.replay import (
    UNKNOWN,
    Change,
    Cost,
    ReplayMoment,
    ReplaySide,
    Summary,
    changes,
    explain,
    losses_as_served,
    merged,
    pair,
)
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.check_record import CheckRecord
from retrim.decision.rules import RuleResult

START = pd.Timestamp("2024-01-01", tz="UTC")
PRICE = Change("gain.cost", 0.5, 0.25)


def said(rule: str, text: str, *, fires: bool) -> RuleResult:
    return RuleResult(rule, fires, text, change="")


def side(
    outcome: str, *rules: RuleResult, state: str | None = None, champion: int = 1, before: float = 2.0
) -> ReplaySide:
    accumulated_gain = AccumulatedGain(before, 1.0)
    check = CheckRecord(
        as_of=START,
        champion=champion,
        accumulated_gain_before=accumulated_gain,
        accumulated_gain=accumulated_gain,
        retraining_cost=1.0,
        said=rules,
    )
    return ReplaySide(outcome, f"because {outcome}", False, state, f"came {state}", 1, "2024", check)


QUIET = side("none", said("gain", "2 against 4", fires=False))
FIRED = side("retrain", said("gain", "2 against 1", fires=True), state="promoted")


def why(history: ReplaySide, replay: ReplaySide, *changed: Change) -> tuple[str, ...]:
    return explain(ReplayMoment("2024", history, replay), changed)


# --- settings


def test_the_keys_that_differ_are_named_with_both_values() -> None:
    before = {"gain": {"cost": 0.5, "money": None}, "triggers": {"rules": ["gain"]}}
    after = {"gain": {"cost": 0.25, "money": None}, "triggers": {"rules": ["gain", "drift"]}}

    assert changes(before, after) == (PRICE, Change("triggers.rules", ["gain"], ["gain", "drift"]))


def test_a_key_that_is_on_one_side_only_is_null_on_the_other() -> None:
    assert changes({"tune": {"space": {"a": 1}}}, {"tune": {"space": {"b": 2}}}) == (
        Change("tune.space.a", 1, None),
        Change("tune.space.b", None, 2),
    )


def test_equal_settings_differ_in_nothing() -> None:
    assert changes({"a": {"b": (1, 2)}}, {"a": {"b": [1, 2]}}) == ()


def test_settings_are_merged_at_every_depth() -> None:
    whole = {"tune": {"space": {"a": {"low": 1, "high": 2}, "b": {"low": 3}}, "trials": 9}, "seed": 7}

    assert merged(whole, {"tune": {"space": {"a": {"high": 4}}}}) == {
        "tune": {"space": {"a": {"low": 1, "high": 4}, "b": {"low": 3}}, "trials": 9},
        "seed": 7,
    }


@pytest.mark.parametrize("value", [{}, None, 3, [1]])
def test_what_is_no_mapping_of_keys_takes_the_place_of_one(value: Any) -> None:
    assert merged({"drift": {"alarms": {"per": "year"}, "seed": 7}}, {"drift": {"alarms": value}}) == {
        "drift": {"alarms": value, "seed": 7}
    }


# --- pairs


def test_moments_are_paired_and_a_check_comes_before_a_person() -> None:
    person = replace(QUIET, by_person=True, outcome="retrain")
    found = pair([("1", person), ("1", QUIET), ("2", person)], [("1", FIRED)])

    assert found == (ReplayMoment("1", QUIET, FIRED), ReplayMoment("1", person, None), ReplayMoment("2", person, None))


def test_what_a_person_did_is_no_difference() -> None:
    assert not ReplayMoment("1", replace(QUIET, by_person=True, outcome="retrain"), None).differs


@pytest.mark.parametrize(("other", "differs"), [(QUIET, False), (FIRED, True), (replace(QUIET, reason="else"), False)])
def test_decisions_differ_by_outcome_and_by_how_the_run_ended(other: ReplaySide, differs: bool) -> None:  # noqa: FBT001
    assert ReplayMoment("1", QUIET, other).differs == differs


# --- why


def test_a_rule_that_answered_otherwise_is_told_with_the_setting_that_bears_on_it() -> None:
    assert why(QUIET, FIRED, PRICE, Change("drift.min_rows", 1, 2)) == (
        "gain: history says no (2 against 4); the replay says yes (2 against 1)",
        "gain.cost is 0.5 in history and 0.25 in the replay",
    )


def test_a_rule_that_one_side_did_not_ask_is_told_with_the_list_of_rules() -> None:
    drift = side("retrain", said("gain", "2 against 4", fires=False), said("drift", "3 of 3", fires=True))
    rules = Change("triggers.rules", ["gain"], ["gain", "drift"])

    assert why(QUIET, drift, rules) == ("drift was evaluated in the replay only: yes (3 of 3)", rules.sentence)


def test_what_held_a_run_back_is_told_where_every_rule_answered_alike() -> None:
    cooling = side("none", said("gain", "2 against 1", fires=True))
    cooldown = Change("triggers.cooldown_checks", 2, 0)

    assert why(cooling, FIRED, cooldown, PRICE) == (
        "the outcome in history was none: because none",
        "the outcome in the replay was retrain: because retrain",
        cooldown.sentence,
    )


def test_runs_that_ended_otherwise_are_told_with_what_makes_and_judges_them() -> None:
    refused = replace(FIRED, state="refused", came="came refused")
    gate = Change("gate.min_gain", 0.01, 0.99)

    assert why(FIRED, refused, gate, PRICE) == (
        "the run in history was promoted: came promoted; the run in the replay was refused: came refused",
        gate.sentence,
    )


def test_another_version_and_another_account_are_causes_without_a_setting() -> None:
    later = side("retrain", said("gain", "9 against 4", fires=True), champion=2, before=7.0)

    assert why(QUIET, later)[1:] == (
        "by then version 1 was live in history, and version 2 in the replay",
        "before this moment, the accumulated gain was 2 in history and 7 in the replay",
    )


def test_a_difference_that_nothing_accounts_for_is_said_to_be_one() -> None:
    assert why(QUIET, FIRED, Change("demo.start", 1, 2))[-1] == UNKNOWN


def test_equal_decisions_need_no_explanation() -> None:
    assert why(QUIET, QUIET, PRICE) == ()


# --- what was lost


def test_a_row_is_the_business_of_the_version_that_was_live_when_it_happened() -> None:
    rows = pd.DataFrame({"_event": START + pd.to_timedelta([0, 1, 2, 3, 4], unit="D")})
    releases = [(START + pd.Timedelta("1D"), 1), (START + pd.Timedelta("3D"), 2), (START + pd.Timedelta("3D"), 3)]
    found = losses_as_served(rows, releases, lambda version, part: np.full(len(part), float(version)))

    np.testing.assert_array_equal(found, [np.nan, 1, 1, 3, 3])


def test_where_nothing_ever_went_live_no_loss_is_known() -> None:
    rows = pd.DataFrame({"_event": [START]})

    assert np.isnan(losses_as_served(rows, [], lambda version, part: np.zeros(len(part)))).all()


SUMMARY = Summary(
    since=START,
    until=START + pd.Timedelta("10D"),
    loss="mae",
    rows=240,
    rows_per_check=48,
    retraining_cost=2.0,
    history=Cost(loss=480.0, promoted=0, refused=0, restored=0, held=1, probes=0.5),
    replay=Cost(loss=240.0, promoted=1, refused=1, restored=1, held=0, probes=0.75),
    compared=5,
    differing=3,
)


def test_the_cost_is_loss_in_checks_and_each_retraining_at_the_price() -> None:
    record = SUMMARY.as_record()

    assert (record["history"]["cost"], record["replay"]["cost"]) == (480 / 48, 240 / 48 + 2 * 2.0)
    assert record["replay"]["cost_with_probes"] == record["replay"]["cost"] + 0.75


def test_what_is_promoted_pays_for_its_second_fit_too() -> None:
    again = replace(SUMMARY, replay=replace(SUMMARY.replay, again=0.25))

    assert again.as_record()["replay"]["cost"] == 240 / 48 + 2.25 * 2.0


def test_the_sentence_has_the_figures_of_both_sides() -> None:
    assert SUMMARY.sentence == (
        "From 2024-01-01 to 2024-01-11, over 240 rows, mae was 2 in history with 0 retrainings, and 1 in the replay "
        "with 2 retrainings (1 promoted, 1 refused) and 1 restored. At 2 per retraining, the total cost in mean loss x "
        "checks was 10 in history and 9 in the replay: 1 less in the replay. With the probes, the total cost was 10.5 "
        "in history and 9.75 in the replay. Decisions differ at 3 of 5 moments."
    )


def test_without_rows_there_is_no_loss_to_speak_of() -> None:
    assert replace(SUMMARY, rows=0).sentence == (
        "Decisions differ at 3 of 5 moments; no row both occurred and matured in the replayed time, so there is no "
        "loss."
    )
