"""A check: what it counts once, what it says, and that it is recorded whether or not it acts."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.adapters.database import iso
from retrim.checking.audit import audit
from retrim.checking.gain import balance, retraining_cost_now
from retrim.checking.history import checks_of
from retrim.checking.price import retraining_cost_of
from retrim.checking.score import score
from retrim.checking.sizing import recipe_digest, shown_before
from retrim.cli import render
from retrim.cli.answers import find_decision
from retrim.cli.screens.decisions import check_report, decision_report
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.errors import BadInputError
from retrim.lineage.workspace import ask_for_run
from retrim.release.versions import load_champion
from retrim.retraining.retrain import claim_run, defer_run
from tests.builders.answers import decision_record, status_record
from tests.builders.desk import START, Desk, Make, make_desk, with_params
from tests.builders.predicted import predicted_rows

pytestmark = pytest.mark.slow  # half a second each: every test makes a champion with the stages

CONCEPT: dict[str, Any] = {"kind": "concept", "size": 2.0, "since": START + pd.Timedelta(10, "D")}
SHIFT: dict[str, Any] = {"kind": "shift", "size": 2.0, "since": START + pd.Timedelta(10, "D")}
LOOK_AT_LEVEL = {"rules": ["drift"]}
DEAR = {"gain": {"cost": 1000.0}}
JUDGED_ON_MORE = {"split": {"judge_rows": 96}}
CHEAP = {"gain": {"cost": 0.05, "errors": 0.0}}
WORSE_SLICES = "Slices with a higher loss"


# --- before there is a champion -------------------------------------------------------------------


def test_a_check_of_nothing_or_before_the_first_arrival_says_what_to_do(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    with pytest.raises(BadInputError, match="retrim ingest FILE"):
        desk.check(1)
    desk.land(desk.rows(0, 2), 2)

    with pytest.raises(BadInputError, match=r"by 2024-01-02.* from 2024-01-03"):
        desk.check(1)


def test_the_first_check_asks_for_version_1(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    checked = desk.pass_days(0, 10)

    assert (checked.outcome, checked.reason) == ("retrain", "no version is live, so the first is made")
    assert (checked.record["champion"], checked.record["probe"]["reading"]) == (None, None)


def test_a_check_says_how_many_rows_came_since_the_one_before(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    desk = make(changes=DEAR)
    checks = [desk.check(10), desk.pass_days(10, 12), desk.check(13)]
    landed = [checked.record["landed"] for checked in checks]
    for checked in (checks[1], checks[2]):
        render.show_report(check_report(checked.made, None, []))
    with_rows, _, without = capsys.readouterr().out.partition("evidence: ")

    assert landed[0] == {"batches": 1, "rows": 240, "new": 240, "since": None}
    assert [since["new"] for since in landed[1:]] == [48, 0]
    assert landed[2]["since"] == iso(desk.day(12))
    assert ["retrim ingest FILE" in text for text in (with_rows, without.partition("evidence: ")[0])] == [False, True]


# --- what is counted ------------------------------------------------------------------------------


def test_training_windows_of_the_same_rows_are_probed_once(make: Make) -> None:
    desk = make(changes={"train": {"windows": ["all", "sliding"]}, "split": {"sliding_rows": 10_000}})
    desk.land(desk.rows(10, 13), 13)

    assert list(desk.check(13).record["probe"]["refits"]) == ["all"]


def test_too_few_rows_say_nothing_and_count_with_the_next(make: Make) -> None:
    desk = make(drift=SHIFT)
    checks = [desk.pass_days(since, until).record for since, until in ((10, 10.5), (10.5, 11.25), (11.25, 11.75))]
    readings = [record["probe"]["reading"] for record in checks]

    assert [reading and reading["rows"] for reading in readings] == [None, 12 + 18, None]
    assert [[f["current"]["rows"] for f in record["drift"]["findings"][:1]] for record in checks] == [[], [30], []]


def test_a_row_is_counted_when_its_late_label_has_come(make: Make) -> None:
    desk = make(labels="later")
    rows = desk.rows(10, 12)
    desk.land(rows.assign(outcome=float("nan")), 12)
    without = desk.check(12)
    desk.land(rows.head(30), 13, kind="labels")
    first = desk.check(13)
    desk.land(rows.tail(18), 14, kind="labels")
    desk.land(desk.rows(12, 12.5), 14)
    second = desk.check(14)

    assert (without.record["probe"]["reading"], without.record["labels"]["overdue"]) == (None, 48)
    assert [each.record["probe"]["reading"]["rows"] for each in (first, second)] == [30, 18 + 12]


def test_a_label_that_came_early_counts_when_it_was_due(make: Make) -> None:
    desk = make(data={"label_horizon": "3D"})
    desk.land(desk.rows(10, 12), 12)
    counted = [desk.check(day).record["probe"]["reading"]["rows"] for day in (12, 15)]

    # At day 10 events up to 7:00:00 were due and made the champion, at day 12 those up to 9, at day 15 the rest.
    assert counted == [48, 71]


def test_rows_up_to_a_persons_version_do_not_enter_the_account(make: Make) -> None:
    desk = make()
    desk.check(10)
    desk.land(desk.rows(10, 14), 14)
    desk.make_version(14)
    checked = desk.pass_days(14, 15.5)

    assert (checked.record["champion"], checked.record["probe"]["reading"]["rows"]) == (2, 36)


# --- the account ----------------------------------------------------------------------------------


def test_the_checks_of_a_champion_whose_concept_drifts_go_on_from_one_another(make: Make) -> None:
    desk = make(drift=CONCEPT, changes=DEAR)
    records = [desk.pass_days(day - 2, day).record for day in (14, 16, 18, 20)]  # of as many rows as judge
    quiet, last = desk.check(21).record, records[-1]
    balances = [record["gain"]["now"]["balance"] for record in records]
    deposit = last["probe"]["reading"]["gain"] * 48 / 48  # by the share of a usual check
    losses = [record["performance"]["measured"]["loss"] for record in records]

    assert 0 < balances[0] < balances[1] < balances[2]
    assert balances[-1] - last["gain"]["before"]["balance"] == pytest.approx(deposit)
    assert quiet["gain"]["now"] == last["gain"]["now"]
    assert last["probe"]["preview"]["passes"]
    assert last["probe"]["preview"]["reason"].startswith("all 6 checks passed; gain over the champion")
    assert last["labels"]["pending"] == 0
    assert last["totals"]["loss"] == pytest.approx(sum(losses))
    assert last["totals"]["probes_cost"] == pytest.approx(sum(record["probe"]["cost"]["cost"] for record in records))
    assert last["performance"]["measured"]["interval"][0] < losses[-1] < last["performance"]["measured"]["interval"][1]

    of = last["probe"]["losses"]["of"]
    (before,) = shown_before(desk.workspace, 1, of, as_of=desk.day(14))
    life = shown_before(desk.workspace, 1, of)

    assert [len(evidence.champion) for evidence in (before, *life)] == [8] * 5  # two days of hours, six a block
    assert life[-1].champion.mean() == pytest.approx(last["probe"]["reading"]["champion_loss"])
    assert shown_before(desk.workspace, 1, "another recipe") == shown_before(desk.workspace, 2, of) == []

    predictor = load_champion(desk.workspace).predictor
    assert recipe_digest(with_params(desk, split={"sliding_rows": 77}).workspace, predictor) != of


def test_what_the_gate_would_refuse_is_not_started_with_or_without_new_rows(make: Make) -> None:
    desk = make(drift=CONCEPT, changes={**CHEAP, "gate": {"min_gain": 0.99}})
    refused = _until_it_pays(desk, outcome="none")
    after = desk.check(21)

    assert refused.record["gain"]["now"]["balance"] > refused.record["gain"]["retraining_cost"]
    assert not refused.record["probe"]["preview"]["passes"]
    assert (after.outcome, after.record["probe"]["preview"]) == ("none", refused.record["probe"]["preview"])
    assert ["the gate" in checked.reason for checked in (refused, after)] == [True, True]


def test_a_promotion_empties_the_account(make: Make) -> None:
    desk = make(drift=CONCEPT, changes=CHEAP)
    _until_it_pays(desk)
    desk.make_version(20, decision=_last_id(desk))

    assert balance(desk.workspace, 2, checks_of(desk.workspace)) == AccumulatedGain.empty()


def test_a_refusal_debits_the_price_once_and_no_cooldown_holds_the_account(make: Make) -> None:
    desk = make(drift=CONCEPT, changes=CHEAP | {"probe": {"when": "needed"}})
    paid = _until_it_pays(desk).record["gain"]["now"]["balance"]
    desk.make_version(20, promote=False, decision=_last_id(desk))
    at_once = balance(desk.workspace, 1, checks_of(desk.workspace)).balance
    balances = [desk.check(day).record["gain"]["now"]["balance"] for day in (20.5, 21)]
    fed = desk.pass_days(20, 22).record

    assert at_once == pytest.approx(paid - 0.05)
    assert balances == pytest.approx([at_once, at_once])
    assert fed["decision"]["fired"] == ["gain"]
    assert fed["probe"]["reading"]["rows"] == 48  # near the price each check probes


def test_a_price_is_half_of_what_the_live_version_is_worth_on_rows_it_had_not_seen(make: Make) -> None:
    desk = make(changes={"gain": {"cost": 0.5, "cost_unit": "worth"}})
    desk.make_version(11, losses={"all": 1.0, "mean": 5.0})

    assert retraining_cost_now(desk.workspace) == 2.0


def test_a_cost_above_all_loss_of_a_year_is_refused_with_the_figures(make: Make) -> None:
    desk = make()

    with pytest.raises(BadInputError, match=r"costs as much as 416\.7 .* more than all loss of a year, 27\d"):
        retraining_cost_of(desk.workspace, cost=1.0, per_row=5e-5, currency="EUR", now=desk.day(10))


# --- the probe: when it is asked, and what it costs ------------------------------------------------


def test_rows_of_checks_that_do_not_probe_wait_and_are_counted_once(make: Make) -> None:
    no_drift = {"drift": {"min_rows": 1000}}  # ten days are too few to calibrate its alarms
    desk = make(changes=DEAR | no_drift | {"probe": {"when": "needed"}})
    records = [desk.pass_days(day - 2, day).record for day in range(12, 30, 2)]
    readings = [None if each["probe"]["reading"] is None else each["probe"]["reading"]["rows"] for each in records]

    probed = [place for place, rows in enumerate(readings) if rows is not None]
    assert 2 < len(probed) < len(records)
    assert [readings[place] for place in probed] == [
        48 * (place - before) for before, place in zip([-1, *probed], probed, strict=False)
    ]
    assert [each["probe"]["cost"] is None for each in records] == [each is None for each in readings]
    assert audit(desk.workspace, now=desk.day(29)).holds


def test_a_loss_that_leaps_is_probed_at_each_check_on_rows_since_the_change_too(make: Make) -> None:
    windows = {"train": {"windows": ["all"]}, "probe": {"when": "needed"}}
    desk = make(drift={**CONCEPT, "size": 6.0}, changes=DEAR | windows)
    records = [desk.pass_days(day - 2, day).record for day in range(12, 20, 2)]

    assert all(each["probe"]["watch"]["is_high"] for each in records)
    assert [each["probe"]["reading"] is not None for each in records] == [True] * 4
    assert [sorted(each["probe"]["refits"]) for each in records] == [["all"], *[["all", "recent"]] * 3]
    assert records[-1]["probe"]["refits"]["recent"] < records[-1]["probe"]["refits"]["all"]


def test_a_probe_costs_the_price_times_its_share_of_a_retrainings_work(make: Make) -> None:
    desk = make()
    record = desk.pass_days(10, 12).record
    probed = record["probe"]["cost"]

    # One fit of 30 rounds on the 240 rows of ten days; the last was due at the very first new event.
    assert probed["work"] == 240 * 30
    assert probed["cost"] == pytest.approx(record["gain"]["retraining_cost"] * probed["work"] / probed["retraining"])


def test_the_timetable_counts_from_the_release_where_no_run_has_ended(make: Make) -> None:
    desk = make(changes={"triggers": {"rules": ["schedule"], "every": "4D"}})
    (run,) = desk.workspace.store.runs(desk.workspace.model)
    at = desk.day(10).isoformat()
    desk.workspace.store.end_run(run.id, state="failed", ended=at, version=run.version, detail=run.detail)
    desk.land(desk.rows(10, 13), 13)

    assert [desk.check(day).outcome for day in (13, 14)] == ["none", "retrain"]


# --- estimates before labels ------------------------------------------------------------------------


def test_an_estimate_is_scored_once_when_its_labels_have_come(make: Make) -> None:
    desk = make(labels="later", changes=JUDGED_ON_MORE)
    rows = desk.rows(10, 12)
    desk.land(rows.assign(outcome=float("nan")), 12)
    said = desk.check(12).record
    desk.land(rows.head(20), 13, kind="labels")
    some = desk.check(13).record
    desk.land(rows.tail(28), 14, kind="labels")
    all_, after = desk.check(14).record, desk.check(15).record

    assert (
        said["estimate"]["newest"]["rows"],
        said["estimate"]["scored"],
        some["estimate"]["scored"],
        after["estimate"]["scored"],
    ) == (48, [], [], [])
    assert all_["estimate"]["scored"][0]["as_of"] == iso(desk.day(12))
    assert all_["estimate"]["scored"][0]["estimated"] == said["estimate"]["newest"]["loss"]
    assert after["estimate"]["quality"] == all_["estimate"]["quality"]


def test_rows_with_labels_are_estimated_as_if_they_had_none(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    desk = make(changes=JUDGED_ON_MORE)
    record = desk.pass_days(10, 20).record
    render.show_report(decision_report(find_decision(desk.workspace, None)))

    assert record["estimate"]["scored"][0]["realised"] == pytest.approx(record["performance"]["measured"]["loss"])
    assert record["estimate"]["quality"]["scored"] == 1
    assert record["performance"]["slices"] != []
    assert WORSE_SLICES not in capsys.readouterr().out  # there is no drift


def test_without_labels_for_long_estimate_and_schedule_are_asked_too(make: Make) -> None:
    desk = make(
        labels="later",
        changes=JUDGED_ON_MORE
        | {"triggers": {"max_wait": "3D", "band": {"unit": "iqr", "reach": 1e-6}, "cooldown_checks": 0}},
    )
    desk.land(desk.rows(10, 14).assign(outcome=float("nan"), level=9.0), 14)
    checked = desk.check(14)

    assert [said["rule"] for said in checked.record["decision"]["said"]] == ["gain", "estimate", "schedule"]
    assert checked.record["labels"]["until"] == iso(desk.day(10))


# --- what would have changed the answer -----------------------------------------------------------


def test_why_names_the_price_that_fires_whatever_the_settings_have_become(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = make(drift=CONCEPT, changes=DEAR)
    quiet = _until_it_pays(desk, outcome="none")
    change = quiet.record["decision"]["said"][0]["change"]
    named = float(change.partition("at a retraining cost below ")[2].partition(",")[0])
    edited = with_params(desk, gain={"cost": named * 0.999})
    texts = []
    for workspace in (desk.workspace, with_params(edited, triggers={"rules": ["drift"]}).workspace):
        render.show_report(decision_report(find_decision(workspace, None)))
        texts.append(capsys.readouterr().out)

    assert texts[0] == texts[1]
    assert edited.check(21).outcome == "retrain"


def test_a_check_says_in_which_slices_the_champion_loses_more(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    desk = make(drift=CONCEPT)
    slices = desk.pass_days(10, 20).record["performance"]["slices"]
    render.show_report(decision_report(find_decision(desk.workspace, None)))

    assert slices[0]["clear"]
    assert slices[0]["loss"] > 1.5 * slices[0]["before"]
    assert WORSE_SLICES in capsys.readouterr().out


# --- cooldown, hold, deferral ---------------------------------------------------------------------


def test_two_refusals_running_hold_until_the_account_has_grown_and_are_told_once(make: Make) -> None:
    desk = make(drift=CONCEPT, changes=CHEAP)
    _until_it_pays(desk)
    desk.make_version(20, promote=False, decision=_last_id(desk))
    desk.pass_days(20, 22)
    desk.make_version(22, promote=False, decision=_last_id(desk))
    account = float(status_record(desk.workspace, now=desk.day(23))["accumulated_gain"] or 0)
    # Its price is out of reach of one check's deposit, and then is not.
    stopped = with_params(desk, gain={"cost": account * 0.9}).pass_days(22, 24)
    ended = with_params(desk, gain={"cost": 0.05}).pass_days(24, 26)
    (alert,) = (row for row in desk.workspace.store.alerts(desk.workspace.model) if row.kind == "on hold")
    shown = decision_record(desk.workspace, "2024-01-25")["guards"]

    assert (stopped.outcome, stopped.record["decision"]["stopped"]) == ("held", "hold")
    assert "2 refusals" in stopped.reason
    assert (ended.outcome, ended.record["decision"]["fired"]) == ("retrain", ["gain"])
    assert "accumulated gain" in alert.text
    assert (shown["guards"]["hold"], shown["refused"]) == (1, 2)


def test_a_first_version_refused_twice_waits_for_as_many_new_rows_as_judged_it(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 10.1):
        desk.check(day)
        desk.make_version(day, promote=False, decision=_last_id(desk))
    held = desk.pass_days(10, 11)
    desk.land(desk.rows(11, 12), 12)

    assert (held.outcome, held.record["decision"]["stopped"]) == ("held", "hold")
    assert status_record(desk.workspace, now=desk.day(11))["hold_ends"].startswith("24 more mature rows; or a person")
    assert desk.check(12).outcome == "retrain"


def test_a_deferred_run_neither_debits_nor_cools_nor_counts_as_a_refusal(make: Make) -> None:
    desk = make(labels="later", drift=SHIFT, changes={"triggers": LOOK_AT_LEVEL | {"drift_checks": [1, 1]}})
    rows = desk.rows(10, 12)
    desk.land(rows.assign(outcome=float("nan")), 12)
    checked = desk.check(12)
    run = claim_run(desk.workspace, checked.id, now=desk.day(12))
    deferred = defer_run(desk.workspace, run, now=desk.day(12))
    waiting = desk.check(12.5)
    desk.land(rows, 13, kind="labels")
    awake = desk.check(15)

    assert deferred is not None
    assert "24 needed; enough by 2024-01-1" in deferred.reason
    assert deferred.reason.endswith(" labels are overdue, land them: retrim ingest FILE --labels")
    assert waiting.reason.startswith("a deferred run waits for labels until 2024-01-1")
    assert awake.outcome == "retrain"
    assert awake.record["gain"]["debited"] == []


def test_a_person_may_judge_again_on_the_rows_that_judged_the_champion(make: Make) -> None:
    desk = make()
    asked = ask_for_run(desk.workspace, as_of=desk.day(10.5), by="a test", reason="another space", now=desk.day(10.5))
    run = claim_run(desk.workspace, asked, now=desk.day(10.5))

    assert defer_run(desk.workspace, run, now=desk.day(10.5)) is None


def deferred_first(desk: Desk, at: float) -> str:
    """The reason of a first version that was deferred at a day."""
    checked = desk.check(at)
    assert checked.outcome == "retrain"
    deferred = defer_run(desk.workspace, claim_run(desk.workspace, checked.id, now=desk.day(at)), now=desk.day(at))
    assert deferred is not None
    return deferred.reason


def test_one_old_row_does_not_put_the_model_to_sleep(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    rows = desk.rows(0, 3)
    desk.land(rows.assign(at=rows["at"].mask(rows.index == 0, rows["at"] - pd.Timedelta(365 * 12, "D"))), 3)

    # 192 are needed, 71 are mature and one is due in an hour: 121 hours.
    assert "enough by 2024-01-09T01:00:00+00:00" in deferred_first(desk, 3)

    desk.land(desk.rows(3, 4), 4)
    deferred_first(desk, 4)  # asked again, as rows have come

    assert desk.check(4.1).outcome == "none"


@pytest.mark.parametrize("change", ["rows", "labels", "settings"])
def test_a_deferred_run_is_asked_again_when_something_changes(tmp_path: Path, change: str) -> None:
    desk = make_desk(tmp_path / "workspace", labels="later")
    rows = desk.rows(0, 3)
    desk.land(rows.assign(outcome=float("nan")), 3)
    deferred_first(desk, 3)
    before = desk
    if change == "rows":
        desk.land(desk.rows(3, 3.2).assign(outcome=float("nan")), 3.2)
    if change == "labels":
        desk.land(rows, 3.2, kind="labels")
    if change == "settings":
        desk = with_params(desk, gate={"min_rows": 25})
    waiting = before.check(3.1)  # a due time that was missed: what landed after it is not known yet
    awake = desk.check(3.3)

    assert (waiting.outcome, awake.outcome) == ("none", "retrain")


def test_a_few_rows_tell_no_date(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 0.1), 3)
    reason = deferred_first(desk, 3)

    assert "192 needed" in reason
    assert not re.search(r"\d{4}-\d\d-\d\d", reason)
    assert desk.check(400).outcome == "none"


def test_rows_of_a_wrong_year_do_not_put_the_model_to_sleep(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    rows = desk.rows(0, 10)
    desk.land(rows.assign(at=rows["at"] + pd.Timedelta(365 * 500, "D")), 10)

    assert deferred_first(desk, 10).endswith(
        "enough by 2024-01-19T01:00:00+00:00, tried again when rows, labels or settings change"
    )


def test_a_first_version_that_a_long_horizon_leaves_too_few_rows_waits_for_as_many_as_it_needs(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", data={"label_horizon": "12D"})
    desk.land(desk.rows(0, 40), 40)
    reason = deferred_first(desk, 40)
    until = (pd.Timestamp(desk.workspace.store.runs("generated")[-1].detail.until) - START) / pd.Timedelta("1D")
    again = desk.pass_days(40, until)

    assert reason.startswith("of 673 mature rows, too few come before the holdout rows to train on (")
    assert again.outcome == "retrain"
    assert (
        defer_run(desk.workspace, claim_run(desk.workspace, again.id, now=desk.day(until)), now=desk.day(until)) is None
    )


def test_a_run_as_of_before_the_first_arrival_says_so(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 2), 2)
    asked = ask_for_run(desk.workspace, as_of=desk.day(1), by="a test", reason="too early", now=desk.day(3))
    run = claim_run(desk.workspace, asked, now=desk.day(3))

    with pytest.raises(BadInputError, match="2024-01-02"):
        defer_run(desk.workspace, run, now=desk.day(3))


# --- drift ----------------------------------------------------------------------------------------


def test_drift_in_m_of_n_checks_starts_a_retraining(make: Make) -> None:
    desk = make(drift=SHIFT, changes={"triggers": LOOK_AT_LEVEL | {"drift_checks": [2, 3]}})
    outcomes = []
    for day in (12, 14):
        desk.land(desk.rows(day - 2, day), day)
        outcomes.append(desk.check(day + 0.1))
    # Version 1 starts a cooldown of two checks; the third may act.
    desk.land(desk.rows(14, 16), 16)
    outcomes.append(desk.check(16.1))

    assert [each.outcome for each in outcomes] == ["none", "none", "retrain"]
    assert outcomes[2].record["decision"]["fired"] == ["drift"]
    assert "2 of 3 needed: level" in outcomes[2].reason


def test_drift_that_a_promotion_did_not_end_is_held_and_stays_so_in_the_status(make: Make) -> None:
    rules = LOOK_AT_LEVEL | {"drift_checks": [1, 1], "cooldown_checks": 0}
    by_effect = {"drift": {"alarms": None}}  # two days of 12 that strayed are no history to promise a rate on
    desk = make(drift=SHIFT | {"since": START}, changes={"triggers": rules, **by_effect})
    wide = desk.rows(10, 12).assign(level=lambda rows: rows["level"] + 6)
    desk.land(wide, 12)
    first = desk.check(12)
    desk.make_version(12, decision=first.id)
    desk.land(desk.rows(12, 14).assign(level=lambda rows: rows["level"] - 6), 14)
    again = desk.check(14)
    quiet = desk.check(15)

    assert (first.outcome, first.record["decision"]["fired"]) == ("retrain", ["drift"])
    assert (again.outcome, again.record["decision"]["held"]) == ("held", ["drift"])
    assert (quiet.outcome, status_record(desk.workspace, now=desk.day(15))["held"]) == ("none", True)

    ask_for_run(desk.workspace, as_of=desk.day(15), by="a test", reason="seen", now=desk.day(15))

    assert not status_record(desk.workspace, now=desk.day(15))["held"]


def test_a_check_with_too_few_new_rows_is_no_check_without_drift(make: Make) -> None:
    desk = make(drift=SHIFT, changes={"triggers": LOOK_AT_LEVEL | {"drift_checks": [2, 2], "cooldown_checks": 0}})
    first, between, second = desk.pass_days(10, 12), desk.check(13), desk.pass_days(12, 14)
    later = desk.check(15)

    assert (first.outcome, between.reason) == ("none", "too few new rows to test")
    assert (second.outcome, later.outcome) == ("retrain", "none")


def test_score_drift_reads_the_stored_predictions(make: Make) -> None:
    desk = make(drift=SHIFT)
    desk.land(desk.rows(10, 14), 14)
    score(desk.workspace, now=desk.day(14))
    log = desk.workspace.predictions
    others = predicted_rows([str(key) for key in range(240, 336)], [1e9] * 96, event=desk.day(12), at=desk.day(14))
    log.add(2, others)
    stored = log.all_keys(1)
    found = {(f["column"], f["test"]): f["effect"] for f in desk.check(14).record["drift"]["findings"]}

    assert len(stored) == 48 + 96  # the rows that judged it, and the new ones
    assert found["predictions", "ks"] > 0.15


def test_no_feature_is_over_its_threshold_without_drift(make: Make) -> None:
    record = make().pass_days(10, 30).record

    assert len(record["drift"]["findings"]) == 15  # three of each feature, one of the score, two of the target
    assert set(record["drift"]["drifted"]) <= {"predictions"}  # the score is held against 48 judged rows alone


# --- records --------------------------------------------------------------------------------------


def test_a_check_of_the_same_moment_is_one_record_and_an_earlier_one_counts_nothing(make: Make) -> None:
    desk = make(drift=CONCEPT, changes=CHEAP)
    desk.land(desk.rows(10, 14), 14)
    later = desk.check(14)
    desk.land(desk.rows(14, 15), 14)
    again, kept = desk.check(14), len(desk.workspace.store.decisions(desk.workspace.model, source="check"))
    earlier, after = desk.check(13), desk.check(14.1)

    assert (later.fresh, again.fresh, kept) == (True, False, 1)
    assert again.record == later.record
    assert earlier.reason == (
        f"the check of {iso(desk.day(14))} was made already; a check cannot be earlier than the last"
    )
    assert after.record["gain"]["before"] == later.record["gain"]["now"]


# --- tables that change ---------------------------------------------------------------------------


def test_a_check_keeps_what_each_rule_said_and_the_metrics_of_params_yaml(make: Make) -> None:
    record = make(changes={"triggers": {"rules": ["gain", "drift"]}}).pass_days(10, 12).record
    metrics = record["performance"]["measured"]["metrics"]

    assert [result["rule"] for result in record["decision"]["said"]] == ["gain", "drift"]
    assert list(metrics) == ["mae", "rmse", "r2"]
    assert metrics["mae"] == pytest.approx(record["probe"]["reading"]["champion_loss"])


def test_a_level_that_the_champion_never_saw_is_a_missing_value(make: Make) -> None:
    desk = make()
    desk.land(desk.rows(10, 12).assign(group="new"), 12)
    record = desk.check(12).record

    assert record["probe"]["reading"]["rows"] == 48
    assert "group" in record["drift"]["drifted"]


def _until_it_pays(desk: Desk, *, outcome: str = "retrain") -> Any:
    """Ten days of drift, a check every second day but the first that may act on day 20."""
    for day in (12, 14, 16, 18, 20):
        desk.land(desk.rows(day - 2, day), day)
        if day in (12, 14):
            desk.check(day)
    checked = desk.check(20)

    assert checked.outcome == outcome, checked.reason
    assert checked.record["gain"]["now"]["balance"] > 0.05
    return checked


def _last_id(desk: Desk) -> str:
    return str(desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].id)
