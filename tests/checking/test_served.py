"""Performance measures what was served; how far that is from what its version says now is told, and alarms."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrim.checking.score import score
from retrim.checking.served import in_classes
from retrim.features.view import FeatureView
from retrim.landing.as_of_view import read_as_of
from retrim.release.versions import load_stored_version
from retrim.stats.metrics import row_losses
from tests.builders.answers import status_record
from tests.builders.desk import START, Desk, copy_of, make_desk, with_params
from tests.builders.http_client import log_of, served_version
from tests.builders.typed import sit_at_desk
from tests.serving.test_server import as_json

pytestmark = pytest.mark.slow

LATER = {"label_horizon": "3D"}
CONCEPT: dict[str, Any] = {"kind": "concept", "size": 2.0, "since": START.replace(day=6)}
ROW = 230  # of day 10: predicted by version 1 on day 12, its label is due on day 13


def measured_in(record: dict[str, Any]) -> dict[str, Any]:
    """The measured loss of a check, as the store has it."""
    return dict(record["performance"]["measured"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 predicts on day 12; labels are due three days after the event, so two days of rows wait for theirs."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace", drift=CONCEPT, data=LATER, version_at=10)
    desk.pass_days(10, 12)
    return desk


@pytest.fixture(scope="module")
def made_anew(made: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 2 went live on day 12 and has predicted the same rows."""
    desk = copy_of(made, tmp_path_factory.mktemp("anew") / "workspace")
    desk.make_version(12)
    desk.check(12.5)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


@pytest.fixture
def anew(made_anew: Desk, tmp_path: Path) -> Desk:
    return copy_of(made_anew, tmp_path / "workspace")


def change(desk: Desk, what: Callable[[float], float | None]) -> None:
    """What somebody did to the files by hand: to what version 1 predicted for a row; None takes it away."""
    changed = 0
    for path in (desk.workspace.paths.var / "predictions").rglob("version=1/*/*.parquet"):
        rows = pq.read_table(path)
        place = rows["key"].index(str(ROW)).as_py()
        if place < 0:
            continue
        values = rows["prediction"].to_pylist()
        values[place] = what(values[place])
        if values[place] is None:
            rows = pa.concat_tables([rows.slice(0, place), rows.slice(place + 1)])
        else:
            rows = rows.set_column(rows.column_names.index("prediction"), "prediction", pa.array(values))
        pq.write_table(rows, path)
        changed += 1
    assert changed == 1


def alerts(desk: Desk) -> list[str]:
    return [row.text for row in desk.workspace.store.alerts(desk.workspace.model) if row.kind == "skew"]


def test_a_row_whose_event_is_corrected_is_predicted_once(desk: Desk) -> None:
    row = desk.rows(10, 12).head(1)
    desk.land(row.assign(at=row["at"] + pd.Timedelta("30min")), 13, correction=True)  # it happened half an hour later
    desk.land(desk.rows(12, 15), 15)
    scored = score(desk.workspace, now=desk.day(15))
    keys = desk.workspace.predictions.all_keys(1)

    assert (scored.rows, scored.written) == (72, 72)
    assert len(keys) == len(set(keys))
    assert desk.check(15).record["champion"] == 1


def test_a_row_that_stands_twice_does_not_stop_a_check(desk: Desk) -> None:
    desk.land(desk.rows(12, 15), 15)
    score(desk.workspace, now=desk.day(15))
    (path,) = (desk.workspace.paths.var / "predictions").rglob("*.parquet")
    pq.write_table(pq.read_table(path), path.with_name("part-0001.parquet"))

    assert desk.check(15).record["champion"] == 1


def mean_loss(desk: Desk, version: int) -> float:
    """A version's on the rows whose labels were due on day 13, as it predicts them now."""
    table = read_as_of(desk.workspace, as_of=desk.day(20))
    rows = table.only(table.times["_event"].between(desk.day(9), desk.day(10), inclusive="right")).read()
    predictor = load_stored_version(desk.workspace, version).predictor
    losses = row_losses(desk.workspace.params.judge.loss, predictor.view.actual(rows), predictor.predict(rows))
    return float(losses.mean())


# --- what is measured


