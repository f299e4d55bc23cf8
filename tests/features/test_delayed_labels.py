"""Where the answer decides when it comes: rows whose label came make a bad model, rows whose label was due a good."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.table.data import DataParams, assemble, mature
from retrim.training.estimators import MODELS, FitTask
from tests.builders.churn import TERM, churn

ROWS, SLIDING, AHEAD = 5000, 600, 400
DATA = DataParams.model_validate(
    {
        "model": "churn",
        "columns": {
            "number": {"type": "category", "role": "forbidden"},
            "at": {"type": "time", "role": "time"},
            "months": {"type": "integer", "role": "feature"},
            "plan": {"type": "category", "role": "feature"},
            "left": {"type": "category", "role": "target"},
        },
        "key": ["number"],
        "task": "binary",
        "positive": "yes",
        "labels": "later",
        "label_horizon": "60D",
        "batch_every": "30D",
        "suite": "none.json",
    }
)
Rule = Callable[[pd.DataFrame], pd.DataFrame]


def due(table: pd.DataFrame) -> pd.DataFrame:
    return mature(table)


def arrived(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["_known"].notna()]


def taken_as_no(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(left=table["left"].fillna("no"))


@cache
def landed() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The truth; its rows, each arrived at its event; its labels, each arrived when it became known."""
    truth = churn(ROWS, seed=7, every="1h").assign(
        number=lambda frame: frame["number"].astype("str"), months=lambda f: f["months"] * 1.0
    )
    truth = truth.assign(_key=truth["number"], _batch="a", _correction=False)
    rows = truth.assign(_arrived=truth["at"], left=pd.Series([None] * ROWS, dtype="str")).drop(columns="closed at")
    labels = truth[["_key", "_batch", "_correction", "left"]].assign(_arrived=truth["closed at"])
    return truth, rows, labels


@cache
def score(rule: Rule, *, at_once: bool = False) -> float:
    """Mean log loss of the rows ahead, a model fitted anew every 400 rows on the newest rows that the rule lets in."""
    truth, rows, labels = landed()
    if at_once:
        labels = labels.assign(_arrived=truth["at"])
    data = DATA.model_copy(update={"label_horizon": "0h"}) if at_once else DATA
    losses = []
    for cut in range(2400, ROWS - AHEAD, AHEAD):
        table = rule(assemble(rows, labels, data, as_of=truth["at"].iloc[cut])).iloc[-SLIDING:].reset_index(drop=True)
        view = FeatureView.learn(table, data)
        fitted = MODELS["gbm"].fit(
            view,
            view.matrix(table),
            view.actual(table),
            FitTask(
                loss="log_loss",
                hyperparameters={"num_leaves": 7, "min_child_samples": 20, "learning_rate": 0.1},
                rounds=40,
                seed=7,
                threads=1,
            ),
        )
        ahead = truth.iloc[cut + 1 : cut + 1 + AHEAD]
        losses.append(row_losses("log_loss", view.actual(ahead), fitted.model.predict(view.matrix(ahead))).mean())
    return float(np.mean(losses))


def test_rows_that_were_due_are_nearly_as_good_as_labels_known_at_once() -> None:
    assert score(due) < 1.02 * score(arrived, at_once=True)


def test_rows_whose_label_has_come_make_a_far_worse_model() -> None:
    assert score(arrived) > 1.4 * score(due)


def test_taking_what_is_not_known_for_a_no_makes_a_worse_model() -> None:
    assert score(taken_as_no) > 1.02 * score(due)


def test_the_share_of_those_who_leave_is_right_among_rows_that_were_due_alone() -> None:
    truth, rows, labels = landed()
    now = truth["at"].iloc[4000]
    table = assemble(rows, labels, DATA, as_of=now)
    recent = table[table["_event"] > now - 2 * TERM]
    share = {rule.__name__: float((rule(recent)["left"] == "yes").mean()) for rule in (due, arrived)}
    true = float((truth["left"] == "yes").mean())

    assert abs(share["due"] - true) < 0.05
    assert share["arrived"] - true > 0.1
