"""A look at the landed table, or at a raw file as `retrim init` would take it: nothing is landed, no model is made."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from retrim.errors import BadInputError
from retrim.files import count_cores, write_file
from retrim.landing.as_of_view import refuse_changes
from retrim.lineage.workspace import Workspace
from retrim.onboarding.desk import InitRequest, reading_of
from retrim.onboarding.draft import data_of
from retrim.onboarding.init import open_table
from retrim.onboarding.labels import labels_of
from retrim.onboarding.rows import arrival_times, choose_key, plan_table
from retrim.profile.first_model import SEED
from retrim.profile.table import ProfiledTable, TableNote
from retrim.profile.whole import TableProfile, profile_table
from retrim.reading.landed_rows import ROW, LandedRows, open_landed, without_numbers
from retrim.reading.raw import RawTable
from retrim.table.data import OURS, assemble
from retrim.table.granularity import RowParams
from retrim.table.keys import row_keys

CELLS = 20_000_000
"""Cells of landed files that are held in memory at a time, so that a large table is read a few columns at a time."""


def raw_table(raw: RawTable, wishes: InitRequest) -> tuple[ProfiledTable, list[TableNote]]:
    """The table, and what was noticed while it was read.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be learned of the target, or no column is left beside it.
    """
    desk, aim, event, rhythm = plan_table(raw, wishes, lambda _question, proposal, _choices: proposal)
    key = choose_key(desk)
    data = data_of(desk, aim, reading_of(desk), rhythm, key, labels=labels_of(desk, event))
    order = pd.Series(event.to_numpy()).sort_values(kind="stable").index.to_numpy()
    rows = desk.rows[order]

    def column(name: str) -> pd.Series:
        values = desk.columns[name].values if name in desk.columns else arrival_times(raw.rows)
        ordered: pd.Series = pd.Series(values).iloc[rows].reset_index(drop=True)
        return ordered

    keys = pd.DataFrame({name: column(name) for name in key}, index=range(len(rows)))
    if key and not set(key) & set(wishes.forbid):
        named = row_keys(keys, data.key, "row")
    else:
        named = pd.Series([f"row {row + 1}" for row in rows], dtype="str")
    reasons = {note.column: note.seen for note in desk.notes if note.about in ("personal", "nested", "name")}
    table = ProfiledTable(
        data=data,
        event=event.iloc[order].reset_index(drop=True),
        keys=named,
        column=column,
        timed=desk.timed,
        mature=None,
        left_out={name: reasons.get(name, "is not stored") for name, column in desk.columns.items() if column.skip},
    )
    return table, [replace(note, done=f"retrim init: {note.done}") for note in desk.notes]


def profile(workspace: Workspace, *, as_of: pd.Timestamp, rows: int) -> TableProfile:
    """A look at the landed table as it was known at a moment.

    Raises:
        BadInputError: No rows had landed by then.
        RefusedError: A landed file was altered.
    """
    table = landed_table(workspace, as_of=as_of)
    return profile_table(table, rows=rows, seed=SEED, threads=count_cores(), given=())


def profile_file(
    where: str, wishes: InitRequest, *, rows: int, query: str | None = None, table: str | None = None
) -> TableProfile:
    """A look at a table that has not landed, read as `retrim init` reads it.

    Raises:
        BadInputError: It is not a table, or lacks a named column.
        RefusedError: Nothing can be made of it.
    """
    profiled, notes = raw_table(open_table(where, query=query, table=table), wishes)
    return profile_table(profiled, rows=rows, seed=SEED, threads=count_cores(), given=notes)


def write_rows(look: TableProfile, to: Path) -> tuple[str, ...]:
    """Writes the profiled rows as Parquet without the columns whose values are not shown, and returns their names.

    Raises:
        BadInputError: The place is a folder, or lies in none.
    """
    if to.is_dir() or not to.absolute().parent.is_dir():
        raise BadInputError(
            f"{to} is a folder, or is in a folder that does not exist; pass a file in an existing folder"
        )
    rows = pd.DataFrame({name: look.table.column(name) for name, column in look.columns.items() if not column.hidden})
    write_file(to, rows.to_parquet(index=False))
    return tuple(name for name, column in look.columns.items() if column.hidden)


def landed_table(workspace: Workspace, *, as_of: pd.Timestamp) -> ProfiledTable:
    """The landed table as it was known at a moment; its columns are read when they are asked for.

    Raises:
        BadInputError: No rows had landed by then, or they have other columns than params.yaml.
    """
    # What landed is looked at, row by row: also what `data.rows` leaves out.
    data = workspace.params.data.model_copy(update={"rows": RowParams()})
    batches = workspace.landing.batches(as_of)
    if not sum(file.rows for file in batches if file.kind == "rows"):
        raise BadInputError(
            f"no rows had landed by {as_of.isoformat()}; land some with `retrim ingest FILE`, or profile a file: "
            "retrim profile --data FILE --target COL"
        )
    refuse_changes(workspace.landing, workspace.params.data)
    landed, labels = open_landed(batches, data, {}, root=workspace.landing.root)
    past = [*data.history.entity, *(feature.of for feature in data.history.features)]
    needed = [*OURS, data.time, *([data.due] if data.due else []), data.target, *past]
    rows = landed.narrow(needed)
    rows = without_numbers(rows).assign(_place=rows[ROW])
    table = assemble(rows, labels, data, as_of=as_of)
    assembled = table[[data.target, *data.history.columns]]
    return ProfiledTable(
        data=data,
        event=table["_event"],
        keys=table["_key"],
        column=_LandedColumns(landed, list(data.columns), table["_place"], assembled),
        timed=workspace.params.reading.arrival is None,
        mature=int(table["_matured"].notna().sum()),
        left_out=dict.fromkeys(workspace.params.reading.skip, "is not stored from any file"),
    )


class _LandedColumns:
    """Columns of landed files in the order of the table, a few read at a time.

    Args:
        names: All columns, in the order in which they will be asked for.
        places: Row of the files that each row of the table is.
        assembled: Columns that no file has so: the target with labels that came later, features from the past.
    """

    def __init__(self, landed: LandedRows, names: Sequence[str], places: pd.Series, assembled: pd.DataFrame) -> None:
        self._landed, self._names, self._places, self._assembled = landed, names, places.to_numpy(), assembled
        self._several = max(CELLS // max(len(landed), 1), 1)
        self._read = pd.DataFrame()

    def __call__(self, name: str) -> pd.Series:
        if name in self._assembled:
            return self._assembled[name]
        if name not in self._read:
            at = self._names.index(name)
            wanted = [column for column in self._names[at:] if column not in self._assembled][: self._several]
            self._read = pd.DataFrame()  # the last ones go before the next come
            self._read = self._landed.narrow(wanted)
        return self._read[name].iloc[self._places].reset_index(drop=True)
