"""Columns of one landed file, read as they are declared now.

Reads landed batch files: in the landing zone, or linked into a run directory's `data/raw/`.

One immutable Parquet file a batch. Its facts (digest, kind, arrival) stand in the
file itself, so a folder of files means the same flat or in date partitions.

Landed rows that stay on disk: a few columns of all rows, or all columns of some rows, in any order.

What has landed, as the declared columns and those that earlier versions need: rows on disk, labels in memory.

Withdrawals: batches that a person took back, each a small file beside what has landed.

    <root>/withdrawn/<first 16 digits of the digest>.json, and its SHA-256 beside it

It is never changed. A view as of a moment before it still holds the batch; later ones leave it out.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.parquet import parquet_file
from retrim.reading.chunks import PIECE
from retrim.reading.packs import PackedFile, packed_files
from retrim.stats.codec import Instant, Unwritten, from_record, written
from retrim.table.data import OURS, ColumnType, DataParams
from retrim.table.schema import NUMERIC, LandedSchema, ReadColumns, as_they_stand, read_as

STORED: Mapping[ColumnType, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.float64(),
    "category": pa.string(),
    "time": pa.timestamp("us", "UTC"),
}
"""How values of each type lie in a landed file."""


def stored_names(there: Sequence[str], read: ReadColumns, wanted: Sequence[str]) -> dict[str, str]:
    """What each of the wanted columns is called in a file with the columns `there`, without those that it lacks."""
    found = {name: name if name in OURS else read.names.within(name, there) for name in wanted}
    return {name: stored for name, stored in found.items() if stored is not None}


def as_read(table: pa.Table, names: Mapping[str, str], read: ReadColumns, wanted: Sequence[str]) -> pa.Table:
    """Columns of a file as they are read: missing where it lacks one, and of the type that is declared now."""
    columns = {}
    for name in wanted:
        if name not in names:
            columns[name] = pa.nulls(table.num_rows, STORED[read.types[name]])
        elif name in OURS:
            columns[name] = table[names[name]]
        else:
            columns[name] = _widened(table[names[name]], STORED[read.types[name]])
    return pa.table(columns)


def _widened(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if values.type == wanted:
        return values
    if pa.types.is_floating(values.type) and pa.types.is_string(wanted):
        return pc.cast(pc.cast(values, pa.int64()), wanted)  # an integer, as its digits
    return pc.cast(values, wanted)


Kind = Literal["rows", "labels"]
ID_LENGTH = 16
BROKEN = (pa.ArrowException, OSError, UnicodeError)
"""What reading a damaged Parquet file raises: the last, where a byte of a column's name was turned."""
FACTS = ("kind", "digest", "arrived", "correction", "released")
OF = "of"  # a fact of pieces alone
SUSPICIOUS = "suspicious"  # a fact of batches that are so: why, in the words of the alert
SCHEMA = "schema"  # what its columns were declared; a file without it is asked for the types that it has


def batch_id(digest: str) -> str:
    """The name of a batch: the first 16 digits of the sha256 of its file."""
    return digest[:ID_LENGTH]


@dataclass(frozen=True)
class BatchFile:
    """A landed batch.

    Args:
        kind: `rows`, or `labels` of rows that landed before.
        digest: SHA-256 of the source file's bytes.
        arrived: When it landed, UTC.
        correction: Whether it landed as a correction.
        released: Why a person landed it despite its faults; empty if it had none.
        of: SHA-256 of the large file that it is a chunk of; empty if it is not a chunk.
        rows: Number of rows.
        path: Path of the landed file.
        schema: What its columns were declared when it landed.
        suspicious: Why it was suspicious when it landed; empty if it was not.
    """

    kind: Kind
    digest: str
    arrived: Instant
    correction: bool
    released: str
    of: str
    rows: int
    path: Path
    schema: Unwritten[LandedSchema]
    suspicious: Annotated[str, Field(exclude_if=lambda why: not why)] = ""

    @written
    def batch(self) -> str:
        """Id of the batch: the first 16 digits of the digest."""
        return batch_id(self.digest)


