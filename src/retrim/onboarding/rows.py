"""The rows of a raw table: when each happened, the series that they form, and what names one."""

from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.onboarding.desk import Ask, InitRequest, TablePlan, checked_span, find_rows_to_land, open_desk, settle_types
from retrim.onboarding.roles import choose_aim, choose_time
from retrim.profile.aim import Aim
from retrim.profile.dates import CLOCKS, DAYS
from retrim.profile.raw_columns import ID_NAME
from retrim.profile.rhythm import Rhythm, one_after_another, rhythm_of, rhythm_of_order, series_of, usual_rows
from retrim.reading.raw import RawTable
from retrim.table.data import LABEL_TIME
from retrim.table.derived_columns import made_times

CALENDAR_YEARS = pd.Timedelta("730D")
"""From two years on, the part of the year may be learned."""
LOST = (
    "rows are used in order of arrival: seasons, gaps and late rows cannot be detected, labels count from arrival, and "
    "batches are told apart by when they landed"
)
REPEATS = 4
"""Rows of an identifier's value, on average, from which it says what a row is about."""
FEW_FILES, UNEVEN, MONTH = 4, 1.5, (28, 32)
"""Files from which their cadence shows, the longest of their steps over the shortest at most, and days of a month."""
FEW = 1000
"""Values of a column, at most, of which each may name a series."""


def plan_table(raw: RawTable, wishes: InitRequest, ask: Ask) -> tuple[TablePlan, Aim, pd.Series, Rhythm]:
    """Columns with their types and roles, what is predicted; event times of the rows that can land, and their rhythm.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be learned of the target, or no row can land.
    """
    desk = open_desk(raw, wishes, ask)
    aim = choose_aim(desk)
    choose_time(desk)
    settle_types(desk)
    find_rows_to_land(desk)
    event, rhythm = _events(desk)
    return desk, aim, event, rhythm


def _events(desk: TablePlan) -> tuple[pd.Series, Rhythm]:
    """Event times of the rows that can land, made ones where none says when, and their rhythm; notes are added."""
    if desk.timed:
        event = desk.landing(desk.time)
        rhythm, notes = rhythm_of(event)
        desk.notes += notes
    else:
        event = arrival_times(len(desk.rows))
        rhythm = rhythm_of_order(event)
        _note_no_time(desk)
    _propose_entity(desk)
    _find_series(desk, event)
    every = desk.wishes.every
    if every is None:
        proposal = _cadence_of_files(desk, event) or rhythm.batch_every
        answer = desk.ask("how often does a file with new rows arrive?", proposal, ())
        every = checked_span("how often files arrive", answer, above_zero=True)
    if every == rhythm.batch_every:
        return event, rhythm
    # Made times say an order and no more.
    rows = usual_rows(event, every) if rhythm.span > pd.Timedelta(every) else rhythm.batch_rows
    return event, replace(rhythm, batch_every=every, batch_rows=rows)


def _cadence_of_files(desk: TablePlan, event: pd.Series) -> str | None:
    """How often a file came, in days, where each has the rows of a time of its own; a note is added."""
    sizes = np.array(desk.raw.sizes)
    if not desk.timed or len(sizes) < FEW_FILES:
        return None
    times = event.groupby(np.repeat(np.arange(len(sizes)), sizes)[desk.rows]).agg(["min", "max"]).sort_values("min")
    if (times["min"].iloc[1:].to_numpy() < times["max"].iloc[:-1].to_numpy()).any():
        return None
    steps = times["min"].diff().dropna()
    step, longest, shortest = (pd.Timedelta(value).round("1D") for value in (steps.median(), steps.max(), steps.min()))
    if step < pd.Timedelta("1D") or longest > UNEVEN * shortest:
        return None
    cadence = "30D" if MONTH[0] <= step.days <= MONTH[1] else f"{step.days}D"
    seen = f"{len(sizes)} files, each with the rows of {'a month' if cadence == '30D' else f'{step.days} days'}"
    desk.notes.tell("cadence", "", seen, f"declared, data.batch_every: {cadence}; --every SPAN names another one")
    return cadence


def arrival_times(rows: int) -> pd.Series:
    """Times by which rows are in the order of the file, shape (rows,), the last in 1970."""
    return made_times(rows, last=pd.Timestamp(0, tz="UTC"))


def _note_no_time(desk: TablePlan) -> None:
    """Notes what was looked for, which columns could be it, what is lost; and whether series lie one after another."""
    usable = [column for column in desk.columns.values() if column.role != "target" and column.values is not None]
    seen = (
        "no column says when a row's event happened. Looked for: columns of times, in ISO 8601 or one of "
        f"{len(DAYS) * len(CLOCKS)} other formats"
    )
    seconds = next((column.name for column in usable if column.unix), None)
    if seconds is not None:
        seen += f"; {seconds!r} could be seconds since 1970; if so: --event-time {seconds!r}"
    done = f"set it with --event-time COL, or sort the file in order of time. Until then, {LOST}"
    desk.notes.warn("no event time", "", seen, done)
    may_tell = {
        column.name: column.values
        for column in usable
        if column.type == "category" and not column.unique and column.values is not None
    }
    series, many = one_after_another({name: values for name, values in may_tell.items() if 1 < values.nunique() <= FEW})
    if series:
        lost = (
            "if these are series, the first would be trained on and the last judged: with rows in this order, the "
            "value of a model cannot be measured"
        )
        desk.in_order = False
        desk.notes.warn("series", series, f"the rows of each of its {many} values form one block in the file", lost)


