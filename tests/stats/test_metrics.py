import math

import numpy as np
import pytest
from pydantic import ValidationError

from retrim.errors import BadInputError, EmptyWindowError, UnknownNameError
from retrim.stats.metrics import METRICS, JudgeParams, confusion_matrix, find, measure, require, row_losses

ACTUAL, PREDICTED = np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0])
# Ranked by probability the outcomes run 1, 0, 1, 0: 3 of 4 pairs are in order.
OUTCOME, CHANCE = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])


def one(name: str, actual: np.ndarray, predicted: np.ndarray, task: str) -> float:
    return measure([name], actual, predicted, task=task)[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", (1 + 0 + 2) / 3),
        ("mse", (1 + 0 + 4) / 3),
        ("rmse", math.sqrt(5 / 3)),
        ("r2", 1 - 5 / 14),  # around the mean 3: 4 + 1 + 9
        ("pinball@0.9", (0.1 * 1 + 0 + 0.9 * 2) / 3),
        ("pinball@0.5", 0.5),  # half the absolute error
    ],
)
def test_a_regression_metric_is_as_worked_by_hand(name: str, expected: float):
    assert one(name, ACTUAL, PREDICTED, "regression") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_loss", -(math.log(0.9) + math.log(0.6) + math.log(0.35) + math.log(0.8)) / 4),
        ("brier", (0.01 + 0.16 + 0.65**2 + 0.04) / 4),
        ("auc", 3 / 4),
        ("average_precision", 0.5 * 1 + 0.5 * 2 / 3),
        ("error", 1 / 4),
        ("accuracy", 3 / 4),
        ("precision", 1),  # one called positive, and it is
        ("recall", 1 / 2),
        ("f1", 2 / 3),
    ],
)
def test_a_binary_metric_is_as_worked_by_hand(name: str, expected: float):
    assert one(name, OUTCOME, CHANCE, "binary") == pytest.approx(expected)


# Called 0, 1, 1, 0; the last is of a class unseen in training.
CODES = np.array([0, 1, 2, 3])
SHARES = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("log_loss", -(math.log(0.6) + math.log(0.5) + math.log(0.2) + math.log(1e-12)) / 4),
        ("brier", (0.16 + 0.09 + 0.01 + 0.04 + 0.25 + 0.09 + 0.01 + 0.49 + 0.64 + 1 + 0.25 + 0.09 + 0.04) / 4),
        ("error", 1 / 2),
        ("accuracy", 1 / 2),
        ("precision", (1 / 2 + 1 / 2 + 0 + 0) / 4),
        ("recall", (1 + 1 + 0 + 0) / 4),
        ("f1", (2 / 3 + 2 / 3 + 0 + 0) / 4),
    ],
)
def test_a_multiclass_metric_is_as_worked_by_hand(name: str, expected: float):
    assert one(name, CODES, SHARES, "multiclass") == pytest.approx(expected)


def test_the_brier_score_of_two_classes_is_twice_the_binary_one():
    both = np.stack([1 - CHANCE, CHANCE], axis=1)

    assert one("brier", OUTCOME, both, "multiclass") == pytest.approx(2 * one("brier", OUTCOME, CHANCE, "binary"))


def test_pinball_is_least_at_the_quantile():
    # Of 0, 1, ..., 100 the 0.8 quantile is 80.
    values = np.arange(101.0)
    losses = [one("pinball@0.8", values, np.full(101, guess), "regression") for guess in range(101)]

    assert int(np.argmin(losses)) == 80


def test_log_loss_of_a_sure_and_wrong_row_is_clipped():
    # -ln(1e-12) = 12 ln 10
    assert row_losses("log_loss", np.array([1]), np.array([0.0])) == pytest.approx(12 * math.log(10))


@pytest.mark.parametrize("code", [-1, 2, 9])
def test_a_class_unseen_in_training_counts_as_wrong(code: int):
    assert row_losses("error", np.array([code]), np.array([[0.6, 0.4]])) == 1


def test_log_loss_of_a_class_unseen_in_training_is_that_of_probability_zero():
    assert row_losses("log_loss", np.array([7]), np.array([[0.6, 0.4]])) == pytest.approx(12 * math.log(10))


@pytest.mark.parametrize("outcome", [0, 1])
def test_auc_of_a_single_class_is_that_of_chance(outcome: int):
    assert one("auc", np.full(3, outcome), np.array([0.1, 0.5, 0.9]), "binary") == 0.5


def test_auc_counts_ties_half():
    assert one("auc", np.array([0, 1]), np.array([0.5, 0.5]), "binary") == 0.5


def test_average_precision_without_positives_is_zero():
    assert one("average_precision", np.zeros(3, int), np.array([0.1, 0.5, 0.9]), "binary") == 0


@pytest.mark.parametrize(("guess", "expected"), [(5.0, 1.0), (4.0, 0.0)])
def test_r2_of_a_constant_target_is_one_or_zero(guess: float, expected: float):
    assert one("r2", np.full(3, 5.0), np.full(3, guess), "regression") == expected


def test_one_half_is_called_positive():
    assert row_losses("error", np.array([1]), np.array([0.5])) == 0


def test_a_binary_confusion_matrix_counts_actual_down_and_predicted_across():
    assert confusion_matrix(OUTCOME, CHANCE) == ((2, 0), (1, 1))


def test_a_multiclass_confusion_matrix_ends_with_the_classes_unseen_in_training():
    assert confusion_matrix(CODES, SHARES) == ((1, 0, 0), (0, 1, 0), (0, 1, 0), (1, 0, 0))


