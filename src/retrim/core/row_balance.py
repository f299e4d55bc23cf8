"""The balance of the rows: each landed row is counted, waits, or is exempt, and no row is any of it twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.row_ledger import LEFT_OUT, REPLACES, WITHDRAWN, Kind, RowCounts


@dataclass(frozen=True)
class Balance:
    """Rows by what has become of them.

    Args:
        kind: What they are counted for.
        rows: How many there are: landed rows for `tested`, matured ones for all else.
        counted: How many checks counted, one that was counted twice counted twice.
        waiting: How many the next check that counts takes, or a later one.
        exempt: How many are never counted, by reason.
        missing: Numbers of landed rows that a check should have counted, and none did.
        double: Numbers of landed rows that were counted more than once.
    """

    kind: Kind
    rows: int
    counted: int
    waiting: int
    exempt: Mapping[str, int]
    missing: np.ndarray
    double: np.ndarray

    @property
    def holds(self) -> bool:
        """Whether each row is one of the three, and once."""
        whole = self.rows == self.counted + self.waiting + sum(self.exempt.values())
        return whole and not len(self.missing) and not len(self.double)

    def as_record(self) -> dict[str, Any]:
        """All but the numbers of rows, which say nothing without the files."""
        return {
            "rows": self.rows,
            "counted": self.counted,
            "waiting": self.waiting,
            "exempt": dict(self.exempt),
            "missing": len(self.missing),
            "double": len(self.double),
            "holds": self.holds,
        }


def balance(kind: Kind, counts: RowCounts, *, mature: np.ndarray, due: np.ndarray) -> Balance:
    """What has become of the rows that a check counts for one purpose.

    Args:
        kind: The purpose.
        counts: What checks have done so far, with the table as it is known now.
        mature: Rows of the table whose label was due and known, shape (rows,).
        due: Landed rows that the newest check that counted should have taken, shape (landed rows,).
    """
    members, times = counts.members, counts.times(kind)
    counted, row_of = times > 0, members.row_of
    used = members.landed_rows(counts.exempt) | (counts.times("exempt") > 0)
    late = members.landed_rows(counts.done[kind])
    reasons = {
        "used": used,
        "late": late,  # a row of a span that was counted before it came
        "left_out": row_of == LEFT_OUT,
        "replaces": row_of == REPLACES,
        "withdrawn": row_of == WITHDRAWN,
    }
    rows = np.ones(len(row_of), dtype=bool) if kind == "tested" else members.landed_rows(mature) | counted
    left, exempt = rows & ~counted, {}
    for reason, some in reasons.items():
        exempt[reason] = int((left & some).sum())
        left &= ~some
    missing = left & due
    return Balance(
        kind,
        int(rows.sum()),
        int(times.sum()),
        int((left & ~missing).sum()),
        exempt,
        np.flatnonzero(missing),
        np.flatnonzero(times > 1),
    )
