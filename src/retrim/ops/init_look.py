"""Looks at a table of somebody's own and drafts what its params.yaml and suite should say. Writes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.fault import Fault
from retrim.core.init.columns import ColumnPlan, plan_columns
from retrim.core.init.dates import DateSpelling
from retrim.core.init.first_fit import FirstFit, first_fit, worth_notes
from retrim.core.init.leaks import Leak, crossing, leaks_of
from retrim.core.init.looks import Look
from retrim.core.init.notes import Note
from retrim.core.init.rhythm import Rhythm, Season, alike_rows, daylight_saving, rhythm_of, season_of
from retrim.core.init.sizes import LEAST_ROWS, Choice, Choices, horizon_of, judging_rows, sizes
from retrim.core.init.spelling import Spelling, spelling_of
from retrim.core.init.suite import Draft, draft_suite
from retrim.core.init.task import Aim, Task, aim_of
from retrim.core.made import PARTS, with_made
from retrim.core.reading import ReadingParams
from retrim.core.section import check_span
from retrim.core.table import ColumnType, DataParams, Role, row_keys
from retrim.datasets.cells import typed
from retrim.datasets.raw import RawTable
from retrim.errors import BadInputError, RefusedError, UnknownNameError

CALENDAR_YEARS = pd.Timedelta("730D")
ZONES = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
    "Europe/Helsinki", "America/Sao_Paulo", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip
"""Zones whose clock changes are looked for; one of each rule and offset that is common."""
TIME_NAMES = ("event_time", "timestamp", "datetime", "date_time", "time", "date", "day", "ts", "created_at", "at")
ARRIVAL = "arrived at"
Ask = Callable[[str, str, Sequence[str]], str]
"""Asks a person: what is asked, the proposal, the choices (empty: any text); gives the answer."""


@dataclass(frozen=True)
class Wishes:
    """What the person said."""

    target: str
    model: str
    event_time: str | None = None
    label_time: str | None = None
    label_due: str | None = None
    horizon: str | None = None
    entity: str | None = None
    task: Task | None = None
    positive: str | None = None
    forbid: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    allow_leak: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Drafted:
    """Everything that was made of a table.

    Args:
        data: The section `data`.
        reading: The section `reading`.
        choices: Other values, by their place in params.yaml.
        aim: What is predicted.
        rhythm: How rows follow one another.
        suite: Drafted expectations, kept and dropped.
        notes: What was seen and decided.
        leaks: Columns that give the answer away and were not allowed to.
        allowed: Those that were.
        frame: Typed rows in the order of the file, `_row` their place in it; rows that cannot land left out.
        worth: The first model against what is simpler.
        season: Of the target.
    """

    data: DataParams
    reading: ReadingParams
    choices: Choices
    aim: Aim
    rhythm: Rhythm
    suite: list[Draft]
    notes: list[Note]
    leaks: list[Leak]
    allowed: list[Leak]
    frame: pd.DataFrame
    worth: FirstFit | None
    season: Season | None

    def as_record(self) -> dict[str, Any]:
        return {
            "model": self.data.model,
            "task": self.data.task,
            "target": self.data.target,
            "rows": len(self.frame),
            "loss": self.aim.loss,
            "why_this_loss": self.aim.why,
            "batch_every": self.rhythm.batch_every,
            "season": None if self.season is None else {"span": self.season.span, "gain": self.season.gain},
            "data": self.data.model_dump(mode="json"),
            "reading": self.reading.model_dump(mode="json"),
            "choices": {".".join(place): choice.value for place, choice in self.choices.items()},
            "suite": [draft.as_record() for draft in self.suite],
            "notes": [note.as_record() for note in self.notes],
            "leaks": [leak.as_record() for leak in self.leaks],
            "allowed_leaks": [leak.as_record() for leak in self.allowed],
            "worth": None if self.worth is None else {"gains": self.worth.gains, "bounds": self.worth.bounds},
        }


@dataclass
class _Desk:
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


def draft(raw: RawTable, wishes: Wishes, *, ask: Ask, confidence: float, seed: int, threads: int) -> Drafted:
    """Looks at a table and drafts its settings.

    Args:
        raw: The table as it stands in its file.
        wishes: What the person said.
        ask: Asks where it is unsure.
        confidence: Of the gate, for the first model's bound.
        seed: Of samples and the first model.
        threads: For LightGBM.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be made of it: too few rows, or a target that never varies.
    """
    desk = _desk(raw, wishes, ask)
    _check_columns(desk)
    aim = _aim(desk)
    time = _event_time(desk)
    reading = _reading(desk, time)
    _settle(desk, reading, aim, time)
    reading = _reading(desk, time)
    kept, target = _rows(desk, time, aim)
    event = desk.values[time][kept] if time in desk.values else _arrival_times(len(kept))
    rhythm, seen = rhythm_of(event)
    desk.notes += seen if time in desk.values else [_no_time_note()]
    reading = reading.model_copy(update={"calendar": _calendar(desk, rhythm) if time in desk.values else {}})
    delays = None
    if wishes.label_time is not None:
        delays = (desk.values[wishes.label_time][kept] - event).dropna()
        _note_delays(desk, delays, target)
    horizon = _horizon(desk, rhythm, delays, timed=time in desk.values)
    key = _key(desk, kept, time)
    data = _data(desk, aim, time, reading, rhythm, horizon, key, missing=bool(target.isna().any()))
    frame = pd.DataFrame({name: desk.values[name] for name in data.columns if name in desk.values}).iloc[kept]
    frame = frame.assign(_row=kept).reset_index(drop=True)
    if reading.arrival is not None:
        frame[reading.arrival] = event.reset_index(drop=True)
    frame = with_made(frame, data, reading.model_copy(update={"arrival": None}), arrives=pd.Timestamp(0, tz="UTC"))
    frame = frame.assign(_key=row_keys(frame, data.key, "raw"))
    table = _table(frame, data)
    labelled = table[table[data.target].notna()].reset_index(drop=True)
    if len(labelled) < LEAST_ROWS:
        raise RefusedError(
            f"{len(labelled)} labelled rows are too few for a model that can be judged; at least {LEAST_ROWS} are needed"
        )
    times = None
    if wishes.label_time is not None:
        times = desk.values[wishes.label_time].iloc[table["_row"]].set_axis(table.index)
    leaks = leaks_of(table, data, label_time=times, seed=seed)
    allowed = [leak for leak in leaks if set(leak.columns) & set(wishes.allow_leak)]
    leaks = [leak for leak in leaks if leak not in allowed]
    season = season_of(labelled["_event"], _numbers(labelled, data), rhythm) if time in desk.values else None
    rows = judging_rows(len(labelled), rhythm, aim)
    desk.notes += _crossing_notes(table, data, wishes.entity, rows)
    worth = (
        None
        if leaks
        else first_fit(labelled, data, loss=aim.loss, season=season, confidence=confidence, seed=seed, threads=threads)
    )
    if not leaks:
        desk.notes += worth_notes(worth, loss=aim.loss, confidence=confidence)
    block = alike_rows(worth.model, most=max(rows // 8, 1)) if worth is not None else max(rows // 20, 1)
    choices = sizes(
        len(labelled),
        rhythm,
        aim,
        judge_rows=rows,
        block_rows=max(block, 1),
        season=season,
        features=len(data.features),
    )
    suite = _suite(table, data, reading, rhythm)
    desk.notes.append(Note("loss", data.target, aim.why, f"judge.loss: {aim.loss}"))
    return Drafted(data, reading, choices, aim, rhythm, suite, desk.notes, leaks, allowed, frame, worth, season)


def _desk(raw: RawTable, wishes: Wishes, ask: Ask) -> _Desk:
    looks = raw.looks()
    spelling = spelling_of(looks)
    plans, notes = plan_columns(looks, spelling)
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
    return _Desk(
        raw, wishes, ask, {look.name: look for look in looks}, {plan.name: plan for plan in plans}, spelling, notes
    )


def _check_columns(desk: _Desk) -> None:
    wishes = desk.wishes
    named = [wishes.target, wishes.event_time, wishes.label_time, wishes.label_due, wishes.entity]
    for name in [*named, *wishes.forbid, *wishes.keep, *wishes.allow_leak]:
        if name is not None and name not in desk.plans:
            raise UnknownNameError("column", name, desk.plans)
    if wishes.allow_leak and not wishes.reason.strip():
        raise BadInputError("a leak is allowed for a reason; say it: --reason TEXT")
    if wishes.label_due and wishes.horizon:
        raise BadInputError("give the label's due time once: --label-due or --horizon")
    times = [name for name in (wishes.event_time, wishes.label_time, wishes.label_due) if name]
    if len(set(times)) != len(times) or wishes.target in times:
        raise BadInputError(f"one column has two roles among {', '.join([wishes.target, *times])}; name each once")
    if wishes.horizon is not None:
        try:
            check_span(wishes.horizon)
        except ValueError as error:
            raise BadInputError(f"--horizon: {error}") from error
    for name in desk.plans:
        if not name.strip():
            raise BadInputError("a column of the table has no name; give it one in the file")
        if name.startswith("_"):
            raise BadInputError(
                f"column {name!r} begins with '_', which is kept for retrim's own; rename it in the file"
            )
        if name == ARRIVAL and not wishes.event_time:
            raise BadInputError(
                f"column {name!r} is called as the column that retrim makes where no event time is named; rename it, or name it: --event-time"
            )
    for name in wishes.forbid:
        desk.plans[name] = replace(desk.plans[name], role="forbidden", type=desk.plans[name].type)
    for name in wishes.keep:
        if desk.plans[name].skip and desk.looks[name].stored != "other":
            role: Role = "forbidden" if desk.plans[name].type == "time" else "feature"
            desk.plans[name] = replace(desk.plans[name], skip=False, role=role)
            desk.notes.append(Note("personal", name, "was asked to be kept", "declared as a feature"))


def _aim(desk: _Desk) -> Aim:
    wishes, name = desk.wishes, desk.wishes.target
    plan, look = desk.plans[name], desk.looks[name]
    if look.stored == "other":
        raise BadInputError(f"the target {name!r} holds lists, records or bytes; name a column of numbers or text")
    words = look.words[~look.words.index.isin(desk.spelling.missing)]
    kind: ColumnType = plan.type
    # A target is not an id, whatever it is called: its numbers are asked again.
    spelling = desk.spelling
    numbers: np.ndarray | None = None
    if look.stored in ("number", "integer"):
        values = look.cells.dropna()
        values = values[np.isfinite(values)]
        whole = bool((values % 1 == 0).all()) and float(values.abs().max() if len(values) else 0) < 2.0**53
        kind, numbers = ("integer" if whole else "number"), values.to_numpy()
        words = values.map(lambda value: str(int(value)) if whole else repr(float(value))).value_counts()
    elif look.stored == "text" and len(words):
        from retrim.core.init.spelling import number_pattern

        if words.index.to_series().str.fullmatch(number_pattern(spelling.decimal, spelling.thousands)).all():
            text = words.index.to_series()
            if spelling.thousands:
                text = text.str.replace(spelling.thousands, "", regex=False)
            values = pd.to_numeric(text.str.replace(spelling.decimal, ".", regex=False)).astype("float64")
            values = values.repeat(words.to_numpy())
            values = values[np.isfinite(values)]
            kind = "integer" if (values % 1 == 0).all() and float(values.abs().max()) < 2.0**53 else "number"
            numbers = values.to_numpy()
    made = aim_of(look, kind, words, numbers, wishes.task)
    if isinstance(made, str):
        raise RefusedError(made)
    if made.unsure:
        desk.notes.append(
            Note(
                "unsure",
                name,
                f"{made.unsure}"
                if made.task == "binary"
                else f"{len(words)} distinct whole numbers: they could be classes",
                f"taken as {made.positive or made.task!r}; say otherwise: {'--positive' if made.task == 'binary' else '--task'}",
                "warn",
            )
        )
        if made.task == "regression" and wishes.task is None:
            chosen = desk.ask(
                f"is {name!r} a number to be met, or one of {len(words)} classes?",
                "regression",
                ("regression", "multiclass"),
            )
            if chosen == "multiclass":
                again = aim_of(look, kind, words, numbers, "multiclass")
                made = again if isinstance(again, Aim) else made
    if made.task == "binary":
        positive = wishes.positive if wishes.positive is not None else made.positive
        if made.unsure and wishes.positive is None:
            positive = desk.ask(
                f"which class of {name!r} is the probability of?", str(made.positive), tuple(map(str, words.index))
            )
        if positive not in set(words.index):
            raise UnknownNameError(f"class of {name!r}", str(positive), map(str, words.index))
        if look.stored == "number":
            raise BadInputError(
                f"the target {name!r} has 2 values and is stored as floating numbers, which no class can be; store it as whole numbers or text"
            )
        made = replace(made, positive=positive)
    if made.task == "multiclass" and look.stored == "number":
        raise BadInputError(
            f"the target {name!r} is stored as floating numbers, which no class can be; store it as whole numbers or text"
        )
    desk.plans[name] = replace(plan, type=made.type, role="target", skip=False, dates=None)
    return made


def _event_time(desk: _Desk) -> str:
    """The column of the event time; `ARRIVAL` where there is none."""
    wishes, plans = desk.wishes, desk.plans
    taken = {wishes.label_time, wishes.label_due, wishes.target}
    name = wishes.event_time
    if name is None:
        times = [
            plan.name for plan in plans.values() if plan.type == "time" and plan.name not in taken and not plan.skip
        ]
        times.sort(key=lambda one: TIME_NAMES.index(one.lower()) if one.lower() in TIME_NAMES else len(TIME_NAMES))
        name = times[0] if times else None
        if len(times) > 1 and name is not None:
            name = desk.ask("when did a row's event happen?", name, tuple(times))
            desk.notes.append(
                Note(
                    "event time",
                    name,
                    f"{len(times)} columns are times: {', '.join(times[:6])}",
                    f"taken: {name}; say otherwise: --event-time",
                    "warn",
                )
            )
        elif name is not None:
            desk.notes.append(Note("event time", name, "the only column of times", "taken as the event time"))
    for role, column in (("event time", name), ("label time", wishes.label_time), ("due time", wishes.label_due)):
        if column is not None:
            _as_time(desk, column, role)
    if name is None:
        return ARRIVAL
    plans[name] = replace(plans[name], role="time", skip=False)
    if wishes.label_due is not None:
        plans[wishes.label_due] = replace(plans[wishes.label_due], role="due", skip=False)
    plan = plans[name]
    if plan.dates is not None and plan.dates.unsure:
        chosen = desk.ask(
            f"how does {name!r} spell a day?", plan.dates.formats[0], (plan.dates.formats[0], plan.dates.unsure)
        )
        plans[name] = replace(plan, dates=DateSpelling((chosen,), plan.dates.zones, plan.dates.naive, ""))
    return name


def _as_time(desk: _Desk, name: str, role: str) -> None:
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
            Note(
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
        f"the {role} {name!r} holds {shown}, which is no time that is known; write times such as 2024-05-01T13:00:00Z"
    )


def _reading(desk: _Desk, time: str) -> ReadingParams:
    plans = desk.plans.values()
    padded = any(note.about == "padded" for note in desk.notes)
    return ReadingParams(
        encoding=desk.raw.encoding if desk.raw.encoding != "utf-16" else "utf-16",
        separator=desk.raw.separator,
        decimal=desk.spelling.decimal,
        thousands=desk.spelling.thousands,
        missing=desk.spelling.missing,
        trim=padded,
        dates={
            plan.name: plan.dates.formats
            for plan in plans
            if plan.type == "time" and not plan.skip and plan.dates and plan.dates.formats
        },
        zone=desk.zone,
        skip=tuple(plan.name for plan in plans if plan.skip),
        arrival=ARRIVAL if time == ARRIVAL else None,
        calendar={},
    )


def _settle(desk: _Desk, reading: ReadingParams, aim: Aim, time: str) -> None:
    """Types every column by what is declared, exactly as landing will; one that does not fit becomes a category."""
    for name in list(desk.plans):
        plan = desk.plans[name]
        if plan.skip:
            continue
        column = desk.raw.columns.column(name)
        values, faults = typed(column, name, plan.type, reading)
        if faults:
            desk.plans[name] = plan = _other_type(desk, plan, faults[0], time)
            if plan.skip:
                continue
            values, faults = typed(column, name, plan.type, reading)
        desk.values[name] = values
    if time in desk.values and desk.zone == "UTC":
        plan = desk.plans[time]
        zoned = plan.dates is not None and not plan.dates.naive
        if not zoned and desk.looks[time].stored in ("text", "time"):
            zone = daylight_saving(desk.values[time].dropna(), ZONES)
            if zone:
                _place_in(desk, zone, reading)


def _place_in(desk: _Desk, zone: str, reading: ReadingParams) -> None:
    desk.notes.append(
        Note(
            "daylight saving",
            "",
            f"an hour is missing in spring or doubled in autumn, as clocks in {zone} have it",
            f"declared, reading.zone: {zone}; of an hour that comes twice the earlier is taken",
            "warn",
        )
    )
    desk.zone = desk.ask("in which zone are these times?", zone, ())
    placed = ReadingParams.model_validate({**reading.model_dump(), "zone": desk.zone})
    for name, plan in desk.plans.items():
        if plan.type == "time" and not plan.skip:
            desk.values[name] = typed(desk.raw.columns.column(name), name, "time", placed)[0]


def _other_type(desk: _Desk, plan: ColumnPlan, fault: Fault, time: str) -> ColumnPlan:
    said = f"{fault.count} cells are not what the others are ({fault})"
    if plan.role in ("target", "time", "due"):
        raise BadInputError(f"{said}; correct them in the file")
    look = desk.looks[plan.name]
    if plan.type != "category" and look.stored == "text":
        desk.notes.append(Note("mixed", plan.name, said, "a category", "warn"))
        return replace(plan, type="category", role="forbidden" if look.distinct > 50 else plan.role, dates=None)
    desk.notes.append(Note("mixed", plan.name, said, "left out", "warn"))
    return replace(plan, skip=True, role="forbidden")


def _rows(desk: _Desk, time: str, aim: Aim) -> tuple[np.ndarray, pd.Series]:
    """Places of the rows that can land, and their targets."""
    keep = np.ones(desk.raw.rows, dtype=bool)
    for name in [one for one in (time, desk.wishes.label_due) if one in desk.values]:
        blank = desk.values[name].isna().to_numpy()
        if blank.any():
            desk.notes.append(
                Note(
                    "missing",
                    name,
                    f"{int(blank.sum())} rows have no such time",
                    "left out: landing takes none of them",
                    "warn",
                )
            )
            keep &= ~blank
    if not keep.any():
        raise RefusedError(f"no row has a {time!r}; name another column: --event-time")
    target = desk.values[desk.wishes.target][keep]
    if target.isna().all():
        raise RefusedError(f"no row has a {desk.wishes.target!r}; a model needs rows whose answer is known")
    if target.isna().any():
        desk.notes.append(
            Note(
                "labels",
                desk.wishes.target,
                f"{int(target.isna().sum())} rows have none yet",
                "declared, labels: later",
            )
        )
    return np.flatnonzero(keep), target


def _arrival_times(rows: int) -> pd.Series:
    return pd.Series(pd.Timestamp(0, tz="UTC") + np.arange(rows) * pd.Timedelta("1ms")).dt.as_unit("us")


def _no_time_note() -> Note:
    return Note(
        "no event time", "", "no column says when a row's event happened",
        "works by order of arrival. Lost: seasons, gaps and late rows cannot be seen, labels count from arrival, and batches "
        "are told apart by when they landed", "warn",
    )  # fmt: skip


def _calendar(desk: _Desk, rhythm: Rhythm) -> dict[str, Any]:
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


def _note_delays(desk: _Desk, delays: pd.Series, target: pd.Series) -> None:
    early = delays[delays < pd.Timedelta(0)]
    if len(early):
        desk.notes.append(
            Note(
                "label time",
                str(desk.wishes.label_time),
                f"{len(early)} labels are older than their event",
                "look at both columns",
                "warn",
            )
        )
    answers = target.reindex(delays.index)
    if answers.nunique() != 2:
        return
    medians = delays.groupby(answers).median()
    short, long = medians.min(), medians.max()
    if long > 2 * max(short, pd.Timedelta("1min")):
        desk.notes.append(
            Note(
                "label delay",
                str(desk.wishes.label_time),
                f"depends on the answer: {medians.idxmin()!r} is known after {short}, {medians.idxmax()!r} after {long} (medians)",
                "the horizon holds for both: only rows whose label was due are used, not those whose label came",
                "warn",
            )
        )


def _horizon(desk: _Desk, rhythm: Rhythm, delays: pd.Series | None, *, timed: bool) -> str | None:
    if desk.wishes.label_due is not None:
        return None
    if desk.wishes.horizon is not None:
        return check_span(desk.wishes.horizon)
    span, why = horizon_of(rhythm, delays) if timed else ("0h", "by order of arrival a label is known with its row")
    span = desk.ask("how long after its event is a row's answer known at the latest?", span, ())
    try:
        check_span(span)
    except ValueError as error:
        raise BadInputError(f"the horizon: {error}") from error
    desk.notes.append(
        Note("horizon", "", f"label_horizon {span}", why, "warn" if why.startswith("assumed") else "tell")
    )
    return span


def _key(desk: _Desk, kept: np.ndarray, time: str) -> list[str]:
    """Columns that name a row, if some do: an id, the time, or entity and time together."""
    entity = desk.wishes.entity
    tried = [
        [name]
        for name, plan in desk.plans.items()
        if plan.unique and not plan.skip and plan.type in ("integer", "category") and plan.role == "forbidden"
    ]
    tried += [[time]] if time in desk.values else []
    tried += [[entity, time]] if entity and time in desk.values and not desk.plans[entity].skip else []
    for names in tried:
        if desk.wishes.target in names or any(desk.plans[name].type == "number" for name in names):
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


def _data(
    desk: _Desk,
    aim: Aim,
    time: str,
    reading: ReadingParams,
    rhythm: Rhythm,
    horizon: str | None,
    key: list[str],
    *,
    missing: bool,
) -> DataParams:
    columns: dict[str, dict[str, Any]] = {}
    if reading.arrival is not None:
        columns[reading.arrival] = {"type": "time", "role": "time"}
    for name, plan in desk.plans.items():
        if not plan.skip:
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
            "labels": "later" if missing else "with_rows",
            "label_horizon": horizon,
            "batch_every": rhythm.batch_every if reading.arrival is None else "1D",
            "batch_grace": "1D" if every >= pd.Timedelta("3D") else "6h" if every >= pd.Timedelta("1D") else "1h",
            "suite": f"expectations/{desk.wishes.model}.json",
        }
    )


def _table(frame: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    event = frame[data.time]
    due = frame[data.due] if data.due else event + pd.Timedelta(data.label_horizon or 0)
    table = frame.assign(_event=event, _due=due)
    return table.sort_values(["_event", "_row"], kind="stable", ignore_index=True)


def _numbers(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    wanted = data.positive if data.positive is not None else rows[data.target].mode().iloc[0]
    return (rows[data.target] == wanted).to_numpy(dtype="float64")


def _crossing_notes(table: pd.DataFrame, data: DataParams, entity: str | None, judge_rows: int) -> list[Note]:
    known = entity if entity in table else None
    counted = crossing(table, data, entity=known, judge_rows=judge_rows)
    notes = []
    if counted["duplicates"] > 0.01 * judge_rows and len(data.features) > 2:
        seen = f"{counted['duplicates']} of {judge_rows} judging rows are in training too, cell for cell but for time and key"
        notes.append(Note("duplicates", "", seen, "the judged loss is too good by that much", "warn"))
    if counted.get("shared"):
        seen = f"{counted['shared']} of {judge_rows} judging rows are of entities that training has seen"
        notes.append(
            Note("entity", str(entity), seen, "the figures hold for entities that are known, not for new ones")
        )
    return notes


def _suite(table: pd.DataFrame, data: DataParams, reading: ReadingParams, rhythm: Rhythm) -> list[Draft]:
    half = len(table) // 2
    later = table.iloc[half:]
    number = ((later["_event"] - later["_event"].iloc[0]) // pd.Timedelta(data.batch_every)).to_numpy()
    if reading.arrival is not None:
        number = np.arange(len(later)) // max(rhythm.batch_rows, 1)
    batches = [rows for _, rows in later.groupby(number, sort=True)]
    return draft_suite(table.iloc[:half], batches, data, reading)


__all__ = ["Choice", "Drafted", "Wishes", "draft", "PARTS"]
