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
        to_do: What the reader does; `{about}` is what the alert is about, such as a batch or a version.
        lasts: Whether it goes on until somebody does something: about the same thing it is told again as a reminder
            only. Else each is an event, told once.
    """

    severity: Severity
    to_do: str
    lasts: bool = False


ANSWER_HOLD = "`retrim retrain`, or without a run `retrim policy acknowledge --reason WHY`"
SHOW_VERSION = "nothing; `retrim versions card {about}` shows the version"
KIND_FACTS: Mapping[AlertKind, KindFacts] = {
    AlertKind.PROMOTED: KindFacts(Severity.INFO, SHOW_VERSION),
    AlertKind.REFUSED: KindFacts(Severity.INFO, SHOW_VERSION),
    AlertKind.RESTORED: KindFacts(Severity.WARNING, SHOW_VERSION),
    AlertKind.ROLLED_BACK: KindFacts(
        Severity.WARNING, "nothing starts by itself until there is new evidence; to retrain now: `retrim retrain`"
    ),
    AlertKind.RUN_FAILED: KindFacts(Severity.CRITICAL, "remove the cause, then `retrim retrain`"),
    AlertKind.RUN_HANGS: KindFacts(Severity.CRITICAL, "end its process, then `retrim retrain`", lasts=True),
    AlertKind.FLOW_FAILED: KindFacts(
        Severity.CRITICAL, "remove the cause; `retrim status` says how things are", lasts=True
    ),
    AlertKind.HELD: KindFacts(Severity.WARNING, ANSWER_HOLD, lasts=True),
    AlertKind.ON_HOLD: KindFacts(Severity.WARNING, ANSWER_HOLD),
    AlertKind.APPROVAL_NEEDED: KindFacts(
        Severity.WARNING,
        "`retrim versions approve {about} --reason WHY`, or `retrim versions reject {about} --reason WHY`",
    ),
    AlertKind.RESTORE_NEEDED: KindFacts(Severity.WARNING, "`retrim rollback --to {about} --reason WHY`", lasts=True),
    AlertKind.APPROVAL_EXPIRED: KindFacts(Severity.WARNING, "`retrim retrain` makes another version"),
    AlertKind.APPROVAL_OUTDATED: KindFacts(Severity.WARNING, "`retrim retrain` makes another version"),
    AlertKind.BUDGET_REACHED: KindFacts(
        Severity.WARNING, "`retrim why` says what asks for runs; `retrim retrain` makes one now", lasts=True
    ),
    AlertKind.DRIFT: KindFacts(Severity.INFO, "nothing; `retrim why` shows the evidence", lasts=True),
    AlertKind.SKEW: KindFacts(Severity.WARNING, "`retrim status`; then the command in the text", lasts=True),
    AlertKind.PREDICTIONS_DIFFER: KindFacts(Severity.CRITICAL, "bring back a copy of the store", lasts=True),
    AlertKind.COLUMN_GONE: KindFacts(Severity.WARNING, "state `was` in data.columns, or `retrim retrain`", lasts=True),
    AlertKind.PROBATION_CONFIRMED: KindFacts(Severity.INFO, SHOW_VERSION),
    AlertKind.PROBATION_OVER: KindFacts(Severity.INFO, SHOW_VERSION),
    AlertKind.PROBATION_WORSE: KindFacts(Severity.WARNING, "`retrim rollback --reason WHY`, or " + ANSWER_HOLD),
    AlertKind.PROBATION_REPLACED: KindFacts(Severity.INFO, SHOW_VERSION),
    AlertKind.PROBATION_ROLLBACK: KindFacts(Severity.WARNING, SHOW_VERSION),
    AlertKind.ROLLBACK_REFUSED: KindFacts(
        Severity.CRITICAL, "`retrim rollback --to N --reason WHY`, or `retrim retrain`"
    ),
    AlertKind.BATCH_QUARANTINED: KindFacts(
        Severity.WARNING,
        "`retrim batch show {about}`; hand in a mended file, or `retrim batch release {about} --reason WHY`",
        lasts=True,
    ),
    AlertKind.BATCH_OVERDUE: KindFacts(Severity.WARNING, "hand it in: `retrim ingest FILE`", lasts=True),
    AlertKind.SUSPICIOUS_BATCH: KindFacts(
        Severity.WARNING, "look at its file; if it is wrong: `retrim batch withdraw {about} --reason WHY`"
    ),
    AlertKind.DATES_REPAIRED: KindFacts(Severity.INFO, "nothing; the text says what was dated anew"),
    AlertKind.REBUILD_DIFFERS: KindFacts(Severity.CRITICAL, "`retrim reproduce {about} --prove` shows the differences"),
    AlertKind.REMOTE_AWAY: KindFacts(Severity.WARNING, "bring the DVC remote back, then `retrim check`", lasts=True),
}


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
        return KIND_FACTS[self.kind].to_do.format(about=self.about)
