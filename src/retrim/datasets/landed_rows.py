"""Landed rows that stay on disk: a few columns of all rows, or all columns of some rows, in any order."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim.core.landed_schema import ReadColumns, as_they_stand
from retrim.core.table import OURS, DataParams
from retrim.datasets.landed import check_whole, schema_of, whole
from retrim.datasets.landed_columns import as_read, stored_names
from retrim.datasets.pieces import PIECE

ROW = "_row"
COLUMNS = 6
"""How many columns of very many rows are read at once."""


class LandedRows:
    """The rows of landed files, numbered through in the order of the files.

    Args:
        paths: Files of rows, 1 or more.
        read: How they are read; None: as they stand.

    Raises:
        BadInputError: A file is damaged.
        RefusedError: A file was altered since it landed.
    """

    def __init__(self, paths: Sequence[Path], read: ReadColumns | None = None) -> None:
        groups: list[tuple[Path, int, int]] = []
        schemas = {}
        for path in paths:
            check_whole(path)
            # A plain open file: a path would make Arrow read its `arrived=` folder as a column.
            with whole(path), path.open("rb") as file:
                footer = pq.ParquetFile(file)
                schemas[path.name] = schema_of(footer.metadata)
                parts = range(footer.metadata.num_row_groups)
                groups += [(path, part, footer.metadata.row_group(part).num_rows) for part in parts]
        self._columns = as_they_stand(schemas) if read is None else read
        self._groups = groups
        self._starts = np.cumsum([0, *(rows for _, _, rows in groups)])
        self._held: dict[int, pa.Table] = {}
        self.columns: list[str] = [*OURS, *self._columns.types]

    @property
    def renamed(self) -> Mapping[str, str]:
        """Columns that earlier versions need and that are called otherwise by now: what they are called."""
        return self._columns.renamed

    def __len__(self) -> int:
        return int(self._starts[-1])

    def narrow(self, columns: Sequence[str]) -> pd.DataFrame:
        """These columns of every row, and its number as `_row`; `_batch` as a category, sorted."""
        wanted = list(dict.fromkeys(columns))
        files = dict.fromkeys(path for path, _, _ in self._groups)
        tables = []
        for path in files:
            with path.open("rb") as file, whole(path):
                stored = pq.ParquetFile(file, read_dictionary=["_batch"])
                names = stored_names(stored.schema_arrow.names, self._columns, wanted)
                tables.append(as_read(stored.read(columns=_once(names)), names, self._columns, wanted))
        table = pa.concat_tables(tables)
        tables.clear()
        frame: pd.DataFrame = table.select(wanted).to_pandas(split_blocks=True, self_destruct=True)
        if "_batch" in wanted:
            batches = frame["_batch"].astype("category")
            frame["_batch"] = batches.cat.reorder_categories(sorted(batches.cat.categories))
        frame[ROW] = np.arange(len(frame))
        return frame

    def decisive(self, data: DataParams, *, also: Collection[str]) -> pd.DataFrame:
        """The columns that say which rows the table has, in which order and when they were mature, and some others.

        Args:
            data: What the table is. Where it puts rows together, all columns are decisive.
            also: Other columns; those that have not landed are left out.
        """
        needed = {
            *OURS,
            data.time,
            data.due or data.time,
            data.target,
            *(each.column for each in data.rows.where),
            *also,
        }
        return self.narrow([name for name in self.columns if data.rows.resample is not None or name in needed])

    def beside(
        self, known: pd.DataFrame, columns: Collection[str] | None = None, *, coded: Collection[str] = ()
    ) -> pd.DataFrame:
        """Columns of some rows in the order in which they landed, then what else is known of them.

        Args:
            known: Some columns of the rows, landed or made since, with the number of each as `_row`.
            columns: Which others are wanted; None: all.
            coded: Columns of text that become pandas categories.
        """
        rest = [name for name in self.columns if name not in known and (columns is None or name in columns)]
        # Of many rows a few columns at a time: what is read of all of them is there twice for a while.
        once = max(len(rest), 1) if len(known) <= PIECE else COLUMNS
        parts = [without_numbers(known.reset_index(drop=True))]
        for start in range(0, len(rest), once):
            some = self.take(known[ROW].to_numpy(), rest[start : start + once])
            parts.append(some.astype({name: "category" for name in some if name in coded}))
        if len(known) > PIECE:
            self._held.clear()
        whole = pd.concat(parts, axis=1)
        first = [name for name in self.columns if name in whole]
        return whole[[*first, *(name for name in known if name not in self.columns and name != ROW)]]

    def take(self, rows: np.ndarray, columns: Sequence[str]) -> pd.DataFrame:
        """These columns of the rows with these numbers, in their order.

        Row groups that hold one of them are read whole, and kept until the next call. So it is quick for rows that
        landed near one another, such as those of a span of time.
        """
        if not columns:
            return pd.DataFrame(index=pd.RangeIndex(len(rows)))
        group = np.searchsorted(self._starts, rows, side="right") - 1
        needed = np.unique(group) if len(rows) else [0]  # for their types
        self._held = {place: self._held[place] for place in needed if place in self._held}
        offsets = np.zeros(len(self._groups), dtype="int64")
        parts, before = [], 0
        for place in map(int, needed):
            part = self._held.get(place)
            if part is None or set(columns) - set(part.column_names):
                part = self._held[place] = self._read(place, columns)
            parts.append(part.select(columns))
            offsets[place] = before - self._starts[place]
            before += part.num_rows
        places = rows + offsets[group]
        table = pa.concat_tables(parts)
        # In one chunk whatever they landed in: a Parquet file that is written of them shows chunks.
        in_order = len(places) > 0 and bool((np.diff(places) == 1).all())
        taken = table.slice(places[0], len(places)).combine_chunks() if in_order else table.take(pa.array(places))
        frame: pd.DataFrame = taken.to_pandas(split_blocks=True)
        return frame

    def _read(self, place: int, columns: Sequence[str]) -> pa.Table:
        path, part, _ = self._groups[place]
        with path.open("rb") as file, whole(path):
            stored = pq.ParquetFile(file)
            names = stored_names(stored.schema_arrow.names, self._columns, columns)
            return as_read(stored.read_row_group(part, columns=_once(names)), names, self._columns, columns)


def _once(names: Mapping[str, str]) -> list[str]:
    """The stored columns: one that is read under two names is read once."""
    return list(dict.fromkeys(names.values()))


def without_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without their number, and with the batch as text."""
    return rows.drop(columns=ROW).assign(_batch=rows["_batch"].astype("str"))
