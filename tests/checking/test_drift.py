"""The drift part of a check: the champion's bundle is all it knows of the past."""

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.checking.drift import alarm_requests, enough_time, find_drift, importances_of
from retrim.checking.rows import row_counts
from retrim.decision import policy_rules
from retrim.decision.policy_backtest import PolicyDelays
from retrim.decision.policy_gate import LiveModel, Setting
from retrim.drift.alarms import AlarmRequest
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET, TOGETHER, Profile
from retrim.files import folder_digest
from retrim.landing.as_of_view import read_as_of
from retrim.release.versions import load_stored_version
from retrim.table.data import assemble
from tests.builders.desk import START, Desk, Make
from tests.builders.landed import read_landed
from tests.builders.turning import matrix

pytestmark = pytest.mark.slow  # every test makes a champion with the stages

BESIDE = (SCORE, CONFIDENCE, TARGET, TOGETHER)
SHIFT: dict[str, Any] = {"kind": "shift", "size": 2.0, "since": START + pd.Timedelta(10, "D")}


def effects(record: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(f["column"], f["test"]): f["effect"] for f in record["drift"]["findings"]}


def test_the_reference_is_of_the_window_that_won_up_to_the_last_row_that_judged(make: Make) -> None:
    desk = make()
    finding = next(f for f in desk.pass_days(10, 12).record["drift"]["findings"] if f["column"] == "level")
    champion = load_stored_version(desk.workspace, 1)
    reference, importances = champion.reference, importances_of(champion.predictor)

    assert finding["reference"] == {
        "first": "2024-01-01T00:00:00+00:00",
        "last": "2024-01-10T23:00:00+00:00",
        "rows": 240,
    }
    assert reference is not None
    assert reference.scores is not None
    assert (reference.rows.rows, reference.scores.rows) == (240, 48)
    assert sum(importances.values()) == pytest.approx(1)
    assert max(importances, key=importances.__getitem__) == "level"


def test_findings_are_the_same_whether_or_not_the_old_rows_are_there(make: Make) -> None:
    desk = make(drift=SHIFT)
    desk.land(desk.rows(10, 14), 14)
    table = read_as_of(desk.workspace, as_of=desk.day(14))
    champion = load_stored_version(desk.workspace, 1)
    alone = table.only(table.times["_event"] > champion.predictor.judged_until)
    counts = row_counts(desk.workspace, table, champion)
    found = [find_drift(desk.workspace, rows, champion, counts).findings for rows in (table, alone)]

    assert found[0] == found[1]
    assert found[0] != []


def test_a_champion_without_a_profile_is_not_looked_at_and_the_record_says_why(make: Make) -> None:
    desk = make(drift=SHIFT)
    bundle = desk.shelf.bundle_folder(1)
    for folder in bundle.glob("models/*/profile"):
        shutil.rmtree(folder)
    desk.land(desk.rows(10, 14), 14)
    table = read_as_of(desk.workspace, as_of=desk.day(14))
    kept = _without_hash(desk)
    looked = find_drift(
        kept.workspace,
        table,
        load_stored_version(kept.workspace, 1),
        row_counts(kept.workspace, table, load_stored_version(kept.workspace, 1)),
    )

    assert looked.findings == []
    assert looked.note is not None
    desk.make_version(14)
    assert desk.pass_days(14, 18).record["drift"]["note"] is None


def _without_hash(desk: Desk) -> Desk:
    """The same desk after the bundle's recorded hash was set to what lies there."""
    digest = folder_digest(desk.shelf.bundle_folder(1))
    with desk.workspace.store.begin() as connection:
        connection.exec_driver_sql("UPDATE versions SET bundle = ?", (digest,))
    return desk


def test_the_target_is_looked_at_when_its_labels_mature(make: Make) -> None:
    desk = make(drift=SHIFT, labels="later")
    rows = desk.rows(10, 14)
    desk.land(rows.assign(outcome=float("nan")), 14)
    without = desk.check(14).record
    desk.land(rows, 15, kind="labels")
    labelled = desk.check(15).record

    assert {column for column, _ in effects(without)} == {
        "level",
        "slope",
        "noise",
        "group",
        "all columns together",
        "predictions",
    }
    assert {column for column, _ in effects(labelled)} == {"target"}
    assert effects(labelled)["target", "ks"] > 0.5


