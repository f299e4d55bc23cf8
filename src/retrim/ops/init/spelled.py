"""Types every column by what is declared, exactly as landing will, and finds the rows that can land."""

from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.core.fault import Fault
from retrim.core.init.columns import ColumnPlan
from retrim.core.init.notes import Note
from retrim.core.init.rhythm import daylight_saving
from retrim.core.init.task import Aim
from retrim.core.reading import ReadingParams, TimePart
from retrim.core.repeated_hours import later_hours
from retrim.core.table import LABEL_TIME
from retrim.datasets.cells import typed
from retrim.errors import BadInputError, RefusedError
from retrim.ops.arrival import clock
from retrim.ops.init.desk import ARRIVAL, Desk

TIMES_AHEAD = "1h"
"""The setting data.times_ahead of a workspace that init writes."""

ZONES = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/Helsinki", "America/Sao_Paulo", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
"""Zones whose clock changes are looked for; one of each rule and offset that is common."""


def reading_of(desk: Desk, time: str) -> ReadingParams:
    plans = desk.plans.values()
    padded = any(note.about == "padded" and "reading.trim" in note.done for note in desk.notes)
    return ReadingParams(
        encoding=desk.raw.encoding if desk.raw.encoding != "utf-16" else "utf-16",
        separator=desk.raw.separator,
        decimal=desk.spelling.decimal,
        thousands=desk.spelling.thousands,
        signs={
            plan.name: desk.spelling.own[plan.name]
            for plan in plans
            if plan.name in desk.spelling.own and not plan.skip and plan.type in ("number", "integer")
        },
        missing=desk.spelling.missing,
        trim=padded,
        dates={
            spelt_as(desk, plan.name): plan.dates.formats
            for plan in plans
            if plan.type == "time"
            and (not plan.skip or plan.name in parts_of(desk))
            and plan.dates
            and plan.dates.formats
        },
        parts=_declared(desk),
        zone=desk.zone,
        repeated={},
        skip=tuple(
            plan.name
            for plan in plans
            if (plan.skip and plan.name not in parts_of(desk))
            or (plan.name == desk.wishes.label_time and plan.name not in desk.parts)
        ),
        arrival=ARRIVAL if time == ARRIVAL else None,
        order=desk.wishes.order,
        calendar={},
    )


def parts_of(desk: Desk) -> set[str]:
    """Columns that a file has to have as parts of a time, kept or not."""
    return {part for parts in _declared(desk).values() for part in parts.values()}


def _declared(desk: Desk) -> dict[str, dict[TimePart, str]]:
    """Times that landing puts together: a label time is none of them, as no file of rows has it."""
    times = {name: each for name, each in desk.parts.items() if name in desk.plans}
    return {name: each for name, each in times.items() if name != desk.wishes.label_time}


def spelt_as(desk: Desk, name: str) -> str:
    """The name under which `reading.dates` has a column: in files of labels, label times are called so."""
    return LABEL_TIME if name == desk.wishes.label_time else name


def settle_types(desk: Desk, reading: ReadingParams, aim: Aim, time: str) -> None:
    """Types every column by what is declared, exactly as landing will; one that does not fit becomes a category."""
    for name in list(desk.plans):
        plan = desk.plans[name]
        if plan.skip:
            continue
        column = desk.cells(name)
        values, faults = typed(column, spelt_as(desk, name), plan.type, reading)
        if faults:
            desk.plans[name] = plan = _other_type(desk, plan, faults[0], time)
            if plan.skip:
                continue
            values, faults = typed(column, spelt_as(desk, name), plan.type, reading)
        desk.values[name] = values
    if time in desk.values and desk.zone == "UTC":
        plan = desk.plans[time]
        zoned = plan.dates is not None and not plan.dates.naive
        if not zoned and desk.looks[time].stored in ("text", "time"):
            zone = daylight_saving(desk.values[time].dropna(), ZONES)
            if zone:
                _place_in(desk, zone, reading)


