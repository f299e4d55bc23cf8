"""A raw table while it is looked at: its columns, what each is to be, the rows that can land, and what was noticed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.lineage.workspace import clock
from retrim.profile.aim import Task
from retrim.profile.dates import daylight_saving
from retrim.profile.leaks import DUPLICATES
from retrim.profile.raw_columns import InitColumn, NumberSpelling, note_spelling, plan_columns, spelling_of
from retrim.profile.table import Notes
from retrim.reading.raw import RawTable
from retrim.reading.table import typed
from retrim.stats.plugins import check_above_zero, check_span
from retrim.table.data import LABEL_TIME
from retrim.table.fault import Fault
from retrim.table.reading import ReadingParams
from retrim.table.repeated_hours import later_hours

ARRIVAL = "arrived at"
"""The column that is made where a table has no event time."""
TIMES_AHEAD = "1h"
"""The setting data.times_ahead of a workspace that init writes."""
MOST_LEVELS = 50
"""Distinct texts of a column that was taken for numbers or times, above which it is left out of the features."""
ZONES = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/Helsinki", "America/Sao_Paulo", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
"""Zones whose clock changes are looked for; one of each rule and offset that is common."""
Ask = Callable[[str, str, Sequence[str]], str]
"""Asks a person: what is asked, the proposal, the choices (empty: any text); gives the answer."""


@dataclass(frozen=True)
class InitRequest:
    """What the person said."""

    target: str
    model: str
    event_time: str | None = None
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
    known_before: Mapping[str, str] = field(default_factory=dict)
    """Columns that params.yaml allows by now, each with its reason: nobody is asked about them anew."""
    known_after: tuple[str, ...] = ()
    """Columns that params.yaml forbids by now."""


@dataclass
class TablePlan:
    """What is being worked on: columns and notes change as more becomes known.

    Args:
        time: The column of the event time, or `ARRIVAL`.
        rows: Places in the file of the rows that can land, ascending, shape (n,).
        series: Columns that tell several series apart: with the time they name a row.
        in_order: False where only the order of the file is known, and series lie one after another in it.
    """

    raw: RawTable
    wishes: InitRequest
    ask: Ask
    columns: dict[str, InitColumn]
    spelling: NumberSpelling
    notes: Notes
    zone: str = "UTC"
    time: str = ARRIVAL
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype="int64"))
    series: tuple[str, ...] = ()
    in_order: bool = True

    @property
    def timed(self) -> bool:
        return self.time in self.columns

    @property
    def values(self) -> dict[str, pd.Series]:
        """Typed columns, all rows of the file, shape (rows,) each."""
        return {name: column.values for name, column in self.columns.items() if column.values is not None}

    def landing(self, name: str) -> pd.Series:
        """A typed column of the rows that can land, shape (n,), index their places."""
        return self.values[name].iloc[self.rows]

    @property
    def target(self) -> pd.Series:
        return self.landing(self.wishes.target)


def open_desk(raw: RawTable, wishes: InitRequest, ask: Ask) -> TablePlan:
    """The table with its columns measured, and what was named checked.

    Raises:
        UnknownNameError: A named column is not there.
        BadInputError: What was named contradicts itself, or a name is reserved.
    """
    looks, notes = raw.looks(), Notes()
    if raw.ragged:
        seen = f"{raw.ragged} lines have too many or too few cells"
        notes.warn("ragged", "", seen, "left out here; landing quarantines a file with such lines")
    if raw.encoding != "utf-8":
        notes.tell("encoding", "", f"text is in {raw.encoding}", f"declared, reading.encoding: {raw.encoding}")
    if blank := [look.name for look in looks if look.name != look.name.strip()]:
        seen = f"names with leading or trailing blanks: {', '.join(map(repr, blank))}"
        notes.warn("names", "", seen, "kept: later files have to contain the same names")
    if raw.separator != ",":
        seen, done = f"cells are separated by {raw.separator!r}", f"declared, reading.separator: {raw.separator!r}"
        notes.tell("separator", "", seen, done)
    spelling = spelling_of(looks, wishes.target)
    columns = plan_columns(looks, spelling, notes)
    note_spelling(columns, spelling, notes)
    _check_names(wishes, columns)
    _check_times(wishes)
    for name in wishes.forbid:
        columns[name].role = "forbidden"
    for name in wishes.keep:
        column = columns[name]
        if column.skip and column.look.stored != "other":
            column.skip, column.role = False, "forbidden" if column.type == "time" else "feature"
            notes.tell("personal", name, "kept as requested by --keep", "declared as a feature")
    return TablePlan(raw, wishes, ask, columns, spelling, notes)


def _check_names(wishes: InitRequest, columns: Mapping[str, InitColumn]) -> None:
    named = [wishes.target, wishes.event_time, wishes.label_time, wishes.label_due, wishes.entity]
    allowed = [name for name in wishes.allow_leak if name != DUPLICATES]
    for name in [*named, *wishes.forbid, *wishes.keep, *allowed]:
        if name is not None and name not in columns:
            raise UnknownNameError("column", name, columns)
    if wishes.allow_leak and not wishes.reason.strip():
        raise BadInputError("--allow-leak needs a reason; explain why this is not a leak with --reason TEXT")
    if wishes.target == LABEL_TIME:
        raise BadInputError(
            f"the target is called {LABEL_TIME!r}, which label files use for their times; rename the target column"
        )
    for name in columns:
        if name in named and (not name.strip() or name.startswith("_")):
            raise BadInputError(
                f"the name of column {name!r} is empty or begins with '_', which is reserved for retrim; rename the "
                "column"
            )
        if name == ARRIVAL and not wishes.event_time:
            raise BadInputError(
                f"column {name!r} has the name that retrim uses for arrival times if there is no event time; rename "
                f"the column, or use it as the event time with --event-time {name!r}"
            )


def _check_times(wishes: InitRequest) -> None:
    """Each time is said once, and by a column of its own."""
    if wishes.label_due and wishes.horizon:
        raise BadInputError("--label-due and --horizon both say when labels are due; pass only one of them")
    times = [name for name in (wishes.event_time, wishes.label_time, wishes.label_due) if name]
    if len(set(times)) != len(times) or wishes.target in times:
        raise BadInputError(
            f"one column has two of the roles {', '.join([wishes.target, *times])}; choose a different column for "
            "each role"
        )
    if wishes.horizon is not None:
        checked_span("--horizon", wishes.horizon)
    if wishes.every is not None:
        checked_span("--every", wishes.every, above_zero=True)


def checked_span(option: str, span: str, *, above_zero: bool = False) -> str:
    """A span that a person gave.

    Raises:
        BadInputError: It is none.
    """
    try:
        return check_above_zero(check_span(span)) if above_zero else check_span(span)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}") from error


def reading_of(desk: TablePlan) -> ReadingParams:
    columns = desk.columns.values()
    return ReadingParams(
        encoding=desk.raw.encoding,
        separator=desk.raw.separator,
        numbers=desk.spelling.form,
        missing=desk.spelling.missing,
        dates={
            spelt_as(desk, column.name): column.dates.formats
            for column in columns
            if column.type == "time" and not column.skip and column.dates and column.dates.formats
        },
        zone=desk.zone,
        skip=tuple(column.name for column in columns if column.skip or column.name == desk.wishes.label_time),
        arrival=None if desk.timed else ARRIVAL,
        calendar={},
    )


def spelt_as(desk: TablePlan, name: str) -> str:
    """The name under which `reading.dates` has a column: in files of labels, label times are called so."""
    return LABEL_TIME if name == desk.wishes.label_time else name


def settle_types(desk: TablePlan) -> None:
    """Types every column by what is declared, exactly as landing will; one that does not fit becomes a category."""
    reading = reading_of(desk)
    for name in list(desk.columns):
        column = desk.columns[name]
        if column.skip:
            continue
        cells = desk.raw.columns.column(name)
        values, faults = typed(cells, spelt_as(desk, name), column.type, reading)
        if faults:
            column = desk.columns[name] = _of_another_type(desk, column, faults[0])
            values, _ = typed(cells, spelt_as(desk, name), column.type, reading)
        column.values = None if column.skip else values
    if not desk.timed:
        return
    column = desk.columns[desk.time]
    zoned = column.dates is not None and not column.dates.naive
    if column.values is not None and not zoned and column.look.stored in ("text", "time"):
        zone = daylight_saving(column.values.dropna(), ZONES)
        if zone:
            _place_in(desk, zone, reading)


def _place_in(desk: TablePlan, zone: str, reading: ReadingParams) -> None:
    seen = f"an hour is missing in spring or comes twice in autumn, as in {zone} (or zones with the same changes)"
    done = f"declared, reading.zone: {zone}; where an hour comes twice, the order of the rows tells the two apart"
    desk.notes.warn("daylight saving", "", seen, done)
    desk.zone = desk.ask("which time zone are these times in?", zone, ())
    in_zone = ReadingParams.model_validate({**reading.model_dump(), "zone": desk.zone})
    for name, column in desk.columns.items():
        if column.type != "time" or column.skip:
            continue
        cells, spelt = desk.raw.columns.column(name), spelt_as(desk, name)
        earlier = typed(cells, spelt, "time", in_zone)[0]
        later = typed(cells, spelt, "time", in_zone, later=True)[0]
        series = desk.values.get(desk.wishes.entity or "", pd.Series("", index=earlier.index))
        is_later, _ = later_hours(earlier, later, pd.factorize(series)[0], names_rows=False)
        column.values = earlier.mask(is_later, later)


def _of_another_type(desk: TablePlan, column: InitColumn, fault: Fault) -> InitColumn:
    seen = f"{fault.count} cells differ from the others ({fault})"
    if column.role in ("target", "time", "due"):
        raise BadInputError(f"{seen}; correct these cells in the file")
    if column.type != "category" and column.look.stored == "text":
        desk.notes.warn("mixed", column.name, seen, "treated as a category")
        role = "forbidden" if column.look.distinct > MOST_LEVELS else column.role
        return replace(column, type="category", role=role, dates=None)
    desk.notes.warn("mixed", column.name, seen, "left out")
    return replace(column, skip=True, role="forbidden")


def find_rows_to_land(desk: TablePlan) -> None:
    """Finds the rows that can land: those with a time, not later than now, and due no sooner than their event.

    Raises:
        RefusedError: There are none, or none has a label.
    """
    wishes, values = desk.wishes, desk.values
    event, due = values.get(desk.time), values.get(wishes.label_due or "")
    can_land = np.ones(desk.raw.rows, dtype=bool)
    times = [name for name in (desk.time, wishes.label_due) if name in values]
    checks: list[tuple[str, pd.Series, str]] = [(name, values[name].isna(), "missing") for name in times]
    if event is not None:
        latest = clock() + pd.Timedelta(TIMES_AHEAD)
        ahead = "a time later than now; if rows are known before their event, set data.times_ahead"
        checks.append((desk.time, event > latest, ahead))
        if wishes.label_time in values:
            checks.append((wishes.label_time, values[wishes.label_time] > latest, "a time later than now"))
        if due is not None:
            checks.append((str(wishes.label_due), due < event, "a time before the row's event"))
    for name, bad, what in checks:
        if bad.any():
            about, seen = ("missing", "no time in it") if what == "missing" else ("misplaced", what)
            done = "left out: landing does not accept them"
            desk.notes.warn(about, name, f"{int(bad.sum())} rows have {seen}", done)
            can_land &= ~bad.to_numpy()
    if not can_land.any():
        raise RefusedError(
            f"no row has a valid event time in column {desk.time!r}; choose a different one with --event-time COL"
        )
    desk.rows = np.flatnonzero(can_land)
    if desk.target.isna().all():
        raise RefusedError(
            f"no row has a value in the target column {wishes.target!r}; choose a different target column, or a "
            "file with labelled rows"
        )