def test_measure_keeps_the_order_and_the_names_it_was_given():
    assert list(measure(["rmse", "pinball@0.9", "mae"], ACTUAL, PREDICTED, task="regression")) == [
        "rmse",
        "pinball@0.9",
        "mae",
    ]


class TestWhatDoesNotFit:
    def test_an_unknown_name_is_answered_with_the_nearest(self):
        with pytest.raises(UnknownNameError, match="'log_loss'"):
            row_losses("logloss", ACTUAL, PREDICTED)

    def test_a_total_has_no_row_losses(self):
        with pytest.raises(
            BadInputError, match=r"'rmse' .*\beach row\b.* regression .*: (?!.*(rmse|r2)).*pinball@0\.9"
        ):
            row_losses("rmse", ACTUAL, PREDICTED)

    def test_a_regression_loss_does_not_fit_class_probabilities(self):
        with pytest.raises(BadInputError, match=r"'mae' .*\bmulticlass task\b.*: (?!.*(mae|accuracy)).*log_loss"):
            row_losses("mae", CODES, SHARES)

    def test_a_binary_metric_does_not_fit_a_regression(self):
        with pytest.raises(BadInputError, match=r"'auc' .*regression task; .*: (?!.*(auc|brier)).*pinball@0\.9"):
            measure(["auc"], ACTUAL, PREDICTED, task="regression")

    def test_the_confusion_matrix_is_no_number(self):
        with pytest.raises(BadInputError, match=r"'confusion_matrix' .*\bnumber\b.*: accuracy"):
            measure(["confusion_matrix"], OUTCOME, CHANCE, task="binary")

    @pytest.mark.parametrize("name", ["pinball", "pinball@", "pinball@0", "pinball@1", "pinball@nan", "pinball@high"])
    def test_pinball_needs_a_quantile(self, name: str):
        with pytest.raises(BadInputError, match=r"quantile .*'pinball@0\.9'"):
            find(name)

    def test_a_value_where_none_is_taken_is_refused(self):
        with pytest.raises(BadInputError, match="write 'mae'"):
            find("mae@0.5")

    def test_rows_that_do_not_match_are_refused_with_both_shapes(self):
        with pytest.raises(BadInputError, match=r"\(3,\) and predicted \(2,\)"):
            measure(["mae"], ACTUAL, PREDICTED[:2], task="regression")

    def test_probabilities_of_the_wrong_shape_are_refused(self):
        with pytest.raises(BadInputError, match=r"multiclass task .*\(n, k\)"):
            measure(["error"], OUTCOME, CHANCE, task="multiclass")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_prediction_that_is_no_number_is_refused(self, value: float):
        with pytest.raises(BadInputError, match="predicted: 1 of 3"):
            row_losses("mae", ACTUAL, np.array([1.0, value, 2.0]))

    def test_a_missing_label_is_refused(self):
        with pytest.raises(BadInputError, match="actual: 1 of 3"):
            row_losses("mae", np.array([1.0, np.nan, 2.0]), PREDICTED)

    def test_no_rows_cannot_be_measured(self):
        with pytest.raises(EmptyWindowError, match="judged window"):
            measure(["mae"], np.empty(0), np.empty(0), task="regression")

    def test_require_gives_the_metrics_that_fit(self):
        assert [m.name for m in require(["mae", "pinball@0.1"], task="regression", rows=True)] == ["mae", "pinball@0.1"]


class TestJudgeParams:
    GIVEN = {"loss": "mae", "metrics": ["rmse", "auc"], "draws": 100, "block_rows": 24}  # noqa: RUF012 - read only

    def test_a_loss_with_rows_and_metrics_that_are_numbers_are_taken(self):
        assert JudgeParams(**self.GIVEN).metrics == ("rmse", "auc")

    def test_a_loss_without_rows_is_refused_with_those_that_have(self):
        with pytest.raises(ValidationError, match=r"'rmse' .*: brier, error, log_loss, mae"):
            JudgeParams(**{**self.GIVEN, "loss": "rmse"})

    def test_an_unknown_loss_is_refused(self):
        with pytest.raises(ValidationError, match="unknown metric 'mea'"):
            JudgeParams(**{**self.GIVEN, "loss": "mea"})

    def test_the_confusion_matrix_is_no_metric_to_report(self):
        with pytest.raises(ValidationError, match="'confusion_matrix' is not"):
            JudgeParams(**{**self.GIVEN, "metrics": ["confusion_matrix"]})


def test_every_entry_says_its_tasks_and_its_direction():
    assert all(e.facts["tasks"] and e.facts["better"] in ("lower", "higher", "none") for e in METRICS)


class TestPoisson:
    def test_a_count_of_four_where_two_were_expected_lacks_its_log_likelihood_twice(self):
        # 2 (4 ln 2 - 4 + 2)
        assert row_losses("poisson", np.array([4.0]), np.array([2.0])) == pytest.approx([8 * np.log(2) - 4])

    def test_nothing_where_two_were_expected_costs_four(self):
        assert row_losses("poisson", np.array([0.0]), np.array([2.0])) == pytest.approx([4.0])

    def test_it_is_that_of_scikit_learn(self):
        from sklearn.metrics import mean_poisson_deviance

        counts, means = np.array([0.0, 3.0, 1.0, 7.0]), np.array([0.5, 2.0, 1.0, 9.5])

        assert row_losses("poisson", counts, means).mean() == pytest.approx(mean_poisson_deviance(counts, means))

    def test_targets_below_zero_are_refused(self):
        with pytest.raises(BadInputError, match=r"'poisson' .* -2"):
            row_losses("poisson", np.array([1.0, -2.0]), np.array([1.0, 1.0]))
