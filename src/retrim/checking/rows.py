"""Rows of the table that checks and versions have used."""

import numpy as np
import pandas as pd

from retrim.adapters.landing_index import hash_keys
from retrim.decision.rows_counted import RowCounts, count_rows, pack
from retrim.files import Paths
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.parquet import read_parquet
from retrim.reading.landed import facts_of, landed_paths
from retrim.reading.landed_rows import read_column
from retrim.release.versions import Stored


def row_counts(workspace: Workspace, table: AsOfTable, champion: Stored | None) -> RowCounts:
    """What checks have done with the rows of a table so far.

    Args:
        champion: The live version; None before the first.
    """
    used = np.zeros(len(table), dtype=bool) if champion is None else used_by(workspace, table, champion)
    return count_rows(table.members, workspace.store.counted_rows(workspace.model), used)


def used_by(workspace: Workspace, table: AsOfTable, version: Stored) -> np.ndarray:
    """The rows that a version was made or judged with, shape (rows,).

    Of an imported version nobody here knows that: then it is those that were mature when it came, and all with an
    event no later than the newest one that it was judged on.
    """
    noted = workspace.store.used_rows(workspace.model, version.version)
    if noted is not None:
        return table.members.table_rows(table.members.numbering.unpack(noted.items()))
    row = workspace.store.version(workspace.model, version.version)
    assert row is not None, version.version
    times = table.times
    used = (times["_matured"] <= pd.Timestamp(row.as_of)) | (times["_event"] <= version.predictor.judged_until)
    return np.asarray(used)


def used_rows(paths: Paths) -> dict[str, bytes]:
    """The landed rows behind the rows of a run's table, by batch: a bit a row; batches of labels have none."""
    wanted = np.sort(hash_keys(read_parquet(paths.table, columns=["_key"])["_key"]))
    used_by_batch = {}
    for path in landed_paths(paths.raw):
        file = facts_of(path)
        used = np.zeros(0, dtype=bool)
        if file.kind == "rows":
            hashed = hash_keys(read_column([file.path], "_key"))
            places = np.minimum(np.searchsorted(wanted, hashed), max(len(wanted) - 1, 0))
            used = wanted[places] == hashed if len(wanted) else np.zeros(len(hashed), dtype=bool)
        used_by_batch[file.batch] = pack(used)
    return used_by_batch
