"""A copy of the stored predictions in a table of a database, for those who read SQL.

The Parquet files stay of record: retrim itself reads those alone. What is removed from them stays in the table.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import pyarrow as pa

from retrim.adapters.database import iso
from retrim.adapters.sql_table import FileOfRows, add_files
from retrim.decision.alerts import AlertKind
from retrim.errors import RetrimError
from retrim.lineage.prediction_log import SCHEMA, PredictionLog, version_of
from retrim.lineage.workspace import Workspace, clock, record_alert

TABLE, REQUESTS = "retrim_predictions", "retrim_requests"
PROBABILITIES = SCHEMA.get_field_index("probabilities")
COLUMNS = pa.schema(
    [
        ("model", pa.string()),
        ("version", pa.int64()),
        *SCHEMA.set(PROBABILITIES, pa.field("probabilities", pa.string())),
    ]
)


@dataclass(frozen=True)
class CopiedPredictions:
    """What became of the copy.

    Args:
        rows: That were added to the table.
        failed: Why it could not be brought up to date; None where it was, or where none is named.
    """

    rows: int
    failed: str | None = None


def copy_or_tell(workspace: Workspace, *, now: pd.Timestamp) -> CopiedPredictions:
    """Copies what is new. Where that fails, an alert says so, and the next time makes up for it."""
    if workspace.env.predictions_table is None:
        return CopiedPredictions(0)
    try:
        added = copy_predictions(workspace)
    except Exception as error:  # noqa: BLE001  whatever a driver raises, what is stored already must not fail of it
        failed = str(error) if isinstance(error, RetrimError) else f"{type(error).__name__} in the database driver"
        copied = workspace.store.done_until(workspace.model, TABLE)
        text = f"RETRIM_PREDICTIONS_TABLE: predictions are stored, but were not copied to {TABLE}: {failed}"
        ended = None if copied is None else pd.Timestamp(copied)
        record_alert(workspace, AlertKind.TABLE_AWAY, text, now=now, about=TABLE, ended=ended)
        return CopiedPredictions(0, text)
    workspace.store.mark_done(workspace.model, TABLE, until=iso(clock()))
    return CopiedPredictions(added)


def copy_predictions(workspace: Workspace) -> int:
    """Brings the tables at `RETRIM_PREDICTIONS_TABLE` up to the stored predictions; gives how many rows were added.

    Answers to requests have a table of their own, as they have files of their own.

    Killed at any moment and done again, or done by two at once, each row is there once.

    Raises:
        RetrimError: The database or the files are away, or the database refuses.
    """
    where, landed = workspace.env.predictions_table, workspace.predictions
    if where is None:
        return 0
    return sum(
        add_files(where, table, _files(logs), schema=COLUMNS, keys=logs[0].identity)
        for table, logs in ((TABLE, [landed]), (REQUESTS, list(landed.of_every_role())))
    )


def _files(logs: Sequence[PredictionLog]) -> Iterator[FileOfRows]:
    for log in logs:
        for name, content in log.contents().items():
            same: dict[str, str | int] = {"model": log.model, "version": version_of(name)}
            yield FileOfRows(name.rpartition("/model=")[2], content, same, partial(_rows, log, name))


def _rows(log: PredictionLog, name: str) -> Iterator[pa.Table]:
    """Rows of a file, with the probabilities of several classes as JSON."""
    for rows in log.rows_of(name):
        given = rows["probabilities"].to_pylist()
        texts = [None if pairs is None else json.dumps(dict(pairs), ensure_ascii=False) for pairs in given]
        yield rows.set_column(PROBABILITIES, COLUMNS.field("probabilities"), [pa.array(texts, pa.string())])
