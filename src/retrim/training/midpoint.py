"""A recipe without a search: the middle of the search space, with the rounds that early stopping finds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.stats.windows import keep_back
from retrim.table.data import DataParams
from retrim.training.classes import fit_balanced
from retrim.training.estimators import MODELS, FitTask
from retrim.training.recipe import Recipe, TrainParams
from retrim.training.tuning import Dimension, TuneParams


def usual_recipe(
    first: pd.DataFrame,
    data: DataParams,
    tune: TuneParams,
    train: TrainParams,
    steps: Sequence[StepParams] = (),
    *,
    loss: str,
    threads: int,
) -> Recipe:
    """A recipe from settings and the first rows alone.

    Raises:
        ValueError: The first part is too short to stop on.
        BadInputError: The search space is that of another kind of model.
    """
    MODELS[train.model].check_space(tune.space)
    middle = {name: _middle(dimension) for name, dimension in tune.space.items()}
    fit, stop = keep_back(np.arange(len(first)), share=tune.stop_share)
    fitted, watched = first.iloc[fit], first.iloc[stop]
    view = FeatureView.learn(fitted, data, steps)
    fitted_model = fit_balanced(
        train.model,
        train.class_balance,
        view,
        view.training(fitted),
        view.actual(fitted),
        FitTask(
            loss,
            middle,
            tune.max_rounds,
            train.seed,
            threads,
            stop=(view.matrix(watched), view.actual(watched)),
            patience=tune.patience,
        ),
    )
    return Recipe(train.model, loss, middle, max(fitted_model.rounds, 1), train.seed, balance=train.class_balance)


def _middle(dimension: Dimension) -> Any:
    """The middle of a range, of its logarithms on a log scale; of choices the first."""
    low, high = dimension.low, dimension.high
    if dimension.choices is not None or low is None or high is None:
        return (dimension.choices or (None,))[0]
    middle = float(np.sqrt(low * high)) if dimension.log else (low + high) / 2
    return round(middle) if isinstance(low, int) and isinstance(high, int) else middle
