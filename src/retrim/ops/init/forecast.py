"""A forecast at a declared horizon: what is not known so early is forbidden, and what is known of the past proposed."""

from typing import Any

import pandas as pd

from retrim.core.init.notes import Note
from retrim.core.init.rhythm import Rhythm, Season
from retrim.core.section import check_above_zero, check_span
from retrim.core.table import DataParams
from retrim.errors import BadInputError, UnknownNameError
from retrim.ops.init.desk import Desk

SEASONS_BACK = 2
"""Whole seasons back that are proposed as lags."""
STEPS = 12
"""Steps of the table that a mean is of, where there is no season."""
MOST_OTHERS = 8
"""Columns of numbers, not known so early, whose newest known value is proposed, at most."""


def _check(desk: Desk) -> None:
    """Checks what the person said of it."""
    wishes = desk.wishes
    for name in wishes.known_ahead:
        if name not in desk.plans:
            raise UnknownNameError("column", name, desk.plans)
    if wishes.ahead is None:
        if wishes.known_ahead:
            raise BadInputError("--known-ahead says what is known early; say how early: --ahead SPAN")
        return
    try:
        check_above_zero(check_span(wishes.ahead))
    except ValueError as error:
        raise BadInputError(f"--ahead: {error}") from error


def as_forecast(
    desk: Desk, data: DataParams, season: Season | None, rhythm: Rhythm, *, made: tuple[str, ...], timed: bool
) -> DataParams:
    """The section `data` of a forecast; unchanged where none is asked for.

    Args:
        desk: What was said; a note is added.
        data: As drafted so far.
        season: Of the target.
        rhythm: Of the rows.
        made: Features that are parts of the calendar, which are known at any time.
        timed: Whether rows have an event time.

    Raises:
        BadInputError: The span is none, or there is none; or rows have no event time.
        UnknownNameError: A named column is not there.
    """
    _check(desk)
    wishes = desk.wishes
    if wishes.ahead is None:
        return data
    if not timed:
        raise BadInputError("--ahead: rows without an event time come in an order, not at a time; name --event-time")
    ahead = check_span(wishes.ahead)
    whose = desk.series if wishes.entity is None else (wishes.entity,)
    known = [name for name in data.own_features if name in (*wishes.known_ahead, *made, *whose)]
    early = [name for name in data.own_features if name not in known]
    features = _features(data, early, season, rhythm, ahead=pd.Timedelta(ahead))
    record = data.model_dump(mode="json", exclude_unset=True)
    for name in early:
        record["columns"][name]["role"] = "forbidden"
    told = all(name in data.columns and (data.columns[name].role != "forbidden" or name in data.key) for name in whose)
    record["history"] = {
        "entity": list(whose) if told else [],
        "ahead": ahead,
        "known_ahead": known,
        "features": features,
    }
    # Rows come a batch at a time: the last event of one is so much further ahead than the first.
    record["times_ahead"] = max(data.times_ahead, data.batch_every, key=pd.Timedelta)
    found = DataParams.model_validate(record)
    gone = f"; not known so early, so the model sees their past alone: {', '.join(early)}" if early else ""
    desk.notes.append(
        Note(
            "forecast",
            "",
            f"rows are predicted {ahead} before their event; known by then: {', '.join(known) or 'no column'}{gone}",
            f"features from the past: {', '.join(found.history.columns)}; declared, data.history",
        )
    )
    return found


def _features(
    data: DataParams, early: list[str], season: Season | None, rhythm: Rhythm, *, ahead: pd.Timedelta
) -> list[dict[str, Any]]:
    """The newest known target, whole seasons back, a mean; and the newest known value of other numbers."""
    if data.task == "multiclass":
        return [_newest(name) for name in _numbers(data, early)]
    found = [_newest(data.target)]
    span = pd.Timedelta(season.span) if season is not None else rhythm.step * STEPS
    least = ahead + pd.Timedelta(data.label_horizon or 0)
    if season is not None:
        first = int(max(least // span, 1))
        first += span * first < least or span * first <= ahead
        found += [{"of": data.target, "lag": written(span * (first + back))} for back in range(SEASONS_BACK)]
    found.append({"of": data.target, "over": written(span), "stat": "mean"})
    return found + [_newest(name) for name in _numbers(data, early)]


def _newest(name: str) -> dict[str, Any]:
    return {"of": name, "lag": 1}


def _numbers(data: DataParams, names: list[str]) -> list[str]:
    return [name for name in names if data.columns[name].type in ("number", "integer")][:MOST_OTHERS]


def written(span: pd.Timedelta) -> str:
    """A span as params.yaml has it, in the largest unit that is whole."""
    for unit in ("D", "h", "min", "s"):
        count, rest = divmod(span, pd.Timedelta(1, unit))
        if not rest and count:
            return f"{int(count)}{unit}"
    return f"{span / pd.Timedelta('1us'):.0f}us"
