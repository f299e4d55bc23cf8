"""What has landed, in short: so that landing a batch opens none of the batches before it.

    <landing zone>/.index/manifest.json      the facts of every landed file, its size and time of change
    <landing zone>/.index/rows-<digest>.npy  hashes of keys, sorted; few files, each about twice the next

It is a cache and no more. A file that it does not know (landed by a process that was killed, or linked in)
is read and added; where one has gone or was changed, or the index itself is lost or damaged, it is made anew.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.landed_schema import LandedSchema
from retrim.datasets.landed import (
    OF,
    SUSPICIOUS,
    BatchFile,
    Kind,
    batch_id,
    facts_of,
    in_order,
    landed_paths,
    read_column,
)
from retrim.datasets.withdrawn import withdrawn_names

FOLDER, MANIFEST = ".index", "manifest.json"
PIECE = 1 << 18  # keys hashed at once: they become Python text for that long
MERGED = 1 << 24  # keys that are held before they are merged, when many files are new
PROBE = "retrim"  # its hash stands in the manifest: with another way to hash, the index is made anew


@dataclass
class _Manifest:
    """Facts by file, what columns were declared, and the files of hashes by kind, each with how many it holds."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    schemas: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: {"rows": [], "labels": []})


class LandingIndex:
    """The index of the landing zone at `root`. Only `known` and `add` write; hold the zone's lock around them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER

    def batches(self) -> list[BatchFile]:
        """Every landed batch, in order of arrival, digest and kind; a file that did not change is not opened."""
        manifest = self._read()
        noted, schemas = manifest.files, [LandedSchema.from_record(each) for each in manifest.schemas]
        return in_order(
            _from_note(path, noted[name], schemas) if _is_noted(path, noted.get(name)) else facts_of(path)
            for name, path in self._paths()
        )

    def known(self, keys: pd.Series, kind: Kind, *, surely: bool) -> np.ndarray:
        """Which of `keys` have landed, shape (n,).

        Args:
            keys: Of rows, text.
            kind: As keys of rows, or of labels.
            surely: Whether a key that has the same hash as another is told from it. That reads keys of landed
                files, but only where there is one; without, one in 10^12 keys or so is said to be known and is not.
        """
        manifest = self._refreshed()
        hashed = hash_keys(keys)
        found = np.zeros(len(keys), dtype=bool)
        for name, _ in manifest.runs[kind]:
            run = np.load(self.folder / name, mmap_mode="r")
            places = np.searchsorted(run, hashed)
            found |= run[np.minimum(places, len(run) - 1)] == hashed
        if surely and found.any():
            asked = keys[found]
            sure = np.zeros(len(asked), dtype=bool)
            for name, facts in manifest.files.items():
                if facts["kind"] == kind and not facts["withdrawn"] and not sure.all():
                    sure |= asked.isin(read_column([self.root / name], "_key")).to_numpy()
            found[found] = sure
        return found

    def add(self, path: Path, keys: pd.Series) -> None:
        """Notes the file that has just landed, with its keys."""
        manifest = self._read()
        facts = facts_of(path)
        self._merge(manifest, facts.kind, hash_keys(keys))
        manifest.files[str(path.relative_to(self.root))] = _note_of(facts, path, manifest.schemas, withdrawn=False)
        self._write(manifest)

    def _refreshed(self) -> _Manifest:
        """The manifest, brought up to what lies in the zone."""
        manifest = self._read()
        there, gone = dict(self._paths()), withdrawn_names(self.root)
        if any(
            name not in there or not _is_noted(there[name], note) or note["withdrawn"] != (_batch(note) in gone)
            for name, note in manifest.files.items()
        ):
            manifest = _Manifest()  # keys of many files are sorted into one: those of one file cannot be taken out
        new = {name: path for name, path in there.items() if name not in manifest.files}
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

    def _paths(self) -> Iterator[tuple[str, Path]]:
        return ((str(path.relative_to(self.root)), path) for path in landed_paths(self.root))

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
        name = f"{kind}-{sha256(hashed.tobytes()).hexdigest()[:16]}.npy"
        aside = self.folder / f".{name}"
        with aside.open("wb") as file:
            np.save(file, hashed)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / name)
        return name

    def _read(self) -> _Manifest:
        try:
            record = json.loads((self.folder / MANIFEST).read_bytes())
            runs = {
                kind: [(str(name), int(size)) for name, size in record["runs"][kind]] for kind in ("rows", "labels")
            }
            whole = all(self._is_whole(name, size) for each in runs.values() for name, size in each)
            if (
                record["hash"] == _probe()
                and whole
                and all(_complete(note, record["schemas"]) for note in record["files"].values())
            ):
                [LandedSchema.from_record(each) for each in record["schemas"]]  # whole, or it is made anew
                return _Manifest(record["files"], record["schemas"], runs)
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
            facts = {"files": manifest.files, "schemas": manifest.schemas, "runs": manifest.runs}
            json.dump({"hash": _probe(), **facts}, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / MANIFEST)
        used = {name for runs in manifest.runs.values() for name, _ in runs}
        for path in self.folder.glob("*.npy"):
            if path.name not in used:
                path.unlink()


def hash_keys(keys: pd.Series) -> np.ndarray:
    """64 bits of each key, shape (n,)."""
    parts = [
        pd.util.hash_array(keys.iloc[start : start + PIECE].to_numpy(dtype="object"), categorize=False)
        for start in range(0, len(keys), PIECE)
    ]
    return np.concatenate(parts) if parts else np.array([], dtype="uint64")


def _once(hashed: np.ndarray) -> np.ndarray:
    """Sorted, each once. A stable sort takes spans that are in order as they are: two of them are but merged."""
    ordered = np.sort(hashed, kind="stable")
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    once: np.ndarray = ordered[first]
    return once


def _probe() -> str:
    return str(hash_keys(pd.Series([PROBE]))[0])


FACTS: Sequence[str] = (
    "kind",
    "digest",
    "arrived",
    "correction",
    "released",
    "rows",
    "size",
    "changed",
    "schema",
    "withdrawn",
)


NOW_AND_THEN = frozenset({OF, SUSPICIOUS})
"""Facts that not every file has."""


def _batch(note: dict[str, Any]) -> str:
    return batch_id(note["digest"])


def _note_of(facts: BatchFile, path: Path, schemas: list[dict[str, Any]], *, withdrawn: bool) -> dict[str, Any]:
    """What is noted of a file; what its columns were declared is added to `schemas`, where it is not among them."""
    stat, schema = path.stat(), facts.schema.as_record()
    if schema not in schemas:
        schemas.append(schema)
    record = {
        name: value for name, value in facts.as_record().items() if name in FACTS or (name in NOW_AND_THEN and value)
    }
    file = {"size": stat.st_size, "changed": stat.st_mtime_ns}
    return {**record, **file, "schema": schemas.index(schema), "withdrawn": withdrawn}


def _complete(note: dict[str, Any], schemas: Sequence[object]) -> bool:
    return set(note) - NOW_AND_THEN == set(FACTS) and 0 <= note["schema"] < len(schemas)


def _is_noted(path: Path, note: dict[str, Any] | None) -> bool:
    if note is None:
        return False
    stat = path.stat()
    return bool((stat.st_size, stat.st_mtime_ns) == (note["size"], note["changed"]))


def _from_note(path: Path, note: dict[str, Any], schemas: Sequence[LandedSchema]) -> BatchFile:
    facts = {name: note[name] for name in ("kind", "digest", "correction", "released", "rows")}
    facts |= {name: note.get(name, "") for name in NOW_AND_THEN}
    return BatchFile(**facts, arrived=pd.Timestamp(note["arrived"]), path=path, schema=schemas[note["schema"]])
