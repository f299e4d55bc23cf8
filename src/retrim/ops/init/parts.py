"""Times spread over columns of a table: put together, and what becomes of their parts."""

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from retrim.core.init.columns import ColumnPlan
from retrim.core.init.dates import DateSpelling
from retrim.core.init.looks import Look
from retrim.core.init.notes import Note
from retrim.core.init.parts import clocks_beside, free_name, spread_times
from retrim.core.init.spelling import Spelling
from retrim.core.reading import PLAIN, TimePart
from retrim.datasets.cells import typed
from retrim.datasets.parts import put_together
from retrim.datasets.raw_look import look_of

YEARS = (1800, 2200)


def times_in_parts(
    columns: pa.Table, spelling: Spelling, taken: frozenset[str]
) -> dict[str, tuple[dict[TimePart, str], pa.ChunkedArray]]:
    """The times that are spread over columns, each with the columns of its parts and its text, as landing makes it.

    Args:
        columns: The raw table.
        spelling: How it spells numbers.
        taken: Columns that are no part of a time, such as the target.
    """
    found = {}
    for name, parts in spread_times(one for one in columns.column_names if one not in taken).items():
        reading = PLAIN.model_copy(
            update={
                "decimal": spelling.decimal,
                "thousands": spelling.thousands,
                "missing": spelling.missing,
                "parts": {name: parts},
            }
        )
        cells, faults = put_together(columns, name, reading)
        times, wrong = typed(cells, name, "time", reading)
        if not faults and not wrong and times.nunique() > 1 and times.dt.year.dropna().between(*YEARS).all():
            found[name] = (parts, cells)
    return found


def clocks_of_days(
    columns: pa.Table, plans: Mapping[str, ColumnPlan], missing: tuple[str, ...], taken: frozenset[str]
) -> dict[str, tuple[dict[TimePart, str], pa.ChunkedArray]]:
    """Times whose day stands in one column and whose hour or clock in another, as `times_in_parts` gives them.

    Args:
        columns: The raw table.
        plans: What each column is to be.
        missing: Words for a missing cell.
        taken: Columns that are no part of a time.
    """
    found: dict[str, tuple[dict[TimePart, str], pa.ChunkedArray]] = {}
    others = [name for name in columns.column_names if name not in taken and plans[name].type != "number"]
    for plan in [plan for plan in plans.values() if plan.type == "time" and not plan.skip and plan.name not in taken]:
        whose, clocks = clocks_beside(plan.name, others)
        formats = plan.dates.formats if plan.dates else ()
        for clock in clocks:
            name, parts = free_name(whose, [*columns.column_names, *found]), {"date": plan.name, "clock": clock}
            spelt = {"missing": missing, "parts": {name: parts}, "dates": {plan.name: formats} if formats else {}}
            cells, faults = put_together(columns, name, PLAIN.model_copy(update=spelt))
            times, wrong = typed(cells, name, "time", PLAIN)
            day = times.dt.floor("D")
            if not faults and not wrong and (times != day).any() and times.nunique() > day.nunique():
                found[name] = ({"date": plan.name, "clock": clock}, cells)
                break
    return found


def plan_of(name: str, cells: pa.ChunkedArray) -> tuple[Look, ColumnPlan]:
    """A time that was put together, as any other column of times."""
    look = look_of(name, cells)
    unique = look.filled == look.rows == look.distinct
    dates = DateSpelling((), (), naive=True, unsure="")
    return look, ColumnPlan(name, "time", "forbidden", skip=False, dates=dates, unix="", unique=unique, personal="")


def declared_parts(
    plans: dict[str, ColumnPlan],
    parts: Mapping[str, dict[TimePart, str]],
    keep: tuple[str, ...],
    *,
    label_time: str | None = None,
) -> tuple[dict[str, dict[TimePart, str]], list[Note]]:
    """The times that are put together: event, due and label time. Plans of the others go.

    Parts of the event time are no features, unless they were asked for; those of the label time are never kept.

    Args:
        plans: What each column is to be; changed.
        parts: By the time that was put together, the columns of its parts.
        keep: Columns that were asked for.
        label_time: The column of label times.
    """
    used = {
        name: each
        for name, each in parts.items()
        if name in plans and (plans[name].role in ("time", "due") or name == label_time)
    }
    notes = []
    for name in [name for name in parts if name not in used]:
        plans.pop(name, None)
        seen = f"{', '.join(parts[name].values())} could be put together to a time"
        notes.append(
            Note(
                "parts",
                name,
                seen,
                f"not done; to use it: --event-time {name!r}, --label-due {name!r} or --label-time {name!r}",
            )
        )
    for name, each in used.items():
        seen = f"put together from {', '.join(each.values())}"
        done = f"called {name!r}" if name == label_time else f"declared, reading.parts; called {name!r}"
        if name == label_time:
            for part in each.values():
                plans[part] = replace(plans[part], skip=True, role="forbidden")
            done += "; its parts are known as late as the answer, and never kept"
        if plans[name].role == "time":
            gone = [part for part in each.values() if part not in keep]
            for part in gone:
                plans[part] = replace(plans[part], skip=True, role="forbidden")
            done += f"; {', '.join(gone)} are no features of their own (--keep)" if gone else ""
        notes.append(Note("parts", name, seen, done))
    return used, notes