def _place_in(desk: Desk, zone: str, reading: ReadingParams) -> None:
    desk.notes.append(
        Note(
            "daylight saving",
            "",
            f"an hour is missing in spring or doubled in autumn, as clocks in {zone} have it (and in "
            "zones that change as it does)",
            f"declared, reading.zone: {zone}; of an hour that comes twice the order of rows tells which is which",
            "warn",
        )
    )
    desk.zone = desk.ask("in which zone are these times?", zone, ())
    placed = ReadingParams.model_validate({**reading.model_dump(), "zone": desk.zone})
    for name, plan in desk.plans.items():
        if plan.type != "time" or plan.skip:
            continue
        cells, spelt = desk.cells(name), spelt_as(desk, name)
        earlier = typed(cells, spelt, "time", placed)[0]
        later = typed(cells, spelt, "time", placed, later=True)[0]
        series = desk.values.get(desk.wishes.entity or "", pd.Series("", index=earlier.index))
        is_later, _ = later_hours(earlier, later, pd.factorize(series)[0], names_rows=False)
        desk.values[name] = earlier.mask(is_later, later)


def _other_type(desk: Desk, plan: ColumnPlan, fault: Fault, time: str) -> ColumnPlan:
    said = f"{fault.count} cells are not what the others are ({fault})"
    if plan.role in ("target", "time", "due"):
        raise BadInputError(f"{said}; correct them in the file")
    look = desk.looks[plan.name]
    if plan.type != "category" and look.stored == "text":
        desk.notes.append(Note("mixed", plan.name, said, "a category", "warn"))
        return replace(plan, type="category", role="forbidden" if look.distinct > 50 else plan.role, dates=None)
    desk.notes.append(Note("mixed", plan.name, said, "left out", "warn"))
    return replace(plan, skip=True, role="forbidden")


def rows_to_land(desk: Desk, time: str, aim: Aim) -> tuple[np.ndarray, pd.Series]:
    """Places of the rows that can land, and their targets."""
    keep = np.ones(desk.raw.rows, dtype=bool)
    for name in [one for one in (time, desk.wishes.label_due, desk.wishes.order) if one in desk.values]:
        blank = desk.values[name].isna().to_numpy()
        if blank.any():
            desk.notes.append(
                Note(
                    "missing",
                    name,
                    f"{int(blank.sum())} rows have no such {'number' if name == desk.wishes.order else 'time'}",
                    "left out: landing takes none of them",
                    "warn",
                )
            )
            keep &= ~blank
    keep &= ~_misplaced(desk, time)
    if not keep.any():
        raise RefusedError(f"no row has a {time!r}; name another column: --event-time")
    target = desk.values[desk.wishes.target][keep]
    if target.isna().all():
        raise RefusedError(f"no row has a {desk.wishes.target!r}; a model needs rows whose answer is known")
    return np.flatnonzero(keep), target


def _misplaced(desk: Desk, time: str) -> np.ndarray:
    """Rows with a time later than now, or due before their event: no batch with one of them lands, shape (n,)."""
    none = np.zeros(desk.raw.rows, dtype=bool)
    if time not in desk.values:
        return none
    latest = clock() + pd.Timedelta(TIMES_AHEAD)
    found, event, due = none, desk.values[time], desk.values.get(desk.wishes.label_due or "")
    looks = [(time, event > latest, "later than now; data.times_ahead, if rows are known before their event")]
    if desk.wishes.label_time in desk.values:
        late = desk.values[desk.wishes.label_time] > latest
        looks.append((desk.wishes.label_time, late, "later than now"))
    if due is not None:
        looks.append((str(desk.wishes.label_due), due < event, "before the row's event"))
    for name, bad, what in looks:
        if bad.any():
            seen = f"{int(bad.sum())} rows have a time {what}"
            desk.notes.append(Note("misplaced", name, seen, "left out: landing takes none of them", "warn"))
            found = found | bad.to_numpy()
    return found
