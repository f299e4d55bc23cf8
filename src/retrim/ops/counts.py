"""Which landed rows a check may still count, and which ones a version was made or judged with."""

from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.landing_index import hash_keys
from retrim.core.keyed import row_keys
from retrim.core.row_ledger import RowCounts, count_rows, pack
from retrim.core.table import DataParams
from retrim.datasets.landed import BatchFile, facts_of, landed_paths, read_column
from retrim.datasets.landed_zone import open_landed
from retrim.ops.champion import Stored
from retrim.ops.house import House
from retrim.ops.known import KnownTable
from retrim.paths import Paths


def row_counts(house: House, table: KnownTable, champion: Stored | None) -> RowCounts:
    """What checks have done with the rows of a table so far.

    Args:
        house: The house.
        table: All rows that had landed by now.
        champion: The live version; None before the first.
    """
    used = np.zeros(len(table), dtype=bool) if champion is None else used_by(house, table, champion)
    return count_rows(table.members, house.store.counted_rows(house.model), used)


def view_record(data: DataParams) -> dict[str, Any]:
    """What decides, beside the files, which rows are in the table and when they are mature: kept with each check."""
    return {"rows": data.rows.model_dump(mode="json"), "label_horizon": data.label_horizon}


def used_by(house: House, table: KnownTable, version: Stored) -> np.ndarray:
    """The rows that a version was made or judged with, shape (rows,).

    Of an imported version nobody here knows that: then it is those that were mature when it came, and all with an
    event no later than the newest one that it was judged on.

    Args:
        house: The house.
        table: All rows that had landed by now.
        version: The version.
    """
    noted = house.store.used_rows(house.model, version.version)
    if noted is not None:
        return table.members.table_rows(table.members.numbering.unpack(noted.items()))
    made = house.store.version(house.model, version.version)
    assert made is not None, version.version
    times = table.times
    found = (times["_matured"] <= pd.Timestamp(made.as_of)) | (times["_event"] <= version.predictor.judged_until)
    return np.asarray(found)


def used_rows(paths: Paths, data: DataParams) -> dict[str, bytes]:
    """The landed rows behind the mature rows of a run, by batch: a bit a row; batches of labels have none.

    Args:
        paths: The run's, with the landed files that it was given and the table that it made of them.
        data: What the table is.
    """
    wanted = np.sort(hash_keys(pd.read_parquet(paths.table, columns=["_key"])["_key"]))
    found = {}
    for path in landed_paths(paths.raw):
        file = facts_of(path)
        used = np.zeros(0, dtype=bool)
        if file.kind == "rows":
            hashed = hash_keys(_table_keys(file, data))
            places = np.minimum(np.searchsorted(wanted, hashed), max(len(wanted) - 1, 0))
            used = wanted[places] == hashed if len(wanted) else np.zeros(len(hashed), dtype=bool)
        found[file.batch] = pack(used)
    return found


def _table_keys(file: BatchFile, data: DataParams) -> pd.Series:
    """The key of the table's row that each row of a landed file is in."""
    grain = data.rows.resample
    if grain is None:
        return read_column([file.path], "_key")
    rows, _ = open_landed([file], data, {}, root=file.path.parent)
    landed = rows.narrow(list(dict.fromkeys([*grain.by, data.time])))
    keys = row_keys(landed.assign(**{data.time: landed[data.time].dt.floor(grain.every)}), data.row_key, "")
    return keys.fillna("")
