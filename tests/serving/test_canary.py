"""A canary answers its share of the rows, the same keys each time, and ends by itself for good."""

import json
from http import HTTPStatus
from typing import Any

import pandas as pd
import pytest

from retrim.checking.check import check
from retrim.cli.screens.status import status_facts
from retrim.cli.status_answer import find_status
from retrim.decision import canary as deciding
from retrim.decision.canary import Canary
from retrim.errors import BadInputError, RefusedError
from retrim.release.canary import end_canary, newest_canary, start_canary
from retrim.release.release import rollback
from retrim.release.versions import find_live_version
from retrim.serving.models import Follower
from retrim.serving.served import RowAnswer
from retrim.serving.server import Serving
from tests.builders.answering import Answering
from tests.builders.desk import Desk, make_desk
from tests.builders.http_client import ROW, log_of, running, served_version, serving_of
from tests.builders.typed import Sit
from tests.serving.test_server import as_json

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1; version 2, which is live; version 3, which learned from days whose target lay higher, is refused."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    for since, until in ((0, 10), (10, 14)):
        desk.land(desk.rows(since, until), until)
        desk.make_version(until)
    desk.land(desk.rows(14, 18).assign(outcome=lambda rows: rows["outcome"] + 9.0), 18)
    desk.make_version(18, promote=False)
    return desk


def begin(desk: Desk, share: float = 0.5, entity: str | None = None, day: int = 18) -> Any:
    return start_canary(
        desk.workspace, 3, shares=[share], by="a test", reason="a test", now=desk.day(day), entity=entity
    )


def follower_of(desk: Desk, serving: Any) -> Follower:
    return Follower(desk.workspace, lambda: desk.workspace, serving, lambda: desk.day(19))


def newest(desk: Desk) -> Canary:
    canary = newest_canary(desk.workspace)
    assert canary is not None
    return canary


def with_canary(desk: Desk) -> tuple[Serving, Follower]:
    """A server that a canary has begun in."""
    begin(desk)
    serving = serving_of(desk)
    follower = follower_of(desk, serving)
    follower.look()
    return serving, follower


def alerts(desk: Desk) -> list[str]:
    return [row.text for row in desk.workspace.store.alerts(desk.workspace.model) if row.kind == "canary ended"]


def test_its_keys_are_answered_by_it_each_time_and_all_others_by_the_live_version(desk: Desk) -> None:
    log = log_of(desk)
    begun, serving = begin(desk), serving_of(desk, keep=log.add)
    rows = [ROW | {"number": number} for number in range(900, 940)]
    held = [begun.holds(str(row["number"])) for row in rows]
    with running(serving) as client:
        follower_of(desk, serving).look()
        ones = [client.json("/predict", row)[1] for row in rows]
        many = client.json("/predict", rows)[1]
        named = client.json("/predict?version=3", rows[0])[1]["predictions"][0]["prediction"]
        other = next(number for number in range(1000, 2000) if begun.holds(str(number)))
        live = client.json("/predict?version=2", ROW | {"number": other})[1]["version"]
    log.close()
    by_canary = [str(row["number"]) for row, is_held in zip(rows, held, strict=True) if is_held]
    answers = desk.workspace.predictions

    assert 10 < sum(held) < 30
    assert [one["version"] == 3 for one in ones] == held
    assert [one.get("version") == 3 for one in many["predictions"]] == held
    assert [one["predictions"][0]["prediction"] for one in ones] == [one["prediction"] for one in many["predictions"]]
    assert {one["predictions"][0]["prediction"] for one in ones if one["version"] == 3} == {named}
    assert (many["version"], live) == (2, 2)
    assert sorted(answers.of_role("canary").answers(3)["key"]) == sorted(by_canary * 2)
    assert (answers.versions(), answers.of_role("request").versions()) == ([], [2])
    assert set(answers.of_role("request").answers(2)["key"]).isdisjoint(by_canary)


def test_rows_about_one_entity_have_one_version_however_they_are_sent(
    desk: Desk,
) -> None:
    begun, serving = begin(desk, entity="level"), serving_of(desk)
    rows = [ROW | {"number": number, "level": float(number % 7) if number % 2 else None} for number in range(900, 940)]
    held = [begun.holds(str(row["number"] if row["level"] is None else int(row["level"]))) for row in rows]
    with running(serving) as client:
        follower_of(desk, serving).look()
        ones = [client.json("/predict", row)[1]["version"] for row in rows]
        whole = [
            client.json("/predict", row | {"level": row["level"] and int(row["level"])})[1]["version"] for row in rows
        ]
        many = client.json("/predict", rows)[1]["predictions"]

    assert 0 < sum(held) < len(held)
    assert ones == whole == [3 if is_held else 2 for is_held in held]
    assert [one.get("version") == 3 for one in many] == held


def test_an_entity_is_a_column_of_the_table(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="'customer'"):
        begin(desk, entity="customer")


class Failing:
    """A model that fails."""

    def predict(self, matrix: object) -> None:
        raise ZeroDivisionError


