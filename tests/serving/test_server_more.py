"""What a server says beside predictions: why, figures; and the answers that it lands."""

import json
import logging
import re
import threading
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pandas as pd
import pytest

from retrim.cli.serve import log_requests
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.landing.ingest import Landed
from retrim.lineage.tokens import add_token
from retrim.serving import past_features
from retrim.serving.models import land_labels
from retrim.serving.predict import predict
from retrim.serving.request_rows import WrongRequestError, typed_rows
from retrim.table.reading import ReadingParams
from tests.builders.desk import Desk, make_desk
from tests.builders.http_client import ROW, Client, running, served_version, serving_of
from tests.builders.served import SECONDS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace", labels="later")
    desk.land(desk.rows(0, 10).assign(outcome=float("nan")), 10)
    desk.land(desk.rows(0, 10)[["number", "outcome"]], 10.1, kind="labels")
    desk.make_version(10.2)
    desk.land(desk.rows(10, 11).assign(outcome=float("nan")), 11)
    return desk


def figures(client: Client) -> dict[str, float]:
    status, text = client.ask("GET", "/metrics")
    assert status == HTTPStatus.OK
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text.decode(), re.MULTILINE)}


def test_features_from_the_past_are_made_of_what_has_landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_features, "LOOK_SECONDS", 0.0)
    history = {"entity": ["group"], "features": [{"of": "outcome", "lag": 1}, {"of": "level", "lag": 1}]}
    desk = make_desk(tmp_path / "a", data={"history": history}, version_at=10)
    rows = desk.rows(10, 12)[list(ROW)].tail(1)
    row = json.loads(rows.assign(at=rows["at"].astype(str)).to_json(orient="records"))[0]
    given = {"version": None, "explained": 0, "query": None, "table": None, "into": ""}

    def written(name: str) -> float:
        rows.to_csv(tmp_path / "in.csv", index=False)
        predict(desk.workspace, str(tmp_path / "in.csv"), str(tmp_path / name), now=desk.day(13), **given)  # type: ignore[arg-type]
        return float(pd.read_parquet(tmp_path / name)["prediction"].iloc[0])

    def served(client: Client, **more: float) -> float:
        return float(client.json("/predict", row | more)[1]["predictions"][0]["prediction"])

    with running(serving_of(desk)) as client:
        before = served(client)
        brought = served(client, **dict.fromkeys(desk.workspace.params.data.history.columns, -30.0))
        assert before == written("before.parquet")
        past = client.serving.served.past
        assert past is not None
        seen = [past.features(rows)["level lag 1 by group"][0]]
        desk.land(desk.rows(10, 11), 11)
        after = served(client)
        seen.append(past.features(rows)["level lag 1 by group"][0])
        described = client.json("/openapi.json")[1]["paths"]["/predict"]["post"]["requestBody"]

    assert after == written("after.parquet")
    assert before != brought
    landed = desk.rows(0, 11)
    assert seen[1] == landed[landed["group"] == rows["group"].iloc[0]]["level"].iloc[-1] != seen[0]
    assert "lag 1" not in json.dumps(described)


