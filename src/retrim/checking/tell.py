"""What people are told of a check."""

import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.history import (
    CHECK,
    LOOKED_BACK,
    month_spent,
)
from retrim.checking.holds import held_since
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import (
    CheckRecord,
    StoredCheck,
)
from retrim.decision.drift_news import drift_digest, drift_news
from retrim.decision.model_health import HealthLevel, find_news, find_standing_faults
from retrim.decision.served_predictions import ServedPredictions
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.acknowledged import muted_kinds

MOST_CHECKS = 2000
"""Newest checks that a digest looks at: a week of one every five minutes."""


REMINDED = 10  # checks on hold between two reminders


def tell(workspace: Workspace, record: CheckRecord, *, now: pd.Timestamp) -> None:
    """Alerts of what a check found; what lasts from check to check is told again as a reminder only."""
    decision, measured = record.decision, record.performance.measured
    _tell_skew(workspace, None if measured is None else measured.served, now=now)
    _remind_of_hold(workspace, record, now=now)
    _tell_health(workspace, record, now=now)
    _tell_drift(workspace, record, now=now)
    if decision.stopped == "pause":
        record_alert(workspace, AlertKind.PAUSED, decision.reason, now=now, about=decision.change)
    if decision.stopped == "budget":
        record_alert(workspace, AlertKind.BUDGET_REACHED, decision.reason, now=now, about="triggers.budget")
    month = month_spent(workspace, now=now)
    if month is not None and month.is_nearly_used_up:
        text = f"{month.text}: the budget allows one more"
        record_alert(workspace, AlertKind.BUDGET_NEAR, text, now=now, about=month.month)
    if decision.outcome == "held" and decision.stopped != "hold":
        record_alert(workspace, AlertKind.HELD, record.sentence, now=now, about=held_since(workspace))


def _tell_health(workspace: Workspace, record: CheckRecord, *, now: pd.Timestamp) -> None:
    """Alerts of what is wrong with the live model: once when it begins or grows graver, and once when it is over."""
    if record.performance.comparison is None:
        return
    rows = workspace.store.decisions(workspace.model, source=CHECK, until=iso(now), newest=LOOKED_BACK)
    *earlier, _ = [StoredCheck.of(row).record for row in rows]
    before = find_standing_faults(reversed(earlier))
    same_champion = [check for check in earlier if check.champion == record.champion]
    then = earlier[-1].as_of if earlier else now
    news = find_news(
        before,
        find_standing_faults([record, *reversed(same_champion)]),
        muted_before=muted_kinds(workspace, now=then),
        muted_now=muted_kinds(workspace, now=now),
    )
    for finding in news.raised:
        is_critical = finding.level is HealthLevel.CRITICAL
        kind = AlertKind.MODEL_CRITICAL if is_critical else AlertKind.MODEL_WARNING
        record_alert(workspace, kind, f"{finding.text} Do: {finding.do}.", now=now, about=finding.kind)
    for kind_over in news.cleared:
        text = f"{kind_over.replace('_', ' ')} is over, as of {iso(now)}"
        record_alert(workspace, AlertKind.MODEL_CLEARED, text, now=now, about=kind_over)


def _remind_of_hold(workspace: Workspace, record: CheckRecord, *, now: pd.Timestamp) -> None:
    """Tells a person of a hold when it begins, and again at every tenth check that it stops."""
    if record.decision.stopped != "hold":
        return
    count = 0
    for row in reversed(workspace.store.decisions(workspace.model, source=CHECK)):
        if StoredCheck.of(row).record.decision.stopped != "hold":
            break
        count += 1
    if count % REMINDED == 1:
        text = f"check {count} on hold after refusals: {record.decision.reason}"
        record_alert(workspace, AlertKind.ON_HOLD, text, now=now)


def _tell_skew(workspace: Workspace, served: ServedPredictions | None, *, now: pd.Timestamp) -> None:
    """Alerts where served predictions are further from those of now than `served.skew` allows, or are none."""
    if served is None:
        return
    if served.skew is not None and served.skew.over:
        skew, worst = served.skew, served.skew.worst
        assert worst is not None
        record_alert(
            workspace,
            AlertKind.SKEW,
            f"{skew.over} of {skew.rows} served predictions differ from what their version predicts now by more than "
            f"{skew.bound:g} of the mean prediction, the largest difference being {skew.largest:.3g} of it. Run "
            f"`retrim versions explain '{worst.key}@{worst.request or worst.version}'` to see whether the features of "
            "that row differed then, or its stored prediction was altered",
            now=now,
            about="served predictions",
        )
    if served.unreadable:
        text = f"{served.unreadable} stored predictions are not numbers: they were altered; restore them from a backup"
        record_alert(workspace, AlertKind.SKEW, text, now=now, about="stored predictions")


def _tell_drift(workspace: Workspace, record: CheckRecord, *, now: pd.Timestamp) -> None:
    """Records an alert if the drift of a check calls for something, and a digest of all other drift once in 7 days."""
    news = drift_news(record)
    if news is not None:
        text = f"{', '.join(record.drift.drifted)} drifted, and {news.why}. {record.sentence}"
        record_alert(workspace, AlertKind.DRIFT, text, now=now, about=news.about)
    digest = drift_digest(_since_last_digest(workspace, now), now=now)
    if digest is not None:
        record_alert(workspace, AlertKind.DRIFT_DIGEST, digest, now=now)


def _since_last_digest(workspace: Workspace, now: pd.Timestamp) -> list[CheckRecord]:
    alerts = workspace.store.alerts(workspace.model)
    sent = max((alert.at for alert in alerts if alert.kind == AlertKind.DRIFT_DIGEST), default="")
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=MOST_CHECKS, until=iso(now))
    checks = [StoredCheck.of(row) for row in rows if row.as_of > sent]
    first = next((number for number, check in enumerate(checks) if check.earlier.drift.drifted), len(checks))
    return [check.record for check in checks[first:]]
