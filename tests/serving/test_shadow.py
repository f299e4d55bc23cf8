"""Shadows answer what the live version answers, unheard, kept apart, and compared once labels come."""

import json
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.checking.beside import compare_shadows
from retrim.checking.check import check
from retrim.cli.screens.status import status_facts
from retrim.cli.status_answer import find_status
from retrim.lineage.workspace import Workspace
from retrim.serving import shadow
from retrim.serving.metrics import Metrics
from retrim.serving.shadow import Shadows, shadows_of
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.http_client import ROW, log_of, running, served_version, serving_of
from tests.builders.waiting import until
from tests.serving.test_server import as_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1; the live version 2, which learned from days whose target lay higher; version 3, which is refused."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace", version_at=10)
    desk.land(desk.rows(10, 16).assign(outcome=lambda rows: rows["outcome"] + 6.0), 16)
    desk.make_version(16)
    desk.make_version(17, promote=False)
    return desk


def test_shadows_are_the_champion_before_the_newest_challenger_or_a_number(desk: Desk) -> None:
    found = [shadows_of(desk.workspace, [who]) for who in ("previous", "challenger", "1", "2")]

    assert found == [[1], [3], [1], []]
    assert shadows_of(desk.workspace, ["previous", "1", "challenger"]) == [1, 3]


def test_a_request_is_answered_by_each_shadow_and_kept_apart(desk: Desk) -> None:
    log = log_of(desk)
    answers = Shadows(lambda: desk.workspace, ["previous", "challenger"], log.add, Metrics().shadows)
    answers.look()
    with running(serving_of(desk, keep=log.add)) as client:
        client.serving.shadow = answers.offer
        one = client.json("/predict", ROW | {"number": 900})[1]
        many = client.json("/predict", [ROW | {"number": 901}, ROW | {"number": 902}])[1]
        client.json("/predict?version=1", ROW | {"number": 903})
        client.json("/predict", ROW | {"level": "much"})
    answers._thread.shutdown()
    log.close()
    live, beside = desk.workspace.predictions.of_role("request"), desk.workspace.predictions.of_role("shadow")
    stored = {number: beside.answers(number).set_index("key") for number in (1, 3)}
    with running(serving_of(desk, 1)) as client:
        expected = client.json("/predict", ROW)[1]["predictions"][0]["prediction"]

    assert live.versions() == [2]
    assert beside.versions() == [1, 3]
    assert set(beside.since(None, most=99)["batch"]) == {"shadow"}
    assert sorted(stored[1].index) == sorted(stored[3].index) == ["900", "901", "902"]
    assert stored[1]["prediction"].tolist() == [expected] * 3
    assert stored[3]["request_id"].to_dict() == {
        "900": one["request_id"], "901": many["request_id"], "902": many["request_id"],
    }  # fmt: skip


def test_a_shadow_that_fails_leaves_the_others(desk: Desk) -> None:
    kept: list[Any] = []
    answers = Shadows(lambda: desk.workspace, ["1", "3", "99"], kept.append, Metrics().shadows)
    answers.look()
    answers.versions[3] = None  # type: ignore[assignment]
    answers.offer(json.dumps([ROW]).encode(), "r", "a client")
    answers.offer(b"not JSON", "s", None)
    answers._thread.shutdown()

    assert [(line[0], line[1], line[4]) for line in kept] == [(1, "r", "shadow")]
    assert kept[0][3] == served_version(desk, 1).answer([ROW], "r")


def test_requests_beyond_the_queue_are_dropped_counted_and_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "MOST_WAITING", 2)
    monkeypatch.setattr(shadow, "LARGEST", 500)
    serving, free = serving_of(desk), threading.Event()
    shadows = Shadows(lambda: desk.workspace, [], print, serving.metrics.shadows)
    shadows._thread.submit(free.wait)  # so that nobody takes from its queue
    serving.shadow = shadows.offer
    with running(serving) as client:
        codes = [client.json("/predict", given)[0] for given in ([ROW] * 9, ROW, ROW, ROW, ROW)]
        counted = client.serving.metrics.as_text().decode()
    free.set()
    shadows.stop()

    assert codes == [HTTPStatus.OK] * 5
    assert 'retrim_shadow_requests_total{fate="taken"} 2.0' in counted
    assert 'retrim_shadow_requests_total{fate="dropped"} 3.0' in counted


