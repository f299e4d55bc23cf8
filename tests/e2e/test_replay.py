"""The time machine on a small world: real flows over real history, with other settings and with the same."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.decision.stored_rows import columns_of
from retrim.release.versions import load_stored_version
from retrim.stats.metrics import row_losses
from retrim.table.data import assemble, mature
from tests.builders.landed import read_landed
from tests.builders.world import START, World, make_world
from tests.cli.test_reference import keys, keys_within
from tests.e2e.flows_here import monitor, retrain

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]

CHECKS = (24, 28, 32, 36, 40)
FROM = 30
CHEAP = "gain: {cost: 0.05, cost_unit: loss}\ntriggers: {cooldown_checks: 0}\n"


def store_of(world: World) -> dict[str, list[Any]]:
    """All that the store holds."""
    engine = sa.create_engine(f"sqlite:///{world.root / 'var' / 'retrim.db'}")
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {name: sorted(map(repr, connection.execute(sa.select(each)))) for name, each in tables.tables.items()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """A concept that drifts from day 28 on, and a price so high that history never retrained."""
    made = make_world(
        tmp_path_factory.mktemp("replay"),
        server=server,
        drift={"kind": "concept", "size": 4.0, "since": START + pd.Timedelta(28, "D")},
        changes={
            "train": {"windows": ["sliding"]},
            "split": {"sliding_rows": 150},
            "gain": {"cost": 1000.0, "cost_unit": "loss"},
            "triggers": {"cooldown_checks": 0},
        },
    )
    made.land(made.day(20))
    retrain(made, 20, "version 1")
    for day in CHECKS:
        made.land(made.day(day), since=made.day(day - 4))
        monitor(made, day)
    (made.root / "cheap.yaml").write_text(CHEAP, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def replayed(world: World) -> dict[str, Any]:
    """What the workspace held before and after a replay with a low price, and what that printed."""
    before = (store_of(world), files_of(world.root / "var" / "landing"), git.git(world.root, "show-ref"))
    elsewhere = {"RETRIM_STORE_URL": f"sqlite:///{world.root / 'var' / 'retrim.db'}"}  # as in production
    answer = world.ask("policy", "replay", "--from", world.day(FROM), "--with", "cheap.yaml", environment=elsewhere)
    after = (store_of(world), files_of(world.root / "var" / "landing"), git.git(world.root, "show-ref"))
    return {"before": before, "after": after, **answer}


def test_it_decides_anew_at_the_moments_of_history(world: World, replayed: dict[str, Any]) -> None:
    moments = [moment["at"] for moment in replayed["moments"]]

    assert moments == [world.day(day) for day in CHECKS if day > FROM]


def test_history_stands_as_it_was_recorded(world: World, replayed: dict[str, Any]) -> None:
    recorded = [
        row for row in world.workspace.store.decisions("generated", source="check") if row.as_of > world.day(FROM)
    ]

    assert [moment["history"]["reason"] for moment in replayed["moments"]] == [row.reason for row in recorded]


def test_a_lower_price_retrains_where_history_did_not(replayed: dict[str, Any]) -> None:
    summary = replayed["summary"]

    assert summary["history"]["retrainings"] == 0
    assert summary["replay"]["promoted"] >= 1
    assert summary["replay"]["loss"] < summary["history"]["loss"]


def test_a_difference_is_explained_by_both_records_and_the_setting(replayed: dict[str, Any]) -> None:
    first = next(moment for moment in replayed["moments"] if moment["differs"])
    said, cause = first["why"][0], first["why"][1:]
    texts = [next(each["text"] for each in first[side]["said"]) for side in ("history", "replay")]

    assert said == f"gain: history says no ({texts[0]}); the replay says yes ({texts[1]})"
    assert "gain.cost is 1000.0 in history and 0.05 in the replay" in cause


def test_a_later_difference_names_the_version_that_was_live_by_then(replayed: dict[str, Any]) -> None:
    later = [moment for moment in replayed["moments"] if moment["replay"]["live"] != moment["history"]["live"]][1:]

    assert all(
        not moment["differs"] or any("was live in history" in sentence for sentence in moment["why"])
        for moment in later
    )


def test_both_sides_are_judged_on_the_same_rows_by_what_was_live(world: World, replayed: dict[str, Any]) -> None:
    table = assemble(
        *read_landed(world.workspace.landing.root), world.workspace.params.data, as_of=pd.Timestamp(world.day(40))
    )
    ripe = mature(table)
    rows = ripe[(ripe["_event"] >= world.day(FROM)) & (ripe["_event"] < world.day(40))]
    first = load_stored_version(world.workspace, 1).predictor
    losses = row_losses("mae", first.view.actual(rows), first.predict(rows))

    assert replayed["summary"]["rows"] == len(rows)
    assert replayed["summary"]["history"]["loss"] == pytest.approx(float(losses.mean()))


def test_the_workspace_is_left_untouched(replayed: dict[str, Any]) -> None:
    assert replayed["before"] == replayed["after"]


def test_its_record_has_the_documented_keys(replayed: dict[str, Any]) -> None:
    assert keys("policy replay") == replayed.keys() - {"before", "after"}
    assert keys_within("policy replay", "moments") == replayed["moments"][0].keys()


def test_its_folder_answers_for_every_line(world: World, replayed: dict[str, Any]) -> None:
    inside = World(world.root / replayed["folder"], world.server)
    moment = replayed["moments"][-1]

    assert json.loads(inside.retrim("why", moment["at"], "--json").stdout)["reason"] == moment["replay"]["reason"]


def test_the_same_settings_decide_as_history_did(world: World) -> None:
    answer = world.ask("policy", "replay", "--from", world.day(FROM))
    inside = World(world.root / answer["folder"], world.server)
    records = [
        [columns_of(row) for row in each.workspace.store.decisions("generated", source="check")]
        for each in (world, inside)
    ]

    assert answer["settings"] == []
    assert answer["summary"]["differing"] == 0
    assert records[0] == records[1]
    assert answer["summary"]["replay"] == answer["summary"]["history"]


def test_without_a_version_it_makes_the_first_where_history_did(world: World) -> None:
    shown = world.retrim(
        "policy", "replay", "--from", world.day(10), "--until", world.day(24), environment={"COLUMNS": "200"}
    ).stdout

    assert "a person: retrain, promoted" in shown
    assert "0 of 2 moments" in " ".join(shown.split())


def test_a_date_after_the_last_check_is_refused(world: World) -> None:
    error = world.retrim("policy", "replay", "--from", world.day(41), code=2).stderr

    assert f"{world.day(24)} to {world.day(40)}" in " ".join(error.split())


def test_settings_of_another_table_are_refused(world: World) -> None:
    (world.root / "other.yaml").write_text("data: {key: []}\n", encoding="utf-8")

    error = world.retrim("policy", "replay", "--from", world.day(FROM), "--with", "other.yaml", code=2).stderr

    assert "other.yaml: data.key differs" in " ".join(error.split())
