"""Drafts the params.yaml and the suite of a raw table. Writes nothing.

The section `data` first: key, calendar, how often a batch comes, when labels are known, which columns are known too
late.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from retrim.decision.accumulated_gain import GainParams
from retrim.decision.retraining_cost import WORTH_FLOOR, YEAR_DAYS, ModelWorth, describe_payback
from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.onboarding.desk import (
    TIMES_AHEAD,
    Ask,
    InitRequest,
    TablePlan,
    check_columns,
    checked_span,
    choose_aim,
    choose_time,
    open_desk,
    reading_of,
    rows_to_land,
    settle_types,
)
from retrim.profile.columns_of_raw import Aim, imbalance_notes, one_after_another, series_of
from retrim.profile.dates import CLOCKS, DAYS
from retrim.profile.first_model import (
    MOMENTS,
    SHARES,
    FirstFit,
    HorizonTrial,
    LabelDelays,
    LeaksFound,
    find_leaks,
    first_fit,
    known_by,
    leaned_notes,
    least,
    spans_of,
    suspects_of,
    try_horizons,
    worth_notes,
)
from retrim.profile.leaks import Leak, count_twins, unanswered_tail
from retrim.profile.rhythm import (
    LEAST_ROWS,
    Choices,
    ExpectationDraft,
    Rhythm,
    TableSeason,
    alike_rows,
    alike_rows_of_series,
    at_rhythm,
    draft_suite,
    floors_of,
    horizon_of,
    judging_rows,
    rhythm_of,
    rhythm_of_order,
    season_of,
    sizes,
    span_text,
)
from retrim.profile.table import TableNote
from retrim.reading.raw import RawTable
from retrim.stats.codec import to_record
from retrim.stats.plugins import SettingChoice, check_above_zero, check_span
from retrim.table.data import LABEL_TIME, DataParams, row_keys, with_past
from retrim.table.derived_columns import made_times, with_made
from retrim.table.reading import ReadingParams

CALENDAR_YEARS = pd.Timedelta("730D")
"""From two years on, the part of the year may be learned."""


def calendar_of(desk: TablePlan, rhythm: Rhythm) -> dict[str, str]:
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
            TableNote("calendar", "", f"features of the event time: {', '.join(made)}", "declared, reading.calendar")
        )
    return made


def choose_key(desk: TablePlan, kept: np.ndarray, time: str) -> list[str]:
    """Columns that name a row, if some do: an id, the time, or entity and time together."""
    entity = desk.wishes.entity
    tried = [
        [name]
        for name, plan in desk.plans.items()
        if plan.unique and not plan.skip and plan.type in ("integer", "category") and plan.role == "forbidden"
    ]
    tried += [[time]] if time in desk.values else []
    tried += [[*desk.series, time]] if desk.series else []
    tried += [[entity, time]] if entity and time in desk.values and not desk.plans[entity].skip else []
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
            TableNote(
                "duplicates",
                "",
                f"{twice} rows occur more than once, identical in every cell",
                "kept: without a key, a duplicate cannot be told from an event that happened twice",
                "warn",
            )
        )
    desk.notes.append(
        TableNote(
            "key",
            "",
            "no column identifies a row",
            "a row is identified by its batch and row number; a row sent twice is not detected, and corrections are "
            "not possible",
        )
    )
    return []


def data_of(
    desk: TablePlan,
    aim: Aim,
    time: str,
    reading: ReadingParams,
    rhythm: Rhythm,
    key: list[str],
    *,
    labels: str,
) -> DataParams:
    """The section; without a column that says when labels are due, the horizon is 0 until one is chosen."""
    columns: dict[str, dict[str, str]] = {}
    if reading.arrival is not None:
        columns[reading.arrival] = {"type": "time", "role": "time"}
    for name, plan in desk.plans.items():
        if not plan.skip and name != desk.wishes.label_time:
            columns[name] = {"type": plan.type, "role": plan.role}
    columns |= {name: {"type": "integer", "role": "feature"} for name in reading.calendar}
    roles = {plan.role for name, plan in desk.plans.items() if name in columns}
    if "feature" not in roles and not reading.calendar:
        raise RefusedError(
            "no column is left to predict from; add a usable column to the file. Notes on its columns: "
            + "; ".join(str(note) for note in desk.notes if note.column)[:600]
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
            "label_horizon": None if "due" in roles else "0h",
            "batch_every": rhythm.batch_every,
            "batch_grace": "1D" if every >= pd.Timedelta("3D") else "6h" if every >= pd.Timedelta("1D") else "1h",
            "times_ahead": TIMES_AHEAD,
            "suite": f"expectations/{desk.wishes.model}.json",
            "rows": {"where": []},
            "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
        }
    )


LOST = (
    "rows are used in order of arrival: seasons, gaps and late rows cannot be detected, labels count from arrival, and "
    "batches are told apart by when they landed"
)
FEW = 1000
"""Values of a column, at most, of which each may name a series."""


def arrival_times(desk: TablePlan, kept: np.ndarray) -> pd.Series:
    """Times of the kept rows by which they are in the order of the file, shape (n,), the last in 1970."""
    return made_times(len(kept), last=pd.Timestamp(0, tz="UTC"))


def events_of(desk: TablePlan, kept: np.ndarray, time: str) -> tuple[pd.Series, Rhythm]:
    """Event times of the rows that can land, made ones where none says when, and their rhythm; notes are added."""
    if time in desk.values:
        event = desk.values[time].iloc[kept]
        rhythm, seen = rhythm_of(event)
    else:
        event = arrival_times(desk, kept)
        rhythm, seen = rhythm_of_order(event), _no_time_notes(desk)
    desk.notes += seen
    _find_series(desk, kept, event)
    return event, _as_files_come(desk, event, rhythm)


def _as_files_come(desk: TablePlan, event: pd.Series, rhythm: Rhythm) -> Rhythm:
    """The rhythm with files as often as they come: as was said, or asked where somebody is there."""
    every = desk.wishes.every
    if every is None:
        told = desk.ask("how often does a file with new rows arrive?", rhythm.batch_every, ())
        every = checked_span("how often files arrive", told, above_zero=True)
    if every == rhythm.batch_every:
        return rhythm
    whole = rhythm.span > pd.Timedelta(every)  # not so of made times, which say an order and no more
    return at_rhythm(rhythm, event, every) if whole else replace(rhythm, batch_every=every)


def labels_of(desk: TablePlan, event: pd.Series, target: pd.Series) -> Literal["or_never", "later"]:
    """Whether an answer that is missing never comes, or is still to come; notes are added.

    Still to come are those of the newest rows, of which most have none. An older row whose answer is missing while
    those after it have theirs never gets one, as where a reading failed; so are few rows at the end.

    Args:
        event: Event times, shape (n,).
    """
    name = desk.wishes.target
    missing = target.isna().to_numpy()[np.argsort(event.to_numpy(), kind="stable")]
    tail = unanswered_tail(missing)
    to_come = int(missing[len(missing) - tail :].sum())
    never = int(missing.sum()) - to_come
    if never:
        seen = f"{never} rows have no label, although later rows have one: these labels are missing and will not arrive"
        desk.notes.append(
            TableNote("labels", name, seen, "kept as rows without a label; nothing waits for their labels")
        )
    if to_come:
        seen = f"{to_come} of the newest {tail} rows have no label yet: their labels are still to come"
        done = "declared, data.labels: later; land these labels as label files"
        desk.notes.append(TableNote("labels", name, seen, done))
    return "later" if to_come or desk.wishes.label_time else "or_never"


def _find_series(desk: TablePlan, kept: np.ndarray, event: pd.Series) -> None:
    """Notes what tells several series apart: what was named, else text before numbers, the fewest values first."""
    may = {
        name: desk.values[name].iloc[kept]
        for name, plan in desk.plans.items()
        if plan.type in ("category", "integer") and plan.role != "target" and not plan.skip and not plan.unique
        if 1 < desk.looks[name].distinct <= FEW
    }
    told = desk.wishes.entity
    names = [told] if told in may else sorted(may, key=lambda name: (desk.plans[name].type, desk.looks[name].distinct))
    desk.series = series_of(event, {name: may[name] for name in names})
    if not desk.series:
        return
    whose = pd.DataFrame({name: may[name] for name in desk.series})
    seen = f"{len(whose.drop_duplicates())} parallel series, each with one row per time"
    done = "identifies a row together with the time; each series is judged on its newest rows, over the same times"
    desk.notes.append(TableNote("series", " and ".join(desk.series), seen, done))


def _lying_after(desk: TablePlan) -> tuple[str, int]:
    """The column whose values lie one after another in the file, and how many there are; empty: none."""
    may = {
        name: desk.values[name]
        for name, plan in desk.plans.items()
        if plan.type == "category" and plan.role != "target" and not plan.unique and name in desk.values
    }
    return one_after_another({name: values for name, values in may.items() if 1 < values.nunique() <= FEW})


def _no_time_notes(desk: TablePlan) -> list[TableNote]:
    """What was looked for, which columns could be it, what is lost; and whether series lie one after another."""
    series, many = _lying_after(desk)
    seen = (
        "no column says when a row's event happened. Looked for: columns of times, in ISO 8601 or one of "
        f"{len(DAYS) * len(CLOCKS)} other formats"
    )
    plans = [plan for plan in desk.plans.values() if plan.role != "target" and plan.name in desk.values]
    seconds = [plan.name for plan in plans if plan.unix]
    if seconds:
        seen += f"; {seconds[0]!r} could be seconds since 1970; if so: --event-time {seconds[0]!r}"
    done = f"set it with --event-time COL, or sort the file in order of time. Until then, {LOST}"
    notes = [TableNote("no event time", "", seen, done, "warn")]
    if series:
        seen = f"the rows of each of its {many} values form one block in the file"
        lost = (
            "if these are series, the first would be trained on and the last judged: with rows in this order, the "
            "value of a model cannot be measured"
        )
        desk.in_order = False
        notes.append(TableNote("series", series, seen, lost, "warn"))
    return notes


def known_times(
    desk: TablePlan, kept: np.ndarray, event: pd.Series, target: pd.Series, *, timed: bool
) -> pd.Series | None:
    """When each kept row's label became known, not before its event; missing where none is, or no time says.

    Args:
        event: Their event times, shape (n,).
        target: Their targets, shape (n,), index `kept`.

    Returns:
        UTC times, index `kept`; None where no label time was named.

    Raises:
        BadInputError: There is no event time to count from.
    """
    column = desk.wishes.label_time
    if column is None:
        return None
    if not timed:
        raise BadInputError(
            f"the label time {column!r} needs the time of each event, but no column is known to contain it; set "
            "that column with --event-time COL"
        )
    times = desk.values[column].iloc[kept]
    came = event.set_axis(times.index)
    return times.where(target.notna().to_numpy()).clip(lower=came).where(times.notna())


def delays_of(known: pd.Series, event: pd.Series, target: pd.Series) -> LabelDelays | None:
    """From event to label; None where no label time is known.

    Args:
        known: As `known_times` gives them, shape (n,).
        event: Event times, shape (n,).
        target: Shape (n,).
    """
    came = event.set_axis(known.index)
    there = known.notna()
    if not there.any():
        return None
    end = max(came.max(), known.max())
    waiting = target.set_axis(known.index).isna()
    return LabelDelays(
        known=(known - came)[there],
        answers=target.set_axis(known.index)[there],
        waiting=(end - came)[waiting],
    )


def label_notes(desk: TablePlan, known: pd.Series, event: pd.Series, target: pd.Series) -> list[TableNote]:
    """What a person should know of the label times, and how the labels will land."""
    column = str(desk.wishes.label_time)
    stated = desk.values[column].loc[known.index]
    answered = target.set_axis(known.index).notna()
    early = int((stated < event.set_axis(known.index)).sum())
    silent, alone = int((answered & stated.isna()).sum()), int((~answered & stated.notna()).sum())
    notes = []
    if early:
        seen = f"{early} labels are older than their event"
        notes.append(
            TableNote("label time", column, seen, "treated as known with their row; check both columns", "warn")
        )
    if silent:
        seen = f"{silent} labels have no time at which they were known"
        notes.append(TableNote("label time", column, seen, "treated as known when they were due", "warn"))
    if alone:
        seen = f"{alone} rows have a label time and no label"
        notes.append(
            TableNote("label time", column, seen, "treated as rows without a label; check both columns", "warn")
        )
    done = "rows land first, then their labels as label files, at the times when they became known"
    if column != LABEL_TIME:
        done += f"; in later label files, call this column {LABEL_TIME}"
    notes.append(
        TableNote(
            "label time",
            column,
            f"{int((answered & stated.notna()).sum())} labels have a time at which they were known",
            done,
        )
    )
    return notes


@dataclass(frozen=True)
class LabelledHistory:
    """A history with label times, as the horizon is measured on it.

    Args:
        table: Typed rows in order of time, with `_event`.
        known: When each label became known, index of `table`; missing where no time says so.
        delays: From event to label.
    """

    table: pd.DataFrame
    known: pd.Series
    delays: LabelDelays


def choose_horizon(
    desk: TablePlan,
    aim: Aim,
    rhythm: Rhythm,
    data: DataParams,
    lived: LabelledHistory | None,
    *,
    timed: bool,
    seed: int,
    threads: int,
) -> tuple[DataParams, dict[tuple[str, ...], SettingChoice]]:
    """The table with its label horizon, and the reason for it where it was measured; as it is where a column says it.

    Args:
        lived: The history with label times; None: there are none.

    Raises:
        BadInputError: What the person answers is no span.
    """
    if data.due is not None:
        return data, {}
    if desk.wishes.horizon is not None:
        return data.model_copy(update={"label_horizon": check_span(desk.wishes.horizon)}), {}
    span, seen = (
        horizon_of(rhythm) if timed else ("0h", "rows are used in order of arrival, so a label is known with its row")
    )
    why = ""
    if lived is not None:
        span, seen, why = _from_delays(aim, data, lived, seed=seed, threads=threads)
    said = desk.ask("how long after its event is a row's label known at the latest?", span, ())
    try:
        check_span(said)
    except ValueError as error:
        raise BadInputError(f"the horizon: {error}") from error
    desk.notes.append(
        TableNote("horizon", "", f"label_horizon {said}", seen, "warn" if seen.startswith("assumed") else "tell")
    )
    told = SettingChoice(said, why if said == span else "")
    return data.model_copy(update={"label_horizon": said}), {("data", "label_horizon"): told}


def _from_delays(
    aim: Aim, data: DataParams, lived: LabelledHistory, *, seed: int, threads: int
) -> tuple[str, str, str]:
    """Horizon, what is said of it, and the reason beside its value."""
    classes = aim.task != "regression"
    spans, each = spans_of(lived.delays, classes=classes), " of each class" if classes else ""
    longest, end = spans[SHARES[-1]], lived.table["_event"].iloc[-1]
    labelled = lived.table[data.target].notna()
    tried = try_horizons(
        lived.table[labelled],
        lived.known[labelled],
        data,
        sorted(set(spans.values())),
        complete=end - longest if len(lived.delays.waiting) else end,
        loss=aim.loss,
        seed=seed,
        threads=threads,
    )
    if len(tried) < 2:
        why = f"{SHARES[-1]:.0%} of the labels{each} are known by then, counting those still to come"
        return span_text(longest), f"{why}; {known_by(lived.delays, longest)}", why
    best = least(tried)
    share = max(share for share, span in spans.items() if span <= best.horizon)
    why = (
        f"by then {share:.0%} of the labels{each} are known, and models trained with this horizon at {MOMENTS} dates "
        "had the lowest loss"
    )
    beside = [one for one in (tried[0], tried[-1]) if one is not best]
    others = "; ".join(f"{span_text(one.horizon)}: {_figures(one)}" for one in beside)
    shown = f"{why}: {aim.loss} {_figures(best)} ({others}); {known_by(lived.delays, best.horizon)}"
    return span_text(best.horizon), shown, why


def _figures(tried: HorizonTrial) -> str:
    parts = f"{tried.bias:+.2g} from labels still to come and {tried.stale:+.2g} from leaving out the newest rows"
    return f"{tried.loss:.4g}, including {parts}"


SEASONS_BACK = 2
"""Whole seasons back that are proposed as lags."""
STEPS = 12
"""Steps of the table that a mean is of, where there is no season."""
MOST_OTHERS = 8
"""Columns of numbers, not known so early, whose newest known value is proposed, at most."""


def _check(desk: TablePlan) -> None:
    """Checks what the person said of it."""
    wishes = desk.wishes
    for name in wishes.known_ahead:
        if name not in desk.plans:
            raise UnknownNameError("column", name, desk.plans)
    if wishes.ahead is None:
        if wishes.known_ahead:
            raise BadInputError(
                "--known-ahead needs --ahead SPAN, which says how long before its event a row is predicted"
            )
        return
    try:
        check_above_zero(check_span(wishes.ahead))
    except ValueError as error:
        raise BadInputError(f"--ahead: {error}") from error


def as_forecast(
    desk: TablePlan, data: DataParams, season: TableSeason | None, rhythm: Rhythm, *, made: tuple[str, ...], timed: bool
) -> DataParams:
    """The section `data` of a forecast; unchanged where none is asked for.

    Raises:
        BadInputError: The span is none, or there is none; or rows have no event time.
        UnknownNameError: A named column is not there.
    """
    _check(desk)
    wishes = desk.wishes
    if wishes.ahead is None:
        return data
    if not timed:
        raise BadInputError("--ahead needs the event time of each row; set its column with --event-time COL")
    ahead = check_span(wishes.ahead)
    whose = desk.series if wishes.entity is None else (wishes.entity,)
    known = [name for name in data.own_features if name in (*wishes.known_ahead, *made, *whose)]
    early = [name for name in data.own_features if name not in known]
    features = _features(data, early, season, rhythm, ahead=pd.Timedelta(ahead))
    late = {name: data.columns[name].model_copy(update={"role": "forbidden"}) for name in early}
    known_then = data.model_copy(update={"columns": data.columns | late})
    record = known_then.model_dump(mode="json", exclude_unset=True)
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
    gone = f"; known later, so the model sees only their past values: {', '.join(early)}" if early else ""
    desk.notes.append(
        TableNote(
            "forecast",
            "",
            f"rows are predicted {ahead} before their event; known by then: {', '.join(known) or 'no column'}{gone}",
            f"features from the past: {', '.join(found.history.columns)}; declared, data.history",
        )
    )
    return found


def _features(
    data: DataParams, early: list[str], season: TableSeason | None, rhythm: Rhythm, *, ahead: pd.Timedelta
) -> list[dict[str, str | int]]:
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


def _newest(name: str) -> dict[str, str | int]:
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


ANSWERED = "known before the event, as a person answered retrim init"
"""Why a column is allowed of which that was asked."""
FEW_TWINS = 0.01  # of the holdout rows: so many may be in training too before it is said
USUAL_TWINS = 0.2  # of training rows: where so many have a twin, rows are alike by chance


@dataclass(frozen=True)
class WorkspaceDraft:
    """Everything that was made of a table.

    Args:
        data: The section `data`.
        reading: The section `reading`.
        choices: Other values, by their place in params.yaml.
        aim: What is predicted.
        rhythm: How rows follow one another.
        suite: Drafted expectations, both kept and dropped.
        notes: What was found and decided.
        leaks: Columns that leak the target and were not allowed.
        allowed: Columns that leak the target and were allowed.
        known_before: Columns that looked like a leak and are known before the event, each with who said so.
        frame: Typed rows in the order of the file, `_row` their place in it; rows that cannot land left out.
        worth: The first model against what is simpler.
        season: Of the target.
        known: When each row's label became known, index of `frame`; None: labels come with their rows.
        label_time: The column that says so; empty: none does.
    """

    data: DataParams
    reading: ReadingParams
    choices: Choices
    aim: Aim
    rhythm: Rhythm
    suite: list[ExpectationDraft]
    notes: list[TableNote]
    leaks: list[Leak]
    allowed: list[Leak]
    known_before: dict[str, str]
    frame: pd.DataFrame
    worth: FirstFit | None
    season: TableSeason | None
    known: pd.Series | None
    label_time: str

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
            "notes": [to_record(note) for note in self.notes],
            "leaks": [to_record(leak) for leak in self.leaks],
            "allowed_leaks": [to_record(leak) for leak in self.allowed],
            "worth": None if self.worth is None else {"gains": self.worth.gains, "bounds": self.worth.bounds},
        }


def draft(
    raw: RawTable, wishes: InitRequest, *, ask: Ask, confidence: float, seed: int, threads: int
) -> WorkspaceDraft:
    """Looks at a table and drafts its settings.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be made of it: too few rows, or a target that never varies.
    """
    desk = open_desk(raw, wishes, ask)
    check_columns(desk)
    aim = choose_aim(desk)
    time = choose_time(desk)
    settle_types(desk, reading_of(desk, time), aim, time)
    timed = time in desk.values
    reading = reading_of(desk, time)
    kept, target = rows_to_land(desk, time, aim)
    event, rhythm = events_of(desk, kept, time)
    reading = reading.model_copy(update={"calendar": calendar_of(desk, rhythm) if timed else {}})
    known = known_times(desk, kept, event, target, timed=timed)
    delays = None if known is None else delays_of(known, event, target)
    if known is not None:
        desk.notes += label_notes(desk, known, event, target)
    key = choose_key(desk, kept, time)
    data = data_of(desk, aim, time, reading, rhythm, key, labels=labels_of(desk, event, target))
    frame = _frame_to_land(desk, data, reading, kept, event)
    lived = _lived(_table(frame, data), known, delays)
    data, chosen = choose_horizon(desk, aim, rhythm, data, lived, timed=timed, seed=seed, threads=threads)
    table, labelled = _with_past(_table(frame, data), data)
    if len(labelled) < LEAST_ROWS:
        raise RefusedError(
            f"{len(labelled)} labelled rows are too few to train and evaluate a model; pass at least {LEAST_ROWS}"
        )
    season = season_of(labelled["_event"], _target_numbers(labelled, data), rhythm) if timed else None
    data = as_forecast(desk, data, season, rhythm, made=tuple(reading.calendar), timed=timed)
    table, labelled = _with_past(table, data)
    rows = judging_rows(len(labelled), rhythm, aim)
    search = partial(_find_leaks, desk, table, reading, known, judge_rows=rows, seed=seed, threads=threads)
    data, found, known_before, unsure = _ask_about_leaks(desk, labelled, data, search, made=tuple(reading.calendar))
    desk.notes += leaned_notes(found.leaned)
    desk.notes += _twin_notes(table, data, rows, tuple(reading.calendar))
    worth = None
    if not found.refused and desk.in_order:
        fit = partial(
            first_fit, labelled, loss=aim.loss, season=season, confidence=confidence, seed=seed, threads=threads
        )
        worth = fit(data)
        desk.notes += worth_notes(
            worth,
            loss=aim.loss,
            confidence=confidence,
            looks_back=timed and not data.history.features,
            unsure=unsure,
            without=fit(_without(data, unsure)) if unsure else None,
        )
        desk.notes += _cost_notes(worth, floors_of(aim, season), rhythm, loss=aim.loss)
    every = len(labelled) + round(raw.before * len(labelled) / raw.rows)
    choices = sizes(
        every,
        rhythm,
        aim,
        judge_rows=judging_rows(every, rhythm, aim),
        block_rows=max(_block(worth, labelled["_event"], series=bool(desk.series), judge_rows=rows), 1),
        season=season,
        features=len(data.features),
    )
    desk.notes.append(TableNote("loss", data.target, aim.why, f"judge.loss: {aim.loss}"))
    desk.notes += imbalance_notes(aim, data.target)
    return WorkspaceDraft(
        data=data,
        reading=reading,
        choices={**choices, **chosen},
        aim=aim,
        rhythm=rhythm,
        suite=_suite(table, data, reading, rhythm),
        notes=desk.notes,
        leaks=found.refused,
        allowed=found.allowed,
        known_before=known_before,
        frame=frame,
        worth=worth,
        season=season,
        known=_by_row(known, frame),
        label_time=wishes.label_time or "",
    )


def _cost_notes(worth: FirstFit | None, floors: Sequence[str], rhythm: Rhythm, *, loss: str) -> list[TableNote]:
    """What the default retraining cost is for a first model, in words."""
    if worth is None:
        return []
    gain = GainParams()
    model = ModelWorth(float(worth.model.mean()), worth.naive_loss(floors))
    cost = gain.cost_in_loss(model)
    payback = describe_payback(
        cost,
        model,
        loss=loss,
        worst_loss=None,
        checks_of_year=pd.Timedelta(days=YEAR_DAYS) / pd.Timedelta(rhythm.batch_every),
    )
    least = "" if model.is_above_floor else f", counted as {WORTH_FLOOR:.0%} of its loss"
    seen = f"{loss} {cost:.3g} over one batch: {gain.cost:g} of what a first model is worth there, {model.worth:.3g}"
    return [TableNote("cost", "", f"{seen}{least}", f"a retraining {payback}; from money: retrim settings --cost")]


def _frame_to_land(
    desk: TablePlan, data: DataParams, reading: ReadingParams, kept: np.ndarray, event: pd.Series
) -> pd.DataFrame:
    """Typed rows that can land, in the order of the file, with what is made of them."""
    frame = pd.DataFrame({name: desk.values[name] for name in data.columns if name in desk.values}).iloc[kept]
    frame = frame.assign(_row=kept).reset_index(drop=True)
    if reading.arrival is not None:
        frame[reading.arrival] = event.reset_index(drop=True)
    frame = with_made(frame, data, reading.model_copy(update={"arrival": None}), arrives=pd.Timestamp(0, tz="UTC"))
    return frame.assign(_key=row_keys(frame, data.key, "raw"))


def _find_leaks(
    desk: TablePlan,
    table: pd.DataFrame,
    reading: ReadingParams,
    known: pd.Series | None,
    data: DataParams,
    *,
    judge_rows: int,
    seed: int,
    threads: int,
) -> LeaksFound:
    """Columns that give the answer away."""
    return find_leaks(
        table,
        data,
        label_time=_by_row(known, table),
        entity=_entity(desk, table),
        judge_rows=judge_rows,
        made=tuple(reading.calendar),
        allowed=desk.wishes.allow_leak,
        seed=seed,
        threads=threads,
    )


def _ask_about_leaks(
    desk: TablePlan,
    labelled: pd.DataFrame,
    data: DataParams,
    search: Callable[[DataParams], LeaksFound],
    *,
    made: Collection[str],
) -> tuple[DataParams, LeaksFound, dict[str, str], tuple[str, ...]]:
    """Asks of each column that may be known only after the event whether it is known before; notes are added.

    A column that is not is left out, and what is left is looked at anew. Where nobody is there to be asked, a column
    stays as params.yaml has it by now, and is marked where that says nothing.

    Returns:
        What the table is; what gives the answer away; columns that are known before the event, each with who said so;
        columns of which nobody knows.
    """
    wishes, found = desk.wishes, search(data)
    said = dict(wishes.known_before) | dict.fromkeys(wishes.allow_leak, wishes.reason)
    known_before: dict[str, str] = {}
    unsure: dict[str, str] = {}
    while not found.refused:
        suspects = suspects_of(labelled, data, found, made=made)
        known_before |= {name: said[name] for name in suspects if name in said}
        column = next((name for name in suspects if name not in known_before and name not in unsure), None)
        if column is None:
            break
        seen, proposal = suspects[column], "no" if column in wishes.known_after else "unsure"
        answer = desk.ask(f"{column!r} ({seen}): is it known before the event?", proposal, ("yes", "no", "unsure"))
        if answer == "yes":
            known_before[column] = ANSWERED
        elif answer == "unsure":
            unsure[column] = seen
        else:
            done = f"not known before the event: forbidden; to use it: --allow-leak {column!r} --reason WHY"
            desk.notes.append(TableNote("known after", column, seen, done))
            data = _without(data, (column,))
            found = search(data)
    for column, seen in unsure.items():
        done = f"kept, but is it known before the event? If not: --forbid {column!r}; if it is: --allow-leak {column!r}"
        desk.notes.append(TableNote("known before?", column, seen, f"{done} --reason WHY", "warn"))
    return data, found, known_before, tuple(unsure)


def _without(data: DataParams, names: Collection[str]) -> DataParams:
    """The table with these columns forbidden to the model."""
    columns = {
        name: column.model_copy(update={"role": "forbidden"}) if name in names else column
        for name, column in data.columns.items()
    }
    return data.model_copy(update={"columns": columns})


def _entity(desk: TablePlan, table: pd.DataFrame) -> str | None:
    return desk.wishes.entity if desk.wishes.entity in table else None


def _by_row(known: pd.Series | None, rows: pd.DataFrame) -> pd.Series | None:
    """When each row's label became known, with the index of the rows."""
    return None if known is None else known.reindex(rows["_row"]).set_axis(rows.index)


