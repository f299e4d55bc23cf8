"""Rows that are not due in a run: a fit takes half of them in, and the other half alone judges from then on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.files import write_file
from retrim.profile.leaks import LeakParams
from retrim.stages import validate
from retrim.stats.codec import to_json
from retrim.training.bundle import load_predictor
from retrim.training.early import is_taken, taken_early
from retrim.training.recipe import TrainParams
from tests.builders.run_directory import Room, lay_settings, make_run_directory, stream

AS_OF = pd.Timestamp("2024-06-01", tz="UTC")
HOUR = pd.Timedelta("1h")
HORIZON = 60  # hours
ROWS = 480
SAID = {"loss": "log_loss", "metrics": ["log_loss"]}


def whole(rows: int = ROWS) -> pd.DataFrame:
    """Hourly rows, the 480th just before the pinned date; a positive is known after 3 hours, a negative after 50."""
    made = stream(rows, task="binary", horizon=f"{HORIZON}h")
    moved = AS_OF - (made["_event"].iloc[ROWS - 1] + HOUR / 2)
    made = made.assign(**{name: made[name] + moved for name in ("at", "_event", "_due")})
    positive = made[target(made)] == "yes"
    return made.assign(_came=made["_event"] + np.where(positive, 3, 50) * HOUR, _matured=made["_due"])


def target(rows: pd.DataFrame) -> str:
    return next(name for name in rows if set(rows[name].dropna().unique()) == {"yes", "no"})


def known_at(rows: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The rows as they are known then: no label, and nothing mature, of what had not come."""
    rows = rows[rows["_event"] < as_of].reset_index(drop=True)
    waits = rows["_came"] > as_of
    answer = rows[target(rows)].mask(waits)
    return rows.assign(
        **{
            target(rows): answer,
            "_came": rows["_came"].mask(waits),
            "_matured": rows["_due"].where(rows["_due"] <= as_of),
        }
    )