BODY = b'{"at": "2024-01-16T00:00", "number": %d, "level": 1, "slope": 1, "noise": 0, "group": "a"}'


def test_a_store_that_is_away_leaves_the_shadows_that_there_are_and_a_stop_ends_them(desk: Desk) -> None:
    opened, kept = list[int](), list[Any]()

    def open_here() -> Workspace:
        opened.append(0)
        if len(opened) != 2:
            raise OSError("the store is away")
        return desk.workspace

    shadows = Shadows(open_here, ["previous"], kept.append, Metrics().shadows)
    for number, request in enumerate("abc"):
        shadows.look()
        shadows.offer(BODY % number, request, None)
        until(lambda: shadows._room._value == shadow.MOST_WAITING)
    shadows.stop()
    shadows.offer(BODY % 3, "d", None)

    assert [(line[0], line[1]) for line in kept] == [(1, "b"), (1, "c")]


def answer(desk: Desk, rows: pd.DataFrame, *, shadows: tuple[int, ...], live: int = 2) -> None:
    """Has versions answer rows at the event of the first, as requests that came then."""
    log = log_of(desk)
    at = int(rows["at"].iloc[0].value // 1000)
    asked = as_json(rows[["at", "number", "level", "slope", "noise", "group"]])
    for number in (live, *shadows):
        version = served_version(desk, number)
        said = version.answer(asked, "r")
        log.add((number, f"request {at}", at, said, "request" if number == live else "shadow", None))
    log.close()


def test_with_labels_the_shadow_is_compared_and_the_status_says_so(desk: Desk) -> None:
    rows = desk.rows(18, 30)
    answer(desk, rows, shadows=(1,))
    before = compare_shadows(desk.workspace, now=desk.day(30))
    desk.land(rows, 30)
    (found,) = compare_shadows(desk.workspace, now=desk.day(31))
    facts = dict(status_facts(find_status(desk.workspace, now=desk.day(31))))

    assert [each.rows for each in before] == [0]
    assert (found.role, found.version, found.against, found.outcome) == ("shadow", 2, 1, "worse")
    assert found.effect > 0.5
    assert facts["shadow"].startswith("worse: version 2 against 1: loss ")


def test_only_answers_to_the_same_request_are_pairs(desk: Desk) -> None:
    rows = desk.rows(18, 20)
    answer(desk, rows, shadows=())
    log = log_of(desk)
    version = served_version(desk, 1)
    asked = as_json(rows[["at", "number", "level", "slope", "noise", "group"]])
    said = version.answer(asked, "r")
    log.add((1, "another request", int(rows["at"].iloc[0].value // 1000), said, "shadow", None))
    log.close()
    desk.land(rows, 20)

    assert [each.rows for each in compare_shadows(desk.workspace, now=desk.day(21))] == [0]


def test_a_check_counts_no_shadow_as_what_was_served(desk: Desk, tmp_path: Path) -> None:
    rows, alone = desk.rows(18, 22), copy_of(desk, tmp_path / "alone")
    for each, shadows in ((desk, (1, 3)), (alone, ())):
        answer(each, rows, shadows=shadows)
        each.land(rows, 22)
    records = [check(each.workspace, by="a test", now=each.day(22)).record for each in (desk, alone)]

    assert records[0].performance.measured.served == records[1].performance.measured.served
    assert records[0].performance.measured.served is not None
    assert set(records[0].performance.measured.served.by_version) == {2}
    assert (records[0].performance.loss, records[0].gain.now) == (records[1].performance.loss, records[1].gain.now)
