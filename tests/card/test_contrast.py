"""What differs, in pure records: settings, packages, features, predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.card.diff import (
    CameAndWent,
    FeatureChanges,
    NamedPrediction,
    changes,
    feature_changes,
    flat,
    moved,
    named_prediction,
    packages,
    step_changes,
)
from retrim.features.view import FeatureView
from tests.builders.tables import data, rows, step

PLAIN = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(0, 3))


def view(task: str = "regression", classes: tuple[str, ...] = (), **levels: tuple[str, ...]) -> FeatureView:
    kinds = {name: "category" if found else "number" for name, found in levels.items()}
    return FeatureView(kinds, {name: found for name, found in levels.items() if found}, "y", task, classes)  # type: ignore[arg-type]


@given(PLAIN, PLAIN)
def test_changes_lead_from_the_one_to_the_other(older: dict[str, int], newer: dict[str, int]) -> None:
    found = changes(older, newer)
    made = {**older, **{key: new for key, (_, new) in found.items()}}

    assert {key: value for key, value in made.items() if value is not None} == newer
    assert changes(newer, older) == {key: (new, old) for key, (old, new) in found.items()}


def test_a_mapping_is_flat_by_dotted_keys_and_a_list_is_a_value() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [1]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1], "e": {}}


def test_packages_are_read_without_hashes_markers_and_extras() -> None:
    lock = "# by uv\nNumPy==2.0.1 \\\n    --hash=sha256:aa==1\nuvicorn[standard]==0.3 ; python_version > '3'\n"

    assert packages(lock) == {"numpy": "2.0.1", "uvicorn": "0.3"}


def test_features_that_came_went_or_changed_are_told() -> None:
    older = view(a=(), b=("x", "y"), c=("k",), d=())
    newer = view(a=(), b=("y", "z"), c=(), e=("m",))

    assert feature_changes(older, newer) == FeatureChanges(
        added={"e": "category"},
        gone={"d": "number"},
        types={"c": ("category", "number")},
        levels={"b": CameAndWent(("z",), ("x",)), "c": CameAndWent((), ("k",))},
        classes=None,
        columns=None,
    )


def test_prepared_columns_that_came_or_went_are_told() -> None:
    learned = [FeatureView.learn(rows(120), data(), step(name)) for name in ("SimpleImputer", "OneHotEncoder")]

    assert feature_changes(*learned).columns == CameAndWent(
        ("weather=dry", "weather=rain", "weather=infrequent_sklearn"),
        ("weather", "km:missing", "weather:missing"),
    )


def test_what_steps_have_learned_is_told() -> None:
    both = [FeatureView.learn(rows(n), data(), (*step("StandardScaler"), *step("OneHotEncoder"))) for n in (60, 120)]
    alone = FeatureView.learn(rows(60), data(), step("OneHotEncoder"))

    (learned,) = step_changes(*both)
    assert learned.change == "other"
    assert learned.step.startswith("StandardScaler of ")
    assert all(older != newer for older, newer in (learned.learned or {}).values())
    assert step_changes(both[0], both[0]) == ()
    assert [each.change for each in step_changes(alone, both[0])] == ["came"]
    assert [each.change for each in step_changes(both[0], alone)] == ["gone"]


def test_a_step_that_is_declared_twice_is_compared_with_its_own() -> None:
    twice = FeatureView.learn(rows(60), data(), (*step("StandardScaler"), *step("StandardScaler")))
    once = FeatureView.learn(rows(60), data(), step("StandardScaler"))

    assert [each.change for each in step_changes(once, twice)] == ["came"]


def test_a_number_has_moved_by_its_difference() -> None:
    assert moved(np.array([1.0, 2.0]), np.array([1.5, 0.0]), view(), view()).tolist() == [0.5, 2.0]


def test_probabilities_have_moved_by_the_share_that_changed_class() -> None:
    older, newer = view("multiclass", ("a", "b")), view("multiclass", ("a", "b", "c"))
    found = moved(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]), older, newer)

    assert found == pytest.approx([0.2, 1.0])


def test_a_prediction_is_told_with_the_class_it_names() -> None:
    assert named_prediction(np.array([0.2, 0.8]), view("multiclass", ("a", "b"))) == NamedPrediction(0.8, "b")
    assert named_prediction(0.3, view("binary", ("no", "yes"))) == NamedPrediction(0.3, "yes")
    assert named_prediction(0.3, view()) == NamedPrediction(0.3)


def test_a_selection_that_keeps_other_columns_has_learned_something_else() -> None:
    frame = rows(120)
    views = [
        FeatureView.learn(frame.assign(km=frame["fee"] if twin else frame["km"]), data(), step("select_uncorrelated"))
        for twin in (False, True)
    ]
    (found,) = step_changes(*views)

    assert "takes out" in (found.learned or {})


def test_steps_that_change_places_have_neither_come_nor_gone() -> None:
    pair = [*step("StandardScaler", columns=["km"]), *step("StandardScaler", columns=["fee"])]
    views = [FeatureView.learn(rows(60), data(), order) for order in (pair, pair[::-1])]

    assert step_changes(*views) == ()
