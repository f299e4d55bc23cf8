"""What a model has cost so far: the sums that each check carries on."""

from retrim.decision.accumulated_gain import AccumulatedGain, LifeTotals
from retrim.decision.check_record import CheckEvidence, StoredCheck
from retrim.lineage.workspace import Workspace


def fits_of_a_retraining(workspace: Workspace) -> int:
    """Fits of a retraining for each training window: the model, its backtest, and its share of a search."""
    params = workspace.params
    trials = params.tune.trials if params.retrain.mode == "search" else 0
    return 1 + params.backtest.origins + -(-trials * params.tune.folds // len(params.train.windows))


def read_totals(workspace: Workspace, previous: StoredCheck | None, evidence: CheckEvidence) -> LifeTotals:
    """The sums up to this check, from those of the check before."""
    before = None if previous is None else previous.record.totals
    measured, cost = evidence.performance.measured, evidence.probe.cost
    releases = workspace.store.releases(workspace.model)
    first = None if not releases else workspace.store.version(workspace.model, releases[0].version)
    ended = [run for run in workspace.store.runs(workspace.model) if run.state in ("promoted", "refused", "waiting")]
    since = [run for run in ended if first is not None and run.as_of > first.as_of]
    return (LifeTotals.empty() if before is None else before).after(
        loss=evidence.performance.loss,
        share=0.0 if measured is None else measured.window.rows / workspace.params.gain.rows_per_check,
        probe_cost=None if cost is None else cost.cost,
        retrainings=len(since),
        retraining_cost=evidence.gain.retraining_cost,
    )


def deposited(evidence: CheckEvidence) -> AccumulatedGain | None:
    """What a check put into the accumulated gain, which may be less than nothing; None where it had no reading."""
    before, after = evidence.gain.before, evidence.gain.now
    if evidence.probe.reading is None or before is None:
        return None
    return AccumulatedGain(after.balance - before.balance, after.variance - before.variance)
