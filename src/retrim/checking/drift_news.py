"""People are told of drift: at once where it calls for something, else once a week."""

import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.history import CHECK, as_check
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import CheckRecord
from retrim.decision.drift_news import drift_digest, drift_news
from retrim.lineage.workspace import Workspace, record_alert

MOST_CHECKS = 2000
"""Newest checks that a digest looks at: a week of one every five minutes."""


def tell_drift(workspace: Workspace, record: CheckRecord, reason: str, *, now: pd.Timestamp) -> None:
    """Records an alert if the drift of a check calls for something, and a digest of all other drift once in 7 days."""
    news = drift_news(record)
    if news is not None:
        text = f"{', '.join(record.drifted)} drifted, and {news.why}. {reason}"
        record_alert(workspace, AlertKind.DRIFT, text, now=now, about=news.about)
    digest = drift_digest(_since_last_digest(workspace, now), now=now)
    if digest is not None:
        record_alert(workspace, AlertKind.DRIFT_DIGEST, digest, now=now)


def _since_last_digest(workspace: Workspace, now: pd.Timestamp) -> list[CheckRecord]:
    alerts = workspace.store.alerts(workspace.model)
    sent = max((alert.at for alert in alerts if alert.kind == AlertKind.DRIFT_DIGEST), default="")
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=MOST_CHECKS, until=iso(now))
    checks = [as_check(row) for row in rows if row.as_of > sent]
    first = next((place for place, check in enumerate(checks) if check.earlier.drifted), len(checks))
    return [check.record for check in checks[first:]]
