"""The section `data`: key, calendar, and how often a batch comes."""

from typing import Any

import numpy as np
import pandas as pd

from retrim.core.init.notes import Note
from retrim.core.init.rhythm import Rhythm
from retrim.core.init.task import Aim
from retrim.core.reading import ReadingParams
from retrim.core.table import LABEL_TIME, DataParams
from retrim.errors import RefusedError
from retrim.ops.init.desk import Desk
from retrim.ops.init.spelled import TIMES_AHEAD

CALENDAR_YEARS = pd.Timedelta("730D")
"""From two years on, the part of the year may be learned."""


def calendar_of(desk: Desk, rhythm: Rhythm) -> dict[str, Any]:
    """Parts of the calendar that the event time has and no column says yet."""
    wanted = []
    if rhythm.step < pd.Timedelta("1D"):
        wanted.append("hour")
    if rhythm.step <= pd.Timedelta("1D") and rhythm.span >= pd.Timedelta("14D"):
        wanted.append("weekday")
    if rhythm.span >= CALENDAR_YEARS:
        wanted.append("month" if rhythm.step > pd.Timedelta("1D") else "day_of_year")
    there = {name.lower().replace(" ", "_") for name, plan in desk.plans.items() if plan.role == "feature"}
    made = {}
    for part in wanted:
        if part not in there:
            name = part if part not in desk.plans else f"{part} of event"
            made[name] = part
    if made:
        desk.notes.append(
            Note("calendar", "", f"features of the event time: {', '.join(made)}", "declared, reading.calendar")
        )
    return made


def choose_key(desk: Desk, kept: np.ndarray, time: str) -> list[str]:
    """Columns that name a row, if some do: an id, the time, or entity and time together."""
    entity, order = desk.wishes.entity, desk.wishes.order or time
    tried = [
        [name]
        for name, plan in desk.plans.items()
        if plan.unique and not plan.skip and plan.type in ("integer", "category") and plan.role == "forbidden"
    ]
    tried += [[order]] if order in desk.values else []
    tried += [[*desk.series, order]] if desk.series else []
    tried += [[entity, order]] if entity and order in desk.values and not desk.plans[entity].skip else []
    for names in tried:
        if (
            desk.wishes.target in names
            or LABEL_TIME in names
            or any(desk.plans[name].type == "number" for name in names)
        ):
            continue
        part = pd.DataFrame({name: desk.values[name].iloc[kept] for name in names})
        if not part.isna().any().any() and not part.duplicated().any():
            return names
    whole = pd.DataFrame({name: values.iloc[kept] for name, values in desk.values.items()})
    twice = int(whole.duplicated().sum())
    if twice:
        desk.notes.append(
            Note(
                "duplicates",
                "",
                f"{twice} rows are there more than once, cell for cell",
                "kept: without a key none can be told from a row that happened twice",
                "warn",
            )
        )
    desk.notes.append(
        Note(
            "key",
            "",
            "no column names a row",
            "a row is named by its batch and number; a row sent twice is not noticed, and corrections are not possible",
        )
    )
    return []


def data_of(
    desk: Desk,
    aim: Aim,
    time: str,
    reading: ReadingParams,
    rhythm: Rhythm,
    key: list[str],
    *,
    labels: str,
) -> DataParams:
    """The section; without a column that says when labels are due, the horizon is 0 until one is chosen."""
    columns: dict[str, dict[str, Any]] = {}
    if reading.arrival is not None:
        columns[reading.arrival] = {"type": "time", "role": "time"}
    for name, plan in desk.plans.items():
        if not plan.skip and name != desk.wishes.label_time:
            columns[name] = {"type": plan.type, "role": plan.role}
    columns |= {name: {"type": "integer", "role": "feature"} for name in reading.calendar}
    if not any(column["role"] == "feature" for column in columns.values()):
        raise RefusedError(
            "no column is left to predict from: " + "; ".join(str(note) for note in desk.notes if note.column)[:600]
        )
    every = pd.Timedelta(rhythm.batch_every)
    return DataParams.model_validate(
        {
            "model": desk.wishes.model,
            "columns": columns,
            "key": key,
            "task": aim.task,
            "positive": aim.positive,
            "labels": labels,
            "label_horizon": None if any(column["role"] == "due" for column in columns.values()) else "0h",
            "batch_every": rhythm.batch_every,
            "batch_grace": "1D" if every >= pd.Timedelta("3D") else "6h" if every >= pd.Timedelta("1D") else "1h",
            "times_ahead": TIMES_AHEAD,
            "suite": f"expectations/{desk.wishes.model}.json",
            "rows": {"where": [], "resample": None},
            "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
        }
    )