def _propose_entity(desk: TablePlan) -> None:
    """An identifier that repeats says what a row is about, unless a person named a column; a note is added."""
    may_be = {
        name: column.look.distinct
        for name, column in desk.columns.items()
        if column.role == "feature" and column.type == "category" and ID_NAME.search(name)
        if column.look.distinct > 1 and column.look.filled >= REPEATS * column.look.distinct
    }
    if desk.wishes.entity is not None or not may_be:
        return
    proposed = max(may_be, key=lambda name: may_be[name])
    answer = desk.ask("which column says what a row is about (none: no column)?", proposed, (*may_be, "none"))
    if answer == "none":
        return
    desk.wishes = replace(desk.wishes, entity=answer)
    rows = desk.columns[answer].look.filled / may_be[answer]
    seen = f"{may_be[answer]} values, each in about {rows:.0f} rows"
    desk.notes.tell("entity", answer, seen, "taken as what a row is about; --entity COL names another column")


def _find_series(desk: TablePlan, event: pd.Series) -> None:
    """Notes what tells several series apart: what was named, else text before numbers, the fewest values first."""
    may_tell = {
        name: column
        for name, column in desk.columns.items()
        if column.type in ("category", "integer") and column.role != "target" and column.values is not None
        if not column.unique and 1 < column.look.distinct <= FEW
    }
    names = sorted(may_tell, key=lambda name: (may_tell[name].type, may_tell[name].look.distinct))
    if desk.wishes.entity in may_tell:
        names = [desk.wishes.entity]
    desk.series = series_of(event, {name: desk.landing(name) for name in names})
    if desk.series:
        many = len(pd.DataFrame({name: desk.landing(name) for name in desk.series}).drop_duplicates())
        seen = f"{many} parallel series, each with one row per time"
        done = "identifies a row together with the time; each series is judged on its newest rows, over the same times"
        desk.notes.tell("series", " and ".join(desk.series), seen, done)


def calendar_of(desk: TablePlan, rhythm: Rhythm) -> dict[str, str]:
    """Parts of the calendar that the event time has and no column says yet."""
    wanted = {
        "hour": rhythm.step < pd.Timedelta("1D"),
        "weekday": rhythm.step <= pd.Timedelta("1D") and rhythm.span >= pd.Timedelta("14D"),
        "month": rhythm.span >= CALENDAR_YEARS and rhythm.step > pd.Timedelta("1D"),
        "day_of_year": rhythm.span >= CALENDAR_YEARS and rhythm.step <= pd.Timedelta("1D"),
    }
    there = {name.lower().replace(" ", "_") for name, column in desk.columns.items() if column.role == "feature"}
    parts = [part for part, has in wanted.items() if has and part not in there]
    calendar = {part if part not in desk.columns else f"{part} of event": part for part in parts}
    if calendar:
        seen = f"features of the event time: {', '.join(calendar)}"
        desk.notes.tell("calendar", "", seen, "declared, reading.calendar")
    return calendar


def choose_key(desk: TablePlan) -> list[str]:
    """Columns that name a row, if some do: an id, the time, or entity and time together; notes are added."""
    columns, entity, time = desk.columns, desk.wishes.entity, desk.time
    candidates = [
        [name]
        for name, column in columns.items()
        if column.unique and not column.skip and column.type in ("integer", "category") and column.role == "forbidden"
    ]
    if desk.timed:
        candidates += [[time], *([[*desk.series, time]] if desk.series else [])]
        candidates += [[entity, time]] if entity and not columns[entity].skip else []
    for names in candidates:
        if {desk.wishes.target, LABEL_TIME} & set(names) or any(columns[name].type == "number" for name in names):
            continue
        part = pd.DataFrame({name: desk.landing(name) for name in names})
        if not part.isna().any().any() and not part.duplicated().any():
            return names
    twice = int(pd.DataFrame({name: desk.landing(name) for name in desk.values}).duplicated().sum())
    if twice:
        done = "kept: without a key, a duplicate cannot be told from an event that happened twice"
        desk.notes.warn("duplicates", "", f"{twice} rows occur more than once, identical in every cell", done)
    done = (
        "a row is identified by its batch and row number; a row sent twice is not detected, and corrections are not "
        "possible"
    )
    desk.notes.tell("key", "", "no column identifies a row", done)
    return []