def test_it_explains_what_predict_explains(desk: Desk, tmp_path: Path) -> None:
    pd.DataFrame([ROW]).to_csv(tmp_path / "in.csv", index=False)
    given = {"version": None, "query": None, "table": None, "into": ""}
    out = tmp_path / "out.parquet"
    predict(desk.workspace, str(tmp_path / "in.csv"), str(out), explained=4, now=desk.day(12), **given)  # type: ignore[arg-type]
    written = pd.read_parquet(out).iloc[0]
    with running(serving_of(desk)) as client:
        status, said = client.json("/explain", ROW)
        wrong, _ = client.json("/explain", ROW | {"level": "much"})

    expected = {written[f"feature {k}"]: written[f"contribution {k}"] for k in range(1, 5)}
    assert (status, wrong) == (HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert list(said["contributions"][0].items()) == list(expected.items())
    assert said["base"][0] + sum(expected.values()) == pytest.approx(written["prediction"])


def test_labels_land_and_join_their_rows(desk: Desk) -> None:
    rows = desk.rows(10, 11)
    labels = [
        {"number": int(number), "outcome": value} for number, value in zip(rows["number"], rows["outcome"], strict=True)
    ]
    with running(serving_of(desk)) as client:
        status, said = client.json("/labels", labels)
        again = client.json("/labels", labels)[1]
        wrong, told = client.json("/labels", [{"number": 1, "outcome": "dear"}])
        broken, _ = client.ask("POST", "/labels", b"{")
    table = read_as_of(desk.workspace, as_of=pd.Timestamp.now("UTC"))
    joined = table.only(table.times["_event"] >= desk.day(10)).read().sort_values("number")

    assert (status, said["outcome"], said["rows"]) == (HTTPStatus.OK, "landed", len(rows))
    assert (again["batch"], again["outcome"]) == (said["batch"], "already")
    assert joined["outcome"].tolist() == rows["outcome"].tolist()
    assert (wrong, broken) == (HTTPStatus.UNPROCESSABLE_ENTITY,) * 2
    assert "quarantine" in told["detail"][0]["value"]


def test_predictions_do_not_wait_for_labels_that_land(desk: Desk) -> None:
    landing, go_on = threading.Event(), threading.Event()
    serving = serving_of(desk)

    def land(_: bytes) -> Landed:
        landing.set()
        go_on.wait(SECONDS)
        raise BadInputError("a test")

    serving.land = land
    with running(serving) as client:
        labels = threading.Thread(target=client.json, args=("/labels", [{"number": 1, "outcome": 1}]))
        labels.start()
        try:
            assert landing.wait(SECONDS)
            status = [client.json(path, [ROW, ROW])[0] for path in ("/predict", "/explain")]
            figured = client.ask("GET", "/metrics")[0]
        finally:
            go_on.set()
            labels.join()

    assert status == [HTTPStatus.OK, HTTPStatus.OK]
    assert figured == HTTPStatus.OK


def test_figures_count_requests_and_say_what_is_live(desk: Desk) -> None:
    with running(serving_of(desk)) as client:
        for given in (ROW, ROW, [ROW, ROW], ROW | {"level": "much"}):
            client.json("/predict", given)
        client.ask("GET", "/nowhere")
        found = figures(client)

    assert found['retrim_requests_total{path="/predict",status="200"}'] == 3
    assert found['retrim_requests_total{path="/predict",status="422"}'] == 1
    assert found['retrim_requests_total{path="other",status="404"}'] == 1
    assert found["process_resident_memory_bytes"] > 0
    assert found['retrim_request_seconds_count{path="/predict"}'] == 4
    assert (found["retrim_served_version"], found["retrim_live_version"]) == (1, 1)
    assert "retrim_last_check_age_seconds" not in found  # no check was made


def test_figures_of_the_last_check_are_those_of_its_record(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", version_at=10)
    desk.land(desk.rows(10, 14), 14)
    check = desk.check(14)
    with running(serving_of(desk)) as client:
        found = figures(client)

    assert found["retrim_last_check_age_seconds"] == 86400
    assert found["retrim_accumulated_gain"] == check.record["gain"]["now"]["balance"]
    assert found["retrim_retraining_cost"] == check.record["gain"]["retraining_cost"]


def test_where_no_version_can_answer_the_default_is_given_and_marked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serving_of(desk)
    with running(serving) as client:
        monkeypatch.setattr(type(serving.served), "answer", lambda *_: 1 / 0)
        refused, _ = client.json("/predict", ROW)
        serving.default = serving.served.checked_default("12.5")
        status, said = client.json("/predict", [ROW, ROW])

    assert (refused, status) == (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.OK)
    assert (said["version"], said["default"], said["predictions"]) == (None, True, [{"prediction": 12.5}] * 2)
    with pytest.raises(BadInputError, match="'much' is not a number"):
        serving.served.checked_default("much")


def test_each_request_is_a_line_of_the_access_log(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a", version_at=10)
    secret = add_token(desk.workspace, "shop", ["predict"], now=desk.day(11)).split()[-1]
    logger = logging.getLogger("retrim.access")
    before = list(logger.handlers)
    log_requests(tmp_path / "access.jsonl")
    try:
        with running(serving_of(desk)) as client:
            _, said = client.json("/predict", [ROW, ROW], authorization=f"Bearer {secret}")
            client.json("/predict", ROW)
    finally:
        for handler in set(logger.handlers) - set(before):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)
    lines = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text(encoding="utf-8").splitlines()]

    assert [(line["path"], line["status"], line["token"], line["rows"]) for line in lines] == [
        ("/predict", 200, "shop", 2),
        ("/predict", 401, None, None),
    ]
    assert lines[0]["request_id"] == said["request_id"]
    assert secret not in (tmp_path / "access.jsonl").read_text(encoding="utf-8")


def test_times_of_json_are_read_in_iso_8601_whatever_files_have(desk: Desk) -> None:
    needs = replace(served_version(desk).needs, carried={"at": "time"})
    reading = ReadingParams(dates={"at": ["%d.%m.%Y %H:%M"]})
    times = ["2024-01-16T00:00", "16.01.2024 00:00", "2024-01-16T01:00+01:00"]

    read = [typed_rows([{**ROW, "at": at}], needs, reading)["at"].iloc[0] for at in times]

    assert read == [pd.Timestamp("2024-01-16", tz="UTC")] * 3
    with pytest.raises(WrongRequestError, match="at is a time in the format"):
        typed_rows([{**ROW, "at": "16/01/2024"}], needs, reading)


def test_labels_sent_as_json_have_its_times_and_numbers_whatever_files_have(tmp_path: Path) -> None:
    reading = {"dates": {"at": ["%d.%m.%Y %H:%M"]}, "numbers": "1.234,5"}
    desk = make_desk(tmp_path / "a", labels="later", data={"key": ["number", "at"]}, changes={"reading": reading})
    rows = desk.rows(0, 1).head(2)
    desk.land(rows.assign(outcome=float("nan")), 1)
    sent = [
        {"number": int(row.number), "at": row.at.isoformat(), "outcome": 1.5} for row in rows.itertuples(index=False)
    ]

    landed = land_labels(lambda: desk.workspace, sent)

    assert (landed.outcome, landed.rows) == ("landed", 2)
    table = read_as_of(desk.workspace, as_of=pd.Timestamp.now("UTC")).read()
    assert table["outcome"].tolist() == [1.5, 1.5]