def test_a_label_that_matures_after_a_new_champion_measures_what_the_old_one_served(anew: Desk) -> None:
    record = anew.check(13).record

    assert record["champion"] == 2
    assert anew.workspace.predictions.first(version=2, keys=[str(ROW)]) is not None
    assert measured_in(record)["served"]["by_version"] == {"1": 24}
    assert measured_in(record)["loss"] == pytest.approx(mean_loss(anew, 1))
    assert measured_in(record)["loss"] != pytest.approx(mean_loss(anew, 2))
    assert record["probe"]["reading"]["champion_loss"] == pytest.approx(mean_loss(anew, 2))  # the account goes on


def test_without_a_stored_prediction_rows_are_predicted_again_and_counted(desk: Desk) -> None:
    change(desk, lambda _: None)
    before = desk.workspace.store.decisions(desk.workspace.model)[-1].record
    record = desk.check(13).record

    # What matured by day 12 had been predicted on that day: too late.
    assert (measured_in(before)["served"]["rows"], measured_in(before)["served"]["predicted_again"]) == (0, 48)
    # The check itself predicts the row that has none, on the day that its label is due.
    assert (
        measured_in(record)["served"]["rows"],
        measured_in(record)["served"]["predicted_again"],
    ) == (23, 1)
    assert measured_in(record)["loss"] == pytest.approx(mean_loss(desk, 1))


