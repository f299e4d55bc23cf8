"""A quick model in order of time: fitted on the older rows, asked about the newest."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.models import MODELS, Fitted, Model
from retrim.core.table import DataParams
from retrim.core.view import FeatureView

JUDGED = 0.25
MODEL = {
    "num_leaves": 31,
    "learning_rate": 0.05,
    "min_child_samples": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
}
ROUNDS, PATIENCE = 400, 30


@dataclass(frozen=True)
class FirstRows:
    """Rows to fit on and rows to judge, as numbers.

    Args:
        fitted: Older rows, whose labels were due before the first judged event.
        judged: The newest rows.
        view: How they become numbers, learned on `fitted`.
        matrix: Shape (fitted rows, features).
        actual: Targets of `fitted`.
        asked: Shape (judged rows, features).
        truth: Targets of `judged`.
    """

    fitted: pd.DataFrame
    judged: pd.DataFrame
    view: FeatureView
    matrix: np.ndarray
    actual: np.ndarray
    asked: np.ndarray
    truth: np.ndarray

    def without(self, names: Collection[str]) -> "FirstRows":
        """The same rows without these features."""
        kept = [place for place, name in enumerate(self.view.features) if name not in names]
        view = replace(
            self.view,
            features={name: kind for name, kind in self.view.features.items() if name not in names},
            levels={name: levels for name, levels in self.view.levels.items() if name not in names},
        )
        return replace(self, view=view, matrix=self.matrix[:, kept], asked=self.asked[:, kept])

    def fit(
        self, *, loss: str, hyperparameters: dict[str, Any], rounds: int, seed: int, threads: int, held: int = 0
    ) -> Fitted:
        """A model of all fitted rows, or of all but the newest `held`, which say when to stop."""
        stop = len(self.matrix) - held
        return MODELS["gbm"].fit(
            self.view,
            self.matrix[:stop],
            self.actual[:stop],
            loss=loss,
            hyperparameters=hyperparameters,
            rounds=rounds,
            stop=(self.matrix[stop:], self.actual[stop:]) if held else None,
            patience=PATIENCE,
            weights=None,
            seed=seed,
            threads=threads,
        )

    def first_model(self, *, loss: str, seed: int, threads: int) -> Model:
        """As a run does: rounds from the newest rows held back, then all rows. What is newest may matter most."""
        held = max(len(self.matrix) // 10, 1)
        how: dict[str, Any] = {"loss": loss, "hyperparameters": MODEL, "seed": seed, "threads": threads}
        rounds = max(self.fit(rounds=ROUNDS, held=held, **how).rounds, 1)
        return self.fit(rounds=rounds, **how).model


def first_rows(
    table: pd.DataFrame,
    data: DataParams,
    *,
    most_fitted: int,
    most_judged: int,
    features: Collection[str] | None = None,
) -> FirstRows | None:
    """Cuts the newest quarter off; None where too little is left to fit or to judge.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
        data: What the table is.
        most_fitted: Rows to fit on, at most: the newest.
        most_judged: Rows to judge, at most.
        features: Those to use; None: all.
    """
    judged = table.iloc[len(table) - min(int(len(table) * JUDGED), most_judged) :]
    fitted = table.iloc[: len(table) - len(judged)]
    fitted = fitted[fitted["_due"] <= judged["_event"].iloc[0]].iloc[-most_fitted:] if len(judged) else fitted
    if len(judged) < 8 or len(fitted) < 9 or fitted[data.target].nunique() < 2:
        return None
    view = FeatureView.learn(fitted, data)
    if features is not None:
        view = replace(
            view,
            features={name: kind for name, kind in view.features.items() if name in features},
            levels={name: levels for name, levels in view.levels.items() if name in features},
        )
    return FirstRows(
        fitted, judged, view, view.matrix(fitted), view.actual(fitted), view.matrix(judged), view.actual(judged)
    )
