"""What the reading commands and a check print, as the JSON that it is."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.checking.check import CheckOutcome
from retrim.cli.answers import find_decision, resumed_runs
from retrim.cli.status_answer import find_status
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.check_record import CheckRecord, GainEvidence
from retrim.decision.rules import Decision
from retrim.lineage.workspace import Workspace
from retrim.stats.codec import to_record


@dataclass(frozen=True)
class PrintedCheck:
    """A check with its record as the store has it.

    Args:
        made: The check.
    """

    made: CheckOutcome

    @property
    def id(self) -> str:
        return self.made.id

    @property
    def outcome(self) -> str:
        return self.made.outcome

    @property
    def reason(self) -> str:
        return self.made.reason

    @property
    def fresh(self) -> bool:
        return self.made.fresh

    @property
    def record(self) -> dict[str, Any]:
        return to_record(self.made.record)


QUIET = Decision("none", "", (), "", (), ())


def kept_check(as_of: pd.Timestamp, **found: Any) -> dict[str, Any]:
    """What the store keeps of a check that found this, and nothing else."""
    gain = GainEvidence(now=AccumulatedGain.empty(), retraining_cost=1.0)
    return to_record(CheckRecord(**{"as_of": as_of, "gain": gain, "decision": QUIET, **found}))


def decision_record(workspace: Workspace, which: str | None) -> dict[str, Any]:
    """What `retrim why --json` prints."""
    return to_record(find_decision(workspace, which))


def status_record(workspace: Workspace, *, now: pd.Timestamp) -> dict[str, Any]:
    """What `retrim status --json` prints."""
    return to_record(find_status(workspace, now=now))


def resumed_records(workspace: Workspace, decisions: list[str]) -> list[dict[str, Any]]:
    """What a command prints of the runs that it finished first."""
    return [to_record(run) for run in resumed_runs(workspace, decisions)]
