"""What the status answers, from the store alone."""

from contextlib import suppress
from dataclasses import dataclass, replace

import pandas as pd

from retrim.adapters.database import iso
from retrim.adapters.prefect_server import NextRun, known_server
from retrim.alerting.telling import UnsentAlerts, unsent_alerts
from retrim.checking.beside import compare_canary, compare_shadows
from retrim.checking.gain import balance, retraining_cost_now
from retrim.checking.history import StopCounts, checks_in, stopped_since
from retrim.checking.holds import StandingAnswer, is_held, rolled_back, settlement_now
from retrim.checking.probation import probation_now
from retrim.checking.score import columns_gone
from retrim.cli.answers import RunFacts, run_facts
from retrim.decision.accumulated_gain import LifeTotals
from retrim.decision.brakes import Paused, RolledBack
from retrim.decision.canary import Canary
from retrim.decision.check_verdict import CheckVerdict
from retrim.decision.loss_comparison import LossComparison
from retrim.decision.model_health import HealthFinding
from retrim.decision.probation import ProbationNow, ProbationParams, ServedBeside
from retrim.decision.retraining_cost import MoneyParams
from retrim.decision.served_predictions import ServedPredictions
from retrim.drift.performance import EstimateQuality
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import read_as_of
from retrim.landing.overdue import Overdue, overdue
from retrim.landing.quarantine import Quarantine
from retrim.lineage.workspace import BESIDE_RUNS, Workspace
from retrim.operations.costs import MonthCost, cost_of_month, priced_gb
from retrim.release.approval import WaitingVersion, waiting
from retrim.release.canary import newest_canary
from retrim.release.pause import pause_now
from retrim.release.versions import LiveVersion, find_live_version
from retrim.reports.health import find_health
from retrim.retraining.recover import KILLED, stopped_runs
from retrim.retraining.run_directory import UNPUSHED
from retrim.stats.codec import Moment


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
    stopped: tuple[RunFacts, ...]
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
        running=tuple(run_facts(run) for run in running),
        unpushed=tuple(run_facts(run) for run in store.runs(workspace.model, state=UNPUSHED)),
        stopped=tuple(
            replace(run_facts(run), why=run.detail.why or KILLED, attempts=workspace.params.retrain.attempts)
            for run in stopped
        ),
        next_run=None if server is None else server.next_run(workspace.model),
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
