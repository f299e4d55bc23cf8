"""What has landed and what was set aside, as tests read it back."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from retrim.files import WorkspacePaths
from retrim.landing.quarantine import Quarantine, QuarantinedBatch
from retrim.reading.landed import landed_files, rows_of, schemas_of
from retrim.reading.landed_rows import LandedRows, read_labels, without_numbers
from retrim.reading.table import FileContent, read_bytes, read_content
from retrim.table.data import DataParams
from retrim.table.schema import read_as


def read_landed(root: Path, data: DataParams | None = None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Landed rows, and labels or None when no file of labels is there, as `retrim.table.data.assemble` takes them."""
    files = landed_files(root)
    rows = rows_of(files, root)
    read = None if data is None else read_as(schemas_of(rows), data, {})
    landed = LandedRows([file.path for file in rows], read)
    return without_numbers(landed.narrow(landed.columns)), read_labels(files, data)


def read_rows(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of landed files as pandas reads them."""
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def read_table(path: Path, data: DataParams, *, labels: bool) -> FileContent:
    """Reads a file as rows of the table, or as labels of rows landed before."""
    return read_content(read_bytes(path), data, labels=labels)


def quarantine_show(workspace: WorkspacePaths, name: str) -> QuarantinedBatch:
    """The entry in quarantine whose batch begins with `name`."""
    return Quarantine(workspace.quarantine).get(name)
