"""Laws that hold for every registered metric, on every task it fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.stats.metrics import METRICS, Metric, find, measure, row_losses

CLASSES = 3
NAMES = [e.name if e.facts["argument"] is None else f"{e.name}@{q}" for e in METRICS for q in (0.9, 0.1)]
METRIC_AND_TASK = [
    pytest.param(metric, task, id=f"{metric.name}-{task}")
    for metric in map(find, dict.fromkeys(NAMES))
    if metric.scalar
    for task in metric.tasks
]
ROWS_AND_TASK = [case for case in METRIC_AND_TASK if case.values[0].rows]

# Eighths: no hypothesis example is so small that its square is 0.
numbers = st.integers(-8000, 8000).map(lambda eighths: eighths / 8)
probabilities = st.integers(0, 1000).map(lambda mille: mille / 1000)
Window = tuple[np.ndarray, np.ndarray]


@st.composite
def windows(draw: st.DrawFn, task: str) -> Window:
    n = draw(st.integers(1, 12))

    def column(values: st.SearchStrategy) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=n, max_size=n)))

    if task == "regression":
        return column(numbers).astype(float), column(numbers).astype(float)
    if task == "binary":
        return column(st.integers(0, 1)), column(probabilities).astype(float)
    weights = np.array([draw(st.lists(st.integers(0, 9), min_size=CLASSES, max_size=CLASSES)) for _ in range(n)]) + 0.1
    return column(st.integers(-1, CLASSES)), weights / weights.sum(axis=1, keepdims=True)


def perfect(actual: np.ndarray, task: str) -> np.ndarray:
    """The best that can be said; of a class unseen in training nothing good can, so these rows are left out before."""
    return np.eye(CLASSES)[actual] if task == "multiclass" else actual.astype(float)


def wrong(actual: np.ndarray, task: str) -> np.ndarray:
    return {
        "regression": lambda: actual[::-1] + 1.0,
        "binary": lambda: 1.0 - actual,
        "multiclass": lambda: np.eye(CLASSES)[(actual + 1) % CLASSES],
    }[task]()


def drawn(data: st.DataObject, metric: Metric, task: str) -> Window:
    """A window, of targets that the metric is for."""
    actual, predicted = data.draw(windows(task))
    return (actual if metric.signed else np.abs(actual)), predicted


def value(metric: Metric, actual: np.ndarray, predicted: np.ndarray, task: str) -> float:
    return measure([metric.name], actual, predicted, task=task)[metric.name]


@pytest.mark.parametrize(("metric", "task"), METRIC_AND_TASK)
class TestEveryMetric:
    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_a_perfect_prediction_is_at_least_as_good_as_any(self, metric: Metric, task: str, data: st.DataObject):
        actual, predicted = drawn(data, metric, task)
        if task == "multiclass":
            actual = np.abs(actual) % CLASSES
        best, other = (value(metric, actual, said, task) for said in (perfect(actual, task), predicted))

        assert best <= other + 1e-12 if metric.better == "lower" else best >= other - 1e-12

    def test_a_wrong_prediction_is_worse_than_a_perfect_one(self, metric: Metric, task: str):
        actual = np.array([0, 1, 1, 0, 1])
        best, worst = (value(metric, actual, said(actual, task), task) for said in (perfect, wrong))

        assert best < worst if metric.better == "lower" else best > worst

    def test_a_perfect_prediction_reaches_the_bound(self, metric: Metric, task: str):
        actual = np.array([0, 1, 1, 0, 1])
        low, high = metric.bounds

        assert value(metric, actual, perfect(actual, task), task) == (low if metric.better == "lower" else high)

    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_the_order_of_rows_does_not_matter(self, metric: Metric, task: str, data: st.DataObject):
        actual, predicted = drawn(data, metric, task)
        order = np.array(data.draw(st.permutations(range(len(actual)))))

        assert value(metric, actual[order], predicted[order], task) == pytest.approx(
            value(metric, actual, predicted, task), rel=1e-9, abs=1e-12
        )

    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_the_number_of_rows_alone_does_not_matter(self, metric: Metric, task: str, data: st.DataObject):
        actual, predicted = drawn(data, metric, task)
        thrice = np.tile(np.arange(len(actual)), 3)

        assert value(metric, actual[thrice], predicted[thrice], task) == pytest.approx(
            value(metric, actual, predicted, task), rel=1e-9, abs=1e-12
        )

    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_it_is_finite_and_within_its_bounds(self, metric: Metric, task: str, data: st.DataObject):
        found = value(metric, *drawn(data, metric, task), task)
        low, high = metric.bounds

        assert np.isfinite(found)
        assert low - 1e-12 <= found <= high + 1e-12

    @pytest.mark.parametrize("n", [1, 7])
    @pytest.mark.parametrize("code", [0, 1, 2, -1, CLASSES])
    def test_it_is_finite_on_a_window_of_one_value(self, metric: Metric, task: str, code: int, n: int):
        actual = np.full(n, code) if task != "binary" else np.full(n, code % 2)
        actual = actual if metric.signed else np.abs(actual)
        predicted = np.full((n, CLASSES), 1 / CLASSES) if task == "multiclass" else np.full(n, 0.5)

        assert np.isfinite(value(metric, actual, predicted, task))

    def test_it_leaves_its_inputs_as_they_are(self, metric: Metric, task: str):
        actual = np.array([0, 1, 1, 0, 1])
        predicted = wrong(actual, task)
        actual.flags.writeable = predicted.flags.writeable = False

        assert np.isfinite(value(metric, actual, predicted, task))


@pytest.mark.parametrize(("metric", "task"), ROWS_AND_TASK)
class TestEveryRowLoss:
    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_the_metric_is_the_mean_of_its_rows(self, metric: Metric, task: str, data: st.DataObject):
        actual, predicted = drawn(data, metric, task)
        losses = row_losses(metric.name, actual, predicted)

        assert losses.shape == actual.shape
        assert value(metric, actual, predicted, task) == pytest.approx(losses.mean())

    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_the_loss_of_a_row_depends_on_no_other_row(self, metric: Metric, task: str, data: st.DataObject):
        actual, predicted = drawn(data, metric, task)
        alone = [row_losses(metric.name, actual[i : i + 1], predicted[i : i + 1])[0] for i in range(len(actual))]

        assert row_losses(metric.name, actual, predicted).tolist() == alone

    def test_lower_is_better(self, metric: Metric, task: str):
        assert metric.better == "lower"

    def test_no_rows_have_no_losses(self, metric: Metric, task: str):
        nothing = np.empty((0, CLASSES)) if task == "multiclass" else np.empty(0)

        assert row_losses(metric.name, np.empty(0), nothing).shape == (0,)