def _table(frame: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    event = frame[data.time]
    due = frame[data.due] if data.due else event + pd.Timedelta(data.label_horizon or 0)
    table = frame.assign(_event=event, _due=due)
    return table.sort_values(["_event", "_row"], kind="stable", ignore_index=True)


def _lived(table: pd.DataFrame, known: pd.Series | None, delays: LabelDelays | None) -> LabelledHistory | None:
    if known is None or delays is None:
        return None
    return LabelledHistory(table, known.reindex(table["_row"]).set_axis(table.index), delays)


def _block(worth: FirstFit | None, event: pd.Series, *, series: bool, judge_rows: int) -> int:
    """For how many rows the first model's errors stay alike; a twentieth of those that judge where there is none."""
    if worth is None:
        return max(judge_rows // 20, 1)
    most = max(judge_rows // 8, 1)
    if series:
        return alike_rows_of_series(worth.model, event.iloc[-worth.rows :], most=most)
    return alike_rows(worth.model, most=most)


def _with_past(table: pd.DataFrame, data: DataParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table with the features from its past, and of it the rows with a label."""
    table = with_past(table, data, data.history)
    return table, table[table[data.target].notna()].reset_index(drop=True)


def _target_numbers(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    wanted = data.positive if data.positive is not None else rows[data.target].mode().iloc[0]
    return (rows[data.target] == wanted).to_numpy(dtype="float64")


def _twin_notes(table: pd.DataFrame, data: DataParams, judge_rows: int, made: tuple[str, ...]) -> list[TableNote]:
    """What is said of holdout rows that stand in training too, where they are too few to be a leak."""
    counted = count_twins(table.iloc[:-judge_rows], table.iloc[-judge_rows:], data, made)
    if counted is None or counted[0] <= FEW_TWINS * judge_rows:
        return []
    seen = f"{counted[0]} of {judge_rows} holdout rows are in training too, identical except for time and key"
    if counted[1] > USUAL_TWINS:
        done = "training rows repeat as often: the features have few values, so rows are identical by chance"
        return [TableNote("duplicates", "", seen, done)]
    return [TableNote("duplicates", "", seen, "the measured loss is therefore too low", "warn")]


def _suite(table: pd.DataFrame, data: DataParams, reading: ReadingParams, rhythm: Rhythm) -> list[ExpectationDraft]:
    half = len(table) // 2
    later = table.iloc[half:]
    number = ((later["_event"] - later["_event"].iloc[0]) // pd.Timedelta(data.batch_every)).to_numpy()
    if reading.arrival is not None:
        number = np.arange(len(later)) // max(rhythm.batch_rows, 1)
    batches = [rows for _, rows in later.groupby(number, sort=True)]
    return draft_suite(table.iloc[:half], batches, data, reading)
