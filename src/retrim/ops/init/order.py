"""Rows without an event time: what puts them in order, and what was looked for."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from retrim.core.init.dates import CLOCKS, DAYS
from retrim.core.init.notes import Note
from retrim.core.init.rhythm import Rhythm, at_rhythm, rhythm_of, rhythm_of_order
from retrim.core.init.series import counting, one_after_another, series_of
from retrim.core.made import made_times
from retrim.ops.init.desk import Desk, checked_span

LATE = 0.5
"""Share of the newest rows without an answer from which answers are still to come."""
FEW_LATE, FEW_SHARE = 10, 0.005
"""Newest rows, and their share of all, below which answers that are missing there say nothing of answers to come."""
LOST = (
    "works by order of arrival. Lost: seasons, gaps and late rows cannot be seen, labels count from arrival, and "
    "batches are told apart by when they landed"
)
FEW = 1000
"""Values of a column, at most, of which each may name a series."""


def arrival_times(desk: Desk, kept: np.ndarray) -> pd.Series:
    """Times of the kept rows by which they are in order, shape (n,), the last in 1970."""
    order = desk.wishes.order
    frame = pd.DataFrame({order: desk.values[order]} if order else {}, index=range(desk.raw.rows)).iloc[kept]
    return made_times(frame.reset_index(drop=True), order, last=pd.Timestamp(0, tz="UTC"))


def events_of(desk: Desk, kept: np.ndarray, time: str) -> tuple[pd.Series, Rhythm]:
    """Event times of the rows that can land, made ones where none says when, and their rhythm; notes are added.

    Args:
        desk: With every column typed.
        kept: Places of those rows.
        time: The column of the event time.
    """
    if time in desk.values:
        event = desk.values[time].iloc[kept]
        rhythm, seen = rhythm_of(event)
    else:
        event = arrival_times(desk, kept)
        rhythm, seen = rhythm_of_order(event), _no_time_notes(desk)
    desk.notes += seen
    _find_series(desk, kept, event)
    return event, _as_files_come(desk, event, rhythm)


def _as_files_come(desk: Desk, event: pd.Series, rhythm: Rhythm) -> Rhythm:
    """The rhythm with files as often as they come: as was said, or asked where somebody is there."""
    every = desk.wishes.every
    if every is None:
        told = desk.ask("how often does a file with new rows come?", rhythm.batch_every, ())
        every = checked_span("how often files come", told, above_zero=True)
    if every == rhythm.batch_every:
        return rhythm
    whole = rhythm.span > pd.Timedelta(every)  # not so of made times, which say an order and no more
    return at_rhythm(rhythm, event, every) if whole else replace(rhythm, batch_every=every)


def labels_of(desk: Desk, event: pd.Series, target: pd.Series) -> Literal["or_never", "later"]:
    """Whether an answer that is missing never comes, or is still to come; notes are added.

    Still to come are those of the newest rows, of which most have none. An older row whose answer is missing while
    those after it have theirs never gets one, as where a reading failed; so are few rows at the end.

    Args:
        desk: What was said.
        event: Event times, shape (n,).
        target: Targets of the same rows.
    """
    name = desk.wishes.target
    missing = target.isna().to_numpy()[np.argsort(event.to_numpy(), kind="stable")]
    newest = np.cumsum(missing[::-1]) / np.arange(1, len(missing) + 1)
    tail = int(np.flatnonzero(newest >= LATE).max(initial=-1)) + 1
    tail = tail if tail >= max(FEW_LATE, FEW_SHARE * len(missing)) else 0
    to_come = int(missing[len(missing) - tail :].sum())
    never = int(missing.sum()) - to_come
    if never:
        seen = f"{never} rows have none, and later ones have theirs: a reading that is missing, and never comes"
        desk.notes.append(Note("labels", name, seen, "kept as rows without a label; nothing waits for them"))
    if to_come:
        seen = f"{to_come} of the newest {tail} rows have none yet: they are still to come"
        done = "declared, labels: later; send them as files of labels"
        desk.notes.append(Note("labels", name, seen, done))
    return "later" if to_come or desk.wishes.label_time else "or_never"


def _find_series(desk: Desk, kept: np.ndarray, event: pd.Series) -> None:
    """Notes what tells several series apart: what was named, else text before numbers, the fewest values first."""
    may = {
        name: desk.values[name].iloc[kept]
        for name, plan in desk.plans.items()
        if plan.type in ("category", "integer") and plan.role != "target" and not plan.skip and not plan.unique
        if name != desk.wishes.order and 1 < desk.looks[name].distinct <= FEW
    }
    told = desk.wishes.entity
    names = [told] if told in may else sorted(may, key=lambda name: (desk.plans[name].type, desk.looks[name].distinct))
    desk.series = series_of(event, {name: may[name] for name in names})
    if not desk.series:
        return
    whose = pd.DataFrame({name: may[name] for name in desk.series})
    seen = f"{len(whose.drop_duplicates())} series side by side, a row of each a time"
    done = "with the time it names a row; each is judged on its newest rows, at the same times as the others"
    desk.notes.append(Note("series", " and ".join(desk.series), seen, done))


def _lying_after(desk: Desk) -> tuple[str, int]:
    """The column whose values lie one after another in the file, and how many there are; empty: none."""
    may = {
        name: desk.values[name]
        for name, plan in desk.plans.items()
        if plan.type == "category" and plan.role != "target" and not plan.unique and name in desk.values
    }
    return one_after_another({name: values for name, values in may.items() if 1 < values.nunique() <= FEW})


def _no_time_notes(desk: Desk) -> list[Note]:
    """What was looked for, which columns could be it, what is lost; and whether series lie one after another."""
    if desk.wishes.order is not None:
        return [Note("no event time", "", "rows have an order and no time", LOST, "warn")]
    series, many = _lying_after(desk)
    seen = (
        "no column says when a row's event happened. Looked for: columns of times, in ISO 8601 or as one of "
        f"{len(DAYS) * len(CLOCKS)} formats have it"
    )
    plans = [plan for plan in desk.plans.values() if plan.role != "target" and plan.name in desk.values]
    seconds = [plan.name for plan in plans if plan.unix]
    if seconds:
        seen += f"; {seconds[0]!r} could be seconds since 1970: --event-time {seconds[0]!r}"
    counts = counting({name: values for name, values in _whole(desk) if values.notna().all()}, pieces=many)
    ways = [f"--order {name!r}, which only goes up" for name in counts[:3]] or ["--order COL, whole numbers that go up"]
    done = f"name it: --event-time COL; or what puts rows in order: {' or '.join(ways)}. Until then {LOST}"
    notes = [Note("no event time", "", seen, done, "warn")]
    if series:
        seen = f"its {many} values lie one after another in the file, each in one piece"
        lost = (
            "if they are series, the first would train and the last be judged: what a model is worth cannot be told "
            "by the order of this file"
        )
        desk.in_order = False
        notes.append(Note("series", series, seen, lost, "warn"))
    return notes


def _whole(desk: Desk) -> list[tuple[str, pd.Series]]:
    """Columns of whole numbers, also where they are called as names are."""
    return [
        (name, pd.to_numeric(desk.values[name], errors="coerce"))
        for name, plan in desk.plans.items()
        if plan.role != "target" and name in desk.values and desk.looks[name].distinct > 1
        if plan.type == "integer" or (plan.type == "category" and _digits(desk.values[name]))
    ]


def _digits(values: pd.Series) -> bool:
    return bool(values.dropna().str.fullmatch(r"[0-9]{1,15}").all())
