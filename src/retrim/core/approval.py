"""Approval: which moves of the champion wait for a person's word after the gate's."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from retrim.core.section import Section, SomeSpan
from retrim.core.triggers import Decision

Move = Literal["first", "promote", "restore"]


class ApprovalParams(Section):
    """What a person is asked, and for how long."""

    moves: tuple[Move, ...] = Field(description="moves that a person has to approve: first, promote, restore")
    expires: SomeSpan = Field(description="span after which a version that waits is refused: silence means no")

    def asks(self, judged_against: int | None) -> bool:
        """Whether a version that the gate promotes waits for a person; judged against none it is the first."""
        return ("first" if judged_against is None else "promote") in self.moves

    def asked_to_restore(self, reason: str, version: int) -> str | None:
        """A reason for which a former champion would come back, and what a person types; None where nobody is asked."""
        if "restore" not in self.moves:
            return None
        return f"{reason}; but release.approval asks a person: `retrim rollback --to {version} --reason ...`"


def ask_to_restore(decision: Decision, version: int, params: ApprovalParams) -> Decision:
    """A decision to restore a former champion, held where that is a person's to approve."""
    reason = params.asked_to_restore(decision.reason, version)
    if decision.outcome != "restore" or reason is None:
        return decision
    return replace(decision, outcome="held", reason=reason, change="release.approval.moves without restore")
