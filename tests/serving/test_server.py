"""`retrim serve`: what it answers is what `retrim predict` writes, by either way through it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.adapters import great_expectations
from retrim.adapters.mlflow_server import HOST, bind
from retrim.serving import request_rows, routes
from retrim.serving.one_row import UnusualRowError
from retrim.serving.predict import predict
from retrim.serving.request_rows import WrongRequestError
from retrim.serving.rules import rows_that_break, rule_of
from retrim.serving.served import ServedVersion
from tests.builders.desk import Desk, make_desk, with_params
from tests.builders.http_client import Client, running, served_version, serving_of
from tests.builders.served import SECONDS

pytestmark = pytest.mark.slow

SUITE = [
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "level", "min_value": -50, "max_value": 50}},
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "slope", "min_value": -9, "strict_min": True}},
    {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "noise"}},
    {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "group", "value_set": ["a", "b", "c", "new"]}},
]
TASKS = ("regression", "binary", "multiclass")
FEATURES = ["at", "number", "level", "slope", "noise", "group"]


def desk_of(folder: Path, task: str) -> Desk:
    desk = make_desk(folder, task=task, version_at=10)
    suite = folder / "expectations" / "generated.json"
    suite.write_text(json.dumps({"name": "bounds", "expectations": SUITE}), encoding="utf-8")
    return desk


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Desk]:
    """By task: version 1 is live on day 10."""
    return {task: desk_of(tmp_path_factory.mktemp(task) / "workspace", task) for task in TASKS}


@pytest.fixture(scope="module")
def served(desks: dict[str, Desk]) -> dict[str, ServedVersion]:
    return {task: served_version(desk) for task, desk in desks.items()}


@pytest.fixture(scope="module")
def client(desks: dict[str, Desk]) -> Iterator[Client]:
    with running(serving_of(desks["regression"])) as client:
        yield client


def new_rows(desk: Desk) -> pd.DataFrame:
    return desk.rows(10, 11)[FEATURES]


def as_json(rows: pd.DataFrame) -> list[dict[str, Any]]:
    text = rows.assign(at=rows["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return [
        {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124  NaN
        for row in text.to_dict("records")
    ]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {"at": "2024-01-11T00:00", "number": 7, "level": 1.5, "slope": 1.0, "noise": 0.1, "group": "a"} | row


@pytest.mark.parametrize("task", TASKS)
def test_it_answers_what_predict_writes_to_the_bit(task: str, desks: dict[str, Desk], tmp_path: Path) -> None:
    rows = new_rows(desks[task])
    rows.to_parquet(tmp_path / "in.parquet", index=False)
    given = {"version": None, "explained": 0, "query": None, "table": None, "into": ""}
    predict(
        desks[task].workspace, str(tmp_path / "in.parquet"), str(tmp_path / "out.parquet"), now=desks[task].day(12),
        **given,  # type: ignore[arg-type]
    )  # fmt: skip
    written = pd.read_parquet(tmp_path / "out.parquet")
    with running(serving_of(desks[task])) as client:
        status, many = client.json("/predict", as_json(rows))
        ones = [client.json("/predict", row)[1]["predictions"][0] for row in as_json(rows)]

    assert (status, many["version"]) == (HTTPStatus.OK, 1)
    assert many["predictions"] == ones
    told = [name for name in ("prediction", "class", "lower", "upper", "decision") if name in written]
    for name in told:
        assert [each[name] for each in ones] == written[name].tolist()
    for name in (name for name in written if name.startswith("probability of ")):
        shares = [each["probabilities"][name.removeprefix("probability of ")] for each in ones]
        assert shares == written[name].tolist()
    assert ("lower" in ones[0]) == (task == "regression")


NUMBERS = st.none() | st.floats(-60, 60) | st.integers(-60, 60) | st.floats() | st.integers() | st.sampled_from(["1.5"])
GROUPS = st.none() | st.sampled_from(["a", "b", "c", "new", " a", "unseen", "", "é"]) | st.text(max_size=3)
TIMES = st.datetimes().map(lambda at: at.isoformat(timespec="seconds")) | st.sampled_from(
    ["2024-02-30T00:00", "2024-01-11", None, "2024-01-11T00:00:00.5Z", "2024-01-11T01:00+02:00", 5]
)
ROWS = st.fixed_dictionaries(
    {"level": NUMBERS, "slope": NUMBERS, "noise": NUMBERS, "group": GROUPS},
    optional={"at": TIMES, "number": NUMBERS},
)


@pytest.mark.parametrize("task", TASKS)
def test_the_short_way_says_what_the_long_way_says(task: str, served: dict[str, ServedVersion]) -> None:
    version, short = served[task], []
    without, plain_reader = replace(version, one=None), version.one
    assert plain_reader is not None

    @given(ROWS)
    def same(row: dict[str, Any]) -> None:
        body = json.dumps(row).replace("NaN", "null").replace("-Infinity", "-1e999").replace("Infinity", "1e999")
        asked = json.loads(body)
        try:
            plain_reader.read(asked)
        except UnusualRowError:
            return
        said = version.answer([asked], "r")
        short.append(said)
        assert repr(said) == repr(without.answer([asked], "r"))

    same()
    assert len(short) > 10


@pytest.mark.parametrize("column", [{}, {"group": "unseen"}, {"level": None, "group": None}, {"noise": -3}])
def test_plain_rows_take_the_short_way(column: dict[str, Any], served: dict[str, ServedVersion]) -> None:
    given, plain_reader = plain(column), served["regression"].one
    assert plain_reader is not None
    if given["group"] == "unseen":
        with pytest.raises(UnusualRowError):  # the suite names the groups that there are
            plain_reader.read(given)
    else:
        assert plain_reader.read(given)[1] == ["7"]


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ({"level": "much"}, "much", "is a finite decimal number or blank"),
        ({"level": True}, "true", "is a finite decimal number or blank"),
        ({"level": [1]}, "[1]", "is a finite decimal number or blank"),
        ({"level": 51}, "51.0", "is between -50 and 50"),
        ({"slope": -9}, "-9.0", "is at least -9"),
        ({"noise": None}, None, "is not blank"),
        ({"group": "unseen"}, "unseen", "is one of a, b, c, new"),
        ({"at": "tomorrow"}, "tomorrow", "is a time in ISO 8601"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named_with_its_value_and_what_is_allowed(
    column: dict[str, Any], value: str | None, allowed: str, client: Client
) -> None:
    status, said = client.json("/predict", [plain({}), plain(column)])
    name = next(iter(column))

    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert [(each["row"], each["field"], each["value"]) for each in said["detail"]] == [(1, name, value)]
    assert said["detail"][0]["allowed"].startswith(allowed)
    assert client.json("/predict", plain(column))[0] == status


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"[7]", b"null", b'{"level": NaN}', b"[" * 9999, b"\xff", b'{"level": 1, "level": 2}'],
)
def test_what_is_no_row_is_refused_and_not_an_error_of_the_server(body: bytes, client: Client) -> None:
    status, said = client.ask("POST", "/predict", body, content_type="application/json")

    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert json.loads(said)["detail"]


@pytest.mark.parametrize("path", ["/predict", "/explain", "/labels"])
def test_json_that_is_nested_too_deep_is_refused(path: str, client: Client) -> None:
    nested = "[" * 1000 + "]" * 1000
    for body in (nested, json.dumps(plain({"level": "deep"})).replace('"deep"', nested)):
        status, said = client.ask("POST", path, body.encode(), content_type="application/json")

        assert status == HTTPStatus.UNPROCESSABLE_ENTITY
        assert json.loads(said)["detail"]


def test_requests_are_bounded_in_rows_bytes_and_form(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_rows, "MOST_ROWS", 2)
    rows, _ = client.json("/predict", [plain({})] * 3)
    size, _ = client.ask("POST", "/predict", b" " * (request_rows.MOST_BYTES + 1), content_type="application/json")
    form, _ = client.ask("POST", "/predict", b"a,b", content_type="text/csv")

    assert rows == HTTPStatus.UNPROCESSABLE_ENTITY
    assert (size, form) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.parametrize("framing", [f"content-length: {1 << 40}", "transfer-encoding: chunked"])
def test_a_body_is_refused_before_the_rest_of_it_arrives(
    framing: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST_BYTES", 1000)
    head = f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1:1\r\ncontent-type: application/json\r\n{framing}\r\n\r\n"
    part = b" " * 0x500
    with socket.create_connection((HOST, client.port), timeout=SECONDS) as sending:
        sending.sendall(head.encode() + (b"500\r\n%b\r\n" % part if "chunked" in framing else part))

        assert sending.recv(1 << 12).startswith(b"HTTP/1.1 413 ")


def test_a_request_that_does_not_arrive_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "SECONDS", 0.2)
    head = "POST /predict HTTP/1.1\r\nhost: 127.0.0.1:1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
    for begun in ("", "{"):
        with socket.create_connection((HOST, client.port), timeout=SECONDS) as waiting:
            waiting.sendall((head + begun).encode())

            assert waiting.recv(1 << 12).startswith(b"HTTP/1.1 408 ")


def test_one_who_leaves_half_way_is_no_error_of_the_server(client: Client) -> None:
    head = "POST /predict HTTP/1.1\r\nhost: 127.0.0.1:1\r\ncontent-length: 9\r\n\r\n{"
    with socket.create_connection((HOST, client.port), timeout=SECONDS) as leaving:
        leaving.sendall(head.encode())
    counted, until = "", time.monotonic() + SECONDS
    while 'status="499"' not in counted and time.monotonic() < until:
        time.sleep(0.01)
        counted = client.serving.metrics.as_text().decode()

    assert 'status="499"' in counted
    assert 'status="500"' not in counted


def test_an_answer_does_not_wait_to_be_acknowledged() -> None:
    with bind(0) as listener, socket.create_connection(listener.getsockname(), timeout=SECONDS):
        accepted = listener.accept()[0]
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_category_that_training_did_not_know_is_named_and_counted(desks: dict[str, Desk]) -> None:
    frame = new_rows(desks["regression"]).head(3)
    frame.loc[frame.index[1], "group"] = "new"
    rows = as_json(frame)
    spelled = {**rows[1], "at": rows[1]["at"].replace("T", " ")}  # the long way
    with running(serving_of(desks["regression"])) as client:
        many = client.json("/predict", rows)[1]
        one = [client.json("/predict", each)[1] for each in (rows[0], rows[1], spelled)]
        figures = client.ask("GET", "/metrics")[1]

    assert [row.get("unseen") for row in many["predictions"]] == [None, ["group"], None]
    assert [each["predictions"][0].get("unseen") for each in one] == [None, ["group"], ["group"]]
    assert b'retrim_unseen_categories_total{column="group"} 3.0' in figures


def test_it_describes_itself_and_says_that_it_is_ready(client: Client) -> None:
    _, described = client.json("/openapi.json")
    content = described["paths"]["/predict"]["post"]["requestBody"]["content"]

    assert set(content) == {"application/json"}
    assert {"level", "slope", "noise", "group"} <= set(content["application/json"]["schema"]["oneOf"][0]["required"])
    assert client.json("/ready") == (HTTPStatus.OK, {"ready": True, "version": 1})
    assert client.json("/health") == (HTTPStatus.OK, {"up": True})


def test_pages_in_a_browser_are_not_answered(client: Client) -> None:
    assert client.json("/predict", plain({}), origin="http://127.0.0.1:1")[0] == HTTPStatus.FORBIDDEN
    assert client.json("/predict", plain({}), host="example.org:80")[0] == HTTPStatus.FORBIDDEN


def test_a_suite_of_bounds_needs_no_great_expectations(desks: dict[str, Desk]) -> None:
    code = (
        "import sys; from retrim.serving.rules import suite_of_rows; from pathlib import Path;"
        "suite_of_rows(Path(sys.argv[1]), {'level': 'number', 'group': 'category', 'slope': 'number',"
        "'noise': 'number'}); assert not {'great_expectations', 'mlflow'} & set(sys.modules)"
    )
    suite = desks["binary"].workspace.paths.root / "expectations" / "generated.json"
    subprocess.run([sys.executable, "-c", code, str(suite)], check=True)


def test_bounds_break_where_great_expectations_says_so(served: dict[str, ServedVersion]) -> None:
    version = served["regression"]
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.integers(-60, 60, (300, 3)) * 1.0, columns=["level", "slope", "noise"])
    frame.loc[:20, "slope"] = -9.0
    frame.loc[0:40:3, ["level", "noise"]] = np.nan
    frame["group"] = pd.Series(random.choice(["a", "c", "unseen", None], 300), dtype="str")

    suite, types = version.needs.suite, version.needs.required
    broken = {number: list(rows) for number, rows in rows_that_break(frame, suite, types).items()}
    assert all(rule_of(expectation, types) is not None for expectation in suite.expectations)
    assert broken == great_expectations.rows_that_break(frame, suite)


def test_a_suite_that_asks_more_is_left_to_great_expectations(desks: dict[str, Desk]) -> None:
    more = {
        "type": "expect_column_pair_values_a_to_be_greater_than_b",
        "kwargs": {"column_A": "level", "column_B": "slope", "or_equal": True},
    }
    suite = desks["regression"].workspace.paths.root / "expectations" / "more.json"
    suite.write_text(json.dumps({"name": "more", "expectations": [more]}), encoding="utf-8")
    version = served_version(with_params(desks["regression"], data={"suite": "expectations/more.json"}))

    assert version.one is None
    assert len(version.answer([plain({})], "r")) == 1
    with pytest.raises(WrongRequestError, match="level, slope"):
        version.answer([plain({"slope": 2})], "r")
