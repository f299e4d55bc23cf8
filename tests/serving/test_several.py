"""One server for several models and several versions of each."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from retrim.lineage.tokens import add_token
from retrim.serving.request_log import RequestLog
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.http_client import ROW, running, running_all, serving_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Another workspace, of another task; version 1 is live."""
    return make_desk(tmp_path_factory.mktemp("other") / "workspace", task="binary", version_at=10)


def test_each_model_answers_at_its_name_and_the_first_at_the_plain_paths_too(desk: Desk, other: Desk) -> None:
    with running_all({"trips": serving_of(desk), "fares": serving_of(other)}) as client:
        plain, named, second = (
            client.json(path, ROW)[1] for path in ("/predict", "/models/trips/predict", "/models/fares/predict")
        )
        many = client.json("/models/fares/predict", [ROW, ROW])[1]
        ready = [client.json(path)[1]["version"] for path in ("/ready", "/models/trips/ready", "/models/fares/ready")]
        unknown = [
            client.json(path, ROW)[0] for path in ("/models/none/predict", "/models/predict", "/models//predict")
        ]
        described = client.json("/models/fares/openapi.json")[1]

    assert plain["predictions"] == named["predictions"]
    assert (plain["version"], second["version"], ready) == (2, 1, [2, 2, 1])
    assert [each["prediction"] for each in many["predictions"]] == [second["predictions"][0]["prediction"]] * 2
    assert 0 <= second["predictions"][0]["prediction"] <= 1
    assert unknown == [HTTPStatus.NOT_FOUND] * 3
    assert described["servers"] == [{"url": "/models/fares"}]
    assert "/predict" in described["paths"]


def test_a_token_of_one_model_is_none_of_another(desk: Desk, other: Desk, tmp_path: Path) -> None:
    fares = copy_of(other, tmp_path / "fares")
    tokens = {"trips": add_token(desk.workspace, "a", ["predict"], now=desk.day(15))}
    add_token(fares.workspace, "b", ["read"], now=desk.day(15))
    with running_all({"trips": serving_of(desk), "fares": serving_of(fares)}) as client:
        codes = [
            client.json(f"/models/{name}/predict", ROW, authorization=f"Bearer {tokens['trips']}")[0]
            for name in ("trips", "fares")
        ]
        counted = {path: client.serving.metrics.as_text().decode().count(path) > 0 for path in ("/predict", "/models")}

    assert codes == [HTTPStatus.OK, HTTPStatus.UNAUTHORIZED]
    assert counted == {"/predict": True, "/models": False}


def test_another_version_is_asked_by_its_number(desk: Desk) -> None:
    with running(serving_of(desk)) as client:
        live = client.json("/predict", ROW)[1]
        by_number = {number: client.json(f"/predict?version={number}", ROW)[1] for number in (1, 2)}
        many = client.json("/predict?version=1", [ROW, ROW])[1]
        why = [client.json(f"/explain{which}", ROW)[1]["version"] for which in ("", "?version=1")]
        with running(serving_of(desk, 1)) as older:
            expected = older.json("/predict", ROW)[1]["predictions"]

    assert [by_number[number]["version"] for number in (1, 2)] == [1, 2]
    assert by_number[1]["predictions"] == expected == many["predictions"][:1]
    assert by_number[2]["predictions"] == live["predictions"] != expected
    assert why == [2, 1]


def test_what_is_no_number_of_a_version_is_refused(desk: Desk) -> None:
    names = ("", "x", "-1", "1e3", "9" * 400, "%00", "1;2", "..%2f1", "%C2%B2")
    with running(serving_of(desk)) as client:
        assert {client.ask("POST", f"/predict?version={name}", b"{}")[0] for name in names} == {422}


def test_a_version_that_is_not_there_is_not_found_and_one_that_fails_is_said(desk: Desk) -> None:
    serving = serving_of(desk)

    def fail(_: int) -> Any:
        raise ZeroDivisionError

    with running(serving) as client:
        absent = client.json("/predict?version=9", ROW)[0]
        serving.load = fail
        failing = client.json("/predict?version=1", ROW)[0]
        live = client.json("/predict", ROW)[0]

    assert (absent, failing, live) == (404, 503, 200)


def test_answers_of_a_named_version_are_no_predictions_of_the_model(desk: Desk) -> None:
    predictions = desk.workspace.predictions
    log = RequestLog(desk.workspace.paths.requests, predictions, is_durable=False)
    with running(serving_of(desk, keep=log.add)) as client:
        named = client.json("/predict?version=1", ROW | {"number": 900})[1]
        client.json("/predict", ROW | {"number": 901})
    log.close()
    beside = predictions.of_role("named").since(None, most=9)

    assert predictions.versions() == []
    assert predictions.of_role("request").since(None, most=9)[["key", "version"]].to_numpy().tolist() == [["901", 2]]
    assert beside[["key", "version", "batch", "request_id"]].to_numpy().tolist() == [
        ["900", 1, "named", named["request_id"]]
    ]
