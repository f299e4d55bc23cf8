"""The table as the house knew it at a moment, with the features from the past of every version it holds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.frames import rows_at
from retrim.core.keyed import row_keys
from retrim.core.lags import HistoryParams, past_takes
from retrim.core.row_ledger import LEFT_OUT, REPLACES, Members, numbering_of
from retrim.core.rows import kept, left_out
from retrim.core.table import ColumnType, DataParams, known_rows, shaped, with_past
from retrim.datasets.landed_rows import ROW, LandedRows, without_numbers
from retrim.datasets.landed_zone import open_landed, with_names_of_then
from retrim.errors import BadInputError
from retrim.ops.changed_table import refuse_changes
from retrim.ops.house import House

HISTORY = "history"
"""In a version's lineage: its features from the past; without the key it has none."""
NEEDS = "needs"
"""In a version's lineage: the columns of landed rows that it reads, with their types then."""


@dataclass(frozen=True)
class KnownTable:
    """Rows of the table whose other columns stay on disk until somebody asks for them.

    Args:
        times: In total order, as `assemble` gives them: keys, times, target, what `data.rows` asks, features from the
            past and what they are made of. Where rows are put together into coarser ones, all columns.
        landed: Where the others lie; None where there are none.
        numbers: Of the rows there, shape (n,).
        members: Which landed rows a row of the whole table is made of.
        places: Of the rows in the whole table, shape (n,).
    """

    times: pd.DataFrame
    landed: LandedRows | None
    numbers: np.ndarray
    members: Members
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def landed_keys(self) -> pd.Series:
        """The keys of all rows that landed, also of those that `data.rows` leaves out; of rows put together, theirs."""
        return (self.times if self.landed is None else self.landed.narrow(["_key"]))["_key"]

    def only(self, which: np.ndarray | pd.Series) -> "KnownTable":
        """The rows that are True in `which`, shape (n,)."""
        assert len(which) == len(self.times)
        places = np.flatnonzero(np.asarray(which))
        times = rows_at(self.times, places).reset_index(drop=True)
        return replace(self, times=times, numbers=self.numbers[places], places=self.places[places])

    def in_whole(self, which: np.ndarray) -> np.ndarray:
        """The rows of the whole table that are True in `which`, shape (n,), as rows of that."""
        found = np.zeros(self.members.rows, dtype=bool)
        found[self.places[which]] = True
        return found

    def tail(self, rows: int) -> "KnownTable":
        """The last so many rows."""
        return self.only(np.arange(len(self)) >= len(self) - rows)

    def mature(self) -> "KnownTable":
        """The rows whose label was due and known."""
        return self.only(self.times["_matured"].notna())

    def read(self, columns: Collection[str] | None = None, *, coded: Collection[str] = ()) -> pd.DataFrame:
        """The rows with their other columns. Of what landed, row groups without one of them are not opened.

        Args:
            columns: Which of the others, at least; None: all.
            coded: Columns of text that become pandas categories, if they are among the others.
        """
        if self.landed is None:
            return self.times.copy()
        return self.landed.beside(self.times.assign(**{ROW: self.numbers}), columns, coded=coded)


def known(house: House, *others: House, as_of: pd.Timestamp) -> KnownTable:
    """What had landed by `as_of`, a row a key.

    Beside the features that params.yaml declares now stand those that versions were made with: one that was made
    before a change of `data.history` predicts on.

    Args:
        house: The house.
        others: Houses of the same table whose versions are asked too, as those of a replay.
        as_of: The moment.

    Raises:
        BadInputError: No rows had landed by then, or a file is damaged.
        RefusedError: A file was altered since it landed.
    """
    versions = [row for each in (house, *others) for row in each.store.versions(each.model)]
    histories = [HistoryParams.model_validate(row.lineage[HISTORY]) for row in versions if row.lineage.get(HISTORY)]
    needs: dict[str, ColumnType] = {}
    for row in versions:
        needs |= row.lineage.get(NEEDS, {})
    return _known(house, house.params.data, histories, needs, as_of=as_of)


def known_of(house: House, data: DataParams, batches: Collection[str], *, as_of: pd.Timestamp) -> KnownTable:
    """What was known by `as_of` of these batches alone, without features from the past.

    Args:
        house: The house.
        data: What the table is.
        batches: Which count; the others are passed over.
        as_of: The moment.
    """
    plain = data.model_copy(update={"history": data.history.model_copy(update={"features": ()})})
    return _known(house, plain, (), {}, as_of=as_of, batches=batches)


def known_table(house: House, *others: House, as_of: pd.Timestamp) -> pd.DataFrame:
    """The same with all columns of all rows."""
    return known(house, *others, as_of=as_of).read()


