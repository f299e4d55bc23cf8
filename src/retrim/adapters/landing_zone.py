"""The landing zone: one immutable Parquet file a batch, in a partition a day of arrival, and an index of them.

    <root>/arrived=2024-05-01/rows-<first 16 digits of the digest>.parquet, and its SHA-256 beside it
    <root>/.index/manifest.json      the facts of every landed file, its size and time of change
    <root>/.index/rows-<digest>.npy  hashes of keys, sorted; few files, each about twice the next

A file is written aside, flushed and renamed, under a lock that dies with its process: so it is there whole or not at
all. The index is a cache, by which landing a batch opens none of those before it; a file that it does not know is read
and added, and where one has gone or was changed, or the index is lost or damaged, it is made anew.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from retrim.files import file_state, flush, make_private_folder, open_private
from retrim.reading.landed import (
    OF,
    SCHEMA,
    SUSPICIOUS,
    BatchFile,
    Kind,
    Withdrawal,
    batch_id,
    facts_of,
    hash_file,
    in_order,
    landed_names,
    read_column,
    read_withdrawals,
    withdrawal_file,
    withdrawn_names,
)
from retrim.reading.packs import FAN, SMALL_ROWS, pack_small_files
from retrim.stats.codec import Instant, from_record, to_json, to_record
from retrim.table.data import OURS, DataParams
from retrim.table.schema import LandedSchema

FOLDER, MANIFEST = ".index", "manifest.json"
PIECE = 1 << 18  # keys hashed at once: they become Python text for that long
MERGED = 1 << 24  # keys that are held before they are merged, when many files are new
NOTED = ("kind", "digest", "arrived", "correction", "released", "of", "rows", "suspicious")
"""Facts of a batch as the manifest notes them."""
PROBE = "retrim"  # its hash stands in the manifest: with another way to hash, the index is made anew


def hash_keys(keys: pd.Series) -> np.ndarray:
    """64 bits of each key, shape (n,)."""
    parts = [
        pd.util.hash_array(keys.iloc[start : start + PIECE].to_numpy(dtype="object"), categorize=False)
        for start in range(0, len(keys), PIECE)
    ]
    return np.concatenate(parts) if parts else np.array([], dtype="uint64")


def _probe() -> str:
    return str(hash_keys(pd.Series([PROBE]))[0])


@dataclass(frozen=True, kw_only=True)
class _NotedFile:
    """Facts of a landed file, its size and time of change, and the place of its schema among those of the manifest."""

    kind: Kind
    digest: str
    arrived: Instant
    correction: bool
    released: str
    of: Annotated[str, Field(exclude_if=lambda of: not of)] = ""
    rows: int
    suspicious: Annotated[str, Field(exclude_if=lambda why: not why)] = ""
    size: int
    changed: int
    schema: int
    withdrawn: bool


@dataclass(frozen=True)
class _Runs:
    """The files of hashes of either kind, each with how many it holds."""

    rows: list[tuple[str, int]] = field(default_factory=list)
    labels: list[tuple[str, int]] = field(default_factory=list)

    def of(self, kind: Kind) -> list[tuple[str, int]]:
        return self.rows if kind == "rows" else self.labels

    def every(self) -> list[tuple[str, int]]:
        return [*self.rows, *self.labels]


@dataclass
class _Manifest:
    """Facts by file, what columns were declared, and the files of hashes."""

    hash: str = field(default_factory=_probe)
    files: dict[str, _NotedFile] = field(default_factory=dict)
    schemas: list[LandedSchema] = field(default_factory=list)
    runs: _Runs = field(default_factory=_Runs)


class LandingIndex:
    """The index of the landing zone at `root`. Only `known` and `add` write; hold the zone's lock around them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER

    def batches(self) -> list[BatchFile]:
        """Every landed batch, in order of arrival, digest and kind; a file that did not change is not opened."""
        noted = _noted_batches(self.root, file_state(self.folder / MANIFEST))
        batches = []
        for name in landed_names(self.root):
            there = noted.get(name)
            is_known = there is not None and self._is_noted(name, there[0])
            batches.append(there[1] if there is not None and is_known else facts_of(self.root / name))
        return in_order(batches)

    def known(self, keys: pd.Series, kind: Kind, *, surely: bool) -> np.ndarray:
        """Which of `keys` have landed, shape (n,)."""
        manifest = self._refreshed()
        hashed = hash_keys(keys)
        is_known = np.zeros(len(keys), dtype=bool)
        for name, _ in manifest.runs.of(kind):
            run = np.load(self.folder / name, mmap_mode="r")
            places = np.searchsorted(run, hashed)
            is_known |= run[np.minimum(places, len(run) - 1)] == hashed
        if surely and is_known.any():
            likely = keys[is_known]
            sure = np.zeros(len(likely), dtype=bool)
            for name, facts in manifest.files.items():
                if facts.kind == kind and not facts.withdrawn and not sure.all():
                    sure |= likely.isin(read_column([self.root / name], "_key")).to_numpy()
            is_known[is_known] = sure
        return is_known

    def add(self, path: Path, keys: pd.Series) -> int:
        """Notes the file that has just landed, with its keys; gives how many are noted."""
        manifest = self.read()
        facts = facts_of(path)
        self._merge(manifest, facts.kind, hash_keys(keys))
        manifest.files[str(path.relative_to(self.root))] = _note_of(facts, path, manifest.schemas, withdrawn=False)
        self._write(manifest)
        return len(manifest.files)

    def _refreshed(self) -> _Manifest:
        """The manifest, brought up to what lies in the zone."""
        manifest = self.read()
        names, gone = landed_names(self.root), withdrawn_names(self.root)
        there = set(names)
        if any(
            name not in there or not self._is_noted(name, note) or note.withdrawn != (batch_id(note.digest) in gone)
            for name, note in manifest.files.items()
        ):
            manifest = _Manifest()  # keys of many files are sorted into one: those of one file cannot be taken out
        new = {name: self.root / name for name in names if name not in manifest.files}
        if new:
            self._note_all(manifest, new)
            self._write(manifest)
        return manifest

    def _note_all(self, manifest: _Manifest, new: dict[str, Path]) -> None:
        """Notes files that are not known: their keys many at a time, as merging them one by one takes long."""
        waiting: dict[Kind, list[np.ndarray]] = {"rows": [], "labels": []}
        gone = withdrawn_names(self.root)
        for name, path in new.items():
            facts = facts_of(path)
            manifest.files[name] = _note_of(facts, path, manifest.schemas, withdrawn=facts.batch in gone)
            if facts.batch in gone:
                continue
            hashes = waiting[facts.kind]
            hashes.append(hash_keys(read_column([path], "_key")))
            if sum(map(len, hashes)) > MERGED:
                self._merge(manifest, facts.kind, np.concatenate(hashes))
                hashes.clear()
        for kind, hashes in waiting.items():
            if hashes:
                self._merge(manifest, kind, np.concatenate(hashes))

    def _is_noted(self, name: str, note: _NotedFile) -> bool:
        stat = os.stat(f"{self.root}{os.sep}{name}")  # noqa: PTH116 (of very many files)
        return (stat.st_size, stat.st_mtime_ns) == (note.size, note.changed)

    def _merge(self, manifest: _Manifest, kind: Kind, hashed: np.ndarray) -> None:
        runs = manifest.runs.of(kind)
        hashed = _once(hashed)
        # Each about twice as long as the next: so a key is sorted anew but a few times, and few files are looked into.
        while runs and runs[-1][1] < 2 * len(hashed):
            hashed = _once(np.concatenate([np.load(self.folder / runs.pop()[0]), hashed]))
        if len(hashed):
            runs.append((self._write_run(kind, hashed), len(hashed)))

    def _write_run(self, kind: Kind, hashed: np.ndarray) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{kind}-{sha256(hashed.data).hexdigest()[:16]}.npy"
        aside = self.folder / f".{name}"
        with aside.open("wb") as file:  # in two steps: `np.save` does not say that the disk is full
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(hashed))
            file.write(hashed.data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / name)
        return name

    def read(self) -> _Manifest:
        """The manifest; an empty one where none is there or it is damaged."""
        try:
            read = from_record(_Manifest, json.loads((self.folder / MANIFEST).read_bytes()))
            whole = all(self._is_whole(name, size) for name, size in read.runs.every())
            if read.hash == _probe() and whole and all(0 <= n.schema < len(read.schemas) for n in read.files.values()):
                return read
        except Exception:  # noqa: BLE001, S110  a damaged file fails in a way of its own; the index is made anew
            pass
        return _Manifest()

    def _is_whole(self, name: str, size: int) -> bool:
        run = np.lib.format.open_memmap(self.folder / name, mode="r")  # `load` would take an archive too
        return bool(run.shape == (size,) and run.dtype == np.uint64)

    def _write(self, manifest: _Manifest) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{MANIFEST}"
        with aside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(to_record(manifest)))  # `dump` takes ten times as long
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / MANIFEST)
        used = {name for name, _ in manifest.runs.every()}
        for path in self.folder.glob("*.npy"):
            if path.name not in used:
                path.unlink()


