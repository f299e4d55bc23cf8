"""The landing zone: one immutable Parquet file a batch, in a partition a day of arrival. A file is written aside,
flushed and renamed, under a lock that dies with its process: so it is there whole or not at all, and landing it again
changes nothing.

    <root>/arrived=2024-05-01/rows-<first 16 digits of the digest>.parquet, and its SHA-256 beside it
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim.adapters.landing_index import LandingIndex
from retrim.files import flush, make_private_folder, open_private
from retrim.reading.landed import (
    OF,
    SCHEMA,
    SUSPICIOUS,
    BatchFile,
    Kind,
    Withdrawal,
    batch_id,
    hash_file,
    read_withdrawals,
    withdrawal_file,
    withdrawn_names,
)
from retrim.reading.packs import FAN, SMALL_ROWS, pack_small_files
from retrim.stats.codec import to_json, to_record
from retrim.table.data import OURS, DataParams
from retrim.table.schema import LandedSchema

ASIDE = ".tmp-"
ROW_GROUP = 1 << 17
"""Rows of a row group: docs/decisions/partitions.md."""


class AtAddress(Protocol):
    """Where the landing zone is of record while its folder is a copy: `retrim.lineage.landing_address`."""

    def held(self) -> AbstractContextManager[None]:
        """Keeps other machines from landing, and brings both up to each other."""

    def lay(self, name: str, file: Path, digest: str) -> None:
        """Lays a file there, by its name in the landing zone and its SHA-256."""


class Landing:
    """The landing zone at `root`; the folder is made by the first landing.

    Args:
        at: Where it is of record, if that is an address: a file lies there before it is renamed into its place here, so
            one of a killed landing is fetched by the next.
    """

    def __init__(self, root: Path, at: AtAddress | None = None) -> None:
        self.root = root
        self._at = at
        self._index = LandingIndex(root)
        self._is_held = False
        self._seen: list[BatchFile] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from landing, of other machines too where it lies at an address."""
        with self.locked_here():
            if self._at is None:
                yield
                return
            with self._at.held():
                yield

    @contextmanager
    def locked_here(self) -> Iterator[None]:
        """Keeps other processes of this machine from landing, and clears what a killed one left aside."""
        make_private_folder(self.root)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.root.glob(f"{ASIDE}*"):
                left.unlink(missing_ok=True)
            self._is_held, self._seen = True, None
            try:
                yield
            finally:
                self._is_held, self._seen = False, None

    def batches(self, as_of: pd.Timestamp | None = None, *, as_then: bool = False) -> list[BatchFile]:
        """Landed batches in order of arrival; if `as_of` is given, those that had landed by then and stand now."""
        if as_of is None:
            return self._all()
        gone = {batch for batch, found in self.withdrawals().items() if not as_then or found.at <= as_of}
        return [file for file in self._all() if file.arrived <= as_of and file.batch not in gone]

    def arrivals(self) -> list[pd.Timestamp]:
        """When the regular batches came, in order: those of rows that correct nothing, also where withdrawn since.

        Pieces of a large file are one that came with its last piece.
        """
        regular = [file for file in self._all() if file.kind == "rows" and not file.correction]
        return sorted({file.of or file.digest: file.arrived for file in regular}.values())

    def standing(self) -> list[BatchFile]:
        """Landed batches that nobody has withdrawn, in order of arrival."""
        gone = withdrawn_names(self.root)
        return [file for file in self._all() if file.batch not in gone]

    def withdrawals(self) -> dict[str, Withdrawal]:
        return read_withdrawals(self.root)

    def withdraw(self, withdrawal: Withdrawal) -> Path:
        """Keeps a withdrawal; one that is there stays as it is. Hold `locked()`."""
        path = withdrawal_file(self.root, withdrawal.batch)
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.root / f"{ASIDE}{path.name}"
        _flushed(aside, to_json(to_record(withdrawal)))
        return self._move_in(aside, path)

    def _move_in(self, aside: Path, path: Path) -> Path:
        """Renames a file that was written aside into its place, once it lies at the address, if there is one."""
        with aside.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if self._at is not None:
            self._at.lay(self._name(path), aside, digest)
        self._seen = None
        _flushed(hash_file(path), f"{digest}\n".encode())  # alone it is nothing
        aside.replace(path)
        flush(path.parent)
        flush(self.root)
        return path

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _all(self) -> list[BatchFile]:
        """Every batch; listed once while the lock is held, as nothing else lands then."""
        if not self._is_held:
            return self._index.batches()
        if self._seen is None:
            self._seen = self._index.batches()
        return self._seen

    def find(self, digest: str) -> BatchFile | None:
        """The batch with this digest, in full or its first 16 digits; None if it has not landed."""
        matching = (file for file in self._all() if file.batch == batch_id(digest))
        return next(matching, None)

    def has(self, digest: str) -> bool:
        return self.find(digest) is not None

    def known(self, keys: pd.Series, *, kind: Kind, surely: bool) -> np.ndarray:
        """Which of `keys`, text of shape (n,), have landed as rows (or labels), shape (n,). Hold `locked()`."""
        return self._index.known(keys, kind, surely=surely)

    def land(
        self,
        kind: Kind,
        frame: pd.DataFrame,
        *,
        digest: str,
        arrived: pd.Timestamp,
        correction: bool,
        released: str,
        of: str = "",
        data: DataParams | None = None,
        suspicious: str = "",
    ) -> Path:
        """Lands typed rows or labels; gives the file, or that which was there if the batch had landed before.

        Hold `locked()` from the checks before it to its end.

        Args:
            frame: `_key` and the declared columns, shape (n, columns); of labels `_key`, target and `label_time`.
            arrived: Arrival time, UTC.
            released: Why it lands in spite of its faults; empty when it has none.
            of: SHA-256 of the large file that it is a piece of; empty when it is none.
            data: What its columns are declared, which stands in the file; None: it says their stored types alone.
            suspicious: Why it is suspicious; empty when it is not.
        """
        before = self.find(digest)
        if before is not None:
            return before.path
        arrived = arrived.tz_convert("UTC").as_unit("us")
        ours = {
            "_key": frame["_key"],
            "_batch": pd.Series(batch_id(digest), index=frame.index, dtype="str"),
            "_arrived": pd.Series(arrived, index=frame.index, dtype="datetime64[us, UTC]"),
            "_correction": pd.Series(correction, index=frame.index, dtype="bool"),
        }
        columns = {name: frame[name] for name in frame.columns if name not in OURS}
        facts = {
            "kind": kind,
            "digest": digest,
            "arrived": arrived.isoformat(),
            "correction": str(correction).lower(),
            "released": released,
            **({OF: of} if of else {}),
            **({SUSPICIOUS: suspicious} if suspicious else {}),
            **({} if data is None else {SCHEMA: LandedSchema.declared(data, columns).as_text()}),
        }
        table = _table(pd.DataFrame({**ours, **columns})).replace_schema_metadata(
            {f"retrim.{name}": value for name, value in facts.items()}
        )
        path = self._put(table, f"{kind}-{batch_id(digest)}.parquet", arrived=arrived)
        if self._index.add(path, frame["_key"]) % FAN == 0:
            rows = [file for file in self._index.batches() if file.kind == "rows" and 0 < file.rows <= SMALL_ROWS]
            pack_small_files(self.root, {file.path.name: file.path for file in rows})
        return path

    def _put(self, table: pa.Table, name: str, *, arrived: pd.Timestamp) -> Path:
        """Writes a landed file whole or not at all."""
        folder = self.root / f"arrived={arrived:%Y-%m-%d}"
        aside = self.root / f"{ASIDE}{name}"
        _write(table, aside)
        folder.mkdir(parents=True, exist_ok=True)
        return self._move_in(aside, folder / name)


def _table(frame: pd.DataFrame) -> pa.Table:
    """Arrow columns by dtype alone, so that a column without a value has its type too."""
    return pa.table({name: _column(frame[name]) for name in frame.columns})


def _column(cells: pd.Series) -> pa.Array:
    if cells.dtype.kind == "M":
        instants = pa.array(cells.dt.tz_convert(None).to_numpy(), pa.timestamp("us"), from_pandas=True)
        return instants.cast(pa.timestamp("us", "UTC"))
    types = {"b": pa.bool_(), "f": pa.float64()}
    return pa.array(cells, types.get(cells.dtype.kind, pa.string()), from_pandas=True)


def _write(table: pa.Table, path: Path) -> None:
    """Writes Parquet with fixed settings, so that equal tables have equal bytes, and flushes it."""
    with open_private(path) as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=3,
            version="2.6",
            data_page_version="1.0",
            row_group_size=ROW_GROUP,
        )
        file.flush()
        os.fsync(file.fileno())


def _flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
