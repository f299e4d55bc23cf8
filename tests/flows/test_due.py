"""Which due times a scheduled flow run is about: none lost and none doubled, whatever late run comes first."""

import asyncio
import itertools
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.runtime import flow_run
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule

from retrim.checking import due as op
from retrim.checking.due import begin_due_times, is_due_time, mark_due_time, missed_times
from retrim.decision.run_params import ScheduleParams
from retrim.environment import Env
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params
from retrim.stats.timetable import due_between
from retrim_flows.check import CheckDone, check
from retrim_flows.schedule import due_each, due_once
from retrim_flows.worker import ANCHOR

ROOT = Path(__file__).resolve().parents[2]
NOW = pd.Timestamp.now("UTC").floor("h")


def hours(*numbers: float) -> list[pd.Timestamp]:
    return [NOW + pd.Timedelta(number, "h") for number in numbers]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace whose flows are due every full hour, and whose schedule first ran five and a half hours ago."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text += 'schedule: {check: "0 * * * *", score: "0 * * * *"}\n'
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    workspace = Workspace(WorkspacePaths(tmp_path), load_params(tmp_path / "params.yaml"), Env())
    for flow in ("check", "score"):
        begin_due_times(workspace, flow, now=hours(-5.5)[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("retrim_flows.schedule.clock", lambda: hours(0.1)[0])  # tests before may last longer
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "one that a worker carries out")
    return workspace


def start_at(monkeypatch: pytest.MonkeyPatch, moment: pd.Timestamp) -> None:
    """Lets this process be a flow run that was scheduled for a moment."""
    monkeypatch.setitem(vars(flow_run), "scheduled_start_time", moment)


def checks_made(moment: pd.Timestamp) -> list[pd.Timestamp]:
    return list(due_each("check", moment))


def scored_at(monkeypatch: pytest.MonkeyPatch, moment: pd.Timestamp) -> pd.Timestamp | None:
    start_at(monkeypatch, moment)
    with due_once("score", None) as at:
        return at


def test_a_check_is_made_for_each_missed_time_in_order(workspace: Workspace) -> None:
    assert checks_made(NOW) == hours(-5, -4, -3, -2, -1, 0)
    assert missed_times(workspace, "check", until=NOW) == []


def test_the_next_check_is_about_its_own_time(workspace: Workspace) -> None:
    checks_made(NOW)

    assert checks_made(hours(1)[0]) == hours(1)


def test_a_check_that_was_killed_between_two_missed_times_goes_on_with_the_one_it_was_at(
    workspace: Workspace,
) -> None:
    list(itertools.islice(due_each("check", NOW), 3))

    assert checks_made(NOW) == hours(-3, -2, -1, 0)


def test_a_missed_check_that_cannot_be_made_is_said_and_does_not_hold_up_the_next(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(at: pd.Timestamp, *, missed: bool) -> CheckDone:
        raise BadInputError(f"no rows by {at.isoformat()}")

    monkeypatch.setattr("retrim_flows.check.check_and_act", refuse)
    start_at(monkeypatch, NOW)
    with pytest.raises(BadInputError, match=f"{NOW:%Y-%m-%dT%H}"):
        check.fn()

    assert capsys.readouterr().out.count("left out: missed check as of") == 5


@pytest.mark.parametrize("order", [(-5, -4, 0), (0, -4, -5), (-4, 0, -5)])
def test_another_flow_is_run_once_for_all_missed_times_whatever_late_run_comes_first(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...]
) -> None:
    assert [scored_at(monkeypatch, at) for at in hours(*order)] == [NOW, None, None]


def test_one_that_fails_is_not_done(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    start_at(monkeypatch, NOW)
    with pytest.raises(OSError, match="disk"), due_once("score", None):
        raise OSError("disk")

    assert scored_at(monkeypatch, NOW) == NOW


def test_one_that_a_person_starts_is_about_its_own_moment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored_at(monkeypatch, NOW)
    by_hand = NOW + pd.Timedelta("7min")

    assert scored_at(monkeypatch, by_hand) == by_hand


def test_the_first_of_a_flow_whose_begin_could_not_be_noted_is_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_at(monkeypatch, at := pd.Timestamp(NOW.date(), tz="UTC") + pd.Timedelta("45min"))
    found = []
    for _ in range(2):
        with due_once("maintain", None) as due:
            found.append(due)

    assert found == [at, None]


def test_a_moment_that_is_given_is_taken_as_it_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def note(at: pd.Timestamp, *, missed: bool) -> None:
        made.append((at, missed))

    made: list[tuple[pd.Timestamp, bool]] = []
    monkeypatch.setattr("retrim_flows.check.check_and_act", note)
    monkeypatch.setattr("retrim_flows.check.ping", lambda: None)
    check.fn(NOW.isoformat())

    assert made == [(NOW, False)]
    assert len(missed_times(workspace, "check", until=NOW)) == 6


def test_a_flow_that_is_switched_off_misses_nothing(workspace: Workspace) -> None:
    schedule = workspace.params.schedule.model_copy(update={"check": None})
    params = workspace.params.model_copy(update={"schedule": schedule})
    off = Workspace(workspace.paths, params, workspace.env)

    assert missed_times(off, "check", until=NOW) == []
    assert not is_due_time(off, "check", NOW)


def test_nothing_was_missed_before_the_schedule_first_ran(workspace: Workspace) -> None:
    assert missed_times(workspace, "prove", until=NOW) == []
    begin_due_times(workspace, "score", now=NOW)
    assert missed_times(workspace, "score", until=NOW) == hours(-5, -4, -3, -2, -1, 0)


def test_a_schedule_that_rested_for_years_makes_up_for_the_newest(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(op, "MOST", 3)

    assert missed_times(workspace, "check", until=NOW) == hours(-2, -1, 0)


def test_what_is_done_stays_done_when_an_earlier_time_is_marked(workspace: Workspace) -> None:
    mark_due_time(workspace, "score", NOW)
    mark_due_time(workspace, "score", hours(-3)[0])

    assert missed_times(workspace, "score", until=NOW) == []


CRONS = ["15 0 * * *", "* * * * *", "*/20 8-10 * * *", "0 3 * * 0", "0 6 1 * *", "0 0 13 * fri", "5 4 * jan,jul mon"]


@settings(max_examples=40, deadline=None)
@given(cron=st.sampled_from(CRONS), minutes=st.integers(0, 60 * 24 * 400))
def test_our_cron_is_that_of_prefect(cron: str, minutes: int) -> None:
    after = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(minutes, "min")
    theirs = asyncio.run(CronSchedule(cron=cron, timezone="UTC").get_dates(4, after.to_pydatetime()))
    until = pd.Timestamp(theirs[-1])

    assert list(due_between(cron, after - pd.Timedelta("1s"), until)) == [pd.Timestamp(each) for each in theirs]


@settings(max_examples=40, deadline=None)
@given(seconds=st.integers(1, 10**5), start=st.integers(0, 10**8))
def test_our_span_is_that_of_prefect(seconds: int, start: int) -> None:
    after = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(start, "s")
    schedule = IntervalSchedule(interval=pd.Timedelta(seconds, "s").to_pytimedelta(), anchor_date=ANCHOR)
    theirs = [pd.Timestamp(each) for each in asyncio.run(schedule.get_dates(4, after.to_pydatetime()))]

    assert list(due_between(f"{seconds}s", after - pd.Timedelta("1s"), theirs[-1])) == theirs


def test_every_flow_with_a_timetable_has_due_times(workspace: Workspace) -> None:
    for flow in ScheduleParams.flows():
        begin_due_times(workspace, flow, now=hours(-1)[0])

    assert {flow: type(missed_times(workspace, flow, until=NOW)) for flow in ScheduleParams.flows()} == dict.fromkeys(
        ScheduleParams.flows(), list
    )
