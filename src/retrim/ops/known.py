"""The table as the house knew it at a moment, with the features from the past of every version it holds."""

import pandas as pd

from retrim.core.lags import HistoryParams
from retrim.core.rows import left_out
from retrim.core.table import assemble, known_rows, with_past
from retrim.datasets.landed import landed_files, read_labels, read_landed, rows_of
from retrim.datasets.landed_rows import LandedRows
from retrim.ops.house import House

HISTORY = "history"
"""In a version's lineage: its features from the past; without the key it has none."""


def known_table(house: House, *others: House, as_of: pd.Timestamp) -> pd.DataFrame:
    """What had landed by `as_of`, a row a key, as `assemble` gives it.

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
    rows, labels = read_landed(house.landing.root)
    data = house.params.data
    table = assemble(rows, labels, data, as_of=as_of)
    for row in (row for each in (house, *others) for row in each.store.versions(each.model)):
        if row.lineage.get(HISTORY):
            table = with_past(table, data, HistoryParams.model_validate(row.lineage[HISTORY]))
    return table


def known_times(house: House, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """The same with keys, times and target alone, which say how many rows there are and when they were mature.

    The other columns are not read, unless rows are put together of them.
    """
    data = house.params.data
    if data.rows.resample is not None:
        return known_table(house, as_of=as_of)
    files = landed_files(house.landing.root)
    labels = read_labels([file.path for file in files if file.kind == "labels"])
    landed = LandedRows(rows_of(files, house.landing.root))
    rows = landed.decisive(data, also=())
    without = data.model_copy(update={"history": data.history.model_copy(update={"features": ()})})
    return assemble(rows, labels, without, as_of=as_of)


def left_out_since(house: House, *, as_of: pd.Timestamp, since: pd.Timestamp) -> int:
    """How many rows with an event after `since` had landed by `as_of` and are left out by `data.rows`."""
    data = house.params.data
    if not data.rows.where:
        return 0
    came = known_rows(*read_landed(house.landing.root), data, as_of=as_of)
    return sum(left_out(came[came["_event"] > since], data.rows).values())
