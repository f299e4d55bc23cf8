"""What is being worked on while a table is looked at: the raw columns, what each is to be, and what was noticed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
import pyarrow as pa

from retrim.core.init.columns import ColumnPlan, plan_columns
from retrim.core.init.leak_rows import DUPLICATES
from retrim.core.init.looks import Look
from retrim.core.init.notes import Note
from retrim.core.init.spelling import Spelling, spelling_of
from retrim.core.init.spelling_notes import spelling_notes
from retrim.core.init.task import Task
from retrim.core.reading import TimePart
from retrim.core.section import check_above_zero, check_span
from retrim.core.table import LABEL_TIME, Role
from retrim.datasets.raw import RawTable
from retrim.errors import BadInputError, UnknownNameError
from retrim.ops.init.parts import clocks_of_days, plan_of, times_in_parts

ARRIVAL = "arrived at"
"""The column that is made where a table has no event time."""
Ask = Callable[[str, str, Sequence[str]], str]
"""Asks a person: what is asked, the proposal, the choices (empty: any text); gives the answer."""


@dataclass(frozen=True)
class Wishes:
    """What the person said."""

    target: str
    model: str
    event_time: str | None = None
    order: str | None = None
    label_time: str | None = None
    label_due: str | None = None
    horizon: str | None = None
    every: str | None = None
    entity: str | None = None
    task: Task | None = None
    positive: str | None = None
    loss: str | None = None
    forbid: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    allow_leak: tuple[str, ...] = ()
    reason: str = ""
    ahead: str | None = None
    known_ahead: tuple[str, ...] = ()


@dataclass
class Desk:
    """What is being worked on: plans and notes change as more becomes known."""

    raw: RawTable
    wishes: Wishes
    ask: Ask
    looks: dict[str, Look]
    plans: dict[str, ColumnPlan]
    spelling: Spelling
    notes: list[Note]
    zone: str = "UTC"
    values: dict[str, pd.Series] = field(default_factory=dict)
    parts: dict[str, dict[TimePart, str]] = field(default_factory=dict)  # of times that are spread over columns
    together: dict[str, pa.ChunkedArray] = field(default_factory=dict)  # those times as text
    series: tuple[str, ...] = ()  # columns that tell several series apart: with the time they name a row
    in_order: bool = True  # False: only the order of the file is known, and series lie one after another in it

    def cells(self, name: str) -> pa.ChunkedArray:
        """A raw column, or a time that was put together from several."""
        return self.together[name] if name in self.together else self.raw.columns.column(name)


def open_desk(raw: RawTable, wishes: Wishes, ask: Ask) -> Desk:
    looks = raw.looks()
    spelling = spelling_of(looks)
    plans, notes = plan_columns(looks, spelling)
    notes += spelling_notes(looks, plans, spelling)
    if raw.separator != ",":
        notes.insert(
            0,
            Note(
                "separator",
                "",
                f"cells are separated by {raw.separator!r}",
                f"declared, reading.separator: {raw.separator!r}",
            ),
        )
    if raw.encoding != "utf-8":
        notes.insert(
            0, Note("encoding", "", f"text is in {raw.encoding}", f"declared, reading.encoding: {raw.encoding}")
        )
    if raw.ragged:
        notes.insert(
            0,
            Note(
                "ragged",
                "",
                f"{raw.ragged} lines have too many or too few cells",
                "left out here; landing sets a file with such lines aside",
                "warn",
            ),
        )
    desk = Desk(
        raw, wishes, ask, {look.name: look for look in looks}, {plan.name: plan for plan in plans}, spelling, notes
    )
    taken = frozenset(name for name in (wishes.target, wishes.label_time) if name)
    found = times_in_parts(raw.columns, spelling, taken)
    found |= clocks_of_days(raw.columns, desk.plans, spelling.missing, taken - {wishes.label_time})
    for name, (parts, cells) in found.items():
        desk.parts[name], desk.together[name] = parts, cells
        desk.looks[name], desk.plans[name] = plan_of(name, cells)
    return desk


def check_columns(desk: Desk) -> None:
    wishes = desk.wishes
    named = [wishes.target, wishes.event_time, wishes.order, wishes.label_time, wishes.label_due, wishes.entity]
    allowed = [name for name in wishes.allow_leak if name != DUPLICATES]
    for name in [*named, *wishes.forbid, *wishes.keep, *allowed]:
        if name is not None and name not in desk.plans:
            raise UnknownNameError("column", name, desk.plans)
    _check_times(wishes)
    if wishes.allow_leak and not wishes.reason.strip():
        raise BadInputError("a leak is allowed for a reason; say it: --reason TEXT")
    if wishes.target == LABEL_TIME:
        raise BadInputError(f"the target is called {LABEL_TIME!r}, as the times in files of labels are; rename it")
    for name in desk.plans:
        if name in named and (not name.strip() or name.startswith("_")):
            raise BadInputError(
                f"column {name!r} has no name, or begins with '_', which is kept for retrim's own; rename it"
            )
        if name == ARRIVAL and not wishes.event_time:
            raise BadInputError(
                f"column {name!r} is called as the column that retrim makes where no event time is "
                "named; rename it, or name it: --event-time"
            )
    for name in wishes.forbid:
        desk.plans[name] = replace(desk.plans[name], role="forbidden", type=desk.plans[name].type)
    for name in wishes.keep:
        if desk.plans[name].skip and desk.looks[name].stored != "other":
            role: Role = "forbidden" if desk.plans[name].type == "time" else "feature"
            desk.plans[name] = replace(desk.plans[name], skip=False, role=role)
            desk.notes.append(Note("personal", name, "was asked to be kept", "declared as a feature"))


def _check_times(wishes: Wishes) -> None:
    """Each time is said once, and by a column of its own."""
    if wishes.label_due and wishes.horizon:
        raise BadInputError("give the label's due time once: --label-due or --horizon")
    if wishes.event_time and wishes.order:
        raise BadInputError("give the order of rows once: --event-time, or --order where no column is a time")
    times = [name for name in (wishes.event_time, wishes.order, wishes.label_time, wishes.label_due) if name]
    if len(set(times)) != len(times) or wishes.target in times:
        raise BadInputError(f"one column has two roles among {', '.join([wishes.target, *times])}; name each once")
    for option, span in (("--horizon", wishes.horizon), ("--every", wishes.every)):
        if span is not None:
            checked_span(option, span, above_zero=option == "--every")


def checked_span(option: str, span: str, *, above_zero: bool) -> str:
    """A span that a person gave.

    Raises:
        BadInputError: It is none.
    """
    try:
        return check_above_zero(check_span(span)) if above_zero else check_span(span)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}") from error
