"""The audit: whether each landed row was counted once, by another way than that on which checks count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.checking.history import checks_of
from retrim.checking.rows import used_by
from retrim.decision.check_record import StoredCheck
from retrim.decision.rows_counted import (
    COUNTS,
    TO_COME,
    WITHDRAWN,
    Balance,
    Kind,
    LedgerEntry,
    RowCounts,
    balance,
    count_rows,
)
from retrim.landing.as_of_view import AsOfTable, known_of, read_as_of
from retrim.lineage.workspace import Workspace
from retrim.reading.landed_rows import read_column
from retrim.release.versions import load_champion
from retrim.stats.codec import to_record

SHOWN = 20


@dataclass(frozen=True)
class RowFault:
    """A row that is out of balance: the purpose, the fault, its batch, its row number there from 0, and its key."""

    kind: Kind
    fault: str
    batch: str
    row: int
    key: str


@dataclass(frozen=True)
class Audit:
    """The balance of the rows.

    Args:
        balances: Balance of each purpose that rows are counted for.
        found: Rows that are out of balance, at most 20 for each purpose and fault.
        lost: Batches whose rows were counted but that are no longer in the landing zone.
        disagree: Checks whose record states another number of rows than they counted.
    """

    balances: tuple[Balance, ...]
    found: tuple[RowFault, ...]
    lost: tuple[str, ...]
    disagree: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return all(counted.holds for counted in self.balances) and not self.lost and not self.disagree

    def as_record(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            **{counted.kind: to_record(counted) for counted in self.balances},
            "rows": [to_record(fault) for fault in self.found],
            "lost": list(self.lost),
            "disagree": list(self.disagree),
        }


def audit(workspace: Workspace, *, now: pd.Timestamp) -> Audit:
    """What has become of every row that has landed.

    What a check should have counted is worked out anew: from the batches that checks up to it had met, with the rows
    and the horizon that it went by.

    Raises:
        BadInputError: No rows have landed.
    """
    table = read_as_of(workspace, as_of=now)
    champion, entries = load_champion(workspace), workspace.store.counted_rows(workspace.model)
    used = np.zeros(len(table), dtype=bool) if champion is None else used_by(workspace, table, champion)
    counts = count_rows(table.members.among(_not_there(workspace, table)), entries, used)
    checks = {check.id: check for check in checks_of(workspace)}
    mature = table.times["_matured"].notna().to_numpy()
    views: dict[str, AsOfTable] = {}
    balances = []
    for kind in COUNTS:
        due = _due(workspace, counts, kind, checks, views)
        balances.append(balance(kind, counts, mature=mature, due=due))
    landed = {file.batch for file in workspace.landing.batches()}
    lost = sorted({entry.batch for entry in counts.entries} - landed)
    faults = _faults(workspace, counts, balances)
    return Audit(tuple(balances), faults, tuple(lost), _disagree(list(checks.values()), counts))


def _due(
    workspace: Workspace, counts: RowCounts, kind: Kind, checks: dict[str, StoredCheck], views: dict[str, AsOfTable]
) -> np.ndarray:
    """The landed rows that the newest check which counted for a purpose was to take, or those before it."""
    numbering = counts.members.numbering
    none = np.zeros(len(numbering), dtype=bool)
    those = [checks[entry.check] for entry in counts.entries if entry.kind == kind]
    if not those:
        return none
    newest = max(those, key=lambda check: check.sequence or 0)
    if newest.id not in views:
        last = newest.sequence or 0
        before = {check.id for check in checks.values() if check.sequence is not None and check.sequence <= last}
        met = {entry.batch for entry in counts.entries if entry.kind == "met" and entry.check in before}
        if not met & {file.batch for file in workspace.landing.standing() if file.kind == "rows"}:
            return none  # all of them were withdrawn
        view = newest.record.view
        assert view is not None, newest.id
        data = workspace.params.data.model_copy(update={"rows": view.rows, "label_horizon": view.label_horizon})
        views[newest.id] = known_of(workspace, data, met, as_of=pd.Timestamp(newest.as_of))
    then = views[newest.id]
    wanted = np.ones(len(then), dtype=bool) if kind == "tested" else then.times["_matured"].notna().to_numpy()
    return numbering.unpack(then.members.numbering.pack(then.members.landed_rows(wanted)).items())


def _not_there(workspace: Workspace, table: AsOfTable) -> dict[str, tuple[int, int]]:
    """Batches of rows that are not in the table: how many rows each has, and whether they are to come or withdrawn."""
    there, gone = set(table.members.visible), workspace.landing.withdrawals()
    return {
        file.batch: (file.rows, WITHDRAWN if file.batch in gone else TO_COME)
        for file in workspace.landing.batches()
        if file.kind == "rows" and file.batch not in there
    }


def _faults(workspace: Workspace, counts: RowCounts, balances: Sequence[Balance]) -> tuple[RowFault, ...]:
    numbering, faults = counts.members.numbering, []
    paths = {file.batch: file.path for file in workspace.landing.batches()}
    for counted in balances:
        for fault, numbers in (("missing", counted.missing), ("counted twice", counted.double)):
            for number in numbers[:SHOWN].tolist():
                file = int(np.searchsorted(numbering.starts, number, side="right")) - 1
                batch, row = numbering.batches[file], number - int(numbering.starts[file])
                key = str(read_column([paths[batch]], "_key").iloc[row])
                faults.append(RowFault(counted.kind, fault, batch, row, key))
    return tuple(faults)


def _disagree(checks: Sequence[StoredCheck], counts: RowCounts) -> tuple[str, ...]:
    """Checks whose record and whose notes differ."""
    noted: dict[tuple[str, str], int] = {}
    for entry in counts.entries:
        noted[entry.check, entry.kind] = noted.get((entry.check, entry.kind), 0) + _bits(entry)
    differing = []
    for check in checks:
        stated = check.record.counted
        pairs = [(stated.get(kind, 0), noted.get((check.id, kind), 0)) for kind in COUNTS]
        reading, measured = check.record.probe.reading, check.record.performance.measured
        evidence: dict[Kind, int] = {
            "measured": 0 if measured is None else measured.window.rows,
            "deposited": 0 if reading is None else reading.rows,
        }
        if any(a != b for a, b in pairs) or any(stated.get(kind, 0) != rows for kind, rows in evidence.items()):
            differing.append(check.id)
    return tuple(differing)


def _bits(entry: LedgerEntry) -> int:
    return int(np.unpackbits(np.frombuffer(entry.rows, dtype="uint8")).sum())
