"""When answers became known: a table's label times, checked, and what their delays say."""

import numpy as np
import pandas as pd

from retrim.core.init.delays import Delays, delay_notes
from retrim.core.init.notes import Note
from retrim.core.init.task import Aim
from retrim.core.table import LABEL_TIME
from retrim.errors import BadInputError
from retrim.ops.init.desk import Desk


def known_times(desk: Desk, kept: np.ndarray, event: pd.Series, target: pd.Series, *, timed: bool) -> pd.Series | None:
    """When each kept row's label became known, not before its event; missing where none is, or no time says.

    Args:
        desk: With the column of label times typed.
        kept: Places of the rows that can land.
        event: Their event times, shape (n,).
        target: Their targets, shape (n,), index `kept`.
        timed: Whether the events have times of their own.

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
            f"the label time {column!r} is counted from an event, and no time of it is there; name it: --event-time"
        )
    times = desk.values[column].iloc[kept]
    came = event.set_axis(times.index)
    return times.where(target.notna().to_numpy()).clip(lower=came).where(times.notna())


def delays_of(known: pd.Series, event: pd.Series, target: pd.Series) -> Delays | None:
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
    return Delays(
        known=(known - came)[there],
        answers=target.set_axis(known.index)[there],
        waiting=(end - came)[waiting],
        age=(end - came)[there],
    )


def label_notes(
    desk: Desk,
    aim: Aim,
    known: pd.Series,
    event: pd.Series,
    target: pd.Series,
    delays: Delays | None,
) -> list[Note]:
    """What a person should know of the label times, and how the labels will land."""
    column = str(desk.wishes.label_time)
    stated = desk.values[column].loc[known.index]
    answered = target.set_axis(known.index).notna()
    early = int((stated < event.set_axis(known.index)).sum())
    silent, alone = int((answered & stated.isna()).sum()), int((~answered & stated.notna()).sum())
    notes = []
    if early:
        seen = f"{early} labels are older than their event"
        notes.append(Note("label time", column, seen, "taken as known with their row; look at both columns", "warn"))
    if silent:
        seen = f"{silent} labels have no time at which they were known"
        notes.append(Note("label time", column, seen, "taken as known when they were due", "warn"))
    if alone:
        seen = f"{alone} rows have a label time and no label"
        notes.append(Note("label time", column, seen, "without a label; look at both columns", "warn"))
    done = "rows land first, their labels as files of labels when they became known"
    if column != LABEL_TIME:
        done += f"; in files of labels to come, call it {LABEL_TIME}"
    notes.append(
        Note("label time", column, f"{int((answered & stated.notna()).sum())} labels say when they were known", done)
    )
    if delays is not None:
        notes += delay_notes(delays, column, classes=aim.task != "regression")
    return notes