def test_where_it_fails_the_live_version_answers_and_it_ends_for_good(desk: Desk) -> None:
    serving, follower = with_canary(desk)
    assert serving.canary is not None
    serving.canary.served.predictor.__dict__["model"] = Failing()
    rows = [ROW | {"number": number} for number in range(900, 940)]
    with running(serving) as client:
        ones = [client.json("/predict", row) for row in rows]
        many = client.json("/predict", rows)
        counted = serving.metrics.as_text().decode()
        follower.look()
        follower.look()
    ended = newest(desk)
    again = serving_of(desk)
    follower_of(desk, again).look()

    assert {status for status, _ in [*ones, many]} == {HTTPStatus.OK}
    assert {answer["version"] for _, answer in [*ones, many]} == {2}
    assert 'retrim_canary_requests_total{fate="failed"} 3.0' in counted
    assert ended.outcome == "errors"
    assert len(alerts(desk)) == 1
    assert "it failed 3 of 3 requests" in alerts(desk)[0]
    assert serving.canary is again.canary is None


def test_a_file_that_holds_no_canary_is_named(desk: Desk) -> None:
    begin(desk)
    desk.workspace.paths.canary.write_text("{}", encoding="utf-8")

    with pytest.raises(BadInputError, match=r"canary\.json"):
        newest_canary(desk.workspace)


def test_one_that_keeps_callers_waiting_is_out_after_few_requests() -> None:
    few = [0.2] * deciding.FEW_TIMED

    assert deciding.judge_seconds(few[1:], [0.001] * len(few[1:])) is None
    assert "took 200.0 ms" in str(deciding.judge_seconds(few, [0.001] * len(few)))
    assert deciding.judge_seconds([0.01] * len(few), [0.001] * len(few)) is None


def test_one_that_is_slow_ends(desk: Desk) -> None:
    serving, follower = with_canary(desk)
    running_canary = serving.canary
    assert running_canary is not None
    number, running_canary.served = running_canary.served.version, Answering()  # type: ignore[assignment]
    keys = [str(key) for key in range(10_000) if running_canary.canary.holds(str(key))]
    for key in keys[: deciding.TIMED]:
        said = [RowAnswer(key, None, 1.0, None, None, None, None, None, "", None)]
        running_canary.answer([{}], said, -1.0, "r")  # before it was asked
    follower.look()
    ended = newest(desk)

    assert number == 3
    assert ended.outcome == "slow"


def test_another_live_version_ends_it(desk: Desk) -> None:
    serving, follower = with_canary(desk)
    rollback(desk.workspace, 1, by="a test", reason="a test", now=desk.day(19))
    follower.look()
    follower.look()
    ended = newest(desk)

    assert serving.served.version == 1
    assert serving.canary is None
    assert ended.outcome == "replaced"


def test_one_that_cannot_be_loaded_ends(desk: Desk) -> None:
    begin(desk)
    serving = serving_of(desk)
    model = next((desk.shelf.folders[3]).rglob("model.txt"))
    model.write_text("", encoding="utf-8")
    follower_of(desk, serving).look()
    ended = newest(desk)

    assert (ended.outcome, "cannot be loaded" in ended.said) == ("errors", True)


