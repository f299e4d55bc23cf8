"""The table as the house knew it at a moment, with the features from the past of every version it holds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.core.frames import rows_at
from retrim.core.lags import HistoryParams, past_takes
from retrim.core.rows import left_out
from retrim.core.table import ColumnType, DataParams, known_rows, shaped, with_past
from retrim.datasets.landed_rows import ROW, LandedRows, without_numbers
from retrim.datasets.landed_zone import open_landed, with_names_of_then
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
    """

    times: pd.DataFrame
    landed: LandedRows | None
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    def landed_keys(self) -> pd.Series:
        """The keys of all rows that landed, also of those that `data.rows` leaves out; of rows put together, theirs."""
        return (self.times if self.landed is None else self.landed.narrow(["_key"]))["_key"]

    def only(self, which: np.ndarray | pd.Series) -> "KnownTable":
        """The rows that are True in `which`, shape (n,)."""
        assert len(which) == len(self.times)
        places = np.flatnonzero(np.asarray(which))
        return replace(self, times=rows_at(self.times, places).reset_index(drop=True), numbers=self.numbers[places])

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
        BadInputError: No rows have landed at all, or a file is damaged.
        RefusedError: A file was altered since it landed.
    """
    versions = [row for each in (house, *others) for row in each.store.versions(each.model)]
    histories = [HistoryParams.model_validate(row.lineage[HISTORY]) for row in versions if row.lineage.get(HISTORY)]
    needs: dict[str, ColumnType] = {}
    for row in versions:
        needs |= row.lineage.get(NEEDS, {})
    return _known(house, house.params.data, histories, needs, as_of=as_of)


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
) -> KnownTable:
    landed, labels = _landed(house, data, needs, as_of=as_of)
    came = known_rows(landed.decisive(data, also=past_takes(data.history, *histories)), labels, data, as_of=as_of)
    together = data.rows.resample is not None
    table = shaped(without_numbers(came) if together else came, data, as_of=as_of)
    if together:
        table = with_names_of_then(table, landed)
    also = () if together else landed.columns
    for history in histories:
        table = with_past(table, data, history, also=also, renamed=landed.renamed)
    if together:
        return KnownTable(table, None, np.arange(len(table)))
    return KnownTable(table.drop(columns=ROW), landed, table[ROW].to_numpy())


def _landed(
    house: House, data: DataParams, needs: Mapping[str, ColumnType], *, as_of: pd.Timestamp
) -> tuple[LandedRows, pd.DataFrame | None]:
    refuse_changes(house.landing, data)
    return open_landed(house.landing.batches(as_of), data, needs, root=house.landing.root)


def left_out_since(house: House, *, as_of: pd.Timestamp, since: pd.Timestamp) -> int:
    """How many rows with an event after `since` had landed by `as_of` and are left out by `data.rows`."""
    data = house.params.data
    if not data.rows.where:
        return 0
    landed, labels = _landed(house, data, {}, as_of=as_of)
    came = known_rows(landed.decisive(data, also=()), labels, data, as_of=as_of)
    return sum(left_out(came[came["_event"] > since], data.rows).values())