def facts_of(path: Path) -> BatchFile:
    """The facts that stand in one landed file.

    Raises:
        BadInputError: It was cut, damaged, or not landed by retrim.
    """
    try:
        footer = pq.read_metadata(path)
    except BROKEN as error:
        raise damaged(path, str(error)) from error
    try:
        stored = {name.decode(): value.decode() for name, value in (footer.metadata or {}).items() if name[:1] != b"A"}
        kind, digest, arrived, correction, released = (stored[f"retrim.{name}"] for name in FACTS)
        when, schema = pd.Timestamp(arrived), schema_of(footer)
    except KeyError as error:
        raise damaged(path, f"its metadata lacks {error}") from error
    except (*BROKEN, ValueError, TypeError) as error:
        raise damaged(path, f"its metadata cannot be read: {error}") from error
    if kind not in ("rows", "labels"):
        raise damaged(path, f"its metadata says {kind!r} instead of rows or labels")
    return BatchFile(
        kind="rows" if kind == "rows" else "labels",
        digest=digest,
        arrived=when,
        correction=correction == "true",
        released=released,
        of=stored.get(f"retrim.{OF}", ""),
        rows=footer.num_rows,
        path=path,
        schema=schema,
        suspicious=stored.get(f"retrim.{SUSPICIOUS}", ""),
    )


def schema_of(footer: pq.FileMetaData) -> LandedSchema:
    """What the columns of a landed file were declared; of one that does not say, what they are stored as."""
    noted = (footer.metadata or {}).get(f"retrim.{SCHEMA}".encode())
    if noted is not None:
        return from_record(LandedSchema, json.loads(noted))
    stored = footer.schema.to_arrow_schema()
    return LandedSchema({field.name: _type_of(field.type) for field in stored if field.name not in OURS}, {})


def _type_of(stored: pa.DataType) -> str:
    if pa.types.is_floating(stored) or pa.types.is_integer(stored):
        return NUMERIC
    return "time" if pa.types.is_timestamp(stored) else "category"


def landed_names(root: Path) -> list[str]:
    """The landed files under `root`, relative to it, in order of name; as text: a tenth of the time of paths."""
    inside = len(str(root)) + 1
    return sorted(
        f"{folder}{os.sep}{name}"[inside:]
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(".parquet") and not name.startswith(".")
    )


def landed_paths(root: Path) -> list[Path]:
    """Where they lie."""
    return [root / name for name in landed_names(root)]


def in_order(files: Iterable[BatchFile]) -> list[BatchFile]:
    """Batches in order of arrival, digest and kind."""
    return sorted(files, key=lambda batch: (batch.arrived.value, batch.digest, batch.kind))


def landed_files(root: Path) -> list[BatchFile]:
    """Every landed batch under `root`, in order of arrival, digest and kind."""
    return in_order(facts_of(path) for path in landed_paths(root))


def schemas_of(files: Iterable[BatchFile]) -> dict[str, LandedSchema]:
    """What the columns of each of these batches were declared."""
    return {file.batch: file.schema for file in files}


def rows_of(files: Iterable[BatchFile], root: Path) -> list[BatchFile]:
    """Those of these batches that hold rows.

    Raises:
        BadInputError: None of them does.
    """
    rows = [file for file in files if file.kind == "rows"]
    if not rows:
        raise BadInputError(f"no rows have landed in {root}; land some with: retrim ingest FILE")
    return rows


def read_rows(paths: Sequence[Path], read: ReadColumns | None = None) -> pd.DataFrame:
    """Landed rows of the files at `paths`, in their order: `_key`, `_batch`, `_arrived`, `_correction`, own columns.

    Args:
        read: How they are read; None: as they stand.
    """
    return _read(paths, read, columns=None)


def read_labels(files: Iterable[BatchFile], data: DataParams | None = None) -> pd.DataFrame | None:
    """The same for those of `files` that hold labels: `_key`, ..., target, `label_time`; None when none does.

    Raises:
        BadInputError: They are of another target than the table's.
    """
    labels = [file for file in files if file.kind == "labels"]
    if not labels:
        return None
    read = None if data is None else read_as(schemas_of(labels), data, {}, labels=True)
    return _read([file.path for file in labels], read, columns=None)


def hash_file(path: Path) -> Path:
    """Where the SHA-256 of a landed file stands: beside it."""
    return path.with_name(f"{path.name}.sha256")


def check_whole(path: Path) -> str | None:
    """Refuses a landed file that is not what was landed; gives its SHA-256.

    None: it has none beside it, as in a run directory, whose pins hold the digest of all of them.

    Raises:
        RefusedError: Its bytes, or those of its hash, were altered.
    """
    name = str(path)  # no paths: there can be very many files
    try:
        with open(f"{name}.sha256", "rb", buffering=0) as noted:  # noqa: PTH123
            says = noted.readall()
    except FileNotFoundError:
        return None
    with open(name, "rb", buffering=0) as file:  # noqa: PTH123
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if says != f"{found}\n".encode():
        raise RefusedError(
            f"{path} was altered after it landed: its SHA-256 is {found[:12]}, but {hash_file(path).name} records "
            "a different one; restore both files from a backup, or remove both and ingest the original file again"
        )
    return found