def test_where_labels_land_with_their_rows_what_was_predicted_before_the_check_was_served(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", version_at=10)
    desk.land(desk.rows(10, 11), 11)
    score(desk.workspace, now=desk.day(11))
    served = measured_in(desk.check(11.5).record)["served"]
    desk.land(desk.rows(11, 12), 12)
    again = measured_in(desk.check(12.5).record)["served"]

    assert (served["by_version"], served["predicted_again"]) == ({"1": 24}, 0)
    assert (again["by_version"], again["predicted_again"]) == ({}, 24)


def test_a_row_that_was_not_predicted_with_its_batch_is_predicted_later(desk: Desk) -> None:
    change(desk, lambda _: None)

    assert [score(desk.workspace, now=desk.day(12)).written for _ in range(2)] == [1, 0]


def test_rows_that_a_changed_filter_lets_in_are_predicted(desk: Desk) -> None:
    desk.land(desk.rows(12, 13), 13)  # a batch of the rows 288 to 311
    halves: tuple[dict[str, Any], ...] = ({"at_most": 299}, {"at_least": 300})
    desks = [with_params(desk, data={"rows": {"where": [{"column": "number", **half}]}}) for half in halves]

    assert [score(each.workspace, now=desk.day(13)).written for each in desks] == [12, 12]


def test_a_version_whose_bundle_is_gone_is_measured_by_what_it_served(anew: Desk) -> None:
    expected = mean_loss(anew, 1)
    (anew.shelf.folders[1] / "verdict" / "verdict.json").unlink()
    record = anew.check(13).record

    assert measured_in(record)["loss"] == pytest.approx(expected)
    assert measured_in(record)["served"] | {"by_version": {"1": 24}, "skew": None} == measured_in(record)["served"]


# --- requests

REQUEST = "0123456789abcdef"


def ask(desk: Desk, rows: pd.DataFrame, at: float, request: str = REQUEST) -> None:
    """Has the live version answer a request at a day, kept as the server keeps it."""
    version = served_version(desk)
    answers = version.answer(as_json(rows.drop(columns="outcome")), request)
    log = log_of(desk)
    log.add((version.version, request, int(desk.day(at).value // 1000), answers, "request", None))
    log.close()


def falsified(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(level=99.0, slope=-99.0)


@pytest.mark.parametrize("at", [13.9, 14.1], ids=["before it lands", "after it landed"])
def test_a_request_with_other_features_changes_neither_prediction_nor_loss(
    desk: Desk, tmp_path: Path, at: float
) -> None:
    alone, rows = copy_of(desk, tmp_path / "alone"), desk.rows(12, 14)
    if at < 14:
        ask(desk, falsified(rows), at)
    written = []
    for each in (desk, alone):
        each.land(rows, 14)
        written.append(score(each.workspace, now=each.day(14)).written)
    if at > 14:
        ask(desk, falsified(rows), at)
    official, expected = (each.workspace.predictions.answers(1) for each in (desk, alone))
    record, undisturbed = (each.check(17).record for each in (desk, alone))

    assert written == [48, 48]
    pd.testing.assert_frame_equal(official, expected)
    assert measured_in(record)["loss"] == measured_in(undisturbed)["loss"]
    assert measured_in(record)["served"]["by_version"] == measured_in(undisturbed)["served"]["by_version"]


def test_a_request_with_the_landed_features_is_what_was_served(desk: Desk) -> None:
    rows = desk.rows(12, 14)
    for request, asked in (("a", falsified(rows)), ("b", rows), ("c", falsified(rows))):
        ask(desk, asked, 12.5, request)
    desk.make_version(12)
    desk.land(rows, 14)
    score(desk.workspace, now=desk.day(14))
    served = desk.check(17).record["performance"]["measured"]["served"]

    assert desk.workspace.predictions.first(version=2, keys=[str(int(rows["number"].iloc[0]))]) is not None
    assert served["by_version"] == {"1": served["rows"]}
    assert (served["skew"]["rows"], served["skew"]["over"]) == (served["rows"], 0)


def test_a_request_after_the_label_was_due_was_not_served(desk: Desk) -> None:
    rows = desk.rows(12, 13)
    ask(desk, rows, 16.5)
    desk.land(rows, 16.6)

    assert desk.check(17).record["performance"]["measured"]["served"]["predicted_again"] == len(rows)


# --- skew


def explain(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints that the alert names."""
    (text,) = alerts(desk)
    return sit_at_desk(desk, monkeypatch, capsys).says(text.partition("`retrim ")[2].partition("`")[0])


def test_a_row_whose_requests_all_had_other_features_shows_as_skew_and_is_explained(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = desk.rows(12, 14)
    ask(desk, falsified(rows), 13.9)
    desk.land(rows, 14)
    score(desk.workspace, now=desk.day(14))
    skew = desk.check(17).record["performance"]["measured"]["served"]["skew"]
    (text,) = alerts(desk)
    explained = explain(desk, monkeypatch, capsys)

    assert skew["over"] > 40
    assert skew["worst"]["request"] == REQUEST
    assert f"'{skew['worst']['key']}@{REQUEST}'" in text
    assert "DIFFERENT" in explained


@pytest.mark.parametrize("which", ["desk", "anew"])
def test_what_nobody_touched_has_no_skew_and_no_alert(which: str, request: pytest.FixtureRequest) -> None:
    desk: Desk = request.getfixturevalue(which)
    skew = desk.check(13).record["performance"]["measured"]["served"]["skew"]

    assert (skew["rows"], skew["mean"], skew["largest"], skew["over"], skew["worst"]) == (24, 0.0, 0.0, 0, None)
    assert alerts(desk) == []


@pytest.mark.parametrize("which", ["desk", "anew"])
def test_an_altered_prediction_is_measured_shows_as_skew_and_alerts(which: str, request: pytest.FixtureRequest) -> None:
    desk: Desk = request.getfixturevalue(which)
    change(desk, lambda _: 50.0)
    record = desk.check(13).record
    skew = measured_in(record)["served"]["skew"]

    assert (skew["over"], skew["worst"]) == (1, {"key": str(ROW), "version": 1, "request": None})
    assert skew["largest"] > 1
    assert measured_in(record)["loss"] > mean_loss(desk, 1) + 1
    assert [f"'{ROW}@1'" in text for text in alerts(desk)] == [True]
    assert status_record(desk.workspace, now=desk.day(13))["served"]["skew"] == skew


def test_explain_says_that_the_furthest_prediction_was_altered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(desk, lambda _: 50.0)
    desk.check(13)

    assert "stored 50: DIFFERENT" in explain(desk, monkeypatch, capsys)


def test_an_alteration_within_the_bound_is_told_and_does_not_alert(desk: Desk) -> None:
    change(desk, lambda value: value * (1 + 1e-7))
    skew = desk.check(13).record["performance"]["measured"]["served"]["skew"]

    assert 0 < skew["largest"] < skew["bound"]
    assert alerts(desk) == []


def test_a_stored_prediction_that_is_no_number_alerts_and_is_predicted_again(desk: Desk) -> None:
    change(desk, lambda _: float("nan"))
    record = desk.check(13).record

    assert (
        measured_in(record)["served"]["unreadable"],
        measured_in(record)["served"]["predicted_again"],
    ) == (1, 1)
    assert measured_in(record)["loss"] == pytest.approx(mean_loss(desk, 1))
    assert len(alerts(desk)) == 1


# --- classes


def test_probabilities_stand_in_the_classes_of_the_live_version() -> None:
    old, new = (FeatureView({}, {}, "kind", "multiclass", classes) for classes in (("a", "c", "d"), ("a", "b", "c")))

    assert in_classes(np.array([[0.2, 0.5, 0.3]]), old, new).tolist() == [[0.2, 0.0, 0.5]]
