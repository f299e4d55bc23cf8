"""What the reading commands answer, from the store alone: versions, a decision, the status."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd
from pydantic import JsonValue

from retrim.adapters.database import iso
from retrim.adapters.prefect_server import NextRun, known_server
from retrim.alerting.telling import UnsentAlerts, unsent_alerts
from retrim.checking.beside import compare_canary, compare_shadows
from retrim.checking.gain import balance, retraining_cost_now
from retrim.checking.history import StopCounts, checks_in, evidence_of, stopped_since
from retrim.checking.holds import GivenAnswer, StandingAnswer, answer_to, is_held, rolled_back, settlement_now
from retrim.checking.probation import probation_ends, probation_now
from retrim.checking.score import columns_gone
from retrim.decision.accumulated_gain import LifeTotals
from retrim.decision.alerts import KIND_FACTS, AlertKind, what_to_do
from retrim.decision.brakes import Paused, RolledBack
from retrim.decision.canary import Canary
from retrim.decision.check_record import CheckRecord, DecisionEvidence
from retrim.decision.check_verdict import CheckVerdict
from retrim.decision.loss_comparison import LossComparison
from retrim.decision.model_health import HealthFinding
from retrim.decision.probation import ProbationNow, ProbationParams, ServedBeside
from retrim.decision.release_checks import RELEASE_CHECKS, ReleaseChecks
from retrim.decision.retraining_cost import MoneyParams
from retrim.decision.served_predictions import ServedPredictions
from retrim.decision.stored_rows import ApprovalAnswer, RunRow, VersionRow
from retrim.drift.performance import EstimateQuality
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import read_as_of, withdrawn_of_versions
from retrim.landing.overdue import Overdue, overdue
from retrim.landing.quarantine import Quarantine
from retrim.lineage.workspace import BESIDE_RUNS, Workspace
from retrim.operations.costs import MonthCost, cost_of_month, priced_gb
from retrim.release.approval import WAITING, WaitingVersion, answer_of, waiting
from retrim.release.canary import newest_canary
from retrim.release.outcome import version_outcome
from retrim.release.pause import pause_now
from retrim.release.release import FIRST
from retrim.release.versions import LastProof, LiveVersion, find_live_version, judged_loss, last_proofs
from retrim.reports.health import find_health
from retrim.retraining.recover import KILLED, stopped_runs
from retrim.retraining.run_directory import UNPUSHED
from retrim.stats.codec import Moment, from_record


@dataclass(frozen=True)
class AwaitedAnswer:
    """The mark of a version that waits for a person."""

    answer: str = WAITING


@dataclass(frozen=True)
class VersionAnswer:
    """A version.

    Args:
        version: Number of the version.
        aliases: `champion` for the live one, `previous` for the one before.
        tag: Git tag of the version.
        as_of: As-of date of the run that made it.
        model_sha256: SHA-256 of the model.
        made: When the version was made.
        loss: Mean loss on the holdout rows, as judged; None if there were none.
        final: Whether its final fit, on all mature rows, makes the predictions; None if there is no final fit.
        outcome: What became of it: `passed the gate` (its run has not ended), `refused by the gate`, `refused at
            release`, `waiting for approval`, `rejected`, `expired`, `outdated`, `promoted` or `rolled back`.
        promote: Whether the gate promoted it.
        verdict: The gate's reason.
        probation: `going on`, `worse`, `confirmed`, `over` or `replaced`; None if it had none.
        withdrawn: Batches in the version that have been withdrawn since.
        approval: A person's answer, or `waiting` until there is one; None if nobody was asked.
        release_checks: `passed`, `reason` and `checks` before it went live; None if the gate refused it.
        last_proved: When a proof last showed that a rebuild is identical.
        last_differed: When a proof last found a difference.
    """

    version: int
    aliases: list[str]
    tag: str
    as_of: str
    model_sha256: str
    made: str
    loss: float | None
    final: bool | None
    outcome: str
    promote: bool
    verdict: str
    probation: str | None
    withdrawn: list[str]
    approval: ApprovalAnswer | AwaitedAnswer | None
    release_checks: dict[str, JsonValue] | None
    last_proved: str | None
    last_differed: str | None

    @property
    def word(self) -> str:
        """The gate's word; that of the release checks, or of a person, where they refused what the gate let pass."""
        if isinstance(self.approval, AwaitedAnswer):
            return f"{WAITING}: for a person to approve or reject"
        if self.approval is not None and self.approval.answer != "approved":
            return f"{self.approval.answer}: {self.approval.reason}"
        if self.release_checks is None:
            return self.verdict
        checks = from_record(ReleaseChecks, self.release_checks)
        return self.verdict if checks.passed else checks.reason


