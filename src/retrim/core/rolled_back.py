"""After a rollback nothing starts by itself, until a person says so or enough new rows have matured.

A rollback says that evidence which had let a version pass was not enough. What the rules see right after it
is that same evidence, so a retraining or a restore that they start would go round in a circle.
"""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from retrim.core.triggers import RELEASE, Decision


@dataclass(frozen=True)
class RolledBack:
    """A rollback that nobody has answered since.

    Args:
        version: What it went back to.
        left: The version that it left.
        at: When.
        rows: Rows that have matured since.
        needed: Rows that count as new evidence: the gate's `min_rows`.
    """

    version: int
    left: int | None
    at: pd.Timestamp
    rows: int
    needed: int

    @property
    def holds(self) -> bool:
        return self.rows < self.needed

    @property
    def text(self) -> str:
        """Why nothing starts by itself, in a sentence."""
        return (
            f"version {self.version} was rolled back to from {self.left} at {self.at.isoformat()}, and "
            f"{self.rows} rows have matured since, {self.needed} needed before anything starts by itself"
        )

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "left": self.left,
            "at": self.at.isoformat(),
            "rows": self.rows,
            "needed": self.needed,
            "holds": self.holds,
        }


def after_rollback(decision: Decision, rolled_back: RolledBack | None) -> Decision:
    """The decision, held where it would start something and a rollback was answered by nobody yet.

    Args:
        decision: What the rules and the former champions say.
        rolled_back: The rollback that was answered by no person; None where there is none.
    """
    if rolled_back is None or not rolled_back.holds or decision.outcome not in ("retrain", "restore"):
        return decision
    more = rolled_back.needed - rolled_back.rows
    return replace(
        decision,
        outcome="held",
        reason=f"{rolled_back.text} ({decision.reason})",
        change=f"a person: {RELEASE}; or {more} more mature rows",
        fired=(),
    )
