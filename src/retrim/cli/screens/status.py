"""What the commands show of the status of a model, and of several models, as reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrim.card.report import Facts, Report, Table, brief, counted, moment
from retrim.cli.answers import RunFacts
from retrim.cli.screens.decisions import (
    REASON,
    answered,
    cost_so_far,
    estimate_quality,
    gain_of,
    probation_of,
    served_by,
    stopped_by,
)
from retrim.cli.status_answer import LastDecision, StatusAnswer
from retrim.decision.model_health import LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE
from retrim.release.pause import RESUME
from retrim.release.versions import judged_in_words

if TYPE_CHECKING:
    from retrim.adapters.prefect_server import NextRun
    from retrim.cli.status_answer import CanaryFacts, HeldBatch
    from retrim.decision.brakes import RolledBack
    from retrim.decision.probation import ProbationNow
    from retrim.release.approval import WaitingVersion
    from retrim.release.versions import LiveVersion
    from retrim.reports.health import ModelPlace

FIRST_STEPS = "land rows: retrim ingest FILE; then train version 1: retrim retrain"
NEXT_STEP = "train version 1: retrim retrain"
AGAIN = "version 1 was not trained: the line `all of it` says why; a check tries again when new rows land"
HELD = "waits for a person: retrim retrain, or if no run is needed: retrim policy acknowledge --reason WHY"
IN_VERDICT = (LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE)  # findings of health that the verdict of a check says already


def first_steps(
    *,
    champion: "LiveVersion | None" = None,
    waiting: "Sequence[WaitingVersion]" = (),
    running: Sequence[RunFacts] = (),
    unpushed: Sequence[RunFacts] = (),
    last: LastDecision | None = None,
    landed: bool = False,
) -> str | None:
    """What leads to a first version; None where there is one, or one is under way or waits for a person."""
    if champion or waiting or running or unpushed:
        return None
    return AGAIN if last is not None and last.outcome == "retrain" else NEXT_STEP if landed else FIRST_STEPS


def status_report(status: StatusAnswer) -> Report:
    """The status on one screen."""
    rows = tuple((moment(alert.at), f"{alert.kind}: {alert.text}") for alert in status.alerts)
    alerts = Table("Alerts", ("at", "what"), rows, brief_last=True)
    return (Facts(tuple(status_facts(status))), *((alerts,) if rows else ()))


def status_facts(status: StatusAnswer) -> list[tuple[str, Any]]:
    """The status as names and values; None: left out."""
    champion, last = status.champion, status.last_decision
    to_do = first_steps(
        champion=champion,
        waiting=status.waiting,
        running=status.running,
        unpushed=status.unpushed,
        last=last,
        landed=status.landed > 0,
    )
    level = next((str(one.level) for one in status.health if one.kind in IN_VERDICT), "verdict")
    beside = [one for one in status.health if one.kind not in IN_VERDICT]
    stopped = [f"{run.id}, attempt {run.attempt} of {run.attempts}: {run.why}" for run in status.stopped]
    return [
        ("model", status.model),
        ("live", live_now(champion)),
        ("loss", judged_in_words(champion.loss) if champion else None),
        ("because", brief(champion.reason, REASON) if champion else None),
        ("lacks", lacking(status.lacks)),
        ("probation", _probation(status.probation)),
        ("shadow", "; ".join(f"{one.outcome}: {one.said}" for one in status.shadows) or None),
        ("canary", _canary(status.canary)),
        ("paused", None if status.paused is None else f"{status.paused.text}; to end that: {RESUME}"),
        ("to do", to_do),
        (level, newest_verdict(status)),
        *((finding.level, f"{finding.text.rstrip('.')}. Do: {finding.do}") for finding in beside),
        ("acknowledged", ", ".join(finding.kind for finding in status.acknowledged) or None),
        ("last check", moment(status.last_check) or "none yet: retrim check"),
        ("accumulated gain", _gain_now(status)),
        ("too few rows", status.short),
        ("cost so far", cost_so_far(status.totals)),
        ("this month", status.month.line if status.month.retrainings or status.month.checks else None),
        ("measured by", served_by(status.served)),
        ("estimates", estimate_quality(status.estimates)),
        ("last decision", f"{last.outcome} on {moment(last.as_of)}" if last else None),
        ("because", brief(last.reason, REASON) if last else None),
        ("all of it", f"retrim why {last.id}" if last else None),
        ("waits", waiting_versions(status.waiting)),
        ("held", HELD if status.held else None),
        ("ends by", status.hold_ends if status.held else None),
        ("because", _held_by(status.rolled_back)),
        ("settled", answered(status.settled)),
        ("stopped by", stopped_by(status.guards)),
        ("running", ", ".join(run.id for run in status.running) or None),
        ("unpushed", "; ".join(f"{run.id}: {run.reason}" for run in status.unpushed) or None),
        ("stopped", "; ".join(stopped) + "; `retrim check` resumes it" if stopped else None),
        ("next", next_run(status.next_run)),
        ("quarantine", in_quarantine(status.quarantined)),
        ("unsent", _unsent(status)),
    ]


def _gain_now(status: StatusAnswer) -> str | None:
    gain, cost = status.accumulated_gain, status.retraining_cost
    if gain is None or cost is None:
        return None
    share = f" ({gain / cost:.0%})" if cost else ""  # version 1 may be perfect, and then a retraining costs nothing
    return gain_of(gain, cost, status.money) + share


def _held_by(back: "RolledBack | None") -> str | None:
    if back is None or not back.holds:
        return None
    return (
        f"rolled back from version {back.left}: no run starts automatically until {back.needed} rows have matured "
        f"since the rollback ({back.rows} by the last check), or until a person retrains or acknowledges"
    )


def newest_verdict(status: StatusAnswer) -> str | None:
    """The verdict of the last check; on a version that is live no longer, that is said."""
    if status.verdict is None:
        return None
    live = None if status.champion is None else status.champion.version
    if status.checked_version in (None, live):
        return status.verdict.text
    return f"Of version {status.checked_version}, before version {live}: {status.verdict.text}"


def live_now(champion: "LiveVersion | None") -> str:
    """What is live, and since when."""
    if champion is None:
        return "nothing yet"
    back = " (after a rollback)" if "rollback" in champion.action else ""
    pretended = "" if champion.since[:10] == champion.as_of[:10] else f", as of {moment(champion.as_of)}"
    return f"version {champion.version}{back} since {moment(champion.since)}{pretended}"


def next_run(following: "NextRun | None") -> str:
    """What the schedule does next."""
    if following is None:
        return "nothing is scheduled: retrim up --only schedule"
    return f"{following.flow} at {moment(following.at)}"


def lacking(columns: Sequence[str]) -> str | None:
    """What it means that the live version reads columns that are gone."""
    if not columns:
        return None
    return f"{', '.join(columns)}: no longer in the table, treated as missing, and not used by the next version"


def waiting_versions(versions: "Sequence[WaitingVersion]") -> str | None:
    """The versions that wait for a person, and what to type."""
    lines = [
        f"version {one.version} waits for approval until {moment(one.expires)}: "
        f"retrim versions approve {one.version} --reason ..., or reject"
        for one in versions
    ]
    return "; ".join(lines) or None


def in_quarantine(batches: "Sequence[HeldBatch]") -> str | None:
    """What lies in quarantine, and what shows it."""
    if not batches:
        return None
    count = counted(len(batches), "batch", "batches")
    return f"{count}, the last on {moment(batches[-1].arrived)}: retrim batch show --quarantined"


def _probation(probation: "ProbationNow | None") -> str | None:
    """How the live version does on probation, and what brings the one before back where it is worse."""
    text = probation_of(probation)
    if probation is None or probation.outcome != "worse":
        return text
    return f"{text}. To bring version {probation.against} back: retrim versions rollback --reason WHY"


def _canary(facts: "CanaryFacts | None") -> str | None:
    """How a canary stands or ended."""
    if facts is None:
        return None
    canary, beside = facts.canary, facts.beside
    if canary.ended is not None:
        return f"version {canary.version}, {canary.outcome} on {moment(canary.ended)}: {canary.said}"
    stands = "" if beside is None else f"; {beside.outcome}: {beside.said}"
    following = f", then {', '.join(map('{:.0%}'.format, canary.steps))}" if canary.steps else ""
    end = "; it goes live if it is confirmed" if canary.promotes else ""
    return (
        f"version {canary.version} has served {canary.share:.0%} of the rows since {moment(canary.began)}{following}"
        f"{stands}; it ends after {facts.rows:,} rows{end}"
    )


def _unsent(status: StatusAnswer) -> str | None:
    """Alerts that could not be sent; None: there are none."""
    lines = []
    for one in status.unsent:
        again = f"next try {moment(one.next_try)}" if one.next_try else "given up"
        tries = counted(one.attempts, "try", "tries")
        why = one.error or "the attempt was interrupted"
        lines.append(f"{counted(one.alerts, 'alert')} to {one.address} after {tries}: {why}; {again}")
    return "; ".join(lines) or None


def models_report(places: "Sequence[ModelPlace]") -> Report:
    """A line a model: where it is, what is live, the last check, and what is the matter."""
    rows = tuple(
        (
            model.model or "?",
            model.workspace or model.store,
            f"version {model.live} since {moment(model.since)}" if model.live else "nothing yet",
            moment(model.last_check) or "none yet",
            "; ".join(model.faults) or "nothing",
        )
        for model in places
    )
    return (Table("", ("model", "where", "live", "last check", "to look at"), rows),)
