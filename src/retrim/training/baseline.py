"""Naive forecasts that a model has to beat: the floor of the gate.

Each sees the training rows alone and predicts all judged rows from there. Where a model sees the newest target that was
known when a row was predicted, the last value is that one.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView
from retrim.stats.plugins import PluginRegistry
from retrim.table.lags import newest_known

Baseline = Callable[..., np.ndarray]
"""Predictions of the judged rows from view, training and judged rows, and by name `season`, `cells` and `entity`."""
BASELINES: PluginRegistry[Baseline] = PluginRegistry("baseline")


def baselines_of(task: str) -> dict[str, Baseline]:
    """Those of a task, by name."""
    return {entry.name: entry.value for entry in BASELINES if task in entry.facts["tasks"]}


@BASELINES.register("last_value", tasks=("regression",))
def last_value(
    view: FeatureView, train: pd.DataFrame, judged: pd.DataFrame, *, entity: Sequence[str], **_: object
) -> np.ndarray:
    """The newest training target, of the same entity if the table has several entities.

    Where `data.history` gives rows the newest target that was known by then (lag 1), it is that one: a model that sees
    it is held against what it sees.
    """
    known = newest_known(view.target, view.features)
    if known is not None and known in judged:
        from_train = _last_trained(view, train, judged, entity)
        return np.asarray(judged[known].astype("float64").fillna(pd.Series(from_train, index=judged.index)))
    return _last_trained(view, train, judged, entity)


def _last_trained(view: FeatureView, train: pd.DataFrame, judged: pd.DataFrame, entity: Sequence[str]) -> np.ndarray:
    actual = view.actual(train)
    if not entity:
        return np.full(len(judged), actual[-1])
    both = pd.concat([train[list(entity)], judged[list(entity)]], ignore_index=True)
    whose = both.groupby(list(entity), sort=False, dropna=False, observed=True).ngroup().to_numpy()
    newest = np.full(whose.max() + 1, actual[-1])
    newest[whose[: len(train)]] = actual  # of an entity's rows the last one stays
    return newest[whose[len(train) :]]


@BASELINES.register("mean", tasks=("regression", "binary", "multiclass"))
def mean(view: FeatureView, train: pd.DataFrame, judged: pd.DataFrame, **_: object) -> np.ndarray:
    """The mean training target, or the shares of the classes: the best constant for squared or log loss."""
    return np.repeat(_targets(view, train).mean(axis=0)[None], len(judged), axis=0)


@BASELINES.register("seasonal_mean", tasks=("regression", "binary", "multiclass"))
def seasonal_mean(
    view: FeatureView, train: pd.DataFrame, judged: pd.DataFrame, *, season: pd.Timedelta, cells: int, **_: object
) -> np.ndarray:
    """The mean training target of the same part of the season."""
    targets = _targets(view, train)
    overall = targets.mean(axis=0)
    means = pd.DataFrame(targets.reshape(len(train), -1)).groupby(season_cell(train["_event"], season, cells)).mean()
    by_row = means.reindex(season_cell(judged["_event"], season, cells)).to_numpy()
    filled = np.where(np.isnan(by_row), np.atleast_1d(overall), by_row)
    return filled if targets.ndim == 2 else filled[:, 0]


def season_cell(event: pd.Series, season: pd.Timedelta, cells: int) -> np.ndarray:
    """The part of the season that each event lies in, 0 to `cells` - 1, shape (n,); seasons are counted from 1970."""
    started = pd.Timestamp(0, tz="UTC").as_unit("us")  # in nanoseconds, the years before 1677 do not fit
    since = (event.dt.as_unit("us") - started).to_numpy().astype("int64")
    length = season // pd.Timedelta("1us")
    # Edges in whole microseconds: microseconds times cells could leave 64 bits.
    edges = [-(-length * cell // cells) for cell in range(cells)]
    return np.asarray(np.searchsorted(edges, since % length, side="right") - 1)


def _targets(view: FeatureView, rows: pd.DataFrame) -> np.ndarray:
    actual = view.actual(rows)
    return np.eye(len(view.classes))[actual] if view.task == "multiclass" else actual.astype("float64")
