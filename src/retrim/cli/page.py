"""The state of a model as one self-contained page: what `retrim status` says, and how it came to be so, in pictures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import pandas as pd

from retrim.card.charts import counts_by_day, lines_over_time, plain
from retrim.card.pages import rendered
from retrim.card.report import Facts, Report, Table, figure, moment
from retrim.checking.history import CHECK
from retrim.cli.answers import find_decision
from retrim.cli.screens.batches import batch_report
from retrim.cli.screens.decisions import decision_report, gain_of, limit_of, version_report
from retrim.cli.screens.status import (
    HELD,
    in_quarantine,
    live_now,
    newest_verdict,
    next_run,
    status_facts,
    waiting_versions,
)
from retrim.cli.status_answer import StatusAnswer, find_status
from retrim.decision.check_record import StoredCheck
from retrim.decision.check_verdict import CALM, CheckVerdict
from retrim.decision.loss_comparison import LossComparison
from retrim.decision.model_health import HealthLevel
from retrim.drift.profile import TOGETHER, WindowBar
from retrim.errors import RetrimError
from retrim.landing.quarantine import Quarantine
from retrim.lineage.workspace import Workspace
from retrim.release.outcome import version_outcome
from retrim.release.versions import RollbackTarget, find_rollback_target, judged_in_words, judged_loss
from retrim.reports.distributions import find_distributions
from retrim.reports.health import Health, find_health

DECISIONS, BATCHES, DRIFT = "/decisions/", "/batches/", "/drift/"  # where a server shows one of them
MOST_CHECKS = 500  # that are drawn, the newest or those up to a moment: a record takes 2 ms to read
MOST_LISTED = 100  # rows of a table
MOST_DAYS = 40  # checks across the table of drift, as wide as a screen
MOST_PREDICTED = 90  # days of which predictions are counted
LEVELS = (0.5, 1.0, 2.0)  # effect over threshold from which on a cell of drift is one step darker


@dataclass(frozen=True)
class Answer:
    """A question that a person comes with, and the sentences of the answer; calm if nobody has to do anything."""

    question: str
    lines: tuple[str, ...]
    calm: bool = True


@dataclass(frozen=True)
class Form:
    """What a person may do from the page where a server shows it; a reason is asked for and kept.

    `value` is the version or the batch, empty where there is one thing only. A button has an action and a label.
    """

    about: str
    value: str
    buttons: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DriftCell:
    """A column at a check: how dark, from 0 to 3, whether it is over, what was said, where both windows are."""

    level: int
    over: bool
    text: str
    address: str = ""


@dataclass(frozen=True)
class StatusPage:
    """What the page shows; `drift` has a row for each column that came near its threshold, a cell for each check."""

    model: str
    at: str
    answers: tuple[Answer, ...]
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[tuple[str, bytes], ...]  # words for those who do not see it, and the PNG
    drift_at: tuple[str, ...]
    drift: tuple[tuple[str, tuple[DriftCell, ...]], ...]
    tables: tuple[Table, ...]
    forms: tuple[Form, ...] = ()


def find_page(workspace: Workspace, *, now: pd.Timestamp, until: str | None = None) -> StatusPage:
    """What the page of a workspace shows, with checks up to `until` as the store spells it; None: the newest."""
    status = find_status(workspace, now=now)
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=MOST_CHECKS + 1, until=until)
    checks = [StoredCheck.of(row) for row in rows[-MOST_CHECKS:]]
    older = rows[0].as_of if len(rows) > MOST_CHECKS else None
    dates, drift = drift_table(checks[-MOST_DAYS:])
    return StatusPage(
        model=workspace.model,
        at=moment(now) or "",
        answers=answers(status, find_health(workspace, now=now)),
        facts=tuple((name, str(value)) for name, value in status_facts(status) if value is not None),
        pictures=_pictures(workspace, checks),
        drift_at=dates,
        drift=drift,
        tables=(
            _checks(checks, before=older, until=until),
            _versions(workspace),
            _batches(workspace),
            _alerts(workspace),
        ),
        forms=forms(status, find_rollback_target(workspace)),
    )


def forms(status: StatusAnswer, target: RollbackTarget | None) -> tuple[Form, ...]:
    """What a person may do now: answer what waits, and go back to the version before."""
    approve_or_reject = (("approve", "Approve"), ("reject", "Reject"))
    listed = [
        Form(f"Version {waiting.version} waits for approval", str(waiting.version), approve_or_reject)
        for waiting in status.waiting
    ]
    if status.held:
        listed.append(Form("A decision is on hold", "", (("acknowledge", "Acknowledge, without a retraining"),)))
    listed += [
        Form(f"Batch {batch.batch} is in quarantine", batch.batch, (("release", "Land it in spite of its faults"),))
        for batch in status.quarantined
    ]
    if status.landed and not status.running:
        about = "Retrain now, whatever the rules say" + ("; this ends the hold" if status.held else "")
        listed.append(Form(about, "", (("retrain", "Retrain"),)))
    if target is not None:
        button = ("rollback", f"Roll back to version {target.version} ({judged_in_words(target.loss)})")
        listed.append(Form(f"Version {target.live} is live", str(target.version), (button,)))
    return tuple(listed)


def answers(status: StatusAnswer, health: Health) -> tuple[Answer, ...]:
    """The answers on top of the page."""
    live, last = status.champion, status.last_decision
    why = (f"Because: {live.reason}",) if live is not None and live.reason else ()
    decided = "No check has been made yet." if last is None else f"{last.outcome}: {last.reason}"
    questions = (waiting_versions(status.waiting), HELD if status.held else None, in_quarantine(status.quarantined))
    verdict = status.verdict
    waits = tuple(
        line for line in (*questions, None if verdict is None or status.held else _to_do(verdict)) if line is not None
    )
    paused = () if status.paused is None else (f"Nothing starts by itself: {status.paused.text}",)
    following = (*paused, next_run(status.next_run))
    return (
        Answer(
            "How does it do?",
            ("No check has been made yet.",) if verdict is None else (newest_verdict(status) or "",),
            calm=verdict is None or verdict.code in CALM,
        ),
        Answer("Is it healthy?", health.said, calm=health.level is HealthLevel.OK),
        Answer("What is live, and why?", (live_now(live), *why), calm=live is not None),
        Answer("Why was it retrained, or not, at the last check?", (decided,)),
        Answer("What happens next?", following, calm=status.next_run is not None and status.paused is None),
        Answer("What waits for you?", waits or ("Nothing.",), calm=not waits),
    )


def _to_do(verdict: CheckVerdict) -> str | None:
    """What the newest check asks a person for; None where nothing is wrong, or where what it does is under way."""
    if verdict.code in CALM or not verdict.do or verdict.do.startswith("nothing"):
        return None
    return f"The last check asks: {verdict.do}."


def _pictures(workspace: Workspace, checks: Sequence[StoredCheck]) -> tuple[tuple[str, bytes], ...]:
    """Loss and accumulated gain over the checks, with each release marked; none before the first check."""
    if not checks:
        return ()
    first = pd.Timestamp(checks[0].as_of)
    releases = [(pd.Timestamp(row.as_of), f"v{row.version}") for row in workspace.store.releases(workspace.model)]
    events = [event for event in releases if event[0] >= first]
    losses, gains, intervals, estimates, expected_bands = [], [], [], [], []
    decided: dict[str, list[tuple[pd.Timestamp, float]]] = {}
    for check in checks:
        at, record = pd.Timestamp(check.as_of), check.record
        measured = record.performance.measured
        if measured is not None:
            losses.append((at, {"realised": measured.loss, **_beside_loss(record.performance.comparison)}))
            expected = None if record.performance.comparison is None else record.performance.comparison.expected
            if expected is not None and expected.low is not None and expected.high is not None:
                expected_bands.append((at, expected.low, expected.high))
            intervals.append((at, *measured.interval))
            if check.outcome != "none":
                decided.setdefault(check.outcome, []).append((at, measured.loss))
        estimates += [
            (pd.Timestamp(scored.as_of), {"estimated before": scored.estimated, "realised since": scored.realised})
            for scored in record.estimate.scored
        ]
        sums = {"accumulated gain": record.gain.now.balance, "retraining cost": record.gain.retraining_cost}
        gains.append((at, sums))
    loss = workspace.params.judge.loss
    bands = {"90% interval": intervals, "band of the expected loss": expected_bands}
    pictures = [
        (
            "Loss at each check beside the expected loss and the best naive baseline, decisions marked",
            lines_over_time(
                losses,
                title="Loss over time",
                label=f"mean {plain(loss)} since the last check",
                events=events,
                bands=bands,
                marks=decided,
            ),
        ),
        (
            "Accumulated gain and retraining cost at each check",
            lines_over_time(
                gains, title="Accumulated gain against the retraining cost", label="mean loss x checks", events=events
            ),
        ),
    ]
    if estimates:
        estimated = lines_over_time(
            estimates,
            title="Loss estimated without labels, and the measured loss",
            label=f"mean {plain(loss)} of the same rows",
            time="check that made the estimate (UTC)",
            events=events,
        )
        pictures.append(("Loss estimated without labels, and the realised loss", estimated))
    if days := _predictions_by_day(workspace):
        pictures.append(("Predictions per day", counts_by_day(days, title="Predictions by day of the event")))
    return tuple(pictures)


def _beside_loss(comparison: LossComparison | None) -> dict[str, float]:
    """What a loss is held against, by the name of its line."""
    if comparison is None:
        return {}
    expected = None if comparison.expected is None else comparison.expected.loss
    known = {"expected": expected, "best naive baseline": comparison.naive_loss}
    return {name: value for name, value in known.items() if value is not None}


def _predictions_by_day(workspace: Workspace) -> dict[pd.Timestamp, int]:
    """Predictions a day, of the newest days; none where the log cannot be read: the page says all else."""
    try:
        return workspace.predictions.counts_by_day(MOST_PREDICTED)
    except RetrimError:
        return {}


def drift_table(checks: Sequence[StoredCheck]) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[DriftCell, ...]], ...]]:
    """The date of each check; then each column that came near its threshold, the worst first, a cell for each check."""
    worst: dict[str, float] = {}
    cells: list[dict[str, DriftCell]] = []
    for check in checks:
        at: dict[str, DriftCell] = {}
        for finding in check.record.drift.findings:
            share = finding.effect / finding.threshold if finding.threshold else 0.0
            level = sum(share >= step for step in LEVELS)
            before = at.get(finding.column)
            text = f"{finding.test} {finding.effect:.3g}, threshold {finding.threshold:.3g}"
            if before is None or level > before.level:
                over = finding.over or (before is not None and before.over)
                alone = finding.column != TOGETHER
                address = f"{DRIFT}{check.id}/{quote(finding.column, safe='')}" if alone else ""
                at[finding.column] = DriftCell(level, over, text, address)
            worst[finding.column] = max(worst.get(finding.column, 0.0), share)
        cells.append(at)
    names = sorted((name for name, share in worst.items() if share >= LEVELS[0]), key=lambda name: (-worst[name], name))
    calm = DriftCell(0, over=False, text="not near its threshold")
    dates = tuple(moment(check.as_of) or "" for check in checks)
    return dates, tuple((name, tuple(at.get(name, calm) for at in cells)) for name in names)


def _checks(checks: Sequence[StoredCheck], *, before: str | None, until: str | None) -> Table:
    rows = []
    for check in reversed(checks[-MOST_LISTED:]):
        record = check.record
        loss = "" if record.performance.loss is None else figure(record.performance.loss)
        gain = gain_of(record.gain.now.balance, record.gain.retraining_cost, None)
        live = "" if record.champion is None else str(record.champion)
        rows.append((check.id, moment(check.as_of) or "", live, loss, gain, check.outcome, check.reason))
    heads = ("check", "as of", "live", "loss", "accumulated gain", "outcome", "reason")
    if len(checks) > MOST_LISTED:
        before = checks[-MOST_LISTED - 1].as_of
    note = "" if before is None else f"{len(rows)} checks up to {moment(checks[-1].as_of)}; there are older ones."
    older = () if before is None else (("Older checks", f"?until={quote(before)}"),)
    newest = () if until is None else (("Newest checks", ""),)
    others = (*older, *newest)
    return Table("Checks", heads, tuple(rows), note, anchor="checks", address=DECISIONS, others=others)


def _versions(workspace: Workspace) -> Table:
    releases, released = workspace.store.releases(workspace.model), defaultdict(list)
    for row in releases:
        released[row.version].append(f"{row.action} on {moment(row.as_of)}, by {row.actor}")
    rows = tuple(
        (
            f"version-{row.version}",
            moment(row.as_of) or "",
            "" if (loss := judged_loss(row)) is None else figure(loss),
            version_outcome(workspace, row, releases),
            row.run,
            "; ".join(released[row.version]) or "not released",
        )
        for row in reversed(workspace.store.versions(workspace.model))
    )
    heads = ("version", "as of", "loss when judged", "outcome", "run", "released")
    return Table("Versions", heads, rows[:MOST_LISTED], _newest(len(rows)), anchor="versions", address="/")


def _batches(workspace: Workspace) -> Table:
    landed = [
        (file.batch, moment(file.arrived) or "", "landed", f"{file.rows} rows") for file in workspace.landing.batches()
    ]
    held = [
        (entry.batch, moment(entry.arrived) or "", entry.state, "; ".join(str(fault) for fault in entry.faults))
        for entry in Quarantine(workspace.paths.quarantine).entries()
    ]
    rows = sorted([*landed, *held], key=lambda row: row[1], reverse=True)
    heads = ("batch", "arrived", "state", "")
    listed = tuple(rows[:MOST_LISTED])
    return Table("Batches", heads, listed, _newest(len(rows)), anchor="batches", address=BATCHES)


def _newest(count: int) -> str:
    return f"The newest {MOST_LISTED} of {count}." if count > MOST_LISTED else ""


def _alerts(workspace: Workspace) -> Table:
    rows = tuple(
        (row.id, moment(row.at) or "", row.kind, row.text)
        for row in reversed(workspace.store.alerts(workspace.model)[-MOST_LISTED:])
    )
    return Table("Alerts", ("alert", "at", "kind", "text"), rows, anchor="alerts")


@dataclass(frozen=True)
class DetailPage:
    """What the address of one thing shows: the report that the command line prints, and two windows of a column.

    `links` has the paths of facts that have an address of their own, by name.
    """

    model: str
    title: str
    report: Report
    bars: tuple[WindowBar, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def most(self) -> float:
        """The largest share of a bar, above 0."""
        return max((max(bar.reference, bar.current) for bar in self.bars), default=0.0) or 1.0


def decision_page(workspace: Workspace, decision: str) -> DetailPage:
    """A decision, as `retrim why` says it."""
    stored = find_decision(workspace, decision)
    return DetailPage(workspace.model, f"decision {stored.id}", decision_report(stored))


def version_page(workspace: Workspace, version: int) -> DetailPage:
    report = version_report(workspace, version)
    facts = next(part for part in report if isinstance(part, Facts))
    links = {name: f"{DECISIONS}{value}" for name, value in facts.known if name == "decision"}
    return DetailPage(workspace.model, f"version {version}", report, links=links)


def batch_page(workspace: Workspace, batch: str) -> DetailPage:
    """A batch, as `retrim batch show` says it."""
    return DetailPage(workspace.model, f"batch {batch}", batch_report(workspace, batch))


def drift_page(workspace: Workspace, check: str, column: str) -> DetailPage:
    """Both distributions of a column at a check."""
    distributions = find_distributions(workspace, check, column)
    facts = (
        ("column", column),
        ("check", check),
        ("as of", moment(distributions.check.as_of)),
        ("reference", f"{distributions.reference_rows} rows behind version {distributions.check.record.champion}"),
        ("this check", f"{distributions.current_rows} rows"),
    )
    lines = tuple(
        (finding.test, f"{finding.effect:.3g}", limit_of(finding), "over" if finding.over else "")
        for finding in distributions.findings
    )
    tables = (Table("Tests", ("test", "effect", "limit", ""), lines),) if lines else ()
    title, links = f"{column} at the check of {moment(distributions.check.as_of)}", {"check": f"{DECISIONS}{check}"}
    return DetailPage(workspace.model, title, (Facts(facts), *tables), distributions.bars, links)


def page_html(
    page: StatusPage,
    *,
    prefix: str | None = None,
    links: Sequence[tuple[str, str]] = (),
    said: str = "",
    failed: bool = False,
) -> str:
    """The page with its pictures in it; every text is escaped. Forms are there only where a server answers them.

    Args:
        prefix: Path of the page where a server shows it; None: no server does.
        links: Names and addresses of other pages.
        said: What came of the last action.
    """
    return rendered("status.html.j2", page=page, prefix=prefix, links=links, said=said, failed=failed)
