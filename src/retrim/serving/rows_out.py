"""OUT: where predictions go when all parts are there. A file appears whole or not at all, a table likewise."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from retrim.adapters.sql_table import is_database, replace_rows
from retrim.errors import BadInputError
from retrim.files import flush
from retrim.reading.address import address_of, is_address, is_there, upload

SUFFIXES = (".csv", ".parquet", ".arrow")
REQUEST = "request_id"


@dataclass(frozen=True)
class RowsOut:
    """OUT: a file by its suffix, else a folder of Parquet files; here or at an fsspec address; or a database's table.

    Args:
        where: As it was given.
        table: Of a database.
    """

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

    def refuse_existing(self) -> None:
        """Refuses to write over what this request has not written.

        Raises:
            BadInputError: Something lies at OUT, or beside it where rejected rows would go.
        """
        if self.is_table:
            return
        for where in (self.where, self.rejected):
            if self.lies_at(where):
                shown = address_of(where).shown if is_address(where) else where
                raise BadInputError(f"{shown} is there already; name another OUT, or remove it")

    @staticmethod
    def lies_at(where: str) -> bool:
        """Whether something is there; an empty folder is nothing."""
        if is_address(where):
            return is_there(where)
        path = Path(where)
        return any(path.iterdir()) if path.is_dir() else path.exists()

    def publish(self, parts: Sequence[Path], rejected: Sequence[Path], request: str, aside: Path) -> None:
        """Writes all parts in order; done again for one request, it leaves the same.

        Args:
            parts: Parquet files of predictions.
            rejected: Parquet files of rejected cells.
            request: Id of the request.
            aside: A folder to work in.

        Raises:
            BadInputError: OUT cannot be written.
        """
        if self.is_table:
            for table, files in ((self.table, parts), (self.rejected, rejected)):
                if files:
                    replace_rows(self.where, table, _batches(files), where_is={REQUEST: request})
            return
        if self.suffix:
            joined = aside / f"joined{self.suffix}"
            _join(parts, joined)
            _lay(joined, self.where)
        else:
            for part in parts:
                _lay(part, f"{self.where.rstrip('/')}/{part.name}")
        if rejected:
            _join(rejected, aside / "rejected.csv")
            _lay(aside / "rejected.csv", self.rejected)


def _batches(parts: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for part in parts:
        yield from pq.ParquetFile(part).iter_batches()


def _join(parts: Sequence[Path], to: Path) -> None:
    schema = pq.read_schema(parts[0])
    if to.suffix == ".csv":
        with pacsv.CSVWriter(to, schema) as text:
            for batch in _batches(parts):
                text.write_batch(batch)
    elif to.suffix == ".arrow":
        with pa.OSFile(str(to), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
            for batch in _batches(parts):
                file.write_batch(batch)
    else:
        with pq.ParquetWriter(to, schema, compression="zstd") as stored:
            for part in parts:
                stored.write_table(pq.read_table(part))


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
        raise BadInputError(f"{where} cannot be written ({error.strerror}); name an OUT that you may write") from error
