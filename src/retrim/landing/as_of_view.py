"""The table as the workspace knew it at a moment, with the features from the past of every version it holds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.adapters.landing_zone import Landing
from retrim.decision.check_record import CheckRecord, LandingCounts
from retrim.decision.rows_counted import LEFT_OUT, REPLACES, RowMembers, numbering_of
from retrim.decision.stored_rows import VersionRow
from retrim.errors import BadInputError
from retrim.lineage.workspace import Workspace
from retrim.reading.landed import BatchFile, Withdrawal, schemas_of
from retrim.reading.landed_rows import ROW, LandedRows, open_landed, read_labels
from retrim.stats.codec import rows_at
from retrim.table.data import ColumnType, DataParams, known_rows, label_times, shaped, with_past
from retrim.table.granularity import left_out
from retrim.table.lags import HistoryParams, past_takes
from retrim.table.schema import ColumnNames, name_faults, schema_faults

HISTORY = "history"
"""In a version's lineage: its features from the past; without the key it has none."""
NEEDS = "needs"
"""In a version's lineage: the columns of landed rows that it reads, with their types then."""


def refuse_changes(landing: Landing, data: DataParams) -> None:
    """Refuses columns under which what has landed could not be read any more.

    Raises:
        BadInputError: Names what a column was and is, and the cure.
    """
    files = landing.standing()
    rows, labels = (schemas_of(file for file in files if file.kind == kind) for kind in ("rows", "labels"))
    faults = name_faults([file.schema for file in landing.batches()], data)
    faults += [*schema_faults(rows, data), *schema_faults(labels, data, labels=True)]
    if faults:
        raise BadInputError("; ".join(dict.fromkeys(faults)))


def landed_columns(landing: Landing, data: DataParams) -> tuple[set[str], ColumnNames]:
    """The columns that ever landed, and what they were called."""
    schemas = [file.schema for file in landing.batches()]
    return {name for schema in schemas for name in schema.types}, ColumnNames(schemas, data)


@dataclass(frozen=True)
class AsOfTable:
    """Rows of the table whose other columns stay on disk until somebody asks for them.

    Args:
        times: In total order, as `assemble` gives them: keys, times, target, what `data.rows` asks, features from the
            past and what they are made of.
        landed: Where the others lie, with these `numbers`, shape (n,).
        members: Which landed row a row of the whole table is.
        places: Of the rows in the whole table, shape (n,).
    """

    times: pd.DataFrame
    landed: LandedRows
    numbers: np.ndarray
    members: RowMembers
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def landed_keys(self) -> pd.Series:
        """The keys of all rows that landed, also of those that `data.rows` leaves out."""
        return self.landed.narrow(["_key"])["_key"]

    def only(self, which: np.ndarray | pd.Series) -> "AsOfTable":
        """The rows that are True in `which`, shape (n,)."""
        assert len(which) == len(self.times)
        places = np.flatnonzero(np.asarray(which))
        times = rows_at(self.times, places).reset_index(drop=True)
        return replace(self, times=times, numbers=self.numbers[places], places=self.places[places])

    def in_whole(self, which: np.ndarray) -> np.ndarray:
        """The rows of the whole table that are True in `which`, shape (n,), as rows of that."""
        chosen = np.zeros(self.members.rows, dtype=bool)
        chosen[self.places[which]] = True
        return chosen

    def tail(self, rows: int) -> "AsOfTable":
        return self.only(np.arange(len(self)) >= len(self) - rows)

    def mature(self) -> "AsOfTable":
        """The rows whose label was due and known."""
        return self.only(self.times["_matured"].notna())

    def read(self, columns: Collection[str] | None = None, *, coded: Collection[str] = ()) -> pd.DataFrame:
        """The rows with their other columns. Of what landed, row groups without one of them are not opened."""
        return self.landed.beside(self.times.assign(**{ROW: self.numbers}), columns, coded=coded)


def read_as_of(
    workspace: Workspace,
    *,
    as_of: pd.Timestamp,
    without: Collection[str] = (),
    as_then: bool = False,
) -> AsOfTable:
    """What had landed by `as_of` and stands now, a row a key.

    Beside the features that params.yaml declares now stand those that versions were made with: one that was made
    before a change of `data.history` predicts on.

    Raises:
        BadInputError: No rows had landed by then, or a file is damaged.
        RefusedError: A file was altered since it landed.
    """
    versions = workspace.store.versions(workspace.model)
    histories = [HistoryParams.model_validate(row.made_from.history) for row in versions if row.made_from.history]
    needs: dict[str, ColumnType] = {}
    for row in versions:
        needs |= row.made_from.needs
    files = workspace.landing.batches(as_of, as_then=as_then)
    batches = [file for file in files if file.batch not in without]
    return _known(workspace, workspace.params.data, histories, needs, as_of=as_of, files=batches)


def known_of(workspace: Workspace, data: DataParams, batches: Collection[str], *, as_of: pd.Timestamp) -> AsOfTable:
    """What was known by `as_of` of these batches alone, without features from the past."""
    plain = data.model_copy(update={"history": data.history.model_copy(update={"features": ()})})
    files = [file for file in workspace.landing.batches(as_of) if file.batch in batches]
    return _known(workspace, plain, (), {}, as_of=as_of, files=files)