def find_versions(workspace: Workspace) -> list[VersionAnswer]:
    """Every version, oldest first."""
    proofs = last_proofs(workspace)
    now_live, ends, withdrawn = (
        find_live_version(workspace),
        probation_ends(workspace),
        withdrawn_of_versions(workspace),
    )
    releases = workspace.store.releases(workspace.model)
    aliases: dict[int | None, list[str]] = {}
    if now_live is not None:
        aliases.setdefault(now_live.version, []).append("champion")
        aliases.setdefault(now_live.previous, []).append("previous")
    return [
        VersionAnswer(
            version=row.version,
            aliases=aliases.get(row.version, []),
            tag=row.tag,
            as_of=row.as_of,
            model_sha256=row.model_sha256,
            made=row.made,
            loss=judged_loss(row),
            final=None if row.judged.final is None else row.judged.final.used,
            outcome=version_outcome(workspace, row, releases),
            promote=row.judged.promote,
            verdict=row.judged.reason,
            probation=ends.get(row.version),
            withdrawn=withdrawn.get(row.version, []),
            approval=_approval(workspace, row),
            release_checks=_release_checks(workspace, row.version),
            last_proved=proofs.get(row.version, LastProof()).proved,
            last_differed=proofs.get(row.version, LastProof()).differed,
        )
        for row in workspace.store.versions(workspace.model)
    ]


@dataclass(frozen=True)
class RunFacts:
    """A run.

    Args:
        id: Id of the run.
        state: `running`, `promoted`, `refused`, `deferred`, `waiting`, `unpushed`, `restored`, `rolled back`, `crashed`
            or `failed`.
        as_of: As-of date of the run.
        mode: `search` or `refit`.
        attempt: 1 for the first attempt, and one more after each kill.
        version: The version that the run made; None if there is none.
        reason: How the run ended, in one sentence.
    """

    id: str
    state: str
    as_of: str
    mode: str
    attempt: int
    version: int | None
    reason: str


@dataclass(frozen=True)
class StoppedRun(RunFacts):
    """A run that was killed.

    Args:
        why: What is known about the kill.
        attempts: Maximum number of attempts of a run.
    """

    why: str
    attempts: int


@dataclass(frozen=True)
class DecisionAnswer:
    """A decision, its evidence and its consequences.

    Args:
        id: Id of the decision.
        source: What made the decision: a check, a person, an acknowledgement, or a pause.
        as_of: As-of date of the decision.
        outcome: `none`, `retrain`, `restore`, `rollback`, `held`, `settled`, `paused` or `resumed`.
        by: Who made it.
        reason: The reason, in one sentence.
        record: The evidence.
        run: The [run](#run) that it started; None if there was none.
        verdict: The gate's verdict on the version that the run made; None if there is no version.
        release_checks: Results of that version's release checks before it went live.
        answered: A person's answer to the hold; None if nobody has answered.
        guards: How often each guard stopped a run, up to this decision.
    """

    id: str
    source: str
    as_of: str
    outcome: str
    by: str
    reason: str
    record: DecisionEvidence
    run: RunFacts | None
    verdict: dict[str, JsonValue] | None
    release_checks: dict[str, JsonValue] | None
    answered: GivenAnswer | None
    guards: StopCounts | None

    @property
    def check(self) -> CheckRecord | None:
        """The evidence of a check; None where something else decided."""
        return self.record if isinstance(self.record, CheckRecord) else None