def answered(desk: Desk, rows: pd.DataFrame, *, odd: float = 0.0, live_odd: float = 0.0) -> None:
    """Has the live version and the canary answer rows at the event of the first, each wrong by so much more."""
    log = log_of(desk)
    canary, at = newest(desk), int(rows["at"].iloc[0].value // 1000)
    asked = as_json(rows[["at", "number", "level", "slope", "noise", "group"]])
    for number, role in ((canary.against, "request"), (canary.version, "canary")):
        version = served_version(desk, number)
        said = version.answer(asked, "r")
        off = odd if role == "canary" else live_odd
        own = [
            (key, event, value + off, *rest)
            for key, event, value, *rest in said
            if canary.holds(key) == (role == "canary")
        ]
        log.add((number, f"request {at}", at, own, role, None))  # type: ignore[arg-type]
    log.close()


def test_one_that_is_worse_once_labels_come_ends_at_a_check_and_the_status_says_so(desk: Desk) -> None:
    begin(desk)
    rows = desk.rows(18, 60)
    answered(desk, rows, odd=1.0)
    desk.land(rows, 60)
    going = dict(status_facts(find_status(desk.workspace, now=desk.day(60.5))))["canary"]
    check(desk.workspace, by="a test", now=desk.day(61))
    ended = newest(desk)
    facts = dict(status_facts(find_status(desk.workspace, now=desk.day(62))))["canary"]

    assert going.startswith("version 3 has served 50% of the rows since 2024-01-19")
    assert "worse: version 3 against 2: loss" in going
    assert "by 2.0%" in going
    assert "it ends after 1,248 rows" in going
    assert ended.outcome == "worse"
    assert facts.startswith("version 3, worse on 2024-03-02")
    assert len(alerts(desk)) == 1


def test_a_client_ends_none_by_requests_with_other_features(desk: Desk) -> None:
    begin(desk)
    rows = desk.rows(18, 60)
    answered(desk, rows.assign(level=99.0), odd=1.0)
    desk.land(rows, 60)
    check(desk.workspace, by="a test", now=desk.day(61))
    going = newest(desk)

    assert going.ended is None


def test_one_that_is_worse_ends_when_labels_land_without_a_check(desk: Desk) -> None:
    begin(desk)
    serving = serving_of(desk)
    follower = Follower(desk.workspace, lambda: desk.workspace, serving, lambda: desk.day(61))
    follower.look()
    rows = desk.rows(18, 60)
    answered(desk, rows, odd=1.0)
    desk.land(rows, 60)
    follower.look()
    follower.look()
    ended = newest(desk)

    assert ended.outcome == "worse"
    assert serving.canary is None
    assert desk.workspace.store.decisions(desk.workspace.model, source="check") == []


def test_a_check_counts_no_canary_as_what_was_served(desk: Desk) -> None:
    begin(desk)
    rows = desk.rows(18, 22)
    answered(desk, rows)
    desk.land(rows, 22)
    served = check(desk.workspace, by="a test", now=desk.day(22)).record.performance.measured.served

    assert served is not None
    assert set(served.by_version) == {2}
    assert served.predicted_again > 0


def test_it_ends_once_whoever_ends_it(desk: Desk) -> None:
    begun = begin(desk)
    first = end_canary(desk.workspace, begun, "errors", "one", now=desk.day(19))
    second = end_canary(desk.workspace, begun, "slow", "two", now=desk.day(19))
    again = begin(desk, day=20)

    assert first is not None
    assert (first.outcome, second) == ("errors", None)
    assert again.began != begun.began
    assert newest_canary(desk.workspace) == again


@pytest.mark.parametrize("share", [0.0, -1.0, 0.51, 1.0, float("nan"), float("inf")])
def test_a_share_is_above_0_and_a_half_at_most(share: float, desk: Desk) -> None:
    with pytest.raises(BadInputError):
        begin(desk, share)


def test_the_live_version_and_one_that_is_not_there_are_no_canaries(desk: Desk) -> None:
    with pytest.raises(RefusedError):
        start_canary(desk.workspace, 2, shares=[0.1], by="", reason="", now=desk.day(18))
    with pytest.raises(BadInputError):
        start_canary(desk.workspace, 9, shares=[0.1], by="", reason="", now=desk.day(18))


def test_a_person_begins_and_ends_it(desk: Desk, sit: Sit) -> None:
    session = sit(desk)
    session.says("versions canary --stop --reason no", code=2)
    begun = session.says("versions canary 3 --share 0.1 --reason new", code=0)
    session.says("versions canary 3 --reason again", code=1)
    ended = session.says("versions canary --stop --reason enough", code=0)
    again = json.loads(session.says("versions canary 3 --reason again --json", code=0))

    assert "10% of" in begun
    assert "version 3 ended" in ended
    assert again["version"] == 3
    assert session.says("versions canary --reason what", code=2)
    assert alerts(desk) == []


def test_a_canary_rises_by_its_steps_while_its_test_goes_on_and_goes_live_where_it_is_confirmed(desk: Desk) -> None:
    rollback(desk.workspace, 1, by="a test", reason="a test", now=desk.day(18))
    start_canary(desk.workspace, 2, shares=[0.2, 0.5], by="a person", reason="again", now=desk.day(18.1), promotes=True)
    shares, day = [newest(desk).share], 19
    while newest(desk).ended is None and day < 120:
        rows = desk.rows(day, day + 6)
        answered(desk, rows, live_odd=1.0)
        desk.land(rows, day + 6)
        check(desk.workspace, by="a test", now=desk.day(day + 6))
        day += 6
        shares.append(newest(desk).share)
    ended, live = newest(desk), find_live_version(desk.workspace)

    assert shares == sorted(shares)
    assert set(shares) == {0.2, 0.5}
    assert ended.outcome == "confirmed"
    assert ended.said.endswith("it is live")
    assert live is not None
    assert live.version == 2
    assert [row.actor for row in desk.workspace.store.releases(desk.workspace.model)][-1] == "a person"


def test_a_share_rises_after_enough_rows_and_never_past_its_last_step() -> None:
    begun = Canary(3, 2, 0.01, "", "", "", steps=(0.1, 0.5))
    few, enough = begun.after(deciding.STEP_ROWS - 1), begun.after(deciding.STEP_ROWS)
    last = enough.after(3 * deciding.STEP_ROWS)

    assert (few, enough.share, enough.after(deciding.STEP_ROWS)) == (begun, 0.1, enough)
    assert (last.share, last.after(10**6)) == (0.5, last)


def test_what_the_gate_refused_is_no_canary_that_goes_live(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="--promote"):
        start_canary(desk.workspace, 3, shares=[0.1], by="", reason="", now=desk.day(18), promotes=True)


@pytest.mark.parametrize("steps", ["0.1,0.01", "0.1,0.1", "0.1,0.9", "0.1,x", ""])
def test_steps_are_shares_that_rise(desk: Desk, sit: Sit, steps: str) -> None:
    sit(desk).says(f"versions canary 3 --steps '{steps}' --reason new", code=2)
