"""Landed batch files and withdrawals of them, in the landing zone or linked into a run directory's `data/raw/`.

One immutable Parquet file a batch, whose facts (digest, kind, arrival) stand in the file itself; a withdrawal is
`<root>/withdrawn/<first 16 digits of the digest>.json`. Beside each lies its SHA-256.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.stats.codec import Instant, Unwritten, from_record, written
from retrim.table.data import OURS, ColumnType
from retrim.table.schema import NUMERIC, LandedSchema, ReadColumns

STORED: Mapping[ColumnType, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.float64(),
    "category": pa.string(),
    "time": pa.timestamp("us", "UTC"),
}
"""How values of each type lie in a landed file."""
Kind = Literal["rows", "labels"]
ID_LENGTH = 16
"""Digits of its file's SHA-256 that name a batch."""
BROKEN = (pa.ArrowException, OSError, UnicodeError)
"""What reading a damaged Parquet file raises: the last, where a byte of a column's name was turned."""
FACTS = ("kind", "digest", "arrived", "correction", "released")
OF = "of"  # a fact of pieces alone
SUSPICIOUS = "suspicious"  # a fact of batches that are so: why, in the words of the alert
SCHEMA = "schema"  # what its columns were declared; a file without it is asked for the types that it has
FOLDER = "withdrawn"


def stored_names(there: Sequence[str], read: ReadColumns, wanted: Sequence[str]) -> dict[str, str]:
    """What each of the wanted columns is called in a file with the columns `there`, without those that it lacks."""
    names = {name: name if name in OURS else read.names.within(name, there) for name in wanted}
    return {name: stored for name, stored in names.items() if stored is not None}


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


def batch_id(digest: str) -> str:
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
        kind=cast("Kind", kind),
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
    """The landed files under `root`, relative to it, in order of name; as text, in a tenth of the time of paths."""
    inside = len(str(root)) + 1
    return sorted(
        f"{folder}{os.sep}{name}"[inside:]
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(".parquet") and not name.startswith(".")
    )


def landed_paths(root: Path) -> list[Path]:
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
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if says != f"{digest}\n".encode():
        raise RefusedError(
            f"{path} was altered after it landed: its SHA-256 is {digest[:12]}, but {hash_file(path).name} records "
            "a different one; restore both files from a backup, or remove both and ingest the original file again"
        )
    return digest


@contextmanager
def read_whole(path: Path) -> Iterator[None]:
    """Tells what a damaged file says with its name and the cure."""
    try:
        yield
    except BROKEN as error:
        raise damaged(path, " ".join(str(error).split())) from error


def damaged(path: Path, reason: str) -> BadInputError:
    return BadInputError(
        f"{path} is not a complete landed batch ({reason}); restore it from a backup, or land it again"
    )


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
    withdrawals = {}
    for batch in sorted(withdrawn_names(root)):
        path = withdrawal_file(root, batch)
        check_whole(path)
        try:
            withdrawals[batch] = from_record(Withdrawal, json.loads(path.read_bytes()))
        except (OSError, ValueError, RetrimError) as error:
            raise BadInputError(
                f"{path} is not a complete withdrawal record ({error}); restore it from a backup"
            ) from error
    return withdrawals
