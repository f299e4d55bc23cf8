"""Small landed files, many in one: `<landing zone>/.index/pack-<16 digits of its SHA-256>.arrow`, a cache.

So a table that lands row by row is read as quickly as one that lands at once. A pack holds the stored rows of files
whose columns are the same, and of each its name and the SHA-256 of its bytes. Rows are taken from it only for a file
that still has these bytes; what is in no pack is opened. Packs are mapped, not loaded. One that holds a file which has
gone or was written anew is removed, its others packed again.
"""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from retrim.files import flush, open_private
from retrim.parquet import parquet_table

LOGGER = logging.getLogger(__name__)
FOLDER, GLOB, MEMBERS = ".index", "pack-*.arrow", b"retrim.members"
SMALL_ROWS = 1024
"""Rows of a file that is packed, at most."""
SMALL_BYTES = 1 << 18
"""Bytes of a file that is packed, at most: as many as are packed at once are in memory."""
FAN = 64
"""Files that make a pack."""
Member = tuple[str, int, str]
"""A file in a pack: its name, its rows, the SHA-256 of its bytes."""


@dataclass(frozen=True)
class PackedFile:
    """Where the rows of a file lie: its stored columns are `rows` rows of a table, from `start` on."""

    table: pa.Table
    start: int
    rows: int
    digest: str

    def goes_on_in(self, other: "PackedFile") -> bool:
        """Whether the rows of another come right after."""
        return other.table is self.table and other.start == self.start + self.rows


def packed_files(root: Path, names: Collection[str] | None = None) -> dict[str, PackedFile]:
    """The files of a landing zone that lie in packs, by name."""
    files = {}
    for _, table, members in _packs(root, names):
        start = 0
        for name, rows, digest in members:
            files[name] = PackedFile(table, start, rows, digest)
            start += rows
    return files


def pack_small_files(root: Path, files: Mapping[str, Path]) -> None:
    """Packs small files that are in no pack, once there are enough of them. Hold the landing zone's lock.

    Where they cannot be packed, as the disk is full, they are opened one by one: no error, as a batch has just landed.
    """
    try:
        _pack(root, files)
    except (OSError, pa.ArrowException) as error:
        LOGGER.warning("the small files in %s could not be packed and are opened one by one: %s", root, error)


def _pack(root: Path, files: Mapping[str, Path]) -> None:
    for left in (root / FOLDER).glob(f".{GLOB}"):
        left.unlink(missing_ok=True)
    digests = {name: _noted_hash(path) for name, path in files.items()}
    packed = _standing_members(root, digests)
    alike: defaultdict[pa.Schema, list[tuple[pa.Table, Member]]] = defaultdict(list)
    for name, path in files.items():
        if name in packed or path.stat().st_size > SMALL_BYTES:
            continue
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != digests[name]:
            continue  # it has no hash, or was altered: who reads it says so
        table = parquet_table(content).replace_schema_metadata(None)
        group = alike[table.schema]
        group.append((table, (name, table.num_rows, digest)))
        if len(group) == FAN:
            _write(root, [table for table, _ in group], [member for _, member in group])
            group.clear()


def _noted_hash(path: Path) -> str | None:
    """The SHA-256 that stands beside a landed file; None: it has none."""
    with suppress(FileNotFoundError, UnicodeError):
        return path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").strip()
    return None


def _standing_members(root: Path, digests: Mapping[str, str | None]) -> set[str]:
    """The files of packs whose files are all there as they were packed; other packs are removed."""
    standing = {
        path: [name for name, _, _ in members]
        for path, _, members in _packs(root)
        if all(digests.get(name) == digest for name, _, digest in members)
    }
    for path in set((root / FOLDER).glob(GLOB)) - standing.keys():
        path.unlink(missing_ok=True)
    return {name for names in standing.values() for name in names}


def _write(root: Path, tables: Sequence[pa.Table], members: Sequence[Member]) -> None:
    table = pa.concat_tables(tables).combine_chunks().replace_schema_metadata({MEMBERS: json.dumps(members)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pack-{hashlib.sha256(content).hexdigest()[:16]}.arrow"
    aside = folder / f".{path.name}"
    with open_private(aside) as file:
        file.write(content)
        file.flush()
    aside.replace(path)
    flush(folder)


def _packs(root: Path, names: Collection[str] | None = None) -> Iterator[tuple[Path, pa.Table, list[Member]]]:
    """All packs, or those that hold one of the files; one that is damaged, or goes meanwhile, is none."""
    for path in sorted((root / FOLDER).glob(GLOB)):
        with suppress(OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            with pa.memory_map(str(path)) as file:
                content = file.read_buffer()
            stored = pa.ipc.open_file(content)
            noted = json.loads(stored.schema.metadata[MEMBERS])
            members = [(str(name), int(rows), str(of)) for name, rows, of in noted]
            if names is not None and not any(name in names for name, _, _ in members):
                continue
            if hashlib.sha256(content).hexdigest()[:16] == path.stem.rpartition("-")[2]:
                yield path, stored.read_all(), members
