"""A raw table as `retrim init` would take it, for a look at it: nothing is written, no model is made."""

from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.core.init.notes import Note
from retrim.core.keyed import row_keys
from retrim.core.look import LookTable
from retrim.datasets.raw import RawTable
from retrim.ops.init.desk import Desk, Wishes, check_columns, open_desk
from retrim.ops.init.order import arrival_times, events_of, labels_of
from retrim.ops.init.roles import choose_aim, choose_time
from retrim.ops.init.spelled import reading_of, rows_to_land, settle_types
from retrim.ops.init.table import choose_key, data_of


def raw_table(raw: RawTable, wishes: Wishes) -> tuple[LookTable, list[Note]]:
    """The table, and what was noticed while it was read.

    Args:
        raw: The table as it stands in its file.
        wishes: Its target, and what else is known of it.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be learned of the target, or no column is left beside it.
    """
    desk = open_desk(raw, wishes, _proposed)
    check_columns(desk)
    aim = choose_aim(desk)
    time = choose_time(desk)
    settle_types(desk, reading_of(desk, time), aim, time)
    reading = reading_of(desk, time)
    kept, target = rows_to_land(desk, time, aim)
    timed = time in desk.values
    event, rhythm = events_of(desk, kept, time)
    key = choose_key(desk, kept, time)
    data = data_of(desk, aim, time, reading, rhythm, key, labels=labels_of(desk, event, target))
    order = pd.Series(event.to_numpy()).sort_values(kind="stable").index.to_numpy()
    places = kept[order]

    def column(name: str) -> pd.Series:
        values: pd.Series = desk.values[name] if name in desk.values else arrival_times(desk, np.arange(raw.rows))
        ordered: pd.Series = values.iloc[places].reset_index(drop=True)
        return ordered

    keys = pd.DataFrame({name: column(name) for name in key}, index=range(len(places)))
    named = row_keys(keys, data.key, "row") if key else pd.Series([f"row {place + 1}" for place in places], dtype="str")
    table = LookTable(
        data=data,
        event=event.iloc[order].reset_index(drop=True),
        keys=named,
        column=column,
        timed=timed,
        batches=None,
        mature=None,
        left_out=_left_out(desk),
        unnamed=frozenset(wishes.forbid),
    )
    return table, [replace(note, done=f"retrim init: {note.done}") for note in desk.notes]


def _proposed(_question: str, proposal: str, _choices: object) -> str:
    return proposal


def _left_out(desk: Desk) -> dict[str, str]:
    """Columns that are not kept, and why."""
    said = {note.column: note.seen for note in desk.notes if note.about in ("personal", "nested", "name")}
    return {name: said.get(name, "is not kept") for name, plan in desk.plans.items() if plan.skip}
