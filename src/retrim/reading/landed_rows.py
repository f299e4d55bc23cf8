"""Landed rows that stay on disk: a few columns of all rows, or all columns of some rows, in any order."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.parquet import parquet_file
from retrim.reading.frames import PIECE
from retrim.reading.landed import (
    BatchFile,
    as_read,
    check_whole,
    read_whole,
    rows_of,
    schema_of,
    schemas_of,
    stored_names,
)
from retrim.reading.packs import PackedFile, packed_files
from retrim.table.data import OURS, ColumnType, DataParams
from retrim.table.schema import ReadColumns, as_they_stand, read_as

ROW = "_row"
COLUMNS = 6
"""How many columns of very many rows are read at once."""


class LandedRows:
    """The rows of landed files, numbered through in the order of the files.

    Raises:
        BadInputError: A file is damaged.
        RefusedError: A file was altered since it landed.
    """

    def __init__(self, paths: Sequence[Path], read: ReadColumns | None = None, *, root: Path | None = None) -> None:
        groups: list[tuple[Path | PackedFile, int, int]] = []
        schemas = {}
        packed = {} if root is None or read is None else packed_files(root, {path.name for path in paths})
        for path in paths:
            digest, there = check_whole(path), packed.get(path.name)
            if there is not None and there.digest == digest:
                before = groups[-1][0] if groups else None
                if isinstance(before, PackedFile) and before.goes_on_in(there):
                    groups.pop()  # files that lie one after the other in a pack are read at once
                    there = replace(before, rows=before.rows + there.rows)
                groups.append((there, 0, there.rows))
                continue
            with read_whole(path), parquet_file(path) as footer:
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
        tables = []
        for file in (source for source, group, _ in self._groups if group == 0):
            if isinstance(file, PackedFile):
                part = self._of_pack(file, wanted)
                column = part.schema.get_field_index("_batch")
                tables.append(
                    part if column < 0 else part.set_column(column, "_batch", part["_batch"].dictionary_encode())
                )
                continue
            with read_whole(file), parquet_file(file, coded=["_batch"]) as stored:
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
        """The columns that say which rows the table has, in which order and when they were mature, and some others."""
        needed = {
            *OURS,
            data.time,
            data.due or data.time,
            data.target,
            *(condition.column for condition in data.rows.where),
            *also,
        }
        return self.narrow([name for name in self.columns if name in needed])

    def beside(
        self, known: pd.DataFrame, columns: Collection[str] | None = None, *, coded: Collection[str] = ()
    ) -> pd.DataFrame:
        """Columns of some rows in the order in which they landed, then what else is known of them."""
        rest = [name for name in self.columns if name not in known and (columns is None or name in columns)]
        # Of many rows a few columns at a time: what is read of all of them is there twice for a while.
        once = max(len(rest), 1) if len(known) <= PIECE else COLUMNS
        parts = [without_numbers(known.reset_index(drop=True))]
        for start in range(0, len(rest), once):
            some = self.take(known[ROW].to_numpy(), rest[start : start + once])
            categories = {name: "category" for name in some if name in coded}
            parts.append(some.astype(categories) if categories else some)  # astype copies each column it leaves
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
        self._held = {number: self._held[number] for number in needed if number in self._held}
        offsets = np.zeros(len(self._groups), dtype="int64")
        parts, before = [], 0
        for number in map(int, needed):
            part = self._held.get(number)
            if part is None or set(columns) - set(part.column_names):
                part = self._held[number] = self._read(number, columns)
            parts.append(part.select(columns))
            offsets[number] = before - self._starts[number]
            before += part.num_rows
        places = rows + offsets[group]
        table = pa.concat_tables(parts)
        # In one chunk whatever they landed in: a Parquet file that is written of them shows chunks.
        in_order = len(places) > 0 and bool((np.diff(places) == 1).all())
        taken = table.slice(places[0], len(places)).combine_chunks() if in_order else table.take(pa.array(places))
        frame: pd.DataFrame = taken.to_pandas(split_blocks=True)
        return frame

    def _of_pack(self, there: PackedFile, columns: Sequence[str]) -> pa.Table:
        names = stored_names(there.table.column_names, self._columns, columns)
        return as_read(there.table.slice(there.start, there.rows), names, self._columns, columns)

    def _read(self, number: int, columns: Sequence[str]) -> pa.Table:
        file, part, _ = self._groups[number]
        if isinstance(file, PackedFile):
            return self._of_pack(file, columns)
        with read_whole(file), parquet_file(file) as stored:
            names = stored_names(stored.schema_arrow.names, self._columns, columns)
            return as_read(stored.read_row_group(part, columns=_once(names)), names, self._columns, columns)


def _once(names: Mapping[str, str]) -> list[str]:
    """The stored columns: one that is read under two names is read once."""
    return list(dict.fromkeys(names.values()))


def without_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without their number, and with the batch as text."""
    return rows.drop(columns=ROW).assign(_batch=rows["_batch"].astype("str"))


def read_labels(files: Iterable[BatchFile], data: DataParams | None = None) -> pd.DataFrame | None:
    """The labels of landed files: `_key`, ..., target, `label_time`; None when no file holds any.

    Raises:
        BadInputError: They are of another target than the table's.
    """
    labels = [file for file in files if file.kind == "labels"]
    if not labels:
        return None
    read = None if data is None else read_as(schemas_of(labels), data, {}, labels=True)
    landed = LandedRows([file.path for file in labels], read)
    return without_numbers(landed.narrow(landed.columns))


def read_column(paths: Sequence[Path], column: str) -> pd.Series:
    """One column of landed files; empty text when there are none."""
    return LandedRows(paths).narrow([column])[column] if paths else pd.Series([], dtype="str", name=column)


def open_landed(
    files: Iterable[BatchFile], data: DataParams, needs: Mapping[str, ColumnType], *, root: Path
) -> tuple[LandedRows, pd.DataFrame | None]:
    """Landed rows, and labels or None when there are none.

    Raises:
        BadInputError: There are no rows, a file is damaged, or a column is not what is declared.
        RefusedError: A file was altered since it landed.
    """
    files = list(files)
    rows = rows_of(files, root)
    read = read_as(schemas_of(rows), data, needs)
    return LandedRows([file.path for file in rows], read, root=root), read_labels(files, data)
