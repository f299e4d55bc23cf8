"""The past of the target as features: tried where rows have event times, kept where a first model surely gains."""

from collections.abc import Callable, Collection

import pandas as pd

from retrim.onboarding.desk import TablePlan
from retrim.onboarding.forecast import past_proposals
from retrim.profile.first_model import FirstFit
from retrim.profile.rhythm import Rhythm, TableSeason
from retrim.table.data import DataParams

NEARLY = 1.5  # times the loss of a first model: a naive forecast that loses no more says that the past is worth a try
Fit = Callable[[DataParams], FirstFit | None]


def with_past_of_target(
    desk: TablePlan,
    data: DataParams,
    rows: pd.DataFrame,
    usual: FirstFit,
    fit: Fit,
    saves: Callable[[FirstFit, FirstFit], bool],
    *,
    season: TableSeason | None,
    rhythm: Rhythm,
    calendar: Collection[str],
) -> tuple[DataParams, FirstFit]:
    """The section `data` and its first model, with features from the past where they gain with confidence.

    Each is as of what was known at its row: a label from its due time on. First the target's past is tried, by entity
    where a column names one, then that of the numbers too.

    Args:
        rows: Labelled rows in order of time, with `_event`.
        usual: The first model without them.
        fit: Gives the first model of a section; the rows that judge are the same for all.
        saves: Whether one loses less than another with confidence.
    """
    if not desk.timed or data.task == "multiclass" or data.history.features:
        return data, usual
    entity = desk.series if desk.wishes.entity is None else (desk.wishes.entity,)
    if not all(name in data.own_features or name in data.key for name in entity):
        return data, usual  # what a row is about is not to be known
    floor = usual.naive_loss(("last_value", "seasonal_mean"))
    if not entity and (floor is None or floor > NEARLY * usual.model.mean()):
        return data, usual
    step = _usual_step(rows, entity) if entity else rhythm.step
    kinds = {name: kind for name, kind in data.own_features.items() if name not in calendar}
    numbers = [name for name, kind in kinds.items() if kind in ("number", "integer")]
    best, model = data, usual
    for early in ([], numbers) if numbers else ([],):
        features = past_proposals(data, early, season, step, ahead=pd.Timedelta(0))
        tried = _with_history(data, entity, features)
        fitted = fit(tried)
        if fitted is not None and saves(fitted, model):
            best, model = tried, fitted
    if best is not data:
        naive = model.others.get("last_value")
        beside = "" if naive is None else f" (the naive last value loses {float(naive.mean()):.4g})"
        seen = f"a first model loses {usual.model.mean():.4g} without the past, and {model.model.mean():.4g} with it"
        done = f"features from the past: {', '.join(best.history.columns)}; declared, data.history"
        desk.notes.tell("past", data.target, seen + beside, done)
    return best, model


def _usual_step(rows: pd.DataFrame, entity: tuple[str, ...]) -> pd.Timedelta:
    """The usual time between two rows of one entity, at least a minute; a day where none has two."""
    steps = rows.groupby(list(entity), observed=True)["_event"].diff().dropna()
    return max(pd.Timedelta(steps.median()), pd.Timedelta("1min")) if len(steps) else pd.Timedelta("1D")


def _with_history(data: DataParams, entity: tuple[str, ...], features: list[dict[str, str | int]]) -> DataParams:
    record = data.model_dump(mode="json", exclude_unset=True)
    record["history"] = {"entity": list(entity), "ahead": None, "known_ahead": [], "features": features}
    return DataParams.model_validate(record)
