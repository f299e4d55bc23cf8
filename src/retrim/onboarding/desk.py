"""Times spread over columns of a table: put together, and what becomes of their parts.

What is being worked on while a table is looked at: the raw columns, what each is to be, and what was noticed.

Types every column by what is declared, exactly as landing will, and finds the rows that can land.

Which column is the target, and which says when: asked where it is unsure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.lineage.workspace import clock
from retrim.profile.columns_of_raw import (
    OTHER,
    Aim,
    ColumnPlan,
    NumberSpelling,
    Task,
    aim_of,
    number_pattern,
    plain_numbers,
    plan_columns,
    spelling_notes,
    spelling_of,
)
from retrim.profile.dates import DateSpelling, is_called_due, likeliest
from retrim.profile.leaks import DUPLICATES
from retrim.profile.rhythm import daylight_saving
from retrim.profile.table import TableNote
from retrim.reading.raw import RawTable
from retrim.reading.table import typed
from retrim.stats.metrics import require
from retrim.stats.plugins import check_above_zero, check_span
from retrim.table.data import LABEL_TIME, ColumnType, Role, later_hours
from retrim.table.fault import Fault
from retrim.table.reading import RawColumn, ReadingParams
from retrim.training.estimators import MODELS

ARRIVAL = "arrived at"
"""The column that is made where a table has no event time."""
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
    """What is being worked on: plans and notes change as more becomes known."""

    raw: RawTable
    wishes: InitRequest
    ask: Ask
    looks: dict[str, RawColumn]
    plans: dict[str, ColumnPlan]
    spelling: NumberSpelling
    notes: list[TableNote]
    zone: str = "UTC"
    values: dict[str, pd.Series] = field(default_factory=dict)
    series: tuple[str, ...] = ()  # columns that tell several series apart: with the time they name a row
    in_order: bool = True  # False: only the order of the file is known, and series lie one after another in it

    def cells(self, name: str) -> pa.ChunkedArray:
        """A raw column."""
        return self.raw.columns.column(name)


def open_desk(raw: RawTable, wishes: InitRequest, ask: Ask) -> TablePlan:
    looks = raw.looks()
    spelling = spelling_of(looks, wishes.target)
    plans, notes = plan_columns(looks, spelling)
    notes += spelling_notes(looks, plans, spelling)
    if raw.separator != ",":
        notes.insert(
            0,
            TableNote(
                "separator",
                "",
                f"cells are separated by {raw.separator!r}",
                f"declared, reading.separator: {raw.separator!r}",
            ),
        )
    if blank := [look.name for look in looks if look.name != look.name.strip()]:
        seen = f"names with leading or trailing blanks: {', '.join(map(repr, blank))}"
        notes.insert(0, TableNote("names", "", seen, "kept: later files have to contain the same names", "warn"))
    if raw.encoding != "utf-8":
        notes.insert(
            0, TableNote("encoding", "", f"text is in {raw.encoding}", f"declared, reading.encoding: {raw.encoding}")
        )
    if raw.ragged:
        notes.insert(
            0,
            TableNote(
                "ragged",
                "",
                f"{raw.ragged} lines have too many or too few cells",
                "left out here; landing quarantines a file with such lines",
                "warn",
            ),
        )
    return TablePlan(
        raw, wishes, ask, {look.name: look for look in looks}, {plan.name: plan for plan in plans}, spelling, notes
    )


def check_columns(desk: TablePlan) -> None:
    wishes = desk.wishes
    named = [wishes.target, wishes.event_time, wishes.label_time, wishes.label_due, wishes.entity]
    allowed = [name for name in wishes.allow_leak if name != DUPLICATES]
    for name in [*named, *wishes.forbid, *wishes.keep, *allowed]:
        if name is not None and name not in desk.plans:
            raise UnknownNameError("column", name, desk.plans)
    _check_times(wishes)
    if wishes.allow_leak and not wishes.reason.strip():
        raise BadInputError("--allow-leak needs a reason; explain why this is not a leak with --reason TEXT")
    if wishes.target == LABEL_TIME:
        raise BadInputError(
            f"the target is called {LABEL_TIME!r}, which label files use for their times; rename the target column"
        )
    for name in desk.plans:
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
    for name in wishes.forbid:
        desk.plans[name] = replace(desk.plans[name], role="forbidden", type=desk.plans[name].type)
    for name in wishes.keep:
        if desk.plans[name].skip and desk.looks[name].stored != "other":
            role: Role = "forbidden" if desk.plans[name].type == "time" else "feature"
            desk.plans[name] = replace(desk.plans[name], skip=False, role=role)
            desk.notes.append(TableNote("personal", name, "kept as requested by --keep", "declared as a feature"))


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


TIMES_AHEAD = "1h"
"""The setting data.times_ahead of a workspace that init writes."""

ZONES = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/Helsinki", "America/Sao_Paulo", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
"""Zones whose clock changes are looked for; one of each rule and offset that is common."""


def reading_of(desk: TablePlan, time: str) -> ReadingParams:
    plans = desk.plans.values()
    return ReadingParams(
        encoding=desk.raw.encoding,
        separator=desk.raw.separator,
        decimal=desk.spelling.decimal,
        thousands=desk.spelling.thousands,
        missing=desk.spelling.missing,
        dates={
            spelt_as(desk, plan.name): plan.dates.formats
            for plan in plans
            if plan.type == "time" and not plan.skip and plan.dates and plan.dates.formats
        },
        zone=desk.zone,
        skip=tuple(plan.name for plan in plans if plan.skip or plan.name == desk.wishes.label_time),
        arrival=ARRIVAL if time == ARRIVAL else None,
        calendar={},
    )


def spelt_as(desk: TablePlan, name: str) -> str:
    """The name under which `reading.dates` has a column: in files of labels, label times are called so."""
    return LABEL_TIME if name == desk.wishes.label_time else name


def settle_types(desk: TablePlan, reading: ReadingParams, aim: Aim, time: str) -> None:
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


def _place_in(desk: TablePlan, zone: str, reading: ReadingParams) -> None:
    desk.notes.append(
        TableNote(
            "daylight saving",
            "",
            f"an hour is missing in spring or comes twice in autumn, as in {zone} (or zones with the same changes)",
            f"declared, reading.zone: {zone}; where an hour comes twice, the order of the rows tells the two apart",
            "warn",
        )
    )
    desk.zone = desk.ask("which time zone are these times in?", zone, ())
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


def _other_type(desk: TablePlan, plan: ColumnPlan, fault: Fault, time: str) -> ColumnPlan:
    said = f"{fault.count} cells differ from the others ({fault})"
    if plan.role in ("target", "time", "due"):
        raise BadInputError(f"{said}; correct these cells in the file")
    look = desk.looks[plan.name]
    if plan.type != "category" and look.stored == "text":
        desk.notes.append(TableNote("mixed", plan.name, said, "treated as a category", "warn"))
        return replace(plan, type="category", role="forbidden" if look.distinct > 50 else plan.role, dates=None)
    desk.notes.append(TableNote("mixed", plan.name, said, "left out", "warn"))
    return replace(plan, skip=True, role="forbidden")


def rows_to_land(desk: TablePlan, time: str, aim: Aim) -> tuple[np.ndarray, pd.Series]:
    """Places of the rows that can land, and their targets."""
    keep = np.ones(desk.raw.rows, dtype=bool)
    for name in [one for one in (time, desk.wishes.label_due) if one in desk.values]:
        blank = desk.values[name].isna().to_numpy()
        if blank.any():
            desk.notes.append(
                TableNote(
                    "missing",
                    name,
                    f"{int(blank.sum())} rows have no time in it",
                    "left out: landing does not accept them",
                    "warn",
                )
            )
            keep &= ~blank
    keep &= ~_misplaced(desk, time)
    if not keep.any():
        raise RefusedError(
            f"no row has a valid event time in column {time!r}; choose a different one with --event-time COL"
        )
    target = desk.values[desk.wishes.target][keep]
    if target.isna().all():
        raise RefusedError(
            f"no row has a value in the target column {desk.wishes.target!r}; choose a different target column, or a "
            "file with labelled rows"
        )
    return np.flatnonzero(keep), target


def _misplaced(desk: TablePlan, time: str) -> np.ndarray:
    """Rows with a time later than now, or due before their event: no batch with one of them lands, shape (n,)."""
    none = np.zeros(desk.raw.rows, dtype=bool)
    if time not in desk.values:
        return none
    latest = clock() + pd.Timedelta(TIMES_AHEAD)
    found, event, due = none, desk.values[time], desk.values.get(desk.wishes.label_due or "")
    looks = [(time, event > latest, "later than now; if rows are known before their event, set data.times_ahead")]
    if desk.wishes.label_time in desk.values:
        late = desk.values[desk.wishes.label_time] > latest
        looks.append((desk.wishes.label_time, late, "later than now"))
    if due is not None:
        looks.append((str(desk.wishes.label_due), due < event, "before the row's event"))
    for name, bad, what in looks:
        if bad.any():
            seen = f"{int(bad.sum())} rows have a time {what}"
            desk.notes.append(TableNote("misplaced", name, seen, "left out: landing does not accept them", "warn"))
            found = found | bad.to_numpy()
    return found


EXACT = 2.0**53


def choose_aim(desk: TablePlan) -> Aim:
    """What the target asks for.

    Raises:
        BadInputError: It is stored as what cannot be predicted, or the positive class is not there.
        RefusedError: Nothing can be learned of it.
    """
    wishes, name = desk.wishes, desk.wishes.target
    look = desk.looks[name]
    if look.stored == "other":
        raise BadInputError(f"the target {name!r} contains {OTHER}; choose a column of numbers or text")
    kind, words, numbers = _cells(look, desk.plans[name].type, desk.spelling)
    made = aim_of(look, kind, words, numbers, wishes.task)
    if isinstance(made, str):
        raise RefusedError(made)
    if made.task == "regression" and made.unsure:
        saying = f"{len(words)} distinct whole numbers: they could be classes"
        desk.notes.append(
            TableNote("unsure", name, saying, "treated as numbers; to change this: --task multiclass", "warn")
        )
        asked = f"is {name!r} a number to predict, or one of {len(words)} classes?"
        if desk.ask(asked, "regression", ("regression", "multiclass")) == "multiclass":
            again = aim_of(look, kind, words, numbers, "multiclass")
            made = again if isinstance(again, Aim) else made
    if made.task != "regression" and look.stored == "number":
        raise BadInputError(
            f"the target {name!r} is stored as floating-point numbers, which cannot be classes; store it as "
            "whole numbers or text"
        )
    if made.task == "binary":
        made = replace(made, positive=_positive(desk, made, [str(word) for word in words.index]))
    if wishes.loss is not None:
        made = _asked_for(made, wishes.loss, numbers)
    desk.plans[name] = replace(desk.plans[name], type=made.type, role="target", skip=False, dates=None)
    return made


def _asked_for(aim: Aim, loss: str, numbers: np.ndarray | None) -> Aim:
    """The same with the loss that a person names.

    Raises:
        UnknownNameError: There is none of that name.
        BadInputError: It does not fit the task or the target.
    """
    try:
        (metric,) = require([loss], task=aim.task, rows=True)
        MODELS["gbm"].check_aim(aim.task, loss)
    except BadInputError as wrong:
        raise BadInputError(f"--loss: {wrong}") from wrong
    if not metric.signed and numbers is not None and len(numbers) and numbers.min() < 0:
        raise BadInputError(
            f"--loss: {loss!r} is for targets of 0 or more, but the target contains {numbers.min():g}; use mse or mae"
        )
    return replace(aim, loss=loss, metrics=tuple(dict.fromkeys([loss, *aim.metrics])), why="as requested")


def _positive(desk: TablePlan, aim: Aim, classes: list[str]) -> str:
    """The class whose probability is predicted."""
    wishes = desk.wishes
    if wishes.positive is not None:
        if wishes.positive not in classes:
            raise UnknownNameError(f"class of {wishes.target!r}:", wishes.positive, classes)
        return wishes.positive
    if not aim.unsure:
        return str(aim.positive)
    saying = f"taken as {aim.positive!r}; to change this: --positive CLASS"
    desk.notes.append(TableNote("unsure", wishes.target, aim.unsure, saying, "warn"))
    return desk.ask(
        f"for which class of {wishes.target!r} should the probability be predicted?", str(aim.positive), tuple(classes)
    )


def _cells(
    look: RawColumn, kind: ColumnType, spelling: NumberSpelling
) -> "tuple[ColumnType, pd.Series[int], np.ndarray | None]":
    """Type, distinct cells and numbers of a target, which is no id whatever it is called."""
    words = look.words[~look.words.index.isin(spelling.missing)]
    if look.stored in ("number", "integer"):
        values = look.cells.dropna()
    elif look.stored == "text" and len(words) and _all_numbers(words, spelling):
        values = plain_numbers(words, spelling)
    else:
        return "category" if kind in ("number", "integer") else kind, words, None
    values = values[np.isfinite(values)]
    whole = bool((values % 1 == 0).all()) and float(values.abs().max() if len(values) else 0) < EXACT
    if look.stored != "text":
        words = values.map(lambda value: str(int(value)) if whole else repr(float(value))).value_counts()
    return ("integer" if whole else "number"), words, values.to_numpy()


def _all_numbers(words: "pd.Series[int]", spelling: NumberSpelling) -> bool:
    return bool(words.index.to_series().str.fullmatch(number_pattern(spelling.decimal, spelling.thousands)).all())


def choose_time(desk: TablePlan) -> str:
    """The column of the event time; `ARRIVAL` where there is none."""
    wishes, plans = desk.wishes, desk.plans
    taken = {wishes.label_time, wishes.label_due, wishes.target}
    name = wishes.event_time
    if name is None:
        times = [
            plan.name for plan in plans.values() if plan.type == "time" and plan.name not in taken and not plan.skip
        ]
        times.sort(key=is_called_due)
        name = times[0] if times else None
        if len(times) > 1 and name is not None:
            unlike_dues = [one for one in times if not is_called_due(one)] or times
            name, why = likeliest({one: _times_of(desk, one) for one in unlike_dues})
            told = desk.ask("which column says when a row's event happened?", name, tuple(times))
            name, why = told, why if told == name else "as stated"
            desk.notes.append(
                TableNote(
                    "event time",
                    name,
                    f"{len(times)} columns are times: {', '.join(times[:6])}",
                    f"taken: {name} ({why}); to change this: --event-time COL. The others are not features. If one of "
                    "them says when the label was known: --label-time COL; when it is due: --label-due COL",
                    "warn",
                )
            )
        elif name is not None:
            desk.notes.append(TableNote("event time", name, "the only column of times", "taken as the event time"))
    for role, column in (("event time", name), ("label time", wishes.label_time), ("due time", wishes.label_due)):
        if column is not None:
            _as_time(desk, column, role)
    if name is None and wishes.label_due is not None:
        raise BadInputError(
            f"--label-due {wishes.label_due!r} needs the time of each event, but no column is known to contain it; "
            "set that column with --event-time COL"
        )
    if name is not None:
        plans[name] = replace(plans[name], role="time", skip=False)
    if wishes.label_due is not None:
        plans[wishes.label_due] = replace(plans[wishes.label_due], role="due", skip=False)
    if name is None:
        return ARRIVAL
    plan = plans[name]
    if plan.dates is not None and plan.dates.unsure:
        chosen = desk.ask(
            f"which format do the dates of {name!r} have?",
            plan.dates.formats[0],
            (plan.dates.formats[0], plan.dates.unsure),
        )
        plans[name] = replace(plan, dates=DateSpelling((chosen,), plan.dates.zones, plan.dates.naive, ""))
    return name


def _times_of(desk: TablePlan, name: str) -> pd.Series:
    return typed(desk.cells(name), spelt_as(desk, name), "time", reading_of(desk, ARRIVAL))[0]


def _as_time(desk: TablePlan, name: str, role: str) -> None:
    plan = desk.plans[name]
    if plan.type == "time":
        desk.plans[name] = replace(plan, role="forbidden", skip=False)
        return
    if plan.unix:
        desk.plans[name] = replace(
            plan,
            type="time",
            role="forbidden",
            skip=False,
            dates=DateSpelling((plan.unix,), (), naive=False, unsure=""),
        )
        desk.notes.append(
            TableNote(
                "dates",
                name,
                f"whole numbers that are {'seconds' if plan.unix == 'unix' else 'milliseconds'} since 1970",
                f"declared, reading.dates: [{plan.unix}]",
            )
        )
        return
    look = desk.looks[name]
    shown = repr(str(look.counts.index[0])[:40]) if look.distinct else "nothing"
    raise BadInputError(
        f"the {role} {name!r} contains {shown}, which is not a time in a known format; write times such as "
        "2024-05-01T13:00:00Z"
    )
