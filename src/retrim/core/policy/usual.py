"""The recipe of a backtest where no version is live: the middle of the search space, and rounds by early stopping."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.balance import fit_balanced
from retrim.core.models import MODELS
from retrim.core.prepare import StepParams
from retrim.core.table import DataParams
from retrim.core.training import Recipe, TrainParams
from retrim.core.tuning import Dimension, TuneParams
from retrim.core.view import FeatureView
from retrim.core.windows import keep_back


def usual_recipe(
    first: pd.DataFrame,
    data: DataParams,
    tune: TuneParams,
    train: TrainParams,
    steps: Sequence[StepParams] = (),
    *,
    loss: str,
    threads: int,
    at_event: bool = False,
) -> Recipe:
    """A recipe from settings and the first rows alone.

    Args:
        first: Rows before the first window, in total order with `_event` and `_due`.
        data: What the table is.
        tune: The search space, its rounds, and what is kept back to stop on.
        train: Kind of model, seed.
        steps: What prepares the features.
        loss: Per-row loss.
        threads: Of the fit; changes no result.
        at_event: Whether labels count as known at their event, as where they are kept back by windows.

    Raises:
        ValueError: The first part is too short to stop on.
        BadInputError: The search space is that of another kind of model.
    """
    MODELS[train.model].check_space(tune.space)
    middle = {name: _middle(dimension) for name, dimension in tune.space.items()}
    fit, stop = keep_back(
        first["_event"], first["_event" if at_event else "_due"], np.arange(len(first)), share=tune.stop_share
    )
    fitted, watched = first.iloc[fit], first.iloc[stop]
    view = FeatureView.learn(fitted, data, steps)
    laid = view.training(fitted)
    found = fit_balanced(
        train.model,
        train.balance,
        view,
        laid.matrix,
        view.actual(fitted.iloc[laid.places]),
        loss=loss,
        hyperparameters=middle,
        rounds=tune.max_rounds,
        weights=None,
        stop=(view.matrix(watched), view.actual(watched)),
        patience=tune.patience,
        seed=train.seed,
        threads=threads,
    )
    return Recipe(train.model, loss, middle, max(found.rounds, 1), train.seed, balance=train.balance)


def _middle(dimension: Dimension) -> Any:
    """The middle of a range, of its logarithms on a log scale; of choices the first."""
    low, high = dimension.low, dimension.high
    if dimension.choices is not None or low is None or high is None:
        return (dimension.choices or (None,))[0]
    middle = float(np.sqrt(low * high)) if dimension.log else (low + high) / 2
    return round(middle) if isinstance(low, int) and isinstance(high, int) else middle
