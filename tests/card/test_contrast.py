"""What differs, in pure records: settings, packages, features, predictions."""

import numpy as np
import pandas as pd
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
    packages,
    said,
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
    learned = [FeatureView.learn(rows(120), data(), step(name)) for name in ("missing_indicator", "one_hot")]

    assert feature_changes(*learned).columns == CameAndWent(
        ("weather=dry", "weather=rain"), ("weather", "km:missing", "fee:missing", "items:missing", "weather:missing")
    )


def test_what_steps_have_learned_is_told() -> None:
    both = [FeatureView.learn(rows(n), data(), (*step("zscore"), *step("one_hot"))) for n in (60, 120)]
    alone = FeatureView.learn(rows(60), data(), step("one_hot"))

    (learned,) = step_changes(*both)
    assert learned.change == "other"
    assert learned.step.startswith("zscore of ")
    assert all(older != newer for older, newer in (learned.learned or {}).values())
    assert step_changes(both[0], both[0]) == ()
    assert [each.change for each in step_changes(alone, both[0])] == ["came"]
    assert [each.change for each in step_changes(both[0], alone)] == ["gone"]


def test_a_step_that_is_declared_twice_is_compared_with_its_own() -> None:
    twice = FeatureView.learn(rows(60), data(), (*step("zscore"), *step("zscore")))
    once = FeatureView.learn(rows(60), data(), step("zscore"))

    assert [each.change for each in step_changes(once, twice)] == ["came"]


def test_a_long_list_stands_as_its_size_and_digest() -> None:
    learned = [FeatureView.learn(rows(n), data(), step("text_hash")) for n in (60, 120)]
    values = [value for each in step_changes(*learned) for pair in (each.learned or {}).values() for value in pair]

    assert any(isinstance(value, str) and " values, SHA-256 " in value for value in values)


def test_a_number_has_moved_by_its_difference() -> None:
    assert moved(np.array([1.0, 2.0]), np.array([1.5, 0.0]), view(), view()).tolist() == [0.5, 2.0]


def test_probabilities_have_moved_by_the_share_that_changed_class() -> None:
    older, newer = view("multiclass", ("a", "b")), view("multiclass", ("a", "b", "c"))
    found = moved(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]), older, newer)

    assert found == pytest.approx([0.2, 1.0])


def test_a_prediction_is_told_with_the_class_it_names() -> None:
    assert said(np.array([0.2, 0.8]), view("multiclass", ("a", "b"))) == NamedPrediction(0.8, "b")
    assert said(0.3, view("binary", ("no", "yes"))) == NamedPrediction(0.3, "yes")
    assert said(0.3, view()) == NamedPrediction(0.3)


def test_a_selection_that_keeps_other_columns_has_learned_something_else() -> None:
    frame = rows(120)
    views = [
        FeatureView.learn(frame.assign(result=10 * frame[name].fillna(0)), data(), step("select_mutual", keep=1))
        for name in ("km", "fee")
    ]
    (found,) = step_changes(*views)

    assert "takes out" in (found.learned or {})


def test_what_is_learned_of_a_column_is_told_once_however_many_levels_it_has() -> None:
    names = [[f"{word} {n}" for n in range(200)] for word in ("street", "road")]
    views = [
        FeatureView.learn(rows(200).assign(weather=pd.Series(each, dtype="str")), data(), step("frequency"))
        for each in names
    ]
    (found,) = step_changes(*views)

    assert len(found.learned or {}) <= 3
    assert len(str(found)) < 1000


def test_steps_that_change_places_have_neither_come_nor_gone() -> None:
    pair = [*step("zscore", columns=["km"]), *step("zscore", columns=["fee"])]
    views = [FeatureView.learn(rows(60), data(), order) for order in (pair, pair[::-1])]

    assert step_changes(*views) == ()
