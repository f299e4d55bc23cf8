"""OUT: where predictions go when all parts are there. A file appears whole or not at all, a table likewise."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from retrim.adapters.sql_table import count_rows, is_database, refuse_unwritable, replace_rows
from retrim.errors import BadInputError
from retrim.files import file_digest, flush, folder_digest
from retrim.parquet import parquet_file, parquet_table
from retrim.reading.address import address_of, is_address, is_there, place_of, remote_files, upload

SUFFIXES = (".csv", ".parquet", ".arrow")
UNKNOWN = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")
REQUEST = "request_id"
FORMULA, NUMBER = r"^[=+\-@\t\r]", r"^[+-][0-9.,]*$"
"""What a spreadsheet computes when it opens a text, and what of it is harmless."""


@dataclass(frozen=True)
class RowsOut:
    """OUT: a file by its suffix or a folder of Parquet files, here or at an fsspec address; or a database's table."""

    where: str
    table: str

    @property
    def shown(self) -> str:
        return address_of(self.where).shown if is_address(self.where) else self.where

    @property
    def is_table(self) -> bool:
        return is_database(self.where)

    @property
    def suffix(self) -> str:
        """Of a file; empty for a folder."""
        return next((suffix for suffix in SUFFIXES if self.where.lower().endswith(suffix)), "")

    @property
    def rejected(self) -> str:
        """Where rejected cells go: beside."""
        if self.is_table:
            return f"{self.table}_rejected"
        return f"{self.where[: -len(self.suffix)] if self.suffix else self.where.rstrip('/')}.rejected.csv"

    @property
    def target(self) -> list[str]:
        """What two requests may not write at once: OUT, and what lies beside it."""
        return [place_of(self.where), self.table] if self.is_table else [place_of(self.rejected)]

    def refuse_unusable(self) -> None:
        """Refuses what could not be written, before anything is predicted.

        Raises:
            BadInputError: OUT cannot be written.
        """
        if self.is_table:
            refuse_unwritable(self.where, self.table)
            return
        ending = UNKNOWN.search(self.shown)
        is_none = self.where.strip() in ("", "-")  # an empty variable of a script; what other programs write to stdout
        if is_none or (ending and not self.suffix):
            fault = f"OUT is {self.where!r}" if is_none or ending is None else f"{self.shown} ends in {ending[0]}"
            raise BadInputError(
                f"{fault}; specify a file that ends in {', '.join(SUFFIXES)}, or a folder with a slash at its end"
            )

    def state(self, request: str) -> str | None:
        """What tells the predictions that lie at OUT from others; None where nothing lies there.

        Raises:
            BadInputError: It cannot be looked at.
        """
        if self.is_table:
            count = count_rows(self.where, self.table, where_is={REQUEST: request})
            return None if count is None else f"{count} rows"
        if not self.lies_at(self.where):
            return None
        if is_address(self.where):
            return " ".join(file.state for file in remote_files(self.where))
        path = Path(self.where)
        return folder_digest(path) if path.is_dir() else file_digest(path)

    def refuse_existing(self) -> None:
        """Refuses to write over what this request has not written.

        Raises:
            BadInputError: Something lies at OUT, or beside it where rejected rows would go.
        """
        if self.is_table:
            return
        for where in (self.where, self.rejected):
            if self.lies_at(where):
                raise _taken(where)

    @staticmethod
    def lies_at(where: str) -> bool:
        """Whether something is there; an empty folder is nothing."""
        if is_address(where):
            return is_there(where)
        path = Path(where)
        return any(path.iterdir()) if path.is_dir() else path.exists()

    def publish(self, parts: Sequence[Path], rejected: Sequence[Path], request: str, aside: Path) -> None:
        """Writes all parts in order; done again for one request, it leaves the same.

        Raises:
            BadInputError: OUT cannot be written.
        """
        if self.is_table:
            for table, files in ((self.table, parts), (self.rejected, rejected)):
                if files:
                    replace_rows(self.where, table, _batches(files), where_is={REQUEST: request})
            return
        laid = [(part, f"{self.where.rstrip('/')}/{part.name}") for part in parts]
        if self.suffix:
            joined = aside / f"joined{self.suffix}"
            _join(parts, joined)
            laid = [(joined, self.where)]
        elif Path(self.where).is_dir() and {path.name for path in Path(self.where).iterdir()} - _names_of(parts):
            raise _taken(self.where)
        if rejected:
            _join(rejected, aside / "rejected.csv", _without_formulas)
            laid.append((aside / "rejected.csv", self.rejected))
        for file, where in laid:
            if not self.lies_at(where):
                _lay(file, where)
            elif _digest_at(where) != file_digest(file):
                raise _taken(where)


def _names_of(parts: Sequence[Path]) -> set[str]:
    """Of parts in a folder, and of those that a kill left half written."""
    return {name for part in parts for name in (part.name, f".{part.name}.new")}


def _digest_at(where: str) -> str:
    if not is_address(where):
        return file_digest(Path(where)) if Path(where).is_file() else ""
    with remote_files(where)[0].opened() as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _taken(where: str) -> BadInputError:
    shown = address_of(where).shown if is_address(where) else where
    return BadInputError(f"{shown} already exists; specify a different OUT, or remove it")


def _batches(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        with parquet_file(part) as stored:
            yield from stored.iter_batches()


def _without_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rejected cells with a quote before what a spreadsheet would compute."""
    index = batch.schema.get_field_index("value")
    value = batch.column(index)
    computed = pc.and_not(pc.match_substring_regex(value, FORMULA), pc.match_substring_regex(value, NUMBER))
    quoted = pc.if_else(computed, pc.binary_join_element_wise("'", value, ""), value)
    return batch.set_column(index, batch.schema.field(index), quoted)


def _join(
    parts: Sequence[Path], to: Path, changed: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch
) -> None:
    schema = pq.read_schema(parts[0])
    if to.suffix == ".csv":
        with pacsv.CSVWriter(to, schema) as text:
            for batch in _batches(parts):
                text.write_batch(changed(batch))
    elif to.suffix == ".arrow":
        with pa.OSFile(str(to), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
            for batch in _batches(parts):
                file.write_batch(batch)
    else:
        with pq.ParquetWriter(to, schema, compression="zstd") as stored:
            for part in parts:
                stored.write_table(parquet_table(part))


def _lay(file: Path, where: str) -> None:
    """Lays a file at a path or an address."""
    if is_address(where):
        upload(where, file)
        return
    path = Path(where)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        shutil.copyfile(file, fresh)
        flush(fresh)
        os.replace(fresh, path)  # noqa: PTH105
    except OSError as error:
        raise BadInputError(
            f"{where} cannot be written ({error.strerror}); specify an OUT where you have write permission"
        ) from error
