"""A replay's workspace: what it takes along, and that it stands apart from the one it was made from."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.dvc import has_remote
from retrim.adapters.store import Store
from retrim.decision.stored_rows import DecisionRow, RunClaim, RunDetail
from retrim.errors import BadInputError
from retrim.files import load_yaml
from retrim.reports.replay import Replay, alone, lay_batches, make_replay, roles_changed
from retrim.settings import Env
from retrim.stats.codec import to_record
from tests.builders.answers import kept_check
from tests.builders.world import START, World, make_world

pytestmark = pytest.mark.slow

SINCE = START + pd.Timedelta(4, "D")


def decide(store: Store, day: float, *, run: str | None = None) -> None:
    """A check of a day, with the run that it started."""
    at = iso(START + pd.Timedelta(day, "D"))
    row = {
        "id": f"check-{day:g}",
        "model": "generated",
        "source": "check",
        "as_of": at,
        "at": at,
        "actor": "a test",
        "outcome": "none",
    }
    store.add_decision(DecisionRow(**row, reason="", text=json.dumps(kept_check(pd.Timestamp(at)))))
    if run is not None:
        claimed = {"id": f"run-{day:g}", "model": "generated", "decision": f"check-{day:g}", "as_of": at}
        store.claim_run(RunClaim(**claimed, mode="refit", started=at))
        store.end_run(f"run-{day:g}", state=run, ended=at, version=None, detail=RunDetail(reason=""))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Six days of checks without a version, a batch a day, and a DVC remote that things are pushed to.

    There is another, which the person's own DVC settings name for every repository.
    """
    home = tmp_path_factory.mktemp("home")
    own = home / ".config" / "dvc" / "config"
    own.parent.mkdir(parents=True)
    own.write_text(f"[core]\n    remote = own\n['remote \"own\"']\n    url = {home / 'remote'}\n", encoding="utf-8")
    made = make_world(tmp_path_factory.mktemp("apart"), server="http://127.0.0.1:9/api")
    for day in range(1, 7):
        made.land(made.day(day), since=made.day(day - 1))
        decide(made.workspace.store, day, run="deferred" if day in (2, 5) else "crashed" if day == 3 else None)
    made.run("dvc", "remote", "add", "--default", "shared", "../shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        yield made


@pytest.fixture(scope="module")
def replay(world: World) -> Replay:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIM_STORE_URL", f"sqlite:///{world.root / 'var' / 'server.db'}")  # as where it is a server
        patch.setenv("RETRIM_ALERTS", "json://127.0.0.1/hook")
        return make_replay(world.workspace, since=SINCE, until=None, other=None, url=None)


def test_a_replay_has_stores_of_its_own_whatever_the_environment_says(world: World, replay: Replay) -> None:
    folder = replay.there.paths.root

    assert folder.is_relative_to(world.root / "var" / "replay")
    assert replay.there.store.url == f"sqlite:///{folder / 'var' / 'retrim.db'}"
    assert replay.there.mlflow_url == f"sqlite:///{folder / 'var' / 'mlflow.db'}"


def test_its_past_ends_before_the_date(replay: Replay) -> None:
    store = replay.there.store

    assert [row.id for row in store.decisions("generated")] == ["check-1", "check-2", "check-3"]
    assert [row.id for row in store.runs("generated")] == ["run-2"]  # what went on is not taken along half done


def test_what_had_arrived_by_then_has_landed_there_with_its_time(world: World, replay: Replay) -> None:
    arrived = [batch.arrived for batch in replay.there.landing.batches()]

    assert arrived == [batch.arrived for batch in world.workspace.landing.batches() if batch.arrived < SINCE]


def test_later_batches_land_with_their_moment(world: World, replay: Replay) -> None:
    lay_batches(world.workspace, replay.there, after=SINCE - pd.Timedelta("1us"), until=SINCE)

    assert max(batch.arrived for batch in replay.there.landing.batches()) == SINCE


def test_it_decides_at_the_checks_from_the_date_on(replay: Replay) -> None:
    assert [row.id for row in replay.moments] == ["check-4", "check-5", "check-6"]


def test_what_it_makes_is_pushed_nowhere(world: World, replay: Replay) -> None:
    assert "core.remote=own" in world.run("dvc", "config", "--list", "--global")
    assert (has_remote(world.root), has_remote(replay.there.paths.root)) == (True, False)
    assert "no remote" in world.run("dvc", "push", folder=replay.there.paths.root, code=1)


def test_it_has_the_uncommitted_edits_and_no_tags(world: World, replay: Replay) -> None:
    folder = replay.there.paths.root

    assert (folder / ".dvc" / "config").is_file()
    assert git.git(folder, "tag") == ""


def test_settings_that_differ_are_those_of_the_file(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("gain: {cost: 0.25}\n", encoding="utf-8")
    made = make_replay(world.workspace, since=SINCE, until=None, other=other, url=None)

    assert [change.key for change in made.changed] == ["gain.cost"]
    assert made.there.params.gain.cost == 0.25
    assert made.there.params.tune == world.workspace.params.tune


def test_a_setting_deep_in_a_section_leaves_those_beside_it(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("tune: {space: {num_leaves: {high: 31}}}\n", encoding="utf-8")
    made = make_replay(world.workspace, since=SINCE, until=None, other=other, url=None)

    assert [change.key for change in made.changed] == ["tune.space.num_leaves.high"]


def test_columns_whose_role_differs_are_listed(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("data: {columns: {noise: {role: forbidden}}}\n", encoding="utf-8")
    made = make_replay(world.workspace, since=SINCE, until=None, other=other, url=None)

    assert [to_record(change) for change in made.changed] == [
        {"key": "data.columns.noise.role", "history": "feature", "replay": "forbidden"}
    ]
    assert "noise" not in made.there.params.data.features


def test_what_a_column_is_cannot_differ_and_is_named(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("data: {columns: {noise: {type: integer}}}\n", encoding="utf-8")

    with pytest.raises(BadInputError, match=r"data\.columns\.noise differs"):
        make_replay(world.workspace, since=SINCE, until=None, other=other, url=None)


def test_roles_that_were_changed_since_history_are_listed(world: World, replay: Replay) -> None:
    then = load_yaml(world.workspace.paths.params.read_text(encoding="utf-8"))["data"]["columns"]
    then["noise"]["role"] = "forbidden"

    assert [change.key for change in roles_changed(then, world.workspace.params.data)] == ["data.columns.noise.role"]


def test_another_span_of_the_same_settings_leaves_the_evidence_of_the_first(world: World, replay: Replay) -> None:
    shorter = make_replay(world.workspace, since=SINCE, until=SINCE + pd.Timedelta("1D"), other=None, url=None)

    assert shorter.there.paths.root != replay.there.paths.root


def test_a_setting_that_nobody_knows_is_refused_with_the_files_name(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("gain: {coast: 0.25}\n", encoding="utf-8")

    with pytest.raises(BadInputError, match=r"other\.yaml: gain\.coast"):
        make_replay(world.workspace, since=SINCE, until=None, other=other, url=None)


def test_a_replay_tells_nobody(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETRIM_ALERTS", "RETRIM_ALERTS_FILE", "RETRIM_PING"):
        monkeypatch.setenv(name, "json://127.0.0.1/hook")
    alone()

    assert not replay.there.env.tells
    assert not Env().tells