def as_validate_writes(rows: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    known = known_at(rows, as_of)
    return known[known["_matured"].notna() | taken_early(known, as_of)].reset_index(drop=True)


def late_run_directory(folder: Path, table: pd.DataFrame, **more: Any) -> Room:
    made = make_run_directory(folder, table, task="binary", judge=SAID, train={"early": True}, **more)
    return replace(made, labels="later", horizon=f"{HORIZON}h")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1, judged on the newest 80 rows that are due."""
    table = known_at(whole(), AS_OF)
    return late_run_directory(
        tmp_path_factory.mktemp("first"), table[table["_matured"].notna()].reset_index(drop=True)
    ).run()


@pytest.fixture(scope="module")
def again(first: Room, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 2: the same recipe once more, with the rows that are not due."""
    wide = {"agreement": {"difference": 1.0, "loss": 1.0}}
    table = as_validate_writes(whole(), AS_OF)
    folder = tmp_path_factory.mktemp("again")
    return late_run_directory(folder, table, mode="final", champion=first.bundle, retrain=wide).run()


def fit_of(run_directory: Room) -> Any:
    return run_directory.record(f"models/{run_directory.record('verdict/verdict.json')['winner']}/fit.json")


def test_a_run_that_judges_takes_rows_in_as_of_its_first_judging_row(first: Room) -> None:
    split, view = first.record("features/split.json"), first.view
    begins = pd.Timestamp(split["judged_from"])
    between = taken_early(view, begins)

    assert split["early_until"] == begins.isoformat()
    assert sum(fit_of(first)["early"].values()) == between.sum() > 0
    assert set(view.loc[between, "_part"]) == {"embargo"}
    assert fit_of(first)["early"]["labelled"] == (between & (view["_came"] <= begins)).sum()


def test_one_that_is_fitted_once_more_takes_those_that_are_not_due_now(again: Room) -> None:
    split, view = again.record("features/split.json"), again.view
    early = view["_part"] == "early"

    assert split["early_until"] == AS_OF.isoformat()
    assert early.sum() == sum(fit_of(again)["early"].values()) > 0
    assert is_taken(view.loc[early, "_key"]).all()
    assert (view.loc[early, "_due"] > AS_OF).all()
    assert pd.Timestamp(split["used_until"]) == view.loc[~early, "_event"].iloc[-1]
    assert load_predictor(again.bundle).early_until == AS_OF


def test_the_same_inputs_give_the_same_bundle(first: Room, again: Room, tmp_path: Path) -> None:
    wide = {"agreement": {"difference": 1.0, "loss": 1.0}}
    table = as_validate_writes(whole(), AS_OF)
    rebuilt = late_run_directory(tmp_path, table, mode="final", champion=first.bundle, retrain=wide).run(cores=2)

    assert rebuilt.bundle == again.bundle


def test_rows_that_a_champion_took_in_judge_nobody(again: Room, tmp_path: Path) -> None:
    later = AS_OF + 120 * HOUR
    table = known_at(whole(600), later)
    ripe = table[table["_matured"].notna()].reset_index(drop=True)
    judged = late_run_directory(tmp_path, ripe, champion=again.bundle)
    judged.features()
    judges = judged.view[judged.view["_part"] == "judge"]
    seen = load_predictor(again.bundle).has_seen(judged.view)

    assert not load_predictor(again.bundle).has_seen(judges).any()
    assert (judges["_event"] < AS_OF).any()
    assert set(judged.view.loc[seen, "_part"]) <= {"train", "embargo"}
    assert len(judges) == 80


def test_without_early_rows_nothing_is_said_of_them(tmp_path: Path) -> None:
    """Each row is due before the next one comes."""
    rows = whole().assign(_due=lambda each: each["_event"], _came=lambda each: each["_event"])
    late = late_run_directory(tmp_path / "late", rows.assign(_matured=rows["_due"]))
    plain = make_run_directory(tmp_path / "plain", rows, task="binary", judge=SAID)
    for run_directory in (late, plain):
        run_directory.run()

    assert late.bundle == plain.bundle


def test_of_rows_that_are_not_due_the_table_holds_the_half(first: Room, tmp_path: Path) -> None:
    """Of a run that fits once more; one that judges has the mature ones alone."""
    run_directory, rows = late_run_directory(tmp_path, stream(4), champion=first.bundle, mode="final"), whole()
    (run_directory.paths.raw / "batch.parquet").unlink()
    suite = {"name": "generated", "expectations": []}
    write_file(tmp_path / "expectations" / "generated.json", to_json(suite))
    landing, label = Landing(run_directory.paths.raw), target(rows)
    own, known = rows[list(run_directory.data.columns)].assign(_key=rows["_key"]), rows[rows["_came"] <= AS_OF]
    said = known[["_key", label]].assign(label_time=known["_came"])
    how: dict[str, Any] = {"arrived": AS_OF, "correction": False, "released": ""}
    with landing.locked():
        landing.land_rows(own.assign(**{label: own[label].mask(own[label].notna())}), digest="a" * 64, **how)
        landing.land_labels(said, digest="b" * 64, **how)
    lay_settings(run_directory.paths, {"data": run_directory.data.model_dump(mode="json")})
    found = {}
    for mode in ("final", "search"):
        pins = json.loads(run_directory.paths.pins.read_bytes())
        write_file(run_directory.paths.pins, to_json({**pins, "as_of": AS_OF.isoformat(), "mode": mode}))
        probe = LeakParams.model_validate({"probe": False, "entity": None, "allowed": {}})
        validate.run(run_directory.data, probe, 12, {}, run_directory.paths, 1, train__early=True)
        found[mode] = pd.read_parquet(run_directory.paths.table)

    expected = as_validate_writes(rows, AS_OF)
    assert found["final"]["_key"].tolist() == expected["_key"].tolist()
    assert found["final"]["_came"].astype("str").tolist() == expected["_came"].astype("str").tolist()
    assert found["search"]["_key"].tolist() == expected.loc[expected["_matured"].notna(), "_key"].tolist()


def test_off_as_it_ships_fits_wait(tmp_path: Path) -> None:
    table = known_at(whole(), AS_OF)
    ripe = table[table["_matured"].notna()].reset_index(drop=True)
    run_directory = late_run_directory(tmp_path, ripe)
    run_directory.settings["train"]["early"] = TrainParams().early
    run_directory.features()

    assert "early_until" not in run_directory.record("features/split.json")
    assert "_came" not in run_directory.view
