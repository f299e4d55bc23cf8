"""Champion and challengers on the same rows, each with its own preprocessing: whatever is swapped, it shows."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.errors import RefusedError
from retrim.features.view import FeatureView
from retrim.files import write_file, write_folder
from retrim.stats.codec import from_record, to_json, to_parquet
from retrim.training.bundle import load_predictor
from retrim.training.estimators import MODELS
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480
QUICK = settings(max_examples=6, deadline=None)
VERDICT = "verdict/verdict.json"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bundle of a first version."""
    return make_run_directory(tmp_path_factory.mktemp("champion"), stream(ROWS)).run().bundle


@pytest.fixture(scope="module")
def run_directory(champion: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A second version, judged against it."""
    folder = tmp_path_factory.mktemp("room")
    return make_run_directory(folder, stream(ROWS + 60), mode="refit", champion=champion).run()


def judged_anew(run_directory: Room, champion: dict[str, bytes]) -> dict[str, float]:
    """Mean losses, after another champion was laid into the room and the stage ran once more."""
    write_folder(run_directory.paths.champion, champion)
    run_directory.compare()
    losses: dict[str, float] = run_directory.record(VERDICT)["losses"]
    return losses


def with_levels(champion: dict[str, bytes], levels: list[str]) -> dict[str, bytes]:
    """A champion whose preprocessing codes the groups in another order."""
    view = json.loads(champion["features/view.json"])
    return {**champion, "features/view.json": to_json({**view, "levels": {"group": levels}})}


@QUICK
@given(levels=st.permutations(["a", "b", "c", "z"]))
def test_the_champion_is_scored_with_its_own_preprocessing_whatever_that_is(
    run_directory: Room, champion: dict[str, bytes], levels: list[str]
) -> None:
    other = with_levels(champion, levels)
    rows = stream(ROWS + 60).iloc[-80:]
    loss = np.abs(load_predictor(other).predict(rows) - rows["outcome"]).mean()

    assert judged_anew(run_directory, other)["champion"] == pytest.approx(loss)


@QUICK
@given(levels=st.permutations(["a", "b", "c", "z"]))
def test_the_champions_preprocessing_never_reaches_a_challenger(
    run_directory: Room, champion: dict[str, bytes], levels: list[str]
) -> None:
    rows, view = stream(ROWS + 60).iloc[-80:], from_record(FeatureView, run_directory.record("features/view.json"))
    found = judged_anew(run_directory, with_levels(champion, levels))
    for kind in ("all", "sliding"):
        files = {name.removeprefix(f"models/{kind}/"): content for name, content in run_directory.bundle.items()}
        predicted = MODELS["gbm"].load(view, files).predict(view.matrix(rows))

        assert found[kind] == pytest.approx(np.abs(predicted - rows["outcome"]).mean())


@QUICK
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_are_matched_by_their_key_not_by_their_place(
    run_directory: Room, champion: dict[str, bytes], seed: int
) -> None:
    before = judged_anew(run_directory, champion)
    table = pd.read_parquet(run_directory.paths.table)
    write_file(run_directory.paths.table, to_parquet(table.sample(frac=1, random_state=seed).reset_index(drop=True)))
    after = judged_anew(run_directory, champion)
    write_file(run_directory.paths.table, to_parquet(table))

    assert after == before


@QUICK
@given(used=st.integers(100, ROWS + 30))
def test_every_judging_row_lies_after_all_that_either_model_has_used(
    champion: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, used: int
) -> None:
    table = stream(ROWS + 60)
    split = json.loads(champion["features/split.json"]) | {"used_until": table["_event"].iloc[used].isoformat()}
    altered = {**champion, "features/split.json": to_json(split)}
    made = make_run_directory(tmp_path_factory.mktemp("used"), table, mode="refit", champion=altered)
    made.features()
    judged = made.view.loc[made.view["_part"] == "judge", "_event"]

    assert judged.min() > table["_event"].iloc[used]
    assert judged.min() > pd.Timestamp(made.record("features/split.json")["used_until"])


def test_a_row_that_the_champion_has_used_is_refused_as_a_judge(champion: dict[str, bytes], tmp_path: Path) -> None:
    # As after somebody changed the stage that keeps the rows back.
    made = make_run_directory(tmp_path, stream(ROWS + 60), mode="refit", champion=champion).run()
    split = json.loads(champion["features/split.json"]) | {
        "used_until": stream(ROWS + 60)["_event"].iloc[-5].isoformat()
    }
    write_folder(made.paths.champion, {**champion, "features/split.json": to_json(split)})

    with pytest.raises(RefusedError, match=rf"{re.escape(split['used_until'])} .*\bchampion\b"):
        made.compare()


def test_a_row_that_a_challenger_has_used_is_refused_as_a_judge(tmp_path: Path) -> None:
    made = make_run_directory(tmp_path, stream(ROWS)).run()
    split = made.record("features/split.json") | {"used_until": stream(ROWS)["_event"].iloc[-5].isoformat()}
    write_file(made.paths.features / "split.json", to_json(split))

    with pytest.raises(RefusedError, match=rf"{re.escape(split['used_until'])} .*\bchallengers\b"):
        made.compare()


# --- re-use


def test_rows_that_judged_before_are_counted_from_the_pins(champion: dict[str, bytes], tmp_path: Path) -> None:
    table = stream(ROWS + 60)
    made = make_run_directory(tmp_path, table, mode="refit", champion=champion).run()
    pins = json.loads(made.paths.pins.read_bytes())
    half = {
        "version": 2,
        "from": table["_event"].iloc[-200].isoformat(),
        "until": table["_event"].iloc[-41].isoformat(),
    }
    write_file(made.paths.pins, to_json({**pins, "judged": [half]}))
    made.compare()
    found = {check["name"]: check for check in made.record(VERDICT)["checks"]}

    assert found["re-use"]["figure"] == 0.5
    assert "used 0.5 times" in found["re-use"]["text"]
