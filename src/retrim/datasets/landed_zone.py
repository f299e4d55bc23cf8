"""What has landed, as the declared columns and those that earlier versions need: rows on disk, labels in memory."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from retrim.core.landed_schema import read_as
from retrim.core.table import ColumnType, DataParams
from retrim.datasets.landed import BatchFile, read_labels, rows_of, schemas_of
from retrim.datasets.landed_rows import LandedRows


def open_landed(
    files: Iterable[BatchFile], data: DataParams, needs: Mapping[str, ColumnType], *, root: Path
) -> tuple[LandedRows, pd.DataFrame | None]:
    """Landed rows, and labels or None when there are none.

    Args:
        files: The batches, in order of arrival.
        data: What the table is.
        needs: Columns of earlier versions; where a file has none of that name they are missing.
        root: Where they lie, for the error that there are none.

    Raises:
        BadInputError: There are no rows, a file is damaged, or a column is not what is declared.
        RefusedError: A file was altered since it landed.
    """
    files = list(files)
    rows = rows_of(files, root)
    read = read_as(schemas_of(rows), data, needs)
    return LandedRows([file.path for file in rows], read), read_labels(files, data)


def with_names_of_then(table: pd.DataFrame, landed: LandedRows) -> pd.DataFrame:
    """Rows that were put together, with columns that were renamed also under the names that earlier versions know."""
    return table.assign(**{old: table[new] for old, new in landed.renamed.items() if new in table})
