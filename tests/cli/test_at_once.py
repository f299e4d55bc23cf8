"""Commands with nothing to do: the answer, and that no server was started and Prefect was not even imported for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.adapters.database import iso
from retrim.decision.stored_rows import DecisionRow
from retrim.errors import RefusedError
from retrim.lineage.workspace import ask_for_run
from tests.builders.answers import QUIET, kept_check
from tests.builders.imported import Ended, ask
from tests.builders.world import World, make_world


def started_no_server(world: World, ended: Ended) -> bool:
    """Neither imported Prefect nor left a home of a server."""
    return "prefect" not in ended.modules and not world.workspace.paths.prefect.exists()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("empty"), server="")


@pytest.fixture
def landed(tmp_path: Path) -> World:
    """A world with two days of rows: too few for a version."""
    world = make_world(tmp_path, server="")
    world.land(world.day(2))
    return world


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("check", 2, "error: no rows had landed by "),
        ("retrain", 2, "error: no rows had landed by "),
        ("predict", 1, "no version is live, so nothing was predicted"),
    ],
    ids=["check", "retrain", "predict"],
)
def test_with_nothing_landed_it_says_so_before_any_server_starts(
    empty: World, command: str, code: int, says: str
) -> None:
    ended = ask(empty, command)

    assert (ended.code, (ended.out + ended.err).startswith(says)) == (code, True), ended
    assert started_no_server(empty, ended)
    assert empty.workspace.store.decisions(empty.workspace.model) == []


def test_a_retraining_that_waits_for_rows_is_deferred_before_any_server_starts(landed: World) -> None:
    ended = ask(landed, "retrain", "--as-of", landed.day(2), "--mode", "search")
    run = landed.workspace.store.runs(landed.workspace.model)[0]

    assert (ended.code, ended.out.startswith("deferred: 48 mature rows")) == (1, True), ended
    assert (run.state, run.mode, run.ended) == ("deferred", "search", iso(pd.Timestamp(landed.day(2))))
    assert started_no_server(landed, ended)


def test_a_retraining_that_has_been_is_refused_before_any_server_starts(landed: World) -> None:
    ask(landed, "retrain", "--as-of", landed.day(2))
    ended = ask(landed, "retrain", "--as-of", landed.day(2))

    assert (ended.code, "already exists (deferred)" in ended.err) == (1, True), ended
    assert started_no_server(landed, ended)


def keep_check(world: World, day: float, outcome: str) -> str:
    """A check that was made."""
    at = pd.Timestamp(world.day(day))
    identity = f"{world.workspace.model}-{at:%Y%m%dT%H%M%SZ}"
    row: dict[str, Any] = {"id": identity, "model": world.workspace.model, "source": "check", "outcome": outcome}
    made = kept_check(at, decision=replace(QUIET, outcome=outcome, reason="kept"))
    world.workspace.store.add_decision(
        DecisionRow(**row, as_of=iso(at), at=iso(at), actor="x", reason="kept", text=json.dumps(made))
    )
    return identity


def test_a_check_that_was_made_is_answered_before_any_server_starts(landed: World) -> None:
    identity = keep_check(landed, 3, "none")
    ended = ask(landed, "check", "--now", landed.day(3), "--json")

    assert ended.code == 0, ended
    assert {"id": identity, "reason": "kept", "fresh": False}.items() <= json.loads(ended.out)["check"].items()
    assert started_no_server(landed, ended)


def test_a_check_before_the_newest_is_answered_before_any_server_starts(landed: World) -> None:
    keep_check(landed, 4, "none")
    ended = ask(landed, "check", "--now", landed.day(3))

    assert (ended.code, landed.day(4) in ended.out) == (0, True), ended
    assert started_no_server(landed, ended)


class TestWhatHasToBeDone:
    """What needs a server is left to the flow; nothing is recorded before that."""

    def test_a_check_of_new_rows(self, landed: World) -> None:
        from retrim.retraining.retrain import check_at_once

        keep_check(landed, 1, "none")

        assert check_at_once(landed.workspace, by="x", now=pd.Timestamp(landed.day(2))) is None
        assert len(landed.workspace.store.decisions(landed.workspace.model)) == 1

    def test_a_check_after_a_decision_that_a_kill_left_without_its_run(self, landed: World) -> None:
        from retrim.retraining.retrain import check_at_once

        keep_check(landed, 3, "retrain")

        assert check_at_once(landed.workspace, by="x", now=pd.Timestamp(landed.day(3))) is None

    def test_a_retraining_with_enough_rows(self, landed: World) -> None:
        from retrim.retraining.retrain import retrain_at_once

        landed.land(landed.day(25), since=landed.day(2))
        as_of = pd.Timestamp(landed.day(25))

        assert retrain_at_once(landed.workspace, as_of=as_of, mode=None, by="x", reason="x", now=as_of) is None
        assert landed.workspace.store.decisions(landed.workspace.model) == []

    def test_a_retraining_after_one_that_was_killed(self, landed: World) -> None:
        from retrim.retraining.retrain import retrain_at_once

        as_of = pd.Timestamp(landed.day(2))
        ask_for_run(landed.workspace, as_of=as_of, by="x", reason="killed", now=as_of)

        assert retrain_at_once(landed.workspace, as_of=as_of, mode=None, by="x", reason="killed", now=as_of) is None

    def test_a_retraining_that_had_ended_when_it_was_killed(self, landed: World) -> None:
        from retrim.retraining.retrain import retrain_at_once

        workspace, as_of = landed.workspace, pd.Timestamp(landed.day(2))
        asked = {"as_of": as_of, "mode": None, "by": "x", "reason": "x", "now": as_of}
        assert retrain_at_once(workspace, **asked) is not None  # deferred
        with pytest.raises(RefusedError):
            retrain_at_once(workspace, **asked)
        workspace.paths.runs.mkdir(parents=True, exist_ok=True)
        (workspace.paths.runs / "flow-killed.lock").touch()  # its flow run is open in Prefect

        assert retrain_at_once(workspace, **asked) is None
