"""Laws that hold for every step of preparation: the same for one row as for many, and blind to the target."""

import inspect
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from retrim.features.fitted import PrepareParams, faults_of
from retrim.features.step import STEPS
from retrim.features.view import FeatureView
from retrim.stats.codec import from_record, to_json, to_record
from tests.builders.tables import DECLARED, TASKS, data, rows, step

NAMES = [entry.name for entry in STEPS]
LARGEST = float(np.finfo("float64").max)
FEATURES = list(data().features)


def learned(name: str, table: pd.DataFrame, task: str = "regression") -> FeatureView:
    return FeatureView.learn(table, data(task), step(name))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=True))


def emptied(table: pd.DataFrame) -> pd.DataFrame:
    gone = table.copy()
    for name, kind in data().features.items():
        gone[name] = pd.Series([None] * len(table), dtype={"number": "float64", "integer": "Int64"}.get(kind, "str"))
    return gone


def constant(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(km=3.0, fee=0.0, items=pd.Series([2] * len(table), dtype="Int64"), weather="dry", note="ring")


def huge(table: pd.DataFrame) -> pd.DataFrame:
    far = np.where(np.arange(len(table)) % 2, LARGEST, -LARGEST)
    return table.assign(km=far, fee=np.where(np.arange(len(table)) % 3, far / 7, 1.0))


def endless(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(km=np.where(np.arange(len(table)) % 2, np.inf, 1.0), fee=-np.inf)


def odd_words(table: pd.DataFrame) -> pd.DataFrame:
    words = ["", " ", "a\0b", "naïve 'quoted' \"x\"", "日本 語語", "ring 🎉🎉", "x" * 5000, "a;b,c|d\\e\n"]
    said = pd.Series([words[place % len(words)] for place in range(len(table))], dtype="str")
    return table.assign(weather=said, note=said)


ODD: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "all missing": emptied, "constant": constant, "huge": huge, "infinite": endless, "odd words": odd_words,
}  # fmt: skip


def test_every_step_is_declared_here() -> None:
    assert sorted(DECLARED) == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestEveryStep:
    def test_fits_the_table_it_is_declared_for(self, name: str) -> None:
        assert faults_of(PrepareParams(steps=step(name)), data()) == []

    @pytest.mark.parametrize("task", TASKS)
    def test_reads_back_from_its_record(self, name: str, task: str) -> None:
        view, table = learned(name, rows(120, task), task), rows(60, task, seed=2)
        again = from_record(FeatureView, json.loads(to_json(view.as_record())))

        assert again == view
        assert same(again.matrix(table), view.matrix(table))
        assert same(again.training(table), view.training(table))

    def test_works_on_one_row_as_on_many(self, name: str) -> None:
        view, table = learned(name, rows(120)), rows(20, seed=2)
        one_by_one = np.vstack([view.matrix(table.iloc[[place]]) for place in range(len(table))])

        assert same(one_by_one, view.matrix(table))

    def test_learns_the_same_bytes_twice(self, name: str) -> None:
        records = [to_json(to_record(learned(name, rows(120, "binary"), "binary"))) for _ in range(2)]

        assert records[0] == records[1]

    def test_applies_without_the_target(self, name: str) -> None:
        view, table = learned(name, rows(120)), rows(20, seed=2)
        without = table.drop(columns=["result", "_event", "_due"])

        assert same(view.matrix(without), view.matrix(table))

    def test_does_not_care_how_rows_are_indexed(self, name: str) -> None:
        view, table = learned(name, rows(120)), rows(20, seed=2)
        turned = table.iloc[::-1]

        assert same(view.matrix(turned)[::-1], view.matrix(table))
        assert same(view.matrix(table.set_index(np.zeros(20, dtype=int))), view.matrix(table))

    def test_leaves_the_table_as_it_is(self, name: str) -> None:
        table = rows(60)
        before = table.copy()
        view = learned(name, table)
        view.matrix(table)
        view.training(table)

        pd.testing.assert_frame_equal(table, before)

    def test_gives_a_column_of_the_matrix_for_each_that_it_names(self, name: str) -> None:
        view = learned(name, rows(120))
        matrix = view.matrix(rows(20, seed=2))

        assert matrix.shape == (20, len(view.columns))
        assert set(view.sources.values()) <= set(view.needs)

    def test_gives_no_infinite_number(self, name: str) -> None:
        view = learned(name, huge(rows(60)))

        for table in (huge(rows(60)), endless(rows(60))):
            assert not np.isinf(view.matrix(table)[:, [n in made_by(view) for n in view.columns]]).any()

    @pytest.mark.parametrize("odd", ODD)
    def test_learns_and_applies_on_an_odd_table(self, name: str, odd: str) -> None:
        table, plain = ODD[odd](rows(60)), rows(60)
        view = learned(name, table)
        again = from_record(FeatureView, json.loads(to_json(view.as_record())))

        assert same(again.matrix(plain), view.matrix(plain))
        assert view.matrix(table).shape == (60, len(view.columns))
        assert learned(name, plain).matrix(table).shape[0] == 60

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_learns_from_hardly_any_row(self, name: str, n: int) -> None:
        view = learned(name, rows(20).iloc[:n])

        assert view.matrix(rows(20)).shape == (20, len(view.columns))
        assert view.matrix(rows(20).iloc[:0]).shape == (0, len(view.columns))

    def test_no_argument_of_it_may_be_missing(self, name: str) -> None:
        taken = inspect.signature(STEPS[name].learn).parameters.values()
        for argument in [each.name for each in taken if each.kind is each.KEYWORD_ONLY]:
            declared = {key: value for key, value in DECLARED[name].items() if key != argument}
            with pytest.raises(ValueError, match=f"{name} has the arguments: .*; set exactly these: "):
                PrepareParams.model_validate({"steps": [{"step": name, **declared}]})


def made_by(view: FeatureView) -> set[str]:
    return {made.name for step in view.steps for made in step.makes}


@pytest.mark.parametrize("name", NAMES)
def test_a_training_row_is_never_coded_by_its_own_label_or_a_later_one(name: str) -> None:
    # Labels from the middle on are turned; rows before it are coded as they were, whatever the step does.
    table = rows(120, "binary")
    turned = table.copy()
    turned.loc[60:, "result"] = np.where(turned.loc[60:, "result"] == "late", "fair", "late")
    view = learned(name, table, "binary")

    assert same(view.training(turned)[:61], view.training(table)[:61])