def find_decision(workspace: Workspace, which: str | None) -> DecisionAnswer:
    """One decision with its evidence and what came of it.

    Args:
        which: A decision's id, a date (its last decision), or None for the newest.

    Raises:
        BadInputError: There is none.
    """
    decisions = workspace.store.decisions(workspace.model)
    if not decisions:
        raise BadInputError("no decision has been made yet; run `retrim check` or `retrim retrain`")
    matching = [row for row in decisions if row.id == which] or [
        row for row in decisions if which is None or row.as_of.startswith(which)
    ]
    if not matching:
        raise BadInputError(
            f"there is no decision {which!r}; pass a date or an id, such as {decisions[-1].id} (the newest)"
        )
    row = matching[-1]
    checks = checks_in(decision for decision in decisions if decision.as_of <= row.as_of)
    run = workspace.store.run(f"run-{row.id}")
    return DecisionAnswer(
        id=row.id,
        source=row.source,
        as_of=row.as_of,
        outcome=row.outcome,
        by=row.actor,
        reason=row.reason,
        record=evidence_of(row),
        run=None if run is None else _run_facts(run),
        verdict=None if run is None or run.version is None else _verdict(workspace, run.version),
        release_checks=None if run is None or run.version is None else _release_checks(workspace, run.version),
        answered=answer_to(workspace, row),
        guards=stopped_since(workspace, checks),
    )


@dataclass(frozen=True)
class LastDecision:
    """The newest decision: `id`, `as_of`, `outcome` and `reason`."""

    id: str
    as_of: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class HeldBatch:
    """A batch in quarantine, with its faults."""

    batch: str
    file: str
    arrived: Moment
    faults: tuple[str, ...]


@dataclass(frozen=True)
class ShownAlert:
    """An alert: when it was raised, its kind and its text."""

    at: str
    kind: str
    text: str


@dataclass(frozen=True)
class ToldAlert:
    """An alert, and the addresses that it was sent to.

    Args:
        at: When it was raised.
        severity: `critical`, `warning` or `info`.
        kind: Kind of the alert, such as `run failed`.
        about: What the alert is about; empty if the text says it.
        text: What happened.
        to_do: What to do.
        sent_to: Addresses that accepted it: protocol and a keyed digest of each.
        waits_for: Addresses that have not accepted it yet.
    """

    at: str
    severity: str
    kind: str
    about: str
    text: str
    to_do: str
    sent_to: tuple[str, ...]
    waits_for: tuple[str, ...]


def find_alerts(workspace: Workspace) -> list[ToldAlert]:
    """Every alert, oldest first."""
    sent = workspace.store.deliveries(workspace.model)
    shown = []
    for row in workspace.store.alerts(workspace.model):
        kind, mine = AlertKind(row.kind), [delivery for delivery in sent if delivery.alert == row.id]
        taken = tuple(sorted(delivery.address for delivery in mine if delivery.sent is not None))
        waits = tuple(sorted(delivery.address for delivery in mine if delivery.sent is None))
        to_do = what_to_do(kind, row.about)
        severity = KIND_FACTS[kind].severity
        shown.append(ToldAlert(row.at, severity, row.kind, row.about, row.text, to_do, taken, waits))
    return shown


@dataclass(frozen=True)
class CanaryFacts:
    """A canary and its comparison with the live version.

    Args:
        canary: The stored facts of the canary.
        beside: Comparison with the live version, on the rows whose labels have arrived; None if the canary has ended.
        rows: Rows of the canary after which its test is over.
    """

    canary: Canary
    beside: ServedBeside | None
    rows: int