def known_table(workspace: Workspace, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """The same with all columns of all rows."""
    return read_as_of(workspace, as_of=as_of).read()


def read_times_as_of(workspace: Workspace, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """Keys, times and target alone, which say how many rows there are and when they were mature."""
    data = workspace.params.data
    data = data.model_copy(update={"history": data.history.model_copy(update={"features": ()})})
    return _known(workspace, data, (), {}, as_of=as_of, files=workspace.landing.batches(as_of)).times


def _known(
    workspace: Workspace,
    data: DataParams,
    histories: Sequence[HistoryParams],
    needs: Mapping[str, ColumnType],
    *,
    as_of: pd.Timestamp,
    files: Sequence[BatchFile],
) -> AsOfTable:
    if not any(file.kind == "rows" for file in files):
        later = [file.arrived for file in workspace.landing.standing() if file.kind == "rows"]
        from_then = f", or use an as-of date from {iso(min(later))} on, when the first rows arrived" if later else ""
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`{from_then}")
    refuse_changes(workspace.landing, data)
    landed, labels = open_landed(files, data, needs, root=workspace.landing.root)
    decisive = landed.decisive(data, also=past_takes(data.history, *histories))
    rows = known_rows(decisive, labels, data, as_of=as_of)
    first = _first_numbers(decisive, rows)
    del decisive
    table = shaped(rows, data)
    members = RowMembers(
        numbering_of({file.batch: file.rows for file in files if file.kind == "rows"}),
        _row_of(rows, table, first),
        len(table),
        tuple(file.batch for file in files),
    )
    del rows
    for history in histories:
        table = with_past(table, data, history, also=landed.columns, renamed=landed.renamed)
    numbers, places = table[ROW].to_numpy(), np.arange(len(table))
    return AsOfTable(table.drop(columns=ROW), landed, numbers, members, places)


def _first_numbers(landed: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Of the row that is known of a key, by number: the number of the one that brought that key, shape (landed,)."""
    numbers = np.arange(len(landed))
    if len(landed) > len(rows):  # else each key came once
        several = landed.loc[landed["_key"].duplicated(keep=False), ["_key", "_arrived", ROW]]
        brought = several.sort_values(["_arrived", ROW]).drop_duplicates("_key").set_index("_key")[ROW]
        replaced = rows.loc[rows["_key"].isin(brought.index), ["_key", ROW]]
        numbers[replaced[ROW]] = brought.loc[replaced["_key"]]
    return numbers


def _row_of(rows: pd.DataFrame, table: pd.DataFrame, first: np.ndarray) -> np.ndarray:
    """The table's row of each landed row, as `Members` has it."""
    places = np.full(len(first), REPLACES, dtype="int32")
    places[first[rows[ROW].to_numpy()]] = LEFT_OUT
    places[first[table[ROW].to_numpy()]] = np.arange(len(table))
    return places


def left_out_since(workspace: Workspace, *, as_of: pd.Timestamp, since: pd.Timestamp) -> int:
    """How many rows with an event after `since` had landed by `as_of` and are left out by `data.rows`."""
    data = workspace.params.data
    if not data.rows.where:
        return 0
    landed, labels = open_landed(workspace.landing.batches(as_of), data, {}, root=workspace.landing.root)
    rows = known_rows(landed.decisive(data, also=()), labels, data, as_of=as_of)
    return sum(left_out(rows[rows["_event"] > since], data.rows).values())


def landed_since(workspace: Workspace, previous: CheckRecord | None, *, rows: int, now: pd.Timestamp) -> LandingCounts:
    """Batches and rows that have landed, and how many of the rows after the check before."""
    before = 0 if previous is None or previous.landed is None else previous.landed.rows
    since = None if previous is None else previous.as_of
    return LandingCounts(len(workspace.landing.batches(now)), rows, rows - before, since)


def labels_came(workspace: Workspace, table: pd.DataFrame, *, as_of: pd.Timestamp) -> pd.Series:
    """When each label came, as its first file says, also before it was due, shape (n,); missing where none came.

    A label that came with its row came when it was due.
    """
    data = workspace.params.data
    return label_times(table, read_labels(workspace.landing.batches(as_of), data), data.target, as_of=as_of)


def made_with(workspace: Workspace, *files: BatchFile) -> list[int]:
    """The versions that were made with one of these batches."""
    batches, versions = {file.batch for file in files}, workspace.store.versions(workspace.model)
    held = {row.version: {file.batch for file in batches_of(workspace, row)} for row in versions}
    return [version for version in held if held[version] & batches]


def batches_of(workspace: Workspace, version: VersionRow) -> list[BatchFile]:
    """The batches that a version was made with, also those that were withdrawn since.

    Of an imported version nobody here knows that: then it is those that stood here at its as-of date.
    """
    used = workspace.store.used_rows(version.model, version.version)
    if used is None:
        return workspace.landing.batches(pd.Timestamp(version.as_of), as_then=True)
    return [file for file in workspace.landing.batches() if file.batch in used]


def withdrawn_batches(workspace: Workspace, version: int) -> list[Withdrawal]:
    """The withdrawals of batches that a version was made with, in order of arrival."""
    row, withdrawals = workspace.store.version(workspace.model, version), workspace.landing.withdrawals()
    if row is None or not withdrawals:
        return []
    return [withdrawals[file.batch] for file in batches_of(workspace, row) if file.batch in withdrawals]


def withdrawn_of_versions(workspace: Workspace) -> dict[int, list[str]]:
    """Of each version that holds withdrawn batches: which."""
    versions = [row.version for row in workspace.store.versions(workspace.model)]
    withdrawn = {version: withdrawn_batches(workspace, version) for version in versions}
    return {version: [gone.batch for gone in batches] for version, batches in withdrawn.items() if batches}
