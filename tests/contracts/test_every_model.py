"""Laws that hold for every kind of model, on every task: same inputs, same bytes; text only; finite on odd tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView
from retrim.stats.metrics import METRICS, row_losses
from retrim.templates import own_model
from retrim.training.custom import CONTENT_FILE
from retrim.training.estimators import MODELS, Estimator, FitTask, FittedModel, outputs, trust
from retrim.training.predicted import check_sums

TEMPLATE = Path(own_model.__file__).read_bytes()
OWN = f"own:models/my_model.py@{trust(TEMPLATE)}"
"""The model of one's own that docs/how-to/own-model.md starts from."""
LOSSES = {"regression": "mse", "binary": "log_loss", "multiclass": "log_loss"}
CLASSES = {"regression": (), "binary": ("not yes", "yes"), "multiclass": ("a", "b", "c")}
SETTINGS: dict[str, dict[str, Any]] = {  # a new kind of model enters its own here
    "gbm": {"num_leaves": 7, "min_child_samples": 5, "bagging_fraction": 0.7, "feature_fraction": 0.7},
    "linear": {"l2": 0.001},
    "logistic": {"l2": 0.001},
    OWN: {"learning_rate": 0.3, "max_iter": 12, "max_leaf_nodes": 8},
}


NAMES = [*(entry.name for entry in MODELS), OWN]
KIND_AND_TASK = [(name, task) for name in NAMES for task in MODELS.entry(name).facts["tasks"]]


def accepts(name: str, task: str, loss: str) -> bool:
    try:
        MODELS[name].check_aim(task, loss)
    except BadInputError:
        return False
    return True


KIND_TASK_LOSS = [
    (name, task, loss)
    for name in NAMES
    for task in CLASSES
    for metric in METRICS
    if metric.facts["rows"] and task in metric.facts["tasks"]
    for loss in [metric.name if metric.facts["argument"] is None else f"{metric.name}@0.8"]
    if accepts(name, task, loss)
]
ROWS = 400


def view_of(task: str) -> FeatureView:
    return FeatureView(
        {"x": "number", "n": "integer", "group": "category"},
        {"group": ("a", "b", "c", "d", "e")},
        "y",
        task,
        CLASSES[task],
    )


def rows_of(n: int, *, seed: int = 1) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    group = pd.Series(draw.choice(list("abcde"), n), dtype="str")
    frame = pd.DataFrame({"x": draw.normal(size=n), "n": draw.integers(0, 9, n), "group": group})
    return frame.assign(
        signal=frame["x"] * 2 + frame["n"] / 3 + (frame["group"] == "b") + draw.normal(scale=0.1, size=n)
    )


def actual_of(rows: pd.DataFrame, task: str) -> np.ndarray:
    signal = rows["signal"].to_numpy()
    if task == "regression":
        return signal
    return np.digitize(signal, [1.3] if task == "binary" else [0.0, 2.0])


def fit(name: str, task: str, rows: pd.DataFrame, actual: np.ndarray, **changed: Any) -> FittedModel:
    given: dict[str, Any] = {
        "loss": LOSSES[task],
        "hyperparameters": SETTINGS[name],
        "rounds": 12,
        "weights": None,
        "stop": None,
        "patience": 3,
        "seed": 7,
        "threads": 1,
    }
    return MODELS[name].fit(view_of(task), view_of(task).matrix(rows), actual, FitTask(**{**given, **changed}))


