"""`retrim init`: from somebody's own table to a workspace that works on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from retrim.adapters.sql_table import is_database, read_query, refuse_query
from retrim.core.init.leak_rows import DUPLICATES
from retrim.core.init.too_good import LEANS_ON
from retrim.datasets.address import address_of, is_address
from retrim.datasets.large import Large
from retrim.datasets.raw import RawTable, open_raw, raw_of
from retrim.errors import BadInputError, RefusedError
from retrim.machine import cores
from retrim.mapping import read_yaml
from retrim.ops.init.again import Replaced, require_unreleased, write_again
from retrim.ops.init.desk import Ask, Wishes
from retrim.ops.init.draft import Drafted, draft
from retrim.ops.init.large import large_table, last_rows, size_note
from retrim.ops.init.write import Written, half_landed, require_free, unsaved, write
from retrim.ops.progress import tell
from retrim.paths import Workspace


@dataclass(frozen=True)
class Looked:
    """A table and what was drafted for it; `large` is its file, where not all of it was looked at."""

    raw: RawTable
    drafted: Drafted
    large: Large | None

    def as_record(self) -> dict[str, Any]:
        return {"kind": self.raw.kind, "files": self.raw.files, **self.drafted.as_record()}


def model_name(where: str) -> str:
    """A model's name from that of its file: `Hourly Traffic (2018).csv.gz` gives `hourly_traffic_2018`."""
    file = address_of(where).name if is_address(where) else PurePath(where.rstrip("/")).name
    stem = file.split(".")[0]
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name if name and name[0].isalpha() else f"table_{name}".strip("_")


def open_table(where: str, *, query: str | None, table: str | None) -> RawTable:
    """The table in a file, a folder, at an address, or what a database answers.

    Raises:
        BadInputError: It is no table, or a query is asked of what is no database.
    """
    if is_address(where) and is_database(where):
        return raw_of(read_query(where, query=query, table=table), address_of(where).shown)
    refuse_query(query, table)
    return open_raw(where)


def look(
    workspace: Workspace,
    where: str,
    wishes: Wishes,
    *,
    ask: Ask,
    query: str | None = None,
    table: str | None = None,
) -> Looked:
    """Looks at the table at `where` and drafts settings; writes nothing.

    Raises:
        BadInputError: It is no table, or a named column is not there.
        RefusedError: Nothing can be made of it, or a column gives the answer away.
    """
    settings = read_yaml(workspace.params)
    gate = settings.get("gate")
    confidence = float(gate["confidence"]) if isinstance(gate, dict) and "confidence" in gate else 0.95
    large = large_table(where, piece_mb=_piece_mb(settings))
    if large is not None and wishes.order:
        raise BadInputError(
            f"{where} has {large.rows} rows and lands in pieces, in the order in which they stand; sort the file by "
            f"{wishes.order!r} and leave --order out"
        )
    if large is not None and wishes.label_time:
        raise BadInputError(
            f"{where} has {large.rows} rows and lands in pieces, each row with its label, so --label-time cannot be "
            "kept; leave it out and say --horizon or --label-due, or give rows and labels as files of their own"
        )
    tell("reading the table")
    raw = open_table(where, query=query, table=table) if large is None else last_rows(large)
    tell(f"looking at {raw.rows:,} rows")
    drafted = draft(raw, wishes, ask=ask, confidence=confidence, seed=7, threads=cores())
    if drafted.leaks:
        raise RefusedError(_refusal(drafted))
    if large is not None:
        drafted = replace(drafted, notes=[size_note(raw), *drafted.notes])
    return Looked(raw, drafted, large)


def _refusal(drafted: Drafted) -> str:
    """What gives the answer away, how to go on, and what a model without it leans on."""
    names = list(dict.fromkeys(name for leak in drafted.leaks for name in leak.columns))
    columns = [name for name in names if name != DUPLICATES]
    if columns:
        out = "Leave out what is not known before the event: " + " ".join(f"--forbid {name!r}" for name in columns)
        known = "or, of a column that is"
    else:
        out, known = "Send each row once", "or, if they happened twice"
    leaned = "".join(f". Without: {note}" for note in drafted.notes if note.about == LEANS_ON)
    said = "; ".join(leak.text for leak in drafted.leaks)
    return f"leak: {said}. {out}; {known}: --allow-leak {names[0]!r} --reason WHY{leaned}"


def _piece_mb(settings: Mapping[str, Any]) -> float:
    """`batches.piece_mb` of a params.yaml that need not be whole yet; without it nothing is large."""
    batches = settings.get("batches")
    return float(batches.get("piece_mb", "inf")) if isinstance(batches, dict) else float("inf")


def settle(
    workspace: Workspace,
    looked: Looked,
    *,
    reason: str,
    land_history: bool,
    overwrite: bool,
    commit: bool,
    again: Replaced | None = None,
) -> Written:
    """Writes the draft and lands the history. What a kill interrupted is gone on with.

    Args:
        workspace: Where.
        looked: As `look` gives it.
        reason: Why a leak was allowed.
        land_history: Whether the table's rows land now.
        overwrite: Whether edits that are not committed may be overwritten.
        commit: Whether the settings and the suite are committed.
        again: What it takes the place of; None: nothing has been set up before.

    Raises:
        RefusedError: Something that is not committed would be lost, or rows of another table have landed.
    """
    drafted, raw, large = looked.drafted, looked.raw, looked.large
    if again is not None or not half_landed(workspace, drafted, raw, large, reason=reason):
        if again is None:
            require_free(workspace)
        lost = unsaved(workspace, workspace.root / drafted.data.suite)
        if lost and not overwrite:
            raise RefusedError(
                f"{', '.join(lost)} would be overwritten and is not committed as it is; commit it first, and run this "
                "again"
            )
    if again is not None:
        require_unreleased(workspace)
        how = {"raw": raw, "large": large, "land_history": land_history}
        return write_again(workspace, drafted, again, reason=reason, commit=commit, **how)
    return write(workspace, drafted, raw, large, reason=reason, land_history=land_history, commit=commit)
