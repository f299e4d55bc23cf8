"""What people are told of: the kinds of alerts, when each is told, and in which words."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from textwrap import shorten

import pandas as pd

CALL = re.compile("([@<])(?=everyone|here|channel|all|[!@&#])")
"""What calls people in Discord, Slack, Teams or Matrix; a sign of no width behind it makes it text."""
MESSAGE_EVERY = pd.Timedelta("10min")
"""Least time between two messages to an address: what is raised in between goes in one message."""
REMIND_AFTER = pd.Timedelta("3D")
"""Time after which an alert that is still true is sent again."""
SEE_VERSION = ("to see the version", ("versions card {about}",))
MUTE_KIND = "policy acknowledge {about} --until TIME --reason WHY"
ANSWER_HOLD = ("retrain", "policy acknowledge --reason WHY")
FIRST_RETRY, LAST_RETRY = pd.Timedelta("1min"), pd.Timedelta("1h")
KEPT = pd.Timedelta("3D")
"""For how long an alert is tried."""
FLAPPING = pd.Timedelta("1h")
"""What was over and comes again within it is the same: it comes and goes."""
SHOWN = 20
"""Alerts that one message spells out; the others are counted."""
LONGEST = 600
"""Letters of a reason: that of a failed run may be the output of a stage."""


class Severity(StrEnum):
    """How grave an alert is."""

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
    PAUSED = "paused"
    BUDGET_REACHED = "budget reached"
    BUDGET_NEAR = "budget near"
    MODEL_CRITICAL = "model critical"
    MODEL_WARNING = "model warning"
    MODEL_CLEARED = "model cleared"
    DRIFT = "drift"
    DRIFT_DIGEST = "drift digest"
    SKEW = "skew"
    PREDICTIONS_DIFFER = "predictions differ"
    TABLE_AWAY = "table away"
    COLUMN_GONE = "column gone"
    PROBATION_CONFIRMED = "probation confirmed"
    PROBATION_OVER = "probation over"
    PROBATION_WORSE = "probation worse"
    PROBATION_REPLACED = "probation replaced"
    PROBATION_ROLLBACK = "probation rollback"
    ROLLBACK_REFUSED = "rollback refused"
    CANARY_ENDED = "canary ended"
    BATCH_QUARANTINED = "batch quarantined"
    BATCH_OVERDUE = "batch overdue"
    SUSPICIOUS_BATCH = "suspicious batch"
    REBUILD_DIFFERS = "rebuild differs"
    REMOTE_AWAY = "remote away"


@dataclass(frozen=True)
class KindFacts:
    """What holds of every alert of a kind.

    Args:
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
KIND_FACTS: Mapping[AlertKind, KindFacts] = {
    AlertKind.PROMOTED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.REFUSED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.RESTORED: KindFacts(WARNING, *SEE_VERSION),
    AlertKind.ROLLED_BACK: KindFacts(WARNING, "to retrain before there is new evidence", ("retrain",)),
    AlertKind.RUN_FAILED: KindFacts(CRITICAL, "remove the cause, then", ("retrain",)),
    AlertKind.RUN_HANGS: KindFacts(CRITICAL, "end its process, then", ("retrain",), lasts=True),
    AlertKind.FLOW_FAILED: KindFacts(CRITICAL, "remove the cause; to see the state", ("status",), lasts=True),
    AlertKind.HELD: KindFacts(WARNING, "answer it", ANSWER_HOLD, lasts=True),
    AlertKind.ON_HOLD: KindFacts(WARNING, "answer it", ANSWER_HOLD),
    AlertKind.APPROVAL_NEEDED: KindFacts(
        WARNING, "answer it", ("versions approve {about} --reason WHY", "versions reject {about} --reason WHY")
    ),
    AlertKind.RESTORE_NEEDED: KindFacts(
        WARNING, "if you agree", ("versions rollback --to {about} --reason WHY",), lasts=True
    ),
    AlertKind.APPROVAL_EXPIRED: KindFacts(WARNING, "to make another version", ("retrain",)),
    AlertKind.APPROVAL_OUTDATED: KindFacts(WARNING, "to make another version", ("retrain",)),
    AlertKind.PAUSED: KindFacts(WARNING, "if you agree", ("why", "policy pause --end --reason WHY"), lasts=True),
    AlertKind.BUDGET_REACHED: KindFacts(
        WARNING, "to see what asks for runs, or to make one now", ("why", "retrain"), lasts=True
    ),
    AlertKind.BUDGET_NEAR: KindFacts(WARNING, "to see what asked for runs", ("why",), lasts=True),
    AlertKind.MODEL_CRITICAL: KindFacts(
        CRITICAL, "as the text says; to see the evidence, or to be told no more", ("why", MUTE_KIND)
    ),
    AlertKind.MODEL_WARNING: KindFacts(
        WARNING, "as the text says; to see the evidence, or to be told no more", ("why", MUTE_KIND)
    ),
    AlertKind.MODEL_CLEARED: KindFacts(INFO, "nothing to do; to see the state", ("status",)),
    AlertKind.DRIFT: KindFacts(INFO, "to see the evidence", ("why",), lasts=True),
    AlertKind.DRIFT_DIGEST: KindFacts(INFO, "nothing to do; to see the evidence", ("why",)),
    AlertKind.SKEW: KindFacts(WARNING, "inspect a row as the text says, then", ("status",), lasts=True),
    AlertKind.PREDICTIONS_DIFFER: KindFacts(
        CRITICAL, "restore var/predictions from a backup, then", ("status",), lasts=True
    ),
    AlertKind.TABLE_AWAY: KindFacts(WARNING, "remove the cause, then", ("predict",), lasts=True),
    AlertKind.COLUMN_GONE: KindFacts(WARNING, "declare its new name as the text says, or", ("retrain",), lasts=True),
    AlertKind.PROBATION_CONFIRMED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.PROBATION_OVER: KindFacts(INFO, *SEE_VERSION),
    AlertKind.PROBATION_WORSE: KindFacts(
        WARNING, "to bring the previous champion back", ("versions rollback --reason WHY",)
    ),
    AlertKind.PROBATION_REPLACED: KindFacts(INFO, *SEE_VERSION),
    AlertKind.PROBATION_ROLLBACK: KindFacts(WARNING, *SEE_VERSION),
    AlertKind.ROLLBACK_REFUSED: KindFacts(
        CRITICAL,
        "make another version, or restore an earlier one",
        ("retrain", "versions rollback --to N --reason WHY"),
    ),
    AlertKind.CANARY_ENDED: KindFacts(WARNING, "to see how it compared with the live version", ("status",)),
    AlertKind.BATCH_QUARANTINED: KindFacts(
        WARNING,
        "look at it and at the cure of each fault, then ingest a corrected file",
        ("batch show {about}",),
        lasts=True,
    ),
    AlertKind.BATCH_OVERDUE: KindFacts(WARNING, "deliver it", ("ingest FILE",), lasts=True),
    AlertKind.SUSPICIOUS_BATCH: KindFacts(
        WARNING, "look at its file; if it is wrong", ("batch withdraw {about} --reason WHY",)
    ),
    AlertKind.REBUILD_DIFFERS: KindFacts(CRITICAL, "to see the differences", ("versions reproduce {about} --prove",)),
    AlertKind.REMOTE_AWAY: KindFacts(WARNING, "make the DVC remote reachable again, then", ("check",), lasts=True),
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


def is_to_be_told(
    kind: AlertKind,
    *,
    same_words: pd.Timestamp | None,
    same_matter: pd.Timestamp | None,
    now: pd.Timestamp,
    ended: pd.Timestamp | None = None,
) -> bool:
    """Whether an alert that is recorded now is told: an event once, what lasts as often as `REMIND_AFTER` says.

    Args:
        same_words: When an alert of the same kind and text was last told; None: never.
        same_matter: When one of the same kind about the same thing was; None: never.
        ended: When what lasts was over last; None: it is not known to have been.
    """
    if not KIND_FACTS[kind].lasts:
        return same_words is None
    last = max((moment for moment in (same_words, same_matter) if moment is not None), default=None)
    if last is None:
        return True
    silent = REMIND_AFTER if ended is None or ended <= last else FLAPPING
    return not pd.Timedelta(0) <= now - last < silent


def without_figures(text: str) -> str:
    """What a failure is about: another one is told too, the same with other figures is not."""
    return re.sub(r"\d+", "#", text)


@dataclass(frozen=True)
class WaitingAlert:
    """An alert that an address has not taken yet.

    Args:
        attempts: How often it was tried.
        due: When it is tried next; None: at once.
        claimed: Whether a process is at it; after `due` that process is taken for dead.
    """

    alert: Alert
    attempts: int
    due: pd.Timestamp | None
    claimed: bool

    def is_due(self, now: pd.Timestamp) -> bool:
        """Whether it is tried at a moment; one further ahead than any wait is of a clock that was ahead."""
        return self.due is None or not pd.Timedelta(0) < self.due - now <= LAST_RETRY


def alerts_due(
    waiting: Sequence[WaitingAlert], *, last_sent: pd.Timestamp | None, now: pd.Timestamp
) -> tuple[WaitingAlert, ...]:
    """The alerts that go to an address now, in one message, the gravest first.

    Args:
        last_sent: When a message last went to it, or may have gone; None: never.
    """
    if last_sent is not None and pd.Timedelta(0) <= now - last_sent < MESSAGE_EVERY:
        return ()
    free = [entry for entry in waiting if not entry.claimed or entry.is_due(now)]
    if not any(entry.is_due(now) for entry in free):
        return ()
    order = list(Severity)
    return tuple(sorted(free, key=lambda entry: (order.index(entry.alert.severity), entry.alert.at, entry.alert.id)))


def retry_after(attempts: int) -> pd.Timedelta:
    """How long after a failed attempt the next is made: 1 minute, then twice as long each time, up to an hour.

    Args:
        attempts: Failed so far, 1 or more.
    """
    return min(pd.Timedelta(FIRST_RETRY * 2 ** min(attempts - 1, 10)), LAST_RETRY)


@dataclass(frozen=True)
class Message:
    """A message in plain text."""

    severity: Severity
    title: str
    body: str


def compose_message(model: str, alerts: Sequence[Alert], *, place: str) -> Message:
    """One message of some alerts; no word in it calls people in a chat.

    Args:
        alerts: 1 or more, the gravest first.
        place: Host and folder of the workspace that tells.
    """
    first = alerts[0]
    happened = Counter(str(alert.kind) for alert in alerts)
    listed = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in happened.items())
    parts = [_spell_out(alert) for alert in alerts[:SHOWN]]
    if len(alerts) > SHOWN:
        parts.append(f"and {len(alerts) - SHOWN} more: `retrim alerts` lists them")
    parts.append(f"from: {place}")
    return Message(first.severity, f"retrim {model}: {listed}", CALL.sub("\\1\u200b", "\n\n".join(parts)))


def _spell_out(alert: Alert) -> str:
    about = f" ({alert.about})" if alert.about else ""
    why = shorten(alert.text, LONGEST, placeholder=" ...")
    return (
        f"{alert.severity.upper()}: {alert.kind}{about}, {alert.at:%Y-%m-%d %H:%M} UTC\nwhy: {why}\ndo: {alert.to_do}"
    )
