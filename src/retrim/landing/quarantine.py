"""Batches set aside, `<root>/<first 16 digits of the digest>/`: `source.csv` as it came, and `report.json`.

A new entry is built aside and renamed. A report is replaced before bytes are removed, so a kill in between leaves bytes
too many, never too few.
"""

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from retrim.adapters.landing_zone import ASIDE
from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, link, make_private_folder, open_private
from retrim.reading.landed import Kind, batch_id
from retrim.stats.codec import Instant, from_record, to_record, written
from retrim.table.fault import Fault

State = Literal["held", "released", "dropped", "landed"]
REPORT, SOURCE = "report.json", "source"
LONGEST_SUFFIX = 40  # the name the bytes are kept under must fit, however long that of the file is


@dataclass(frozen=True, kw_only=True)
class QuarantinedBatch:
    """A batch in quarantine.

    Args:
        digest: SHA-256 of the file's bytes.
        kind: What the batch was to land as: `rows` or `labels`.
        correction: Whether it was to land as a correction.
        file: Name of the source file.
        of: SHA-256 of the large file that it is a chunk of; empty if it is not a chunk.
        beside: Number of rows of that file before and after it.
        size: Size, in bytes.
        arrived: When it arrived, UTC.
        state: `held`; `released` or `dropped` by a person; `landed`: the same bytes were accepted later.
        by: Who released or dropped it; empty if nobody did.
        reason: Why it was released or dropped; empty while it is held.
        closed: When it was released, dropped or accepted; None while it is held.
        faults: What is wrong with the batch.
    """

    digest: str
    kind: Kind
    correction: bool
    file: str
    of: str = ""
    beside: tuple[int, int] = (0, 0)
    size: int
    arrived: Instant
    state: State = "held"
    by: str = ""
    reason: str = ""
    closed: Instant | None = None
    faults: tuple[Fault, ...]

    @written
    def batch(self) -> str:
        """Id of the batch: the first 16 digits of the digest."""
        return batch_id(self.digest)


class Quarantine:
    """The quarantine in a folder. Writers hold the landing zone's lock."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, entry: QuarantinedBatch, content: bytes | Path) -> Path:
        """Sets a batch aside in this folder; that of an earlier entry with the same bytes is written anew."""
        make_private_folder(self.root)
        for left in self.root.glob(f"{ASIDE}*"):
            shutil.rmtree(left)
        folder = self.root / entry.batch
        aside = folder if folder.exists() else self.root / f"{ASIDE}{entry.batch}"
        aside.mkdir(exist_ok=True)
        suffix = "".join(Path(entry.file).suffixes[-2:])[-LONGEST_SUFFIX:]
        source = aside / f"{SOURCE}{suffix}"
        if isinstance(content, bytes):
            _write_quarantine(source, content)
        else:
            source.unlink(missing_ok=True)
            link(content, source)
        self._report(aside, entry)
        if aside != folder:
            aside.replace(folder)
            flush(self.root)
        return folder

    def find(self, digest: str) -> QuarantinedBatch | None:
        """The entry with this digest, in full or its first 16 digits."""
        report = self.root / batch_id(digest) / REPORT
        if not report.is_file():
            return None
        try:
            return from_record(QuarantinedBatch, json.loads(report.read_text(encoding="utf-8")))
        except (ValueError, RetrimError) as error:
            raise RetrimError(f"{report} is damaged ({error}); restore it from a backup") from error

    def get(self, name: str) -> QuarantinedBatch:
        """The entry whose batch begins with `name`.

        Raises:
            BadInputError: None does, or more than one.
        """
        known = [entry.batch for entry in self.entries()]
        matching = [batch for batch in known if batch.startswith(name)]
        if len(matching) != 1 or not name:
            if matching and name:
                raise BadInputError(
                    f"{name!r} matches {len(matching)} batches in quarantine; write more digits of the id: "
                    f"{', '.join(matching)}"
                )
            there = f"name one of: {', '.join(known)}" if known else "the quarantine is empty"
            raise BadInputError(f"{name!r} matches no batch in quarantine; {there}")
        entry = self.find(matching[0])
        assert entry is not None
        return entry

    def entries(self) -> list[QuarantinedBatch]:
        """Every entry, in order of arrival and digest."""
        entries = [self.find(report.parent.name) for report in self.root.glob(f"[!.]*/{REPORT}")]
        return sorted((one for one in entries if one is not None), key=lambda one: (one.arrived, one.digest))

    def content(self, entry: QuarantinedBatch) -> bytes | None:
        """The bytes that were set aside; None when they have been removed."""
        for path in sorted((self.root / entry.batch).glob(f"{SOURCE}*")):
            return path.read_bytes()
        return None

    def close(
        self, entry: QuarantinedBatch, *, state: State, by: str, reason: str, now: pd.Timestamp
    ) -> QuarantinedBatch:
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

    def _report(self, folder: Path, entry: QuarantinedBatch) -> None:
        text = json.dumps({"batch": entry.batch, **to_record(entry)}, indent=2, ensure_ascii=False) + "\n"
        _write_quarantine(folder / REPORT, text.encode("utf-8"))


def _write_quarantine(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    with open_private(aside) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    flush(path.parent)