def read_column(paths: Iterable[Path], column: str) -> pd.Series:
    """One column of the files at `paths`; empty text when there are none."""
    paths = list(paths)
    return _read(paths, None, columns=[column])[column] if paths else pd.Series([], dtype="str", name=column)


def _read(paths: Sequence[Path], read: ReadColumns | None, *, columns: list[str] | None) -> pd.DataFrame:
    for path in paths:
        check_whole(path)
    if read is None:
        schemas = {}
        for path in paths:
            with read_whole(path):
                schemas[path.name] = schema_of(pq.read_metadata(path))
        read = as_they_stand(schemas)
    wanted = [*OURS, *read.types] if columns is None else columns
    tables = []
    for path in paths:
        with read_whole(path), parquet_file(path) as stored:
            names = stored_names(stored.schema_arrow.names, read, wanted)
            tables.append(as_read(stored.read(columns=list(names.values())), names, read, wanted))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


@contextmanager
def read_whole(path: Path) -> Iterator[None]:
    """What a damaged file says, with its name and the cure."""
    try:
        yield
    except BROKEN as error:
        raise damaged(path, " ".join(str(error).split())) from error


def damaged(path: Path, reason: str) -> BadInputError:
    """The error of a file that cannot be read."""
    return BadInputError(
        f"{path} is not a complete landed batch ({reason}); restore it from a backup, or land it again"
    )


ROW = "_row"
COLUMNS = 6
"""How many columns of very many rows are read at once."""


class LandedRows:
    """The rows of landed files, numbered through in the order of the files.

    Args:
        paths: Files of rows, 1 or more.
        read: How they are read; None: as they stand.
        root: The landing zone in which they lie, where small ones may be packed; None: each is opened.

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
                place = part.schema.get_field_index("_batch")
                tables.append(
                    part if place < 0 else part.set_column(place, "_batch", part["_batch"].dictionary_encode())
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
            *(each.column for each in data.rows.where),
            *also,
        }
        return self.narrow([name for name in self.columns if name in needed])

    def beside(
        self, known: pd.DataFrame, columns: Collection[str] | None = None, *, coded: Collection[str] = ()
    ) -> pd.DataFrame:
        """Columns of some rows in the order in which they landed, then what else is known of them.

        Args:
            columns: Which others are wanted; None: all.
        """
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

    def _of_pack(self, there: PackedFile, columns: Sequence[str]) -> pa.Table:
        names = stored_names(there.table.column_names, self._columns, columns)
        return as_read(there.table.slice(there.start, there.rows), names, self._columns, columns)

    def _read(self, place: int, columns: Sequence[str]) -> pa.Table:
        file, part, _ = self._groups[place]
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


def open_landed(
    files: Iterable[BatchFile], data: DataParams, needs: Mapping[str, ColumnType], *, root: Path
) -> tuple[LandedRows, pd.DataFrame | None]:
    """Landed rows, and labels or None when there are none.

    Args:
        needs: Columns of earlier versions; where a file has none of that name they are missing.
        root: Where they lie, for the error that there are none.

    Raises:
        BadInputError: There are no rows, a file is damaged, or a column is not what is declared.
        RefusedError: A file was altered since it landed.
    """
    files = list(files)
    rows = rows_of(files, root)
    read = read_as(schemas_of(rows), data, needs)
    return LandedRows([file.path for file in rows], read, root=root), read_labels(files, data)


FOLDER = "withdrawn"


@dataclass(frozen=True)
class Withdrawal:
    """A withdrawn batch.

    Args:
        batch: Id of the batch.
        digest: SHA-256 of the source file's bytes.
        at: Time from which the batch is left out, UTC.
        by: Who withdrew it.
        reason: Why it was withdrawn.
    """

    batch: str
    digest: str
    at: Instant
    by: str
    reason: str


def withdrawal_file(root: Path, batch: str) -> Path:
    """Where the withdrawal of a batch stands in a landing zone."""
    return root / FOLDER / f"{batch}.json"


def withdrawn_names(root: Path) -> frozenset[str]:
    """The batches that were ever taken back; no file is opened."""
    return frozenset(path.stem for path in (root / FOLDER).glob("*.json") if not path.name.startswith("."))


def read_withdrawals(root: Path) -> dict[str, Withdrawal]:
    """Every withdrawal in a landing zone, by batch.

    Raises:
        BadInputError: A file is damaged.
        RefusedError: A file was altered.
    """
    found = {}
    for batch in sorted(withdrawn_names(root)):
        path = withdrawal_file(root, batch)
        check_whole(path)
        try:
            found[batch] = from_record(Withdrawal, json.loads(path.read_bytes()))
        except (OSError, ValueError, RetrimError) as error:
            raise BadInputError(
                f"{path} is not a complete withdrawal record ({error}); restore it from a backup"
            ) from error
    return found
