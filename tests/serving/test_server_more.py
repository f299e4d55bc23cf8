"""What a server says beside predictions: why, figures; and the answers that it lands."""

import re
import threading
from http import HTTPStatus
from pathlib import Path

import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.landing.ingest import Landed
from retrim.serving.predict import predict
from tests.builders.desk import Desk, make_desk
from tests.builders.http_client import ROW, Client, running, serving_of
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