@dataclass(frozen=True)
class StatusAnswer:
    """The live version, the accumulated gain and the retraining cost, the last check, and what comes next.

    Args:
        model: Name of the model.
        champion: The [live version](#retrim-versions-rollback); None before the first version.
        lacks: Columns that the live version needs and that the table no longer has; it predicts with missing values
            there.
        accumulated_gain: Accumulated gain, in mean loss times checks; None before the first version.
        retraining_cost: Retraining cost in the same unit; None before the first version.
        money: `gain.money` of params.yaml; None if the retraining cost is set in units of the loss.
        short: Why there are too few holdout rows to show the accumulated gain; None if there are enough.
        totals: What the model has cost up to the last check.
        month: What the model cost in this calendar month.
        served: Loss of the served predictions, as of the last check.
        estimates: Accuracy of the estimated losses.
        last_check: As-of date of the last check.
        checked_version: The version that the last check measured; None if none was live.
        verdict: Verdict of the last check: how the model does, why, whether a retraining would help, and what to do.
        comparison: Loss at the last check beside its expected loss and the naive baselines.
        last_decision: `id`, `as_of`, `outcome` and `reason`.
        health: What is wrong, most severe first: `level`, `kind`, `text`, `do`.
        acknowledged: What is wrong too, and was acknowledged by a person.
        held: Whether a decision waits for a person.
        hold_ends: What ends a hold after refusals; None if there is no such hold.
        guards: How often each guard stopped a run since the release: `checks`, `since`, `guards`, `refused`.
        rolled_back: The rollback that nobody has answered; None if there is none.
        settled: The acknowledgement that still holds; None if there is none.
        paused: The pause of automatic retraining and promotion: `by`, `since`, `why`; None if there is none.
        probation: Probation of the live version; None if it has none.
        shadows: Comparison with versions that answered requests alongside the live version, on rows whose labels have
            arrived.
        canary: The current or last canary; None if there never was one.
        waiting: Versions that wait for a person: `version`, `run`, `since`, `expires`, `reason`.
        running: [Runs](#run) in progress.
        unpushed: Runs whose files have not reached the DVC remote.
        stopped: Runs that were killed, with `why` and `attempts`.
        next_run: Next scheduled run; None if the schedule is off.
        quarantined: Batches in quarantine: `batch`, `file`, `arrived`, `faults`.
        landed: Batches that have landed.
        overdue: The batch that is overdue; None if no batch is late.
        alerts: The last five alerts: `at`, `kind`, `text`.
        unsent: Alerts that could not be delivered, by address: `address`, `alerts`, `attempts`, `next_try`, `error`.
        now: The moment that the status describes.
    """

    model: str
    champion: LiveVersion | None
    lacks: tuple[str, ...]
    accumulated_gain: float | None
    retraining_cost: float | None
    money: MoneyParams | None
    short: str | None
    totals: LifeTotals | None
    month: MonthCost
    served: ServedPredictions | None
    estimates: EstimateQuality | None
    last_check: str | None
    checked_version: int | None
    verdict: CheckVerdict | None
    comparison: LossComparison | None
    last_decision: LastDecision | None
    health: tuple[HealthFinding, ...]
    acknowledged: tuple[HealthFinding, ...]
    held: bool
    hold_ends: str | None
    guards: StopCounts | None
    rolled_back: RolledBack | None
    settled: StandingAnswer | None
    paused: Paused | None
    probation: ProbationNow | None
    shadows: tuple[ServedBeside, ...]
    canary: CanaryFacts | None
    waiting: tuple[WaitingVersion, ...]
    running: tuple[RunFacts, ...]
    unpushed: tuple[RunFacts, ...]
    stopped: tuple[StoppedRun, ...]
    next_run: NextRun | None
    quarantined: tuple[HeldBatch, ...]
    landed: int
    overdue: Overdue | None
    alerts: tuple[ShownAlert, ...]
    unsent: tuple[UnsentAlerts, ...]
    now: Moment


