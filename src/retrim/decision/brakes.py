"""What keeps a decision from acting: an unanswered rollback, a pause, a person's approval."""

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from retrim.decision.rules import RELEASE, Decision
from retrim.stats.codec import Moment, written
from retrim.stats.plugins import SettingsSection

Move = Literal["first", "promote", "restore"]


@dataclass(frozen=True)
class RolledBack:
    """A rollback that nobody has answered since.

    Args:
        version: The version that went live again.
        left: The version that it replaced.
        at: When the rollback happened.
        rows: Rows that have matured since.
        needed: Rows that count as new evidence: `gate.min_rows`.
    """

    version: int
    left: int | None
    at: Moment
    rows: int
    needed: int

    @written
    def holds(self) -> bool:
        """Whether the rollback still prevents retrainings from starting automatically."""
        return self.rows < self.needed

    @property
    def text(self) -> str:
        """Why nothing starts by itself, in a sentence."""
        return (
            f"version {self.left} was rolled back to version {self.version} at {self.at.isoformat()}; "
            f"{self.rows} rows have matured since, {self.needed} needed before anything starts by itself"
        )


def after_rollback(decision: Decision, rolled_back: RolledBack | None) -> Decision:
    """The decision, held where it would start something and a rollback was answered by nobody yet.

    The rules still see the evidence that let the bad version pass, so a run would go round in a circle.

    Args:
        rolled_back: The rollback that was answered by no person; None where there is none.
    """
    if rolled_back is None or not rolled_back.holds or decision.outcome != "retrain":
        return decision
    more = rolled_back.needed - rolled_back.rows
    return replace(
        decision,
        outcome="held",
        reason=f"{rolled_back.text} ({decision.reason})",
        change=f"a person: {RELEASE}; or {more} more mature rows",
        fired=(),
    )


@dataclass(frozen=True)
class Paused:
    """A pause of automatic retraining and promotion.

    Args:
        by: Who paused.
        since: Since when.
        why: The reason that was given.
    """

    by: str
    since: Moment
    why: str

    @property
    def text(self) -> str:
        """The pause, in words."""
        return f"paused by {self.by} since {self.since:%Y-%m-%d %H:%M}: {self.why}"


def while_paused(decision: Decision, paused: Paused | None, *, version: int | None) -> Decision:
    """The decision, which says during a pause what it would have been, and starts or moves nothing.

    Args:
        paused: The pause that goes on; None: there is none.
    """
    if paused is None:
        return decision
    reason = f"{paused.text}; it would have decided {decision.outcome}: {decision.reason}"
    if decision.outcome in ("none", "held"):
        return replace(decision, reason=reason)
    command = "retrain" if decision.outcome == "retrain" else f"versions rollback --to {version}"
    change = f"`retrim policy pause --end --reason ...`; or a person: `retrim {command} --reason ...`"
    return replace(decision, outcome="none", reason=reason, change=change, fired=(), stopped="pause")


class ApprovalParams(SettingsSection):
    """What a person is asked."""

    moves: tuple[Move, ...] = Field(
        default=(),
        description="releases that a person has to approve: the first version (first), a challenger (promote), "
        "a previous champion (restore)",
    )

    def asks(self, judged_against: int | None) -> bool:
        """Whether a version that the gate promotes waits for a person; judged against none it is the first."""
        return ("first" if judged_against is None else "promote") in self.moves

    def asked_to_restore(self, reason: str, version: int) -> str | None:
        """A reason for which a previous champion would come back, and what a person types; None if nobody is asked."""
        if "restore" not in self.moves:
            return None
        return f"{reason}; but release.approval asks a person: `retrim versions rollback --to {version} --reason ...`"