def _once(hashed: np.ndarray) -> np.ndarray:
    """Sorted, each once. A stable sort takes spans that are in order as they are: two of them are but merged."""
    ordered = np.sort(hashed, kind="stable")
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    once: np.ndarray = ordered[first]
    return once


def _note_of(facts: BatchFile, path: Path, schemas: list[LandedSchema], *, withdrawn: bool) -> _NotedFile:
    """What is noted of a file; what its columns were declared is added to `schemas`, where it is not among them."""
    stat = path.stat()
    if facts.schema not in schemas:
        schemas.append(facts.schema)
    return _NotedFile(
        **{name: getattr(facts, name) for name in NOTED},
        size=stat.st_size,
        changed=stat.st_mtime_ns,
        schema=schemas.index(facts.schema),
        withdrawn=withdrawn,
    )


@lru_cache(maxsize=2)
def _noted_batches(root: Path, _state: tuple[int, ...]) -> Mapping[str, tuple[_NotedFile, BatchFile]]:
    """What the manifest of a landing zone notes, read once for each state of it."""
    manifest = LandingIndex(root).read()
    return {name: (note, _from_note(root / name, note, manifest.schemas)) for name, note in manifest.files.items()}


def _from_note(path: Path, note: _NotedFile, schemas: Sequence[LandedSchema]) -> BatchFile:
    return BatchFile(**{name: getattr(note, name) for name in NOTED}, path=path, schema=schemas[note.schema])


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
        root: The folder.
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
        """Every withdrawal, by batch."""
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
        """Whether a batch with this digest has landed, as rows or as labels."""
        return self.find(digest) is not None

    def known(self, keys: pd.Series, *, kind: Kind, surely: bool) -> np.ndarray:
        """Which of `keys` are those of rows (or labels) that have landed, shape (n,). Hold `locked()`.

        Args:
            keys: Text, shape (n,).
        """
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
        """Lands typed rows or labels. Hold `locked()` from the checks before it to its end.

        Args:
            frame: `_key` and the declared columns, shape (n, columns); of labels `_key`, target and `label_time`.
            arrived: Arrival time, UTC.
            released: Why it lands in spite of its faults; empty when it has none.
            of: SHA-256 of the large file that it is a piece of; empty when it is none.
            data: What its columns are declared, which stands in the file; None: it says their stored types alone.
            suspicious: Why it is suspicious; empty when it is not.

        Returns:
            The file; the one that was there if the batch had landed before.
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
