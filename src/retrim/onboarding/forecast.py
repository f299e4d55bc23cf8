"""The section `data` of a forecast: what is known so early, and features from the past."""

import pandas as pd

from retrim.errors import BadInputError, UnknownNameError
from retrim.onboarding.desk import TablePlan, checked_span
from retrim.profile.rhythm import Rhythm, TableSeason
from retrim.stats.plugins import span_text
from retrim.table.data import DataParams

SEASONS_BACK = 2
"""Whole seasons back that are proposed as lags."""
STEPS = 12
"""Steps of the table that a mean is of, where there is no season."""
MOST_OTHERS = 8
"""Columns of numbers, not known so early, whose newest known value is proposed, at most."""


def as_forecast(
    desk: TablePlan, data: DataParams, season: TableSeason | None, rhythm: Rhythm, *, calendar: tuple[str, ...]
) -> DataParams:
    """The section `data` of a forecast; unchanged where none is asked for.

    Raises:
        BadInputError: The span is none, or there is none; or rows have no event time.
        UnknownNameError: A named column is not there.
    """
    wishes = desk.wishes
    for name in wishes.known_ahead:
        if name not in desk.columns:
            raise UnknownNameError("column", name, desk.columns)
    if wishes.ahead is None:
        if wishes.known_ahead:
            raise BadInputError(
                "--known-ahead needs --ahead SPAN, which says how long before its event a row is predicted"
            )
        return data
    ahead = checked_span("--ahead", wishes.ahead, above_zero=True)
    if not desk.timed:
        raise BadInputError("--ahead needs the event time of each row; set its column with --event-time COL")
    entity = desk.series if wishes.entity is None else (wishes.entity,)
    known = [name for name in data.own_features if name in (*wishes.known_ahead, *calendar, *entity)]
    early = [name for name in data.own_features if name not in known]
    features = past_proposals(data, early, season, rhythm.step, ahead=pd.Timedelta(ahead))
    late = {name: data.columns[name].model_copy(update={"role": "forbidden"}) for name in early}
    record = data.model_copy(update={"columns": data.columns | late}).model_dump(mode="json", exclude_unset=True)
    usable = all(
        name in data.columns and (data.columns[name].role != "forbidden" or name in data.key) for name in entity
    )
    record["history"] = {
        "entity": list(entity) if usable else [],
        "ahead": ahead,
        "known_ahead": known,
        "features": features,
    }
    # Rows come a batch at a time: the last event of one is so much further ahead than the first.
    record["times_ahead"] = max(data.times_ahead, data.batch_every, key=pd.Timedelta)
    forecast = DataParams.model_validate(record)
    gone = f"; known later, so the model sees only their past values: {', '.join(early)}" if early else ""
    seen = f"rows are predicted {ahead} before their event; known by then: {', '.join(known) or 'no column'}{gone}"
    done = f"features from the past: {', '.join(forecast.history.columns)}; declared, data.history"
    desk.notes.tell("forecast", "", seen, done)
    return forecast


def past_proposals(
    data: DataParams, early: list[str], season: TableSeason | None, step: pd.Timedelta, *, ahead: pd.Timedelta
) -> list[dict[str, str | int]]:
    """The newest known target, whole seasons back, a mean; and the newest known value of other numbers.

    Args:
        early: Columns whose past is proposed, those of numbers among them.
        step: The usual time between two rows; without a season the mean is of so many steps.
    """
    numbers = [name for name in early if data.columns[name].type in ("number", "integer")][:MOST_OTHERS]
    others: list[dict[str, str | int]] = [{"of": name, "lag": 1} for name in numbers]
    if data.task == "multiclass":
        return others
    features: list[dict[str, str | int]] = [{"of": data.target, "lag": 1}]
    span = pd.Timedelta(season.span) if season is not None else step * STEPS
    if season is not None:
        least = ahead + pd.Timedelta(data.label_horizon or 0)
        first = int(max(least // span, 1))
        first += span * first < least or span * first <= ahead
        features += [{"of": data.target, "lag": span_text(span * (first + back))} for back in range(SEASONS_BACK)]
    return [*features, {"of": data.target, "over": span_text(span), "stat": "mean"}, *others]