def known_times(house: House, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """Keys, times and target alone, which say how many rows there are and when they were mature."""
    data = house.params.data
    if data.rows.resample is None:
        data = data.model_copy(update={"history": data.history.model_copy(update={"features": ()})})
    return _known(house, data, (), {}, as_of=as_of).times


def _known(
    house: House,
    data: DataParams,
    histories: Sequence[HistoryParams],
    needs: Mapping[str, ColumnType],
    *,
    as_of: pd.Timestamp,
    batches: Collection[str] | None = None,
) -> KnownTable:
    files = [file for file in house.landing.batches(as_of) if batches is None or file.batch in batches]
    if not any(file.kind == "rows" for file in files):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")
    refuse_changes(house.landing, data)
    landed, labels = open_landed(files, data, needs, root=house.landing.root)
    decisive = landed.decisive(data, also=past_takes(data.history, *histories))
    came = known_rows(decisive, labels, data, as_of=as_of)
    first = _first_numbers(decisive, came)
    del decisive
    together = data.rows.resample is not None
    table = shaped(without_numbers(came) if together else came, data, as_of=as_of)
    members = Members(
        numbering_of({file.batch: file.rows for file in files if file.kind == "rows"}),
        _row_of(came, table, first, data),
        len(table),
        tuple(file.batch for file in files),
    )
    del came
    places = np.arange(len(table))
    if together:
        table = with_names_of_then(table, landed)
    also = () if together else landed.columns
    for history in histories:
        table = with_past(table, data, history, also=also, renamed=landed.renamed)
    if together:
        return KnownTable(table, None, places, members, places)
    return KnownTable(table.drop(columns=ROW), landed, table[ROW].to_numpy(), members, places)


def _first_numbers(landed: pd.DataFrame, came: pd.DataFrame) -> np.ndarray:
    """Of the row that is known of a key, by its number, the number of the one that brought that key, shape (landed,).

    Args:
        landed: Rows with `_key`, `_arrived` and `_row`, which counts from 0.
        came: Of these the latest of each key.
    """
    numbers = np.arange(len(landed))
    if len(landed) > len(came):  # else each key came once
        several = landed.loc[landed["_key"].duplicated(keep=False), ["_key", "_arrived", ROW]]
        brought = several.sort_values(["_arrived", ROW]).drop_duplicates("_key").set_index("_key")[ROW]
        replaced = came.loc[came["_key"].isin(brought.index), ["_key", ROW]]
        numbers[replaced[ROW]] = brought.loc[replaced["_key"]]
    return numbers


def _row_of(came: pd.DataFrame, table: pd.DataFrame, first: np.ndarray, data: DataParams) -> np.ndarray:
    """The table's row of each landed row, as `Members` has it.

    Args:
        came: Landed rows, the latest of each key.
        table: What was made of them.
        first: As `_first_numbers` gives it.
        data: What the table is.
    """
    found = np.full(len(first), REPLACES, dtype="int32")
    found[first[came[ROW].to_numpy()]] = LEFT_OUT
    if data.rows.resample is None:
        found[first[table[ROW].to_numpy()]] = np.arange(len(table))
        return found
    parts = kept(came, data.rows)
    names = parts[list(data.rows.resample.by)].assign(**{data.time: parts["_event"].dt.floor(data.rows.resample.every)})
    keys = row_keys(names, data.row_key, "")
    places = pd.Index(table["_key"]).get_indexer(pd.Index(keys))  # -1, to come, where it is in none
    found[first[parts[ROW].to_numpy()]] = np.where(keys.isna(), LEFT_OUT, places)
    return found


def left_out_since(house: House, *, as_of: pd.Timestamp, since: pd.Timestamp) -> int:
    """How many rows with an event after `since` had landed by `as_of` and are left out by `data.rows`."""
    data = house.params.data
    if not data.rows.where:
        return 0
    landed, labels = open_landed(house.landing.batches(as_of), data, {}, root=house.landing.root)
    came = known_rows(landed.decisive(data, also=()), labels, data, as_of=as_of)
    return sum(left_out(came[came["_event"] > since], data.rows).values())


def landed_since(house: House, previous: Row | None, *, rows: int, now: pd.Timestamp) -> dict[str, Any]:
    """Batches and rows that have landed, and how many of the rows after the check before."""
    before = 0 if previous is None else previous.record.get("landed", {}).get("rows", 0)
    since = None if previous is None else previous.as_of
    return {"batches": len(house.landing.batches(now)), "rows": rows, "new": rows - before, "since": since}