def test_a_label_enters_the_drift_of_the_target_once(make: Make) -> None:
    desk = make()
    rows = []
    for day in (12, 14, 15):
        found = desk.pass_days({12: 10, 14: 12, 15: 14}[day], day).record["drift"]["findings"]
        rows.append(next(f["current"]["rows"] for f in found if f["column"] == "target"))

    assert rows == [48, 48, 24]


def test_rows_of_half_a_day_wait_for_the_other_half(make: Make) -> None:
    desk = make(changes={"drift": {"min_rows": 5}})
    found = [desk.pass_days(day - 0.5, day).record["drift"]["findings"] for day in (10.5, 11.0, 11.5)]
    first, whole, last = ([finding["current"]["rows"] for finding in each] for each in found)

    assert first == last == []
    assert set(whole) == {24}


@pytest.mark.parametrize(
    ("every", "block_days", "hours", "waits"),
    [("1h", 1, 12, True), ("1h", 1, 23, False), ("1h", 2, 12, True), ("1D", 1, 0, False), ("1D", 4, 0, False)],
)
def test_rows_wait_for_as_much_of_a_day_as_the_reference_covers(
    every: str, block_days: int, hours: int, *, waits: bool
) -> None:
    event = pd.Series(pd.date_range(START, START + pd.Timedelta("80D"), freq=every, inclusive="left"))
    blocks = event.groupby((event - START) // pd.Timedelta(block_days, "D")).agg(first="min", last="max")
    new = START + pd.Timedelta("80D") + pd.to_timedelta([0, hours], unit="h")
    rows = enough_time(Profile({}, blocks, pd.DataFrame()), pd.DataFrame({"_event": new}))

    assert rows.empty == waits


def test_a_classifier_has_its_confidence_looked_at(make: Make) -> None:
    desk = make(task="binary", drift=SHIFT)
    tested = {column for column, _ in effects(desk.pass_days(10, 14).record)}

    assert tested == {"level", "slope", "noise", "group", "all columns together", "predictions", "confidence", "target"}


def test_a_shift_to_where_the_model_is_poor_is_ranked_by_what_it_costs(make: Make) -> None:
    desk = make(drift=SHIFT, changes={"split": {"judge_rows": 96}})
    found = desk.pass_days(10, 20).record["drift"]["findings"]
    costs = [each["loss_change"] for each in found if each["over"] and each["loss_change"] is not None]
    features = [each["column"] for each in found if each["column"] not in BESIDE]

    assert {each["loss_change"] for each in found if each["column"] in BESIDE} <= {None}
    assert costs == sorted(costs, reverse=True)
    assert costs != []
    assert features[0] == "level"  # what the model leans on comes first


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_backtest_gives_the_features_the_part_of_the_rate_that_a_check_gives_them(
    make: Make, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make(task=task)
    workspace, kept = desk.workspace, load_stored_version(desk.workspace, 1).reference
    assert kept is not None
    live = alarm_requests(workspace, kept)[0]
    rows = assemble(*read_landed(workspace.landing.root), workspace.params.data, as_of=desk.day(10))
    edges, data = np.array([100, 170, 240]), workspace.params.data
    asked: list[AlarmRequest] = []
    monkeypatch.setattr(policy_rules, "findings", lambda *_, alarms, **__: asked.append(alarms) or [])
    drifted = policy_rules.drift_of_windows(
        rows,
        edges,
        Setting(matrix(), (0,), PolicyDelays(0, 0), 1, [], None),
        data.features,
        workspace.params.drift,
        every=pd.Timedelta(data.batch_every),
        task=data.task,
        sliding_rows=60,
        seed=7,
    )
    drifted(LiveModel(0, 0, 0), 1)

    assert asked == [live]
