"""Small landed files, many in one: so that a table that lands row by row is read as quickly as one that lands at once.

    <landing zone>/.index/pack-<level>-<first 16 digits of its SHA-256>.arrow

A cache and no more. A pack holds the stored rows of files whose columns are the same, and of each its name and the
SHA-256 of its bytes. Rows are taken from it only for a file that still has these bytes; what is in no pack is opened.
Packs of one level are put together into one of the next, so that there are few of them. They are mapped, not loaded.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.ipc

from retrim.files import flush, open_private
from retrim.parquet import parquet_table

FOLDER, GLOB, MEMBERS = ".index", "pack-*.arrow", b"retrim.members"
SMALL_ROWS = 1024
"""Rows of a file that is packed, at most."""
MOST_ROWS = 1 << 17
"""Rows of a pack, at most."""
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
    """A pack: its file, its level, its rows, and each file in it by name, with its rows and the digest of its bytes."""

    path: Path
    level: int
    table: pa.Table
    members: tuple[tuple[str, int, str], ...]


def packed_files(root: Path) -> dict[str, PackedFile]:
    """The files of a landing zone that lie in packs, by name."""
    found = {}
    for pack in _packs(root):
        start = 0
        for name, rows, digest in pack.members:
            found[name] = PackedFile(pack.table, start, rows, digest)
            start += rows
    return found


def pack_small_files(root: Path, files: Mapping[str, Path]) -> None:
    """Packs small files that are in no pack, once there are enough of them. Hold the landing zone's lock.

    Args:
        root: The landing zone.
        files: Small files of rows by name, in order of arrival.
    """
    packs = list(_packs(root))
    for path in set((root / FOLDER).glob(GLOB)) - {pack.path for pack in packs}:
        path.unlink(missing_ok=True)  # damaged
    packed = {name for pack in packs for name, _, _ in pack.members}
    alike: defaultdict[pa.Schema, list[tuple[pa.Table, tuple[str, int, str]]]] = defaultdict(list)
    for name, path in files.items():
        if name not in packed:
            content = path.read_bytes()
            table = parquet_table(content).replace_schema_metadata(None)
            alike[table.schema].append((table, (name, table.num_rows, hashlib.sha256(content).hexdigest())))
    packs += [
        _write(root, 1, [table for table, _ in some], [member for _, member in some])
        for group in alike.values()
        for some in _by_fan(group)
    ]
    _merge(root, packs, order={name: place for place, name in enumerate(files)})


def _merge(root: Path, packs: Sequence[_Pack], *, order: Mapping[str, int]) -> None:
    """Puts packs of one level and the same columns together, where there are enough."""
    alike: defaultdict[tuple[int, pa.Schema], list[_Pack]] = defaultdict(list)
    for pack in sorted(packs, key=lambda pack: order.get(pack.members[0][0], 0)):
        alike[pack.level, pack.table.schema.remove_metadata()].append(pack)
    for (level, _), group in alike.items():
        for some in _by_fan(group):
            if sum(pack.table.num_rows for pack in some) <= MOST_ROWS:
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
    content = sink.getvalue().to_pybytes()
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


def _packs(root: Path) -> Iterator[_Pack]:
    """All packs; one that is damaged, or goes meanwhile, is none."""
    for path in sorted((root / FOLDER).glob(GLOB)):
        with suppress(OSError, ValueError, KeyError, pa.ArrowException):
            level, digest = path.stem.removeprefix("pack-").split("-")
            with pa.memory_map(str(path)) as file:
                content = file.read_buffer()
            if hashlib.sha256(content).hexdigest()[:16] != digest:
                continue
            table = pa.ipc.open_file(content).read_all()
            noted = json.loads(table.schema.metadata[MEMBERS])
            members = tuple((str(name), int(rows), str(of)) for name, rows, of in noted)
            yield _Pack(path, int(level), table, members)