@pytest.mark.parametrize(("name", "task"), KIND_AND_TASK)
class TestEveryModel:
    @pytest.fixture
    def rows(self) -> pd.DataFrame:
        return rows_of(ROWS)

    @pytest.fixture
    def fitted(self, name: str, task: str, rows: pd.DataFrame) -> FittedModel:
        return fit(name, task, rows, actual_of(rows, task))

    def test_makes_the_same_bytes_of_the_same_inputs(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        again = fit(name, task, rows, actual_of(rows, task))

        assert again.model.files() == fitted.model.files()

    def test_makes_the_same_bytes_with_any_number_of_threads(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        others = [fit(name, task, rows, actual_of(rows, task), threads=threads) for threads in (2, 3)]

        assert [other.model.files() for other in others] == [fitted.model.files()] * 2

    def test_makes_another_model_with_another_seed_where_it_says_so(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        other = fit(name, task, rows, actual_of(rows, task), seed=8)

        assert MODELS.entry(name).facts["seeded"] in (None, other.model.files() != fitted.model.files())

    def test_predicts_the_same_after_it_was_stored(self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel):
        matrix = view_of(task).matrix(rows)
        stored = MODELS[name].load(view_of(task), fitted.model.files())

        assert np.array_equal(stored.predict(matrix), fitted.model.predict(matrix))

    def test_is_stored_again_as_it_was(self, name: str, task: str, fitted: FittedModel):
        files = fitted.model.files()

        assert MODELS[name].load(view_of(task), files).files() == files

    def test_is_stored_as_text_but_for_what_a_file_of_ones_own_saves(self, name: str, task: str, fitted: FittedModel):
        files = {file: content for file, content in fitted.model.files().items() if file != CONTENT_FILE}
        texts = [content.decode("utf-8") for content in files.values()]

        assert all(text.isprintable() or set(text) & set("\n\t") for text in texts)
        assert not any("\0" in text for text in texts)

    def test_predicts_a_row_alone_as_among_others_in_any_order(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        matrix = view_of(task).matrix(rows)
        order = np.random.default_rng(3).permutation(ROWS)

        assert np.array_equal(fitted.model.predict(matrix[order]), fitted.model.predict(matrix)[order])
        assert np.array_equal(fitted.model.predict(matrix[5:6]), fitted.model.predict(matrix)[5:6])

    def test_predicts_no_rows(self, name: str, task: str, fitted: FittedModel):
        shape = (0, 3) if task == "multiclass" else (0,)

        assert fitted.model.predict(np.empty((0, 3))).reshape(shape).shape == shape

    def test_learns_more_than_the_best_constant(self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel):
        fresh = rows_of(ROWS, seed=2)
        actual = actual_of(fresh, task)
        codes = np.eye(3)[actual_of(rows, task)] if task == "multiclass" else actual_of(rows, task)
        constant = np.repeat(codes.mean(axis=0)[None], ROWS, axis=0)
        model, naive = (
            row_losses(LOSSES[task], actual, said).mean()
            for said in (fitted.model.predict(view_of(task).matrix(fresh)), constant)
        )

        assert model < 0.8 * naive

    def test_takes_a_level_it_has_not_seen_for_a_missing_one(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        unseen, missing = (
            fitted.model.predict(view_of(task).matrix(rows.assign(group=pd.Series([level] * ROWS, dtype="str"))))
            for level in ("new", None)
        )

        assert np.array_equal(unseen, missing)
        assert np.isfinite(unseen).all()

    def test_predicts_numbers_where_everything_is_missing(self, name: str, task: str, fitted: FittedModel):
        assert np.isfinite(fitted.model.predict(np.full((2, 3), np.nan))).all()

    def test_predicts_numbers_that_no_training_row_had_the_same_before_and_after_it_was_stored(
        self, name: str, task: str, fitted: FittedModel
    ):
        odd = np.array([[np.inf, 0, 0], [-np.inf, np.inf, 1], [1e300, -1e300, 2], [np.nan, 1e19, np.nan]])
        predicted = fitted.model.predict(odd)

        assert np.isfinite(predicted).all()
        assert np.array_equal(MODELS[name].load(view_of(task), fitted.model.files()).predict(odd), predicted)

    def test_can_be_fitted_on_a_number_that_is_infinite_in_a_row(self, name: str, task: str, rows: pd.DataFrame):
        matrix = view_of(task).matrix(rows)
        matrix[3, 0], matrix[5, 0] = np.inf, -1e300
        kind: Estimator = MODELS[name]
        made = kind.fit(
            view_of(task),
            matrix,
            actual_of(rows, task),
            FitTask(loss=LOSSES[task], hyperparameters=SETTINGS[name], rounds=5, seed=7, threads=1),
        )

        assert np.isfinite(made.model.predict(matrix)).all()

    def test_can_be_fitted_on_a_column_that_is_all_missing(self, name: str, task: str, rows: pd.DataFrame):
        empty = rows.assign(x=np.nan)

        assert np.isfinite(
            fit(name, task, empty, actual_of(rows, task)).model.predict(view_of(task).matrix(empty))
        ).all()

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_fits_a_handful_of_rows_or_says_that_it_does_not(self, name: str, task: str, rows: pd.DataFrame, n: int):
        few = rows.iloc[:n]
        try:
            predicted = fit(name, task, few, actual_of(few, task)).model.predict(view_of(task).matrix(rows))
        except BadInputError as refusal:
            predicted = np.array([])
            said = str(refusal)
        else:
            said = f"{n} rows"

        assert f"{n} rows" in said
        assert np.isfinite(predicted).all()
        assert len(predicted) == ROWS or n < 2

    def test_predicts_a_constant_target(self, name: str, task: str, rows: pd.DataFrame):
        predicted = fit(name, task, rows, np.ones(ROWS, dtype=int)).model.predict(view_of(task).matrix(rows))
        constant = np.array([0.0, 1.0, 0.0]) if task == "multiclass" else 1.0

        assert predicted == pytest.approx(np.broadcast_to(constant, predicted.shape), abs=1e-3)

    def test_keeps_the_rounds_it_stopped_at(self, name: str, task: str, rows: pd.DataFrame):
        stop = rows_of(60, seed=5)
        against = np.random.default_rng(5).permutation(actual_of(stop, task))
        stopped = fit(name, task, rows, actual_of(rows, task), rounds=300, stop=(view_of(task).matrix(stop), against))
        matrix = view_of(task).matrix(rows)

        assert 1 <= stopped.rounds < 300
        assert np.array_equal(
            MODELS[name].load(view_of(task), stopped.model.files()).predict(matrix), stopped.model.predict(matrix)
        )

    def test_says_how_much_each_feature_helped(self, name: str, task: str, fitted: FittedModel):
        gains = fitted.model.gains()

        assert gains.shape == (3,)
        assert (gains >= 0).all()
        assert gains.argmax() == 0

    @pytest.mark.parametrize("odd", ["rows", "missing", "none", "far"])
    def test_says_exactly_what_each_feature_adds_or_that_it_cannot(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel, odd: str
    ):
        if name == OWN:
            with pytest.raises(RefusedError, match="exact contributions"):
                fitted.model.contributions(view_of(task).matrix(rows))
            return
        known = view_of(task).matrix(rows)
        matrix = {"rows": known, "missing": np.full((2, 3), np.nan), "none": known[:0], "far": known * 1e6}[odd]
        added, scores = fitted.model.contributions(matrix), fitted.model.scores(matrix)

        assert added.shape == (len(matrix), 3 if task == "multiclass" else 1, 4)
        assert np.abs(added.sum(axis=-1) - scores).max(initial=0) < 1e-9
        check_sums(added, scores)

    def test_gives_scores_that_its_link_turns_into_predictions(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        matrix = view_of(task).matrix(rows)
        said = outputs(fitted.model.scores(matrix), fitted.model.link)

        assert said == pytest.approx(fitted.model.predict(matrix), abs=1e-12)

    def test_says_the_same_of_a_row_after_it_was_stored(
        self, name: str, task: str, rows: pd.DataFrame, fitted: FittedModel
    ):
        matrix = view_of(task).matrix(rows)
        stored = MODELS[name].load(view_of(task), fitted.model.files())

        assert np.array_equal(stored.scores(matrix), fitted.model.scores(matrix))
        assert np.array_equal(stored.gains(), fitted.model.gains())
        if name != OWN:
            assert np.array_equal(stored.contributions(matrix), fitted.model.contributions(matrix))

    def test_leaves_its_inputs_as_they_are(self, name: str, task: str, rows: pd.DataFrame):
        matrix, actual = view_of(task).matrix(rows), actual_of(rows, task)
        given = matrix.copy(), actual.copy()
        kind: Estimator = MODELS[name]
        kind.fit(
            view_of(task),
            matrix,
            actual,
            FitTask(loss=LOSSES[task], hyperparameters=SETTINGS[name], rounds=2, seed=7, threads=1),
        )

        assert np.array_equal(matrix, given[0])
        assert np.array_equal(actual, given[1])

    def test_refuses_a_loss_it_cannot_train(self, name: str, task: str, rows: pd.DataFrame):
        with pytest.raises(BadInputError, match=f"'nonsense' on a {task} target"):
            fit(name, task, rows, actual_of(rows, task), loss="nonsense")


@pytest.mark.parametrize("name", [name for name, task in KIND_AND_TASK if task == "multiclass"])
class TestEveryMulticlassModel:
    def test_gives_a_class_without_rows_no_chance(self, name: str):
        rows = rows_of(ROWS)
        predicted = fit(name, "multiclass", rows, actual_of(rows, "binary") * 2).model.predict(
            view_of("multiclass").matrix(rows)
        )

        assert predicted.shape == (ROWS, 3)
        assert predicted[:, 1].max() < 1e-3

    def test_gives_two_classes_a_chance_each(self, name: str):
        rows = rows_of(ROWS)
        of = FeatureView(view_of("multiclass").features, view_of("multiclass").levels, "y", "multiclass", ("a", "b"))
        kind: Estimator = MODELS[name]
        made = kind.fit(
            of,
            of.matrix(rows),
            actual_of(rows, "binary"),
            FitTask(loss="log_loss", hyperparameters=SETTINGS[name], rounds=12, seed=7, threads=1),
        )
        predicted = made.model.predict(of.matrix(rows))

        assert predicted.shape == (ROWS, 2)
        assert np.mean(predicted.argmax(axis=1) == actual_of(rows, "binary")) > 0.8

    def test_gives_chances_that_sum_to_one(self, name: str):
        rows = rows_of(ROWS)
        predicted = fit(name, "multiclass", rows, actual_of(rows, "multiclass")).model.predict(
            view_of("multiclass").matrix(rows)
        )

        assert predicted.sum(axis=1) == pytest.approx(np.ones(ROWS))


@pytest.mark.parametrize(("name", "task", "loss"), KIND_TASK_LOSS)
class TestEveryLossOfAModel:
    def test_is_less_than_that_of_the_best_constant(self, name: str, task: str, loss: str):
        rows, fresh = rows_of(ROWS), rows_of(ROWS, seed=2)
        counts = task == "regression"
        known, actual = (
            np.floor(np.abs(actual_of(each, task))) if counts else actual_of(each, task) for each in (rows, fresh)
        )
        predicted = fit(name, task, rows, known, loss=loss, rounds=40).model.predict(view_of(task).matrix(fresh))
        naive = [
            np.full(ROWS, constant, dtype=float) if task != "multiclass" else np.tile(np.eye(3)[constant], (ROWS, 1))
            for constant in range(3 if task == "multiclass" else 6 if counts else 2)
        ]

        assert row_losses(loss, actual, predicted).mean() < min(row_losses(loss, actual, n).mean() for n in naive)

    def test_has_contributions_that_sum_to_scores_and_scores_that_its_link_turns_into_predictions(
        self, name: str, task: str, loss: str
    ):
        rows = rows_of(ROWS)
        actual = np.floor(np.abs(actual_of(rows, task)))
        model = fit(name, task, rows, actual if task == "regression" else actual.astype(int), loss=loss).model
        matrix = view_of(task).matrix(rows)
        scores = model.scores(matrix)

        if name != OWN:
            check_sums(model.contributions(matrix), scores)
        assert outputs(scores, model.link) == pytest.approx(model.predict(matrix), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_that_a_model_does_not_name_is_none_that_it_can_be_trained_for(name: str) -> None:
    named = MODELS.entry(name).facts["tasks"]

    assert {task for task in CLASSES if accepts(name, task, LOSSES[task])} == set(named)


@pytest.mark.parametrize(
    ("name", "task"), [each for each in KIND_AND_TASK if MODELS.entry(each[0]).facts["seeded"] is False]
)
def test_a_row_of_weight_two_is_two_rows_to_a_model_that_draws_nothing(name: str, task: str) -> None:
    rows = rows_of(ROWS)
    twice = pd.concat([rows, rows.iloc[:150]])
    weights = np.where(np.arange(ROWS) < 150, 2.0, 1.0)
    matrix = view_of(task).matrix(rows)
    weighed = fit(name, task, rows, actual_of(rows, task), weights=weights).model
    doubled = fit(name, task, twice, actual_of(twice, task)).model

    assert weighed.predict(matrix) == pytest.approx(doubled.predict(matrix), abs=1e-5)


@pytest.mark.parametrize(("name", "task"), KIND_AND_TASK)
def test_weights_that_are_all_alike_are_none(name: str, task: str) -> None:
    rows = rows_of(ROWS)
    matrix = view_of(task).matrix(rows)
    plain, weighed = (
        fit(name, task, rows, actual_of(rows, task), weights=weights).model.predict(matrix)
        for weights in (None, np.ones(ROWS))
    )

    assert weighed == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_hyperparameter_that_a_model_would_pass_over_is_refused(name: str) -> None:
    MODELS[name].check_space(SETTINGS[name])
    with pytest.raises(BadInputError, match=r"tune\.space: 'no_such_name'"):
        MODELS[name].check_space([*SETTINGS[name], "no_such_name"])
