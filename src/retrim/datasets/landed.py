"""Reads landed batch files: in the landing zone, or linked into a run room's `data/raw/`.

One immutable Parquet file a batch. Its facts (digest, kind, arrival) stand in the
file itself, so a folder of files means the same flat or in date partitions.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim.core.landed_schema import NUMERIC, LandedSchema, ReadColumns, as_they_stand, read_as
from retrim.core.table import OURS, DataParams
from retrim.datasets.landed_columns import as_read, stored_names
from retrim.errors import BadInputError, RefusedError

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
    """One landed batch.

    Args:
        kind: Rows, or labels of rows landed before.
        digest: sha256 of the source file's bytes.
        arrived: When it landed, UTC.
        correction: Whether it was landed as a correction.
        released: Why a person landed it in spite of its faults; empty when it had none.
        of: sha256 of the large file that it is a piece of; empty when it is none.
        rows: Number of rows.
        path: Where the file lies.
        schema: What its columns were declared when it landed.
        suspicious: What was suspicious about it when it landed; empty: nothing.
    """

    kind: Kind
    digest: str
    arrived: pd.Timestamp
    correction: bool
    released: str
    of: str
    rows: int
    path: Path
    schema: LandedSchema
    suspicious: str = ""

    @property
    def batch(self) -> str:
        return batch_id(self.digest)

    def as_record(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "kind": self.kind,
            "digest": self.digest,
            "arrived": self.arrived.isoformat(),
            "correction": self.correction,
            "released": self.released,
            "of": self.of,
            "rows": self.rows,
            "path": str(self.path),
            **({SUSPICIOUS: self.suspicious} if self.suspicious else {}),
        }


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
        raise damaged(path, f"it lacks the fact {error}") from error
    except (*BROKEN, ValueError, TypeError) as error:
        raise damaged(path, f"a fact is no text, or its arrival no time: {error}") from error
    if kind not in ("rows", "labels"):
        raise damaged(path, f"its kind is {kind!r}")
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
        return LandedSchema.from_record(json.loads(noted))
    stored = footer.schema.to_arrow_schema()
    return LandedSchema({field.name: _type_of(field.type) for field in stored if field.name not in OURS}, {})


def _type_of(stored: pa.DataType) -> str:
    if pa.types.is_floating(stored) or pa.types.is_integer(stored):
        return NUMERIC
    return "time" if pa.types.is_timestamp(stored) else "category"


def landed_paths(root: Path) -> list[Path]:
    """Where landed files lie under `root`, in order of name."""
    return [path for path in sorted(root.rglob("*.parquet")) if not path.name.startswith(".")]


def in_order(files: Iterable[BatchFile]) -> list[BatchFile]:
    """Batches in order of arrival, digest and kind."""
    return sorted(files, key=lambda batch: (batch.arrived, batch.digest, batch.kind))


def landed_files(root: Path) -> list[BatchFile]:
    """Every landed batch under `root`, in order of arrival, digest and kind."""
    return in_order(facts_of(path) for path in landed_paths(root))


def read_landed(root: Path, data: DataParams | None = None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Landed rows and labels under `root`, as `retrim.core.table.assemble` takes them.

    Args:
        root: A landing zone, or `data/raw/` of a run room; files may lie flat or in partitions.
        data: What the table is; None: columns as they stand in the files.

    Returns:
        Rows, and labels or None when no file of labels is there; in order of arrival.

    Raises:
        BadInputError: No rows are there, or a file is damaged.
        RefusedError: A file was altered since it landed.
    """
    files = landed_files(root)
    rows = rows_of(files, root)
    read = None if data is None else read_as(schemas_of(rows), data, {})
    return read_rows([file.path for file in rows], read), read_labels(files, data)


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
        paths: The files.
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


def check_whole(path: Path) -> None:
    """Refuses a landed file that is not what was landed; one that is older than these hashes has none to be held to.

    Raises:
        RefusedError: Its bytes, or those of its hash, were altered.
    """
    noted = hash_file(path)
    if not noted.is_file():
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if noted.read_bytes() != f"{found}\n".encode():
        raise RefusedError(
            f"{path} was altered since it landed: its SHA-256 is {found[:12]}, {noted.name} says another; restore both "
            "from a backup, or remove both and land the file again"
        )


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
            with whole(path):
                schemas[path.name] = schema_of(pq.read_metadata(path))
        read = as_they_stand(schemas)
    wanted = [*OURS, *read.types] if columns is None else columns
    tables = []
    for path in paths:
        # A plain open file: a path would make Arrow read its `arrived=` folder as a column.
        with whole(path), path.open("rb") as file:
            stored = pq.ParquetFile(file)
            names = stored_names(stored.schema_arrow.names, read, wanted)
            tables.append(as_read(stored.read(columns=list(names.values())), names, read, wanted))
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """What a damaged file says, with its name and the cure."""
    try:
        yield
    except BROKEN as error:
        raise damaged(path, " ".join(str(error).split())) from error


def damaged(path: Path, reason: str) -> BadInputError:
    """The error of a file that cannot be read."""
    return BadInputError(f"{path} is no whole landed batch ({reason}); restore it from a backup, or land it again")
