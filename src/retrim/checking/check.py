"""One scheduled check: gather the evidence, decide, record, tell."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.decide import decide_on
from retrim.checking.evidence import gather
from retrim.checking.history import CHECK, checks_in
from retrim.checking.tell import tell
from retrim.decision.check_record import CheckRecord, StoredCheck
from retrim.decision.stored_rows import DecisionRow, as_text
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.approval import end_waiting
from retrim.stats.codec import to_record


@dataclass(frozen=True)
class CheckOutcome:
    """A recorded check.

    Args:
        id: Id of the check's decision.
        record: The evidence and the decision.
        fresh: Whether this call made the check. A check with the same as-of date is made only once.
    """

    id: str
    record: CheckRecord
    fresh: bool

    @property
    def outcome(self) -> str:
        """`none`, `retrain`, `rollback` or `held`."""
        return self.record.decision.outcome

    @property
    def reason(self) -> str:
        """The reason, in one sentence."""
        return self.record.decision.reason

    @property
    def sentence(self) -> str:
        """The verdict and the decision with its reason, as people read them."""
        return self.record.sentence

    def as_record(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "outcome": self.outcome,
            "reason": self.reason,
            **to_record(self.record),
            "fresh": self.fresh,
        }


def check(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome:
    """Looks at what has landed by `now` and decides, made by a person or schedule; once for a moment.

    Of two checks at once one is recorded first. The other then looks again, at what that has left.

    Raises:
        BadInputError: No rows have landed by then.
    """
    identity, checked = f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}", None
    while checked is None:
        checked = _stored(workspace, identity) or _look(workspace, identity, by=by, now=now)
    tell(workspace, checked.record, now=now)
    return checked


def _stored(workspace: Workspace, identity: str) -> CheckOutcome | None:
    row = workspace.store.decision(identity)
    return None if row is None else CheckOutcome(row.id, StoredCheck.of(row).record, fresh=False)


def _look(workspace: Workspace, identity: str, *, by: str, now: pd.Timestamp) -> CheckOutcome | None:
    """One look; None where another check was recorded meanwhile."""
    end_waiting(workspace, now=now)
    sequence = 1 + workspace.store.last_sequence(workspace.model)
    decisions = workspace.store.decisions(workspace.model)  # once: a life has thousands
    past = checks_in(decisions)
    table = read_as_of(workspace, as_of=now)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(now)}; land some with `retrim ingest FILE`, or check later")
    evidence, counted = gather(workspace, table, past=past, now=now)
    record = decide_on(workspace, evidence, table, past=past, decisions=decisions)
    row = DecisionRow(
        id=identity,
        model=workspace.model,
        source=CHECK,
        as_of=iso(now),
        at=iso(now),
        outcome=record.decision.outcome,
        actor=by,
        reason=record.decision.reason,
        text=as_text(record),
        sequence=sequence,
    )
    return CheckOutcome(identity, record, fresh=True) if workspace.store.add_check(row, counted) else None
