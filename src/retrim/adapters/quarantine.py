"""Batches set aside: the bytes as they came, and a report of what is wrong with them.

    <root>/<first 16 digits of the digest>/report.json
    <root>/<first 16 digits of the digest>/source.csv

A new entry is built aside and renamed. A report is replaced before bytes are removed,
so a kill in between leaves bytes too many, never too few.
"""

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from retrim.adapters.landing import ASIDE
from retrim.core.fault import Fault
from retrim.datasets.landed import Kind, batch_id
from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, make_private_folder, open_private

State = Literal["held", "released", "dropped", "landed"]
REPORT, SOURCE = "report.json", "source"
LONGEST_SUFFIX = 40  # the name the bytes are kept under must fit, however long that of the file is


@dataclass(frozen=True)
class Entry:
    """One batch in quarantine.

    Args:
        digest: sha256 of its bytes.
        kind: What it was to land as.
        correction: Whether it was to land as a correction.
        file: Name of the file it came as.
        of: sha256 of the large file that it is a piece of; empty when it is none.
        size: Bytes.
        arrived: When it came, UTC.
        faults: What is wrong with it.
        state: Held; released or dropped by a person; landed, when the same bytes were accepted later.
        by: Who released or dropped it; empty where nobody did.
        reason: Why it was released or dropped; empty while it is held.
        closed: When; None while it is held.
    """

    digest: str
    kind: Kind
    correction: bool
    file: str
    of: str
    size: int
    arrived: pd.Timestamp
    faults: tuple[Fault, ...]
    state: State
    by: str
    reason: str
    closed: pd.Timestamp | None

    @property
    def batch(self) -> str:
        return batch_id(self.digest)

    def as_record(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "digest": self.digest,
            "kind": self.kind,
            "correction": self.correction,
            "file": self.file,
            "of": self.of,
            "size": self.size,
            "arrived": self.arrived.isoformat(),
            "state": self.state,
            "by": self.by,
            "reason": self.reason,
            "closed": None if self.closed is None else self.closed.isoformat(),
            "faults": [fault.as_record() for fault in self.faults],
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Entry":
        closed = record["closed"]
        return cls(
            digest=record["digest"],
            kind=record["kind"],
            correction=record["correction"],
            file=record["file"],
            of=record.get("of", ""),  # reports of before know of no pieces
            size=record["size"],
            arrived=pd.Timestamp(record["arrived"]),
            faults=tuple(Fault.from_record(fault) for fault in record["faults"]),
            state=record["state"],
            by=record["by"],
            reason=record["reason"],
            closed=None if closed is None else pd.Timestamp(closed),
        )


class Quarantine:
    """The quarantine at `root`. Writers hold the landing zone's lock."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, entry: Entry, content: bytes) -> Path:
        """Sets a batch aside; the folder of an earlier entry with the same bytes is written anew.

        Returns:
            The folder of the entry.
        """
        make_private_folder(self.root)
        for left in self.root.glob(f"{ASIDE}*"):
            shutil.rmtree(left)
        folder = self.root / entry.batch
        aside = folder if folder.exists() else self.root / f"{ASIDE}{entry.batch}"
        aside.mkdir(exist_ok=True)
        suffix = "".join(Path(entry.file).suffixes[-2:])[-LONGEST_SUFFIX:]
        _write(aside / f"{SOURCE}{suffix}", content)
        self._report(aside, entry)
        if aside != folder:
            aside.replace(folder)
            flush(self.root)
        return folder

    def find(self, digest: str) -> Entry | None:
        """The entry with this digest, in full or its first 16 digits; None if there is none."""
        report = self.root / batch_id(digest) / REPORT
        if not report.is_file():
            return None
        try:
            return Entry.from_record(json.loads(report.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise RetrimError(f"{report} is damaged ({error}); restore it from a backup") from error

    def get(self, name: str) -> Entry:
        """The entry whose batch begins with `name`.

        Raises:
            BadInputError: None does, or more than one.
        """
        known = [entry.batch for entry in self.entries()]
        found = [batch for batch in known if batch.startswith(name)]
        if len(found) != 1 or not name:
            there, named = ("give more digits", found) if found and name else ("there are", known)
            count = len(found) if name else 0
            raise BadInputError(f"{name!r} names {count} batches in quarantine; {there}: {', '.join(named) or 'none'}")
        entry = self.find(found[0])
        assert entry is not None
        return entry

    def entries(self) -> list[Entry]:
        """Every entry, in order of arrival and digest."""
        found = [self.find(report.parent.name) for report in self.root.glob(f"[!.]*/{REPORT}")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.arrived, one.digest))

    def content(self, entry: Entry) -> bytes | None:
        """The bytes that were set aside; None when they have been removed."""
        for path in sorted((self.root / entry.batch).glob(f"{SOURCE}*")):
            return path.read_bytes()
        return None

    def close(self, entry: Entry, *, state: State, by: str, reason: str, now: pd.Timestamp) -> Entry:
        """Ends an entry: its report says why, and its bytes are removed. Closing twice changes nothing.

        What was dropped may still land, when it is ingested again.
        """
        folder = self.root / entry.batch
        if entry.state == "held" or (entry.state == "dropped" and state != "dropped"):
            entry = replace(entry, state=state, by=by, reason=reason, closed=now)
            self._report(folder, entry)
        for path in folder.glob(f"{SOURCE}*"):
            path.unlink()
        return entry

    def date_anew(self, entry: Entry, arrived: pd.Timestamp) -> None:
        """Gives an entry another arrival: only after the clock ran ahead."""
        self._report(self.root / entry.batch, replace(entry, arrived=arrived))

    def _report(self, folder: Path, entry: Entry) -> None:
        text = json.dumps(entry.as_record(), indent=2, ensure_ascii=False) + "\n"
        _write(folder / REPORT, text.encode("utf-8"))


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    with open_private(aside) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    flush(path.parent)
