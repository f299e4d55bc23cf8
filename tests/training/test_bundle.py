"""The predictor of a bundle: the winner's model, with its own preprocessing and dates."""

from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.features.view import FeatureView
from retrim.stats.codec import to_json, to_record
from retrim.training.bundle import (
    FORMAT,
    FORMAT_FILE,
    BundleFormat,
    FitRecord,
    SplitRecord,
    load_predictor,
    model_digest,
    open_predictor,
)
from retrim.training.recipe import Recipe, fit_recipe

VIEW = FeatureView({"x": "number", "group": "category"}, {"group": ("a", "b")}, "y", "regression", ())
ROWS = pd.DataFrame({"x": np.arange(60) / 60, "group": pd.Series(["a", "b"] * 30, dtype="str"), "y": np.arange(60.0)})


def recipe(rounds: int) -> Recipe:
    return Recipe("gbm", "mae", {"num_leaves": 4, "min_child_samples": 2}, rounds, 7)


def bundle(winner: str = "sliding") -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for kind, rounds in (("all", 3), ("sliding", 9)):
        made = fit_recipe(recipe(rounds), VIEW, ROWS, threads=1)
        files |= {f"models/{kind}/{name}": content for name, content in made.files().items()}
        since = f"2024-0{rounds // 3}-01T00:00:00+00:00"
        fitted = FitRecord(recipe(rounds), len(ROWS), since, "2024-04-01T00:00:00+00:00", kind)
        files[f"models/{kind}/fit.json"] = to_json(to_record(fitted))
    records: dict[str, Any] = {
        FORMAT_FILE: to_record(BundleFormat(FORMAT)),
        "features/view.json": VIEW.as_record(),
        "features/split.json": to_record(
            SplitRecord({}, "2024-04-01T00:00:00+00:00", None, "2024-05-01T00:00:00+00:00", "")
        ),
        "tuning/hyperparameters.json": {"hyperparameters": recipe(9).hyperparameters, "rounds": 9},
        "verdict/verdict.json": {"winner": winner, "losses": {"all": 3.0, "sliding": 2.0}},
    }
    return files | {name: to_json(record) for name, record in records.items()}


def test_the_winners_model_predicts() -> None:
    expected = fit_recipe(recipe(9), VIEW, ROWS, threads=1).predict(VIEW.matrix(ROWS))

    assert np.array_equal(load_predictor(bundle()).predict(ROWS), expected)


@pytest.mark.parametrize(("task", "shape"), [("regression", (0,)), ("multiclass", (0, 3))])
def test_without_rows_the_model_is_not_even_loaded(task: Any, shape: tuple[int, ...]) -> None:
    view = FeatureView({"x": "number"}, {}, "y", task, ("a", "b", "c") if task == "multiclass" else ())
    files = bundle() | {"features/view.json": to_json(view.as_record())}
    del files["models/sliding/model.txt"]
    found = open_predictor(files)

    assert found.predict(ROWS.head(0)).shape == shape
    with pytest.raises(BadInputError, match="needs: x"):
        found.predict(ROWS.head(0)[["y"]])
    with pytest.raises(KeyError, match="model"):
        found.predict(ROWS)


def test_a_predictor_knows_until_when_it_was_trained_and_judged() -> None:
    found = load_predictor(bundle())

    assert (found.trained_from, found.used_until, found.judged_until) == tuple(
        pd.Timestamp(f"2024-0{month}-01", tz="UTC") for month in (3, 4, 5)
    )
    assert (found.window, found.judged_loss) == ("sliding", 2.0)


def test_its_recipe_refits_the_very_same_model() -> None:
    found = load_predictor(bundle())

    assert fit_recipe(found.recipe, found.view, ROWS, threads=1).files() == found.model.files()


@pytest.mark.parametrize("missing", ["features/view.json", "models/sliding/fit.json", "models/sliding/model.txt"])
def test_a_bundle_without_one_of_its_files_does_not_load(missing: str) -> None:
    files = bundle()
    del files[missing]

    with pytest.raises(KeyError, match=missing.rpartition("/")[2]):
        load_predictor(files)


def test_a_model_of_one_file_has_its_hash_and_one_of_several_a_hash_over_them() -> None:
    beside = {"fit.json": b"{}", "profile/cells.json": b"{}"}
    one, two, other = (
        model_digest({**beside, **files}) for files in ({"a": b"1"}, {"a": b"1", "b": b"2"}, {"a": b"2", "b": b"1"})
    )

    assert one == sha256(b"1").hexdigest()
    assert len({one, two, other}) == 3
