"""What people are told of: each kind with how grave it is and what to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, Field

from retrim.stats.plugins import SettingsSection, SomeSpan

HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _is_quiet_time(text: str) -> str:
    """Two times of a day, such as "22:00-07:00"."""
    found = HOURS.fullmatch(text)
    if found is None or (found[1], found[2]) == (found[3], found[4]):
        raise ValueError(f"{text!r} is not two times of the day; write such as '22:00-07:00', in UTC")
    return text


class AlertParams(SettingsSection):
    """How often people are told. The addresses stand in the environment: `RETRIM_ALERTS`, `RETRIM_ALERTS_FILE`."""

    every: SomeSpan = Field(
        default="10min", description="time between two messages to an address; what happens meanwhile goes into one"
    )
    remind: SomeSpan = Field(default="3D", description="time after which something that still lasts is told again")
    quiet: Annotated[str, AfterValidator(_is_quiet_time)] | None = Field(
        default=None,
        description="hours in UTC, such as 22:00-07:00, in which only critical alerts are sent; null: there are none",
    )


class Severity(StrEnum):
    """How grave an alert is. A critical one is sent in quiet hours too."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertKind(StrEnum):
    """What people are told of, as the store spells it."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    RESTORED = "restored"
    ROLLED_BACK = "rolled back"
    RUN_FAILED = "run failed"
    RUN_HANGS = "run hangs"
    FLOW_FAILED = "flow failed"
    HELD = "held"
    ON_HOLD = "on hold"
    APPROVAL_NEEDED = "approval needed"
    RESTORE_NEEDED = "restore needed"
    APPROVAL_EXPIRED = "approval expired"
    APPROVAL_OUTDATED = "approval outdated"
    BUDGET_REACHED = "budget reached"
    DRIFT = "drift"
    SKEW = "skew"
    PREDICTIONS_DIFFER = "predictions differ"
    COLUMN_GONE = "column gone"
    PROBATION_CONFIRMED = "probation confirmed"
    PROBATION_OVER = "probation over"
    PROBATION_WORSE = "probation worse"
    PROBATION_REPLACED = "probation replaced"
    PROBATION_ROLLBACK = "probation rollback"
    ROLLBACK_REFUSED = "rollback refused"
    BATCH_QUARANTINED = "batch quarantined"
    BATCH_OVERDUE = "batch overdue"
    SUSPICIOUS_BATCH = "suspicious batch"
    DATES_REPAIRED = "dates repaired"
    REBUILD_DIFFERS = "rebuild differs"
    REMOTE_AWAY = "remote away"


@dataclass(frozen=True)
class KindFacts:
    """What holds of every alert of a kind.

    Args:
        severity: How grave it is.
        to_do: What the reader does, before a command or instead of one.
        commands: Of retrim, one of which answers; `{about}` is what the alert is about, such as a batch or a version.
        lasts: Whether it goes on until somebody does something: about the same thing it is told again as a reminder
            only. Else each is an event, told once.
    """

    severity: Severity
    to_do: str = ""
    commands: tuple[str, ...] = ()
    lasts: bool = False


CRITICAL, WARNING, INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO
SEE_VERSION = ("to see the version", ("versions card {about}",))
ANSWER_HOLD = ("retrain", "policy acknowledge --reason WHY")
KIND_FACTS: Mapping[AlertKind, KindFacts] = {
    AlertKind.PROMOTED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.REFUSED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.RESTORED: KindFacts(WARNING, *SEE_VERSION),
    AlertKind.ROLLED_BACK: KindFacts(WARNING, "to retrain before there is new evidence", ("retrain",)),
    AlertKind.RUN_FAILED: KindFacts(CRITICAL, "remove the cause, then", ("retrain",)),
    AlertKind.RUN_HANGS: KindFacts(CRITICAL, "end its process, then", ("retrain",), lasts=True),
    AlertKind.FLOW_FAILED: KindFacts(CRITICAL, "remove the cause; to see how things are", ("status",), lasts=True),
    AlertKind.HELD: KindFacts(WARNING, "answer it", ANSWER_HOLD, lasts=True),
    AlertKind.ON_HOLD: KindFacts(WARNING, "answer it", ANSWER_HOLD),
    AlertKind.APPROVAL_NEEDED: KindFacts(
        WARNING, "answer it", ("versions approve {about} --reason WHY", "versions reject {about} --reason WHY")
    ),
    AlertKind.RESTORE_NEEDED: KindFacts(WARNING, "if you agree", ("rollback --to {about} --reason WHY",), lasts=True),
    AlertKind.APPROVAL_EXPIRED: KindFacts(WARNING, "to make another version", ("retrain",)),
    AlertKind.APPROVAL_OUTDATED: KindFacts(WARNING, "to make another version", ("retrain",)),
    AlertKind.BUDGET_REACHED: KindFacts(
        WARNING, "to see what asks for runs, or to make one now", ("why", "retrain"), lasts=True
    ),
    AlertKind.DRIFT: KindFacts(INFO, "to see the evidence", ("why",), lasts=True),
    AlertKind.SKEW: KindFacts(WARNING, "look at a row as the text says, then", ("status",), lasts=True),
    AlertKind.PREDICTIONS_DIFFER: KindFacts(
        CRITICAL, "bring back a copy of var/predictions, then", ("status",), lasts=True
    ),
    AlertKind.COLUMN_GONE: KindFacts(WARNING, "state its new name as the text says, or", ("retrain",), lasts=True),
    AlertKind.PROBATION_CONFIRMED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.PROBATION_OVER: KindFacts(INFO, *SEE_VERSION),
    AlertKind.PROBATION_WORSE: KindFacts(WARNING, "answer it", ("rollback --reason WHY", *ANSWER_HOLD)),
    AlertKind.PROBATION_REPLACED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.PROBATION_ROLLBACK: KindFacts(WARNING, *SEE_VERSION),
    AlertKind.ROLLBACK_REFUSED: KindFacts(
        CRITICAL, "make another version, or one live that was before", ("retrain", "rollback --to N --reason WHY")
    ),
    AlertKind.BATCH_QUARANTINED: KindFacts(
        WARNING,
        "look at it, then hand in a mended file or release it",
        ("batch show {about}", "batch release {about} --reason WHY"),
        lasts=True,
    ),
    AlertKind.BATCH_OVERDUE: KindFacts(WARNING, "hand it in", ("ingest FILE",), lasts=True),
    AlertKind.SUSPICIOUS_BATCH: KindFacts(
        WARNING, "look at its file; if it is wrong", ("batch withdraw {about} --reason WHY",)
    ),
    AlertKind.DATES_REPAIRED: KindFacts(INFO, "nothing: the text says what was dated anew"),
    AlertKind.REBUILD_DIFFERS: KindFacts(CRITICAL, "to see the differences", ("reproduce {about} --prove",)),
    AlertKind.REMOTE_AWAY: KindFacts(WARNING, "bring the DVC remote back, then", ("check",), lasts=True),
}


def what_to_do(kind: AlertKind, about: str) -> str:
    """What the reader of an alert does, with the commands written out."""
    facts = KIND_FACTS[kind]
    commands = [f"`retrim {command.format(about=about)}`" for command in facts.commands]
    return ": ".join(part for part in (facts.to_do, ", or ".join(commands)) if part)


@dataclass(frozen=True)
class Alert:
    """What happened, why and when.

    Args:
        id: Of its row in the store.
        kind: What happened.
        about: What it happened to, such as a batch, a version or a run.
        text: Why, in a sentence or two.
        at: The moment that it is about.
    """

    id: str
    kind: AlertKind
    about: str
    text: str
    at: pd.Timestamp

    @property
    def severity(self) -> Severity:
        return KIND_FACTS[self.kind].severity

    @property
    def to_do(self) -> str:
        return what_to_do(self.kind, self.about)
