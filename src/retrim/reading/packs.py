"""Small landed files, many in one: `<landing zone>/.index/pack-<level>-<16 digits of its SHA-256>.arrow`, a cache.

So a table that lands row by row is read as quickly as one that lands at once. A pack holds the stored rows of files
whose columns are the same, and of each its name and the SHA-256 of its bytes. Rows are taken from it only for a file
that still has these bytes; what is in no pack is opened. Packs of one level are put together into one of the next. They
are mapped, not loaded. One that holds a file which has gone or was written anew is removed, its others packed again.
"""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
MOST_ROWS, MOST_BYTES = 1 << 17, 1 << 26
"""Rows of a pack that is made of others, at most, and their bytes."""
FAN = 32
"""Files that make a pack, and packs that make the next larger one."""

Each = TypeVar("Each")


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


@dataclass(frozen=True)
class _Pack:
    """A pack, and each file in it by name, with its rows and the digest of its bytes."""

    path: Path
    level: int
    table: pa.Table
    members: tuple[tuple[str, int, str], ...]


def packed_files(root: Path, names: Collection[str] | None = None) -> dict[str, PackedFile]:
    """The files of a landing zone that lie in packs, by name."""
    files = {}
    for pack in _packs(root, names):
        start = 0
        for name, rows, digest in pack.members:
            files[name] = PackedFile(pack.table, start, rows, digest)
            start += rows
    return files


def pack_small_files(root: Path, files: Mapping[str, Path]) -> None:
    """Packs small files that are in no pack, once there are enough of them. Hold the landing zone's lock.

    Where they cannot be packed, as the disk is full, they are opened one by one: no error, as a batch has just landed.
    """
    try:
        _pack(root, {name: (path, _noted_hash(path)) for name, path in files.items()})
    except (OSError, pa.ArrowException) as error:
        LOGGER.warning("the small files in %s could not be packed and are opened one by one: %s", root, error)


def _noted_hash(path: Path) -> str | None:
    """The SHA-256 that stands beside a landed file; None: it has none."""
    with suppress(FileNotFoundError, UnicodeError):
        return path.with_name(f"{path.name}.sha256").read_text(encoding="ascii").strip()
    return None


def _pack(root: Path, files: Mapping[str, tuple[Path, str | None]]) -> None:
    for left in (root / FOLDER).glob(f".{GLOB}"):
        left.unlink(missing_ok=True)
    packs = list(_standing_packs(root, files))
    packed = {name for pack in packs for name, _, _ in pack.members}
    alike: defaultdict[pa.Schema, list[tuple[pa.Table, tuple[str, int, str]]]] = defaultdict(list)
    for name, (path, digest) in files.items():
        if name in packed or path.stat().st_size > SMALL_BYTES:
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            continue  # it has no hash, or was altered: who reads it says so
        table = parquet_table(content).replace_schema_metadata(None)
        group = alike[table.schema]
        group.append((table, (name, table.num_rows, digest)))
        if len(group) == FAN:
            packs.append(_write(root, 1, [table for table, _ in group], [member for _, member in group]))
            group.clear()
    _merge(root, packs, order={name: number for number, name in enumerate(files)})


def _standing_packs(root: Path, files: Mapping[str, tuple[Path, str | None]]) -> Iterator[_Pack]:
    """The packs whose files are all there as they were packed, and in no larger pack; the others are removed."""
    packs = sorted(_packs(root), key=lambda pack: -pack.level)
    for path in set((root / FOLDER).glob(GLOB)) - {pack.path for pack in packs}:
        path.unlink(missing_ok=True)  # damaged
    seen: set[str] = set()
    for pack in packs:
        if all(name not in seen and name in files and files[name][1] == digest for name, _, digest in pack.members):
            seen.update(name for name, _, _ in pack.members)
            yield pack
        else:
            pack.path.unlink(missing_ok=True)


def _merge(root: Path, packs: Sequence[_Pack], *, order: Mapping[str, int]) -> None:
    """Puts packs of one level and the same columns together, where there are enough."""
    alike: defaultdict[tuple[int, pa.Schema], list[_Pack]] = defaultdict(list)
    for pack in sorted(packs, key=lambda pack: order.get(pack.members[0][0], 0)):
        alike[pack.level, pack.table.schema.remove_metadata()].append(pack)
    for (level, _), group in alike.items():
        for some in _by_fan(group):
            rows, size = sum(pack.table.num_rows for pack in some), sum(pack.table.nbytes for pack in some)
            if rows <= MOST_ROWS and size <= MOST_BYTES:
                tables = [pack.table.replace_schema_metadata(None) for pack in some]
                _write(root, level + 1, tables, [member for pack in some for member in pack.members])
                for pack in some:
                    pack.path.unlink(missing_ok=True)


def _by_fan(group: Sequence[Each]) -> Iterator[Sequence[Each]]:
    """As many at a time as make a pack; the rest waits."""
    return (group[start : start + FAN] for start in range(0, len(group) - FAN + 1, FAN))


def _write(root: Path, level: int, tables: Sequence[pa.Table], members: Sequence[tuple[str, int, str]]) -> _Pack:
    table = pa.concat_tables(tables).combine_chunks().replace_schema_metadata({MEMBERS: json.dumps(members)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pack-{level}-{hashlib.sha256(content).hexdigest()[:16]}.arrow"
    aside = folder / f".{path.name}"
    with open_private(aside) as file:
        file.write(content)
        file.flush()
    aside.replace(path)
    flush(folder)
    return _Pack(path, level, table, tuple(members))


def _packs(root: Path, names: Collection[str] | None = None) -> Iterator[_Pack]:
    """All packs, or those that hold one of the files; one that is damaged, or goes meanwhile, is none."""
    for path in sorted((root / FOLDER).glob(GLOB)):
        with suppress(OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            level, digest = path.stem.removeprefix("pack-").split("-")
            with pa.memory_map(str(path)) as file:
                content = file.read_buffer()
            stored = pa.ipc.open_file(content)
            noted = json.loads(stored.schema.metadata[MEMBERS])
            members = tuple((str(name), int(rows), str(of)) for name, rows, of in noted)
            if names is not None and not any(name in names for name, _, _ in members):
                continue
            if hashlib.sha256(content).hexdigest()[:16] == digest:
                yield _Pack(path, int(level), stored.read_all(), members)
