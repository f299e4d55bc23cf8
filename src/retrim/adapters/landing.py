"""The landing zone: one immutable Parquet file a batch, in a partition a day of arrival.

    <root>/arrived=2024-05-01/rows-<first 16 digits of the digest>.parquet, and its SHA-256 beside it

A file is written aside, flushed and renamed, under a lock that dies with its process;
so it is there whole or not at all, and landing it again changes nothing.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim.adapters.landing_index import LandingIndex
from retrim.core.canonical import to_json
from retrim.core.landed_schema import LandedSchema
from retrim.core.table import OURS, DataParams
from retrim.datasets.landed import OF, SCHEMA, SUSPICIOUS, BatchFile, Kind, batch_id, check_whole, hash_file
from retrim.datasets.withdrawn import Withdrawal, read_withdrawals, withdrawal_file, withdrawn_names
from retrim.files import flush, make_private_folder, open_private

ASIDE = ".tmp-"
BEFORE = b"retrim.arrived_before"  # a fact of batches whose arrival was dated anew: what it was
ROW_GROUP = 1 << 17
"""Rows of a row group: docs/decisions/partitions.md."""


class Landing:
    """The landing zone at `root`; the folder is made by the first landing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._index = LandingIndex(root)
        self._is_held = False
        self._seen: list[BatchFile] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from landing, and clears what a killed one left aside."""
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

    def land_rows(
        self,
        rows: pd.DataFrame,
        *,
        digest: str,
        arrived: pd.Timestamp,
        correction: bool,
        released: str,
        of: str = "",
        data: DataParams | None = None,
        suspicious: str = "",
    ) -> Path:
        """Lands typed rows with their `_key`. Hold `locked()` from the checks before it to its end.

        Args:
            rows: `_key` and the declared columns, shape (n, columns).
            digest: sha256 of the source file.
            arrived: Arrival time, UTC.
            correction: Whether rows with known keys replace the earlier ones.
            released: Why it lands in spite of its faults; empty when it has none.
            of: sha256 of the large file that it is a piece of; empty when it is none.
            data: What its columns are declared, which stands in the file; None: it says their stored types alone.
            suspicious: What is suspicious about it, which stands in the file; empty: nothing.

        Returns:
            The file; the one that was there if the batch had landed before.
        """
        how: dict[str, Any] = {"correction": correction, "released": released, "of": of, "data": data}
        return self._land("rows", rows, digest, arrived=arrived, suspicious=suspicious, **how)

    def land_labels(
        self,
        labels: pd.DataFrame,
        *,
        digest: str,
        arrived: pd.Timestamp,
        correction: bool,
        released: str,
        of: str = "",
        data: DataParams | None = None,
    ) -> Path:
        """The same for labels: `_key`, target and `label_time`."""
        how: dict[str, Any] = {"correction": correction, "released": released, "of": of, "data": data}
        return self._land("labels", labels, digest, arrived=arrived, **how)

    def batches(self, as_of: pd.Timestamp | None = None) -> list[BatchFile]:
        """Landed batches in order of arrival; if `as_of` is given, those that stood then: landed and not withdrawn."""
        if as_of is None:
            return self._all()
        gone = self.withdrawn(as_of)
        return [file for file in self._all() if file.arrived <= as_of and file.batch not in gone]

    def standing(self) -> list[BatchFile]:
        """Landed batches that nobody has withdrawn, in order of arrival."""
        gone = withdrawn_names(self.root)
        return [file for file in self._all() if file.batch not in gone]

    def withdrawals(self) -> dict[str, Withdrawal]:
        """Every withdrawal, by batch."""
        return read_withdrawals(self.root)

    def withdrawn(self, as_of: pd.Timestamp) -> frozenset[str]:
        """The batches that were withdrawn by `as_of`: their rows and labels count for nothing from then on."""
        return frozenset(batch for batch, found in self.withdrawals().items() if found.at <= as_of)

    def withdraw(self, withdrawal: Withdrawal) -> Path:
        """Keeps a withdrawal; one that is there stays as it is. Hold `locked()`."""
        path = withdrawal_file(self.root, withdrawal.batch)
        if path.exists():
            return path
        content = to_json(withdrawal.as_record())
        path.parent.mkdir(parents=True, exist_ok=True)
        _flushed(hash_file(path), f"{hashlib.sha256(content).hexdigest()}\n".encode())  # alone it is nothing
        aside = self.root / f"{ASIDE}{path.name}"
        _flushed(aside, content)
        aside.replace(path)
        flush(path.parent)
        flush(self.root)
        return path

    def _all(self) -> list[BatchFile]:
        """Every batch; listed once while the lock is held, as nothing else lands then."""
        if not self._is_held:
            return self._index.batches()
        if self._seen is None:
            self._seen = self._index.batches()
        return self._seen

    def find(self, digest: str) -> BatchFile | None:
        """The batch with this digest, in full or its first 16 digits; None if it has not landed."""
        found = (file for file in self._all() if file.batch == batch_id(digest))
        return next(found, None)

    def has(self, digest: str) -> bool:
        """Whether a batch with this digest has landed, as rows or as labels."""
        return self.find(digest) is not None

    def known(self, keys: pd.Series, *, kind: Kind, surely: bool) -> np.ndarray:
        """Which of `keys` are those of rows (or labels) that have landed, shape (n,). Hold `locked()`.

        Args:
            keys: Text, shape (n,).
            kind: Of rows, or of labels.
            surely: False: a key in 10^12 or so may be said to be known and is not; that opens no landed file.
        """
        return self._index.known(keys, kind, surely=surely)

    def last_arrival(self) -> pd.Timestamp | None:
        """When the newest batch of rows arrived; None while there is none."""
        return max((file.arrived for file in self.batches() if file.kind == "rows"), default=None)

    def _land(
        self,
        kind: Kind,
        frame: pd.DataFrame,
        digest: str,
        *,
        arrived: pd.Timestamp,
        correction: bool,
        released: str,
        of: str,
        data: DataParams | None,
        suspicious: str = "",
    ) -> Path:
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
        own = {name: frame[name] for name in frame.columns if name not in OURS}
        facts = {
            "kind": kind,
            "digest": digest,
            "arrived": arrived.isoformat(),
            "correction": str(correction).lower(),
            "released": released,
            **({OF: of} if of else {}),
            **({SUSPICIOUS: suspicious} if suspicious else {}),
            **({} if data is None else {SCHEMA: LandedSchema.declared(data, own).as_text()}),
        }
        table = _table(pd.DataFrame({**ours, **own})).replace_schema_metadata(
            {f"retrim.{name}": value for name, value in facts.items()}
        )
        path = self._put(table, f"{kind}-{batch_id(digest)}.parquet", arrived=arrived)
        self._index.add(path, frame["_key"])
        return path

    def _put(self, table: pa.Table, name: str, *, arrived: pd.Timestamp) -> Path:
        """Writes a landed file whole or not at all."""
        folder = self.root / f"arrived={arrived:%Y-%m-%d}"
        aside = self.root / f"{ASIDE}{name}"
        _write(table, aside)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        with aside.open("rb") as file:  # first the hash: alone it is nothing
            _flushed(hash_file(path), f"{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        self._seen = None
        aside.replace(path)
        flush(folder)
        flush(self.root)
        return path

    def date_anew(self, file: BatchFile, arrived: pd.Timestamp) -> Path:
        """Gives a batch another arrival: only after the clock ran ahead. Hold `locked()`.

        The file is written anew, with the arrival that it had before as a fact. A kill in between leaves both, whose
        rows are the same; called again for the old one, this takes it away.
        """
        written = [each.path for each in self._all() if (each.batch, each.kind) == (file.batch, file.kind)]
        if len(written) > 1:
            self._remove(file.path)
            return next(path for path in written if path != file.path)
        check_whole(file.path)
        arrived = arrived.tz_convert("UTC").as_unit("us")
        with file.path.open("rb") as opened:
            table = pq.ParquetFile(opened).read()
        place, stored = table.schema.get_field_index("_arrived"), table.schema.metadata or {}
        moments = pa.repeat(pa.scalar(arrived.to_pydatetime(), table.schema.field(place).type), len(table))
        facts = {**stored, b"retrim.arrived": arrived.isoformat().encode(), BEFORE: file.arrived.isoformat().encode()}
        table = table.set_column(place, table.schema.field(place), moments).replace_schema_metadata(facts)
        path = self._put(table, file.path.name, arrived=arrived)
        if path != file.path:
            self._remove(file.path)
        return path

    def _remove(self, path: Path) -> None:
        path.unlink()
        hash_file(path).unlink(missing_ok=True)
        flush(path.parent)
        self._seen = None

    def date_withdrawal_anew(self, withdrawal: Withdrawal, at: pd.Timestamp) -> None:
        """Gives a withdrawal another time: only after the clock ran ahead. Hold `locked()`."""
        withdrawal_file(self.root, withdrawal.batch).unlink()
        self.withdraw(replace(withdrawal, at=at))


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
