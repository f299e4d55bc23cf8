"""Each rule alone: the figures it names, and that what it says would have changed its answer does change it."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.band import Band
from retrim.decision.probe import GatePreview
from retrim.decision.run_params import ScheduleParams
from retrim.decision.triggers import (
    TriggerParams,
    checks_until,
    drift_rule,
    estimate_rule,
    gain_rule,
    performance_rule,
    schedule_rule,
)
from retrim.stats.timetable import due_between
from tests.contracts.test_every_rule import NOW, PARAMS, QUIET


def test_the_account_names_the_price_and_the_checks_at_which_it_would_have_fired() -> None:
    evidence = replace(
        QUIET, accumulated_gain=AccumulatedGain(3.1, 0.01), deposited=AccumulatedGain(2.5, 0.01), retraining_cost=8.2
    )

    assert re.search(r"cost below 3\.1, .*\b3 more checks\b", gain_rule(evidence, PARAMS).change)


def test_an_account_within_its_noise_names_the_errors_at_which_it_would_have_fired() -> None:
    evidence = replace(QUIET, accumulated_gain=AccumulatedGain(3.0, 4.0), retraining_cost=1.0)

    assert gain_rule(evidence, PARAMS).change.endswith(" 1.5 standard errors")


def test_an_empty_account_fires_at_no_price() -> None:
    found = gain_rule(replace(QUIET, accumulated_gain=AccumulatedGain.empty()), PARAMS)

    assert not found.fires
    assert not re.search(r"\d", found.change)


def test_rows_without_labels_yet_count_as_checks_like_the_newest() -> None:
    evidence = replace(QUIET, accumulated_gain=AccumulatedGain(3.0, 0.01, (1.0, 2.0)), retraining_cost=5.0)
    fires = [gain_rule(replace(evidence, pending=checks), PARAMS).fires for checks in (0.0, 1.0, 2.0)]

    assert fires == [False, False, True]  # 1.5 a check


def test_what_the_gate_would_refuse_is_not_started_and_the_gate_says_why() -> None:
    evidence = replace(QUIET, accumulated_gain=AccumulatedGain(9.0, 0.01), retraining_cost=5.0)
    said = [gain_rule(replace(evidence, preview=GatePreview(p, "gain 0.2%")), PARAMS) for p in (True, False)]

    assert [(each.fires, each.stopped) for each in said] == [(True, False), (False, True)]
    assert said[1].text.endswith(": gain 0.2%")
    assert re.search(r"\bgate\b", said[1].change)


def test_the_gate_is_not_named_while_the_account_does_not_pay() -> None:
    evidence = replace(
        QUIET, accumulated_gain=AccumulatedGain(3.0, 0.01), retraining_cost=5.0, preview=GatePreview(False, "gain 0.2%")
    )

    assert "gate" not in gain_rule(evidence, PARAMS).text


@settings(max_examples=100, deadline=None)
@given(
    balance=st.floats(0, 20),
    variance=st.floats(0, 50),
    gain=st.floats(0.01, 5),
    noise=st.floats(0, 5),
    retraining_cost=st.floats(0.1, 30),
)
def test_after_as_many_checks_as_it_says_the_account_pays_and_not_before(
    balance: float, variance: float, gain: float, noise: float, retraining_cost: float
) -> None:
    accumulated_gain, deposited = AccumulatedGain(balance, variance), AccumulatedGain(gain, noise)
    more = checks_until(accumulated_gain, deposited, retraining_cost=retraining_cost, errors=2.0, ahead=0.0)
    grown = [
        AccumulatedGain(balance + k * gain, variance + k * noise).pays(retraining_cost, errors=2.0, ahead=0.0)
        for k in range(1, 1001)
    ]

    assert more == (grown.index(True) + 1 if True in grown else None)


def test_checks_that_put_nothing_in_never_fill_it() -> None:
    assert (
        checks_until(AccumulatedGain(3.0, 1.0), AccumulatedGain(-1.0, 1.0), retraining_cost=5.0, errors=2.0, ahead=0.0)
        is None
    )


def test_the_schedule_fires_when_its_span_is_over_and_not_a_moment_before() -> None:
    last = NOW - pd.Timedelta("90D")
    fires = [schedule_rule(replace(QUIET, last_run=last + pd.Timedelta(s, "s")), PARAMS).fires for s in (0, 1)]

    assert fires == [True, False]


def test_a_settled_timetable_is_counted_from_the_settlement_and_due_again_in_its_time() -> None:
    settled = [NOW - pd.Timedelta(days, "D") for days in (89, 90)]
    evidence = replace(QUIET, last_run=NOW - pd.Timedelta("200D"))
    said = [schedule_rule(replace(evidence, timetable_settled=at), PARAMS) for at in settled]

    assert [each.fires for each in said] == [False, True]
    assert said[0].text.startswith(f"a person acknowledged it at {settled[0].isoformat()}, the next run is due at ")


def test_a_run_after_a_settlement_is_what_the_timetable_counts_from() -> None:
    evidence = replace(QUIET, last_run=NOW - pd.Timedelta("1D"), timetable_settled=NOW - pd.Timedelta("200D"))

    assert not schedule_rule(evidence, PARAMS).fires


def test_without_a_run_the_timetable_counts_from_when_the_version_went_live() -> None:
    imported = replace(QUIET, last_run=None, live_since=NOW - pd.Timedelta("90D"))
    later = replace(imported, live_since=NOW - pd.Timedelta("89D"))
    run_since = replace(imported, last_run=NOW - pd.Timedelta("1D"))
    settled = replace(imported, timetable_settled=NOW - pd.Timedelta("1D"))
    none_live = replace(imported, champion=None, live_since=None)
    found = [schedule_rule(each, PARAMS) for each in (imported, later, run_since, settled, none_live)]

    assert [each.fires for each in found] == [True, False, False, False, False]
    assert found[0].text.startswith(f"the live version went live at {imported.live_since.isoformat()}, ")
    assert found[3].text.startswith("a person acknowledged it at ")
    assert found[4].text == "no run has been made yet"


def test_the_schedule_reads_cron() -> None:
    weekly = PARAMS.model_copy(update={"every": "0 0 * * 5"})  # 1 March 2024 is a Friday
    before, after = NOW - pd.Timedelta("1h"), NOW

    assert schedule_rule(replace(QUIET, last_run=before), weekly).fires
    assert not schedule_rule(replace(QUIET, last_run=after), weekly).fires


@pytest.mark.parametrize("written", ["2 days", "48h", "0 0 4 * *"])
def test_a_timetable_that_is_taken_can_be_kept(written: str) -> None:
    since = pd.Timestamp("2024-01-02", tz="UTC")  # even days since 1970
    (due,) = due_between(ScheduleParams(check=written).check, since, since + pd.Timedelta("2D"))

    assert due - since == pd.Timedelta("2D")
    assert TriggerParams(every=written).every == ScheduleParams(check=written).check


@pytest.mark.parametrize("kind", [ScheduleParams, TriggerParams])
def test_a_timetable_that_never_comes_is_refused(kind: type[ScheduleParams | TriggerParams]) -> None:
    with pytest.raises(ValueError, match="never occurs"):
        kind.model_validate({"check" if kind is ScheduleParams else "every": "0 0 31 2 *"})


def test_a_loss_above_its_band_names_the_reach_that_would_have_been_enough() -> None:
    evidence = replace(QUIET, loss=1.5, band=Band(centre=1.0, iqr=0.2, sd=0.1))
    said = performance_rule(evidence, PARAMS)

    assert (said.fires, said.text) == (True, "loss 1.5 against 1.3, the top of the band (1 plus 3 sd of 0.1)")
    assert [figure in said.change for figure in ("loss 1.3 ", "reach of 5 ")] == [True, True]


def test_a_loss_at_the_top_of_its_band_is_within() -> None:
    band = Band(centre=1.0, iqr=0.2, sd=0.125)

    assert not performance_rule(replace(QUIET, loss=band.top(PARAMS.band), band=band), PARAMS).fires


def test_a_loss_below_its_band_is_no_alarm() -> None:
    assert not performance_rule(replace(QUIET, loss=0.0), PARAMS).fires


def test_an_estimate_is_held_against_the_same_band() -> None:
    assert estimate_rule(replace(QUIET, estimate=1.31), PARAMS).fires
    assert not estimate_rule(replace(QUIET, estimate=1.29), PARAMS).fires


@pytest.mark.parametrize("count", [0, 1])
def test_drift_names_how_many_checks_were_missing(count: int) -> None:
    wider = PARAMS.model_copy(update={"drift_checks": (2, 3)})
    evidence = replace(QUIET, drifted=((), (), ("level",) * count))

    assert re.search(rf"\b{2 - count} more .*\b3 checks\b", drift_rule(evidence, wider).change)
