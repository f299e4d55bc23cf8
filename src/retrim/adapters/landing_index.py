"""What has landed, in short, so that landing a batch opens none of the batches before it. It is a cache and no more:
a file that it does not know is read and added; where one has gone or was changed, or the index itself is lost or
damaged, it is made anew.

    <landing zone>/.index/manifest.json      the facts of every landed file, its size and time of change
    <landing zone>/.index/rows-<digest>.npy  hashes of keys, sorted; few files, each about twice the next
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.files import file_state
from retrim.reading.landed import (
    BatchFile,
    Kind,
    batch_id,
    facts_of,
    in_order,
    landed_names,
    withdrawn_names,
)
from retrim.reading.landed_rows import read_column
from retrim.stats.codec import Instant, from_record, to_record
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


@dataclass
class _Manifest:
    """Facts by file, what columns were declared, and of either kind the files of hashes, with how many each holds."""

    hash: str = field(default_factory=_probe)
    files: dict[str, _NotedFile] = field(default_factory=dict)
    schemas: list[LandedSchema] = field(default_factory=list)
    runs: dict[Kind, list[tuple[str, int]]] = field(default_factory=lambda: {"rows": [], "labels": []})

    def every_run(self) -> list[tuple[str, int]]:
        return [*self.runs["rows"], *self.runs["labels"]]


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
        for name, _ in manifest.runs[kind]:
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
        runs = manifest.runs[kind]
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
            whole = all(self._is_whole(name, size) for name, size in read.every_run())
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
        used = {name for name, _ in manifest.every_run()}
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
