"""What a message says: of each alert what happened, why, and what to do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten

from retrim.alerting.kinds import Alert, Severity

SHOWN = 20
"""Alerts that one message spells out; the others are counted."""
LONGEST = 600
"""Letters of a reason: that of a failed run may be the output of a stage."""


@dataclass(frozen=True)
class Message:
    """A message in plain text."""

    severity: Severity
    title: str
    body: str


def compose_message(model: str, alerts: Sequence[Alert]) -> Message:
    """One message of some alerts.

    Args:
        model: Name of the model.
        alerts: 1 or more, the gravest first.
    """
    first = alerts[0]
    happened = Counter(str(alert.kind) for alert in alerts)
    listed = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in happened.items())
    parts = [_spell_out(alert) for alert in alerts[:SHOWN]]
    if len(alerts) > SHOWN:
        parts.append(f"and {len(alerts) - SHOWN} more: `retrim alerts` lists them")
    return Message(first.severity, f"retrim {model}: {listed}", "\n\n".join(parts))


def _spell_out(alert: Alert) -> str:
    about = f" ({alert.about})" if alert.about else ""
    why = shorten(alert.text, LONGEST, placeholder=" ...")
    return (
        f"{alert.severity.upper()}: {alert.kind}{about}, {alert.at:%Y-%m-%d %H:%M} UTC\nwhy: {why}\ndo: {alert.to_do}"
    )