def find_status(workspace: Workspace, *, now: pd.Timestamp) -> StatusAnswer:
    """The status at a moment."""
    now_live, store = find_live_version(workspace), workspace.store
    decisions = [row for row in store.decisions(workspace.model) if row.as_of <= iso(now)]
    checks = checks_in(decisions)
    newest = checks[-1].record if checks else None
    health = find_health(workspace, now=now)
    stopped = stopped_runs(workspace)
    running = [run for run in store.runs(workspace.model, state="running") if run not in stopped]
    last = next((row for row in reversed(decisions) if row.source not in BESIDE_RUNS), None)
    server = known_server(workspace.paths.prefect, workspace.env.prefect_url)
    following = None if server is None else server.next_run(workspace.model)
    return StatusAnswer(
        model=workspace.model,
        champion=now_live,
        lacks=() if now_live is None else tuple(columns_gone(workspace, now_live.version)),
        accumulated_gain=None if now_live is None else balance(workspace, now_live.version, checks).balance,
        retraining_cost=None if now_live is None else retraining_cost_now(workspace),
        money=workspace.params.gain.money,
        short=None if newest is None else newest.short,
        totals=None if newest is None else newest.totals,
        month=cost_of_month(
            workspace, [check.row for check in checks], month=f"{now:%Y-%m}", kept_gb=priced_gb(workspace)
        ),
        served=None if newest is None or newest.performance.measured is None else newest.performance.measured.served,
        estimates=None if newest is None else newest.estimate.quality,
        last_check=checks[-1].as_of if checks else None,
        checked_version=None if newest is None else newest.champion,
        verdict=None if newest is None else newest.verdict,
        comparison=None if newest is None else newest.performance.comparison,
        last_decision=None if last is None else LastDecision(last.id, last.as_of, last.outcome, last.reason),
        health=health.health,
        acknowledged=health.acknowledged,
        held=is_held(workspace, decisions),
        hold_ends=newest.decision.change if newest is not None and newest.decision.stopped == "hold" else None,
        guards=stopped_since(workspace, checks),
        rolled_back=rolled_back(workspace, decisions, None),
        settled=settlement_now(workspace),
        paused=pause_now(workspace),
        probation=probation_now(workspace),
        shadows=compare_shadows(workspace, now=now),
        canary=_find_canary(workspace, now=now),
        waiting=tuple(waiting(workspace)),
        running=tuple(_run_facts(run) for run in running),
        unpushed=tuple(_run_facts(run) for run in store.runs(workspace.model, state=UNPUSHED)),
        stopped=tuple(_stopped_run(workspace, run) for run in stopped),
        next_run=following,
        quarantined=tuple(
            HeldBatch(entry.batch, entry.file, entry.arrived, tuple(str(fault) for fault in entry.faults))
            for entry in Quarantine(workspace.paths.quarantine).entries()
            if entry.state == "held"
        ),
        landed=sum(1 for _ in workspace.landing.batches()),
        overdue=overdue(workspace=workspace.paths, data=workspace.params.data, now=now),
        alerts=tuple(ShownAlert(row.at, row.kind, row.text) for row in store.alerts(workspace.model)[-5:]),
        unsent=unsent_alerts(workspace, now=now),
        now=now,
    )


def _find_canary(workspace: Workspace, *, now: pd.Timestamp) -> CanaryFacts | None:
    canary = newest_canary(workspace)
    if canary is None:
        return None
    rows = workspace.params.gain.rows_per_check * (workspace.params.probation.checks or ProbationParams().checks)
    beside = None
    if canary.ended is None:
        with suppress(RefusedError, BadInputError):  # the next check ends it, and says why
            beside = compare_canary(workspace, read_as_of(workspace, as_of=now), canary)
    return CanaryFacts(canary, beside, rows)


def resumed_runs(workspace: Workspace, decisions: Iterable[str]) -> list[RunFacts]:
    """The runs that were killed and of which a command made another attempt, as they are now."""
    runs = [workspace.store.run(f"run-{decision}") for decision in decisions]
    return [_run_facts(run) for run in runs if run is not None]


def _approval(workspace: Workspace, version: VersionRow) -> ApprovalAnswer | AwaitedAnswer | None:
    """What a person said to a version, or that it waits for that; None where nobody was asked."""
    answer, run = answer_of(workspace, version.version), workspace.store.run(version.run)
    if answer is not None:
        return answer
    return AwaitedAnswer() if run is not None and run.state == WAITING else None


def _run_facts(run: RunRow) -> RunFacts:
    return RunFacts(run.id, run.state, run.as_of, run.mode, run.attempt, run.version, run.detail.reason or "")


def _stopped_run(workspace: Workspace, run: RunRow) -> StoppedRun:
    return StoppedRun(**vars(_run_facts(run)), why=run.detail.why or KILLED, attempts=workspace.params.retrain.attempts)


def _release_checks(workspace: Workspace, version: int) -> dict[str, JsonValue] | None:
    """What a version showed before it went live; None where the gate refused it, or it is older than these checks."""
    rows = workspace.store.envelope(workspace.model, version, kind=RELEASE_CHECKS)
    return next((row.record for row in rows if row.id == FIRST), None)


def _verdict(workspace: Workspace, version: int) -> dict[str, JsonValue] | None:
    row = workspace.store.version(workspace.model, version)
    return None if row is None else dict(row.verdict)
