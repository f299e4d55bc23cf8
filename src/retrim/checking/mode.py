"""How the next version of this workspace is made, from the history of its runs.

What a check adds to: the sums that each check carries on, and the accumulated gain.

Due times of scheduled flows: which passed and were not done, as our store knows, whatever Prefect has planned.

The retraining cost of this workspace, from what it costs in money.
"""

import logging
from collections import deque
from collections.abc import Iterable

import pandas as pd
from pydantic import ValidationError

from retrim.adapters.database import iso
from retrim.checking.history import CHECK, checks_in, newest_check
from retrim.decision.accumulated_gain import (
    NOTHING,
    YEAR_DAYS,
    AccumulatedGain,
    LifeTotals,
    MoneyParams,
    RetrainingCost,
)
from retrim.decision.check_record import CheckRecord, StoredCheck
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, live_kind, worth_of_live
from retrim.stats.plugins import explain
from retrim.stats.timetable import due_between
from retrim.training.mode import FINAL, MODES, ChosenMode, PastMode, choose_mode
from retrim.training.recipe import retraining_work

USUAL_ROUNDS = 100  # rounds are the same in every mode, so their number drops out of the shares


def mode_now(workspace: Workspace) -> ChosenMode:
    """The mode of the next version: as params.yaml says, or for `auto` a search where its gain covers its cost."""
    retrain = workspace.params.retrain
    if find_live_version(workspace) is None:
        return ChosenMode(retrain.first_mode, "no version is live")
    kind, wanted = live_kind(workspace), workspace.params.train.model
    if kind != wanted and retrain.mode != "search":
        return ChosenMode(
            "search", f"train.model is {wanted}, but the live version is a {kind}, so there is no recipe to start from"
        )
    if retrain.mode != "auto":
        return ChosenMode(retrain.mode, "retrain.mode")
    ended = [
        run for run in workspace.store.runs(workspace.model) if run.state in ("promoted", "refused") and run.version
    ]
    runs = [run for run in ended if run.mode != FINAL]
    versions = {row.version: row for row in workspace.store.versions(workspace.model)}
    checks = workspace.store.decisions(workspace.model, source=CHECK)
    judged = [(run, versions[run.version].judged) for run in runs if run.version in versions]
    past = [
        PastMode(run.mode, verdict.losses["champion"] - verdict.loss)
        for run, verdict in judged
        if "champion" in verdict.losses
    ]
    newest = newest_check(workspace)
    rows = next((verdict.rows for _, verdict in reversed(judged)), workspace.params.split.judge_rows)
    params = workspace.params
    works = {
        mode: retraining_work(
            max(rows * 10, params.split.sliding_rows),
            USUAL_ROUNDS,
            mode=mode,
            windows=params.train.windows,
            recipes=params.train.recipes,
            sliding_rows=params.split.sliding_rows,
            backtest=params.backtest,
            tune=params.tune,
        )
        for mode in MODES
    }
    promoted = max(sum(run.state == "promoted" for run in runs), 1)
    retraining_cost = newest.record.retraining_cost if newest is not None else params.gain.cost
    return choose_mode(past, works, retraining_cost=retraining_cost, checks=max(len(checks) / promoted, 1.0))


def fits_of_a_retraining(workspace: Workspace) -> int:
    """Fits of a retraining for each training window: the model, its backtest, and its share of a search."""
    params = workspace.params
    trials = params.tune.trials if params.retrain.mode == "search" else 0
    return 1 + params.backtest.origins + -(-trials * params.tune.folds // len(params.train.windows))


def share_of_refit(workspace: Workspace) -> float:
    """What fitting a promoted recipe once more costs, as a share of a retraining: one of its fits; 0 where none is."""
    if not workspace.params.retrain.refit_after:
        return 0.0
    return 1 / (fits_of_a_retraining(workspace) * len(workspace.params.train.windows))


def read_totals(workspace: Workspace, previous: StoredCheck | None, record: CheckRecord) -> LifeTotals:
    """The sums up to this check, from those of the check before."""
    before = None if previous is None else previous.record.totals
    window, probed = record.window, record.probe
    releases = workspace.store.releases(workspace.model)
    first = None if not releases else workspace.store.version(workspace.model, releases[0].version)
    ended = [run for run in workspace.store.runs(workspace.model) if run.state in ("promoted", "refused", "waiting")]
    since = [run for run in ended if first is not None and run.as_of > first.as_of]
    refits = sum(run.mode == FINAL for run in since)
    return (NOTHING if before is None else before).after(
        loss=record.loss,
        share=0.0 if window is None else window.rows / workspace.params.gain.rows_per_check,
        probe_cost=None if probed is None else probed.cost,
        retrainings=len(since) - refits,
        retraining_cost=record.retraining_cost,
        refits=refits,
        refit_share=share_of_refit(workspace),
    )


def deposited(record: CheckRecord) -> AccumulatedGain | None:
    """What a check put into the accumulated gain, which may be less than nothing; None where it had no reading."""
    before, accumulated_gain = record.accumulated_gain_before, record.accumulated_gain
    if record.reading is None or before is None:
        return None
    return AccumulatedGain(accumulated_gain.balance - before.balance, accumulated_gain.variance - before.variance)


LOGGER = logging.getLogger("retrim.schedule")
MOST = 1000
"""Missed times that are made up for, the newest: a schedule that rested for years must not take as long again."""


def begin_due_times(workspace: Workspace, flow: str, *, now: pd.Timestamp) -> None:
    """Notes when the schedule of a flow first ran: what was due before then was not missed."""
    if workspace.store.done_until(workspace.model, flow) is None:
        workspace.store.mark_done(workspace.model, flow, until=iso(now))


def missed_times(workspace: Workspace, flow: str, *, until: pd.Timestamp) -> list[pd.Timestamp]:
    """The due times of a flow up to a moment that are not done, oldest first."""
    done = workspace.store.done_until(workspace.model, flow)
    if done is None:
        return []
    newest = deque(maxlen=MOST + 1)  # type: deque[pd.Timestamp]
    newest.extend(_due(workspace, flow, pd.Timestamp(done), until))
    if len(newest) > MOST:
        LOGGER.warning("%s: more than %d due times were missed; those before %s are left out", flow, MOST, newest[1])
        newest.popleft()
    return list(newest)


def is_due_time(workspace: Workspace, flow: str, at: pd.Timestamp) -> bool:
    """Whether the timetable of a flow names this moment, to the second."""
    return at in _due(workspace, flow, at - pd.Timedelta("1s"), at)


def _due(workspace: Workspace, flow: str, after: pd.Timestamp, until: pd.Timestamp) -> Iterable[pd.Timestamp]:
    """The due times of a flow in `(after, until]`; none of one that is switched off."""
    every: str | None = getattr(workspace.params.schedule, flow)
    return () if every is None else due_between(every, after, until)


def mark_due_time(workspace: Workspace, flow: str, at: pd.Timestamp) -> None:
    """Notes that all due times of a flow up to a moment are done."""
    workspace.store.mark_done(workspace.model, flow, until=iso(at))


def retraining_cost_of(
    workspace: Workspace, *, cost: float, per_row: float, currency: str, now: pd.Timestamp
) -> RetrainingCost:
    """The retraining cost in the workspace's own loss.

    Args:
        per_row: What one unit of loss of one row costs.

    Raises:
        BadInputError: An amount is not above zero, or the cost is more than all loss of a year.
    """
    rows_per_check, loss = workspace.params.gain.rows_per_check, workspace.params.judge.loss
    try:
        money = MoneyParams(cost=cost, per_unit=per_row * rows_per_check, currency=currency)
    except ValidationError as wrong:
        raise BadInputError(
            f"the retraining cost cannot be calculated: {explain(wrong)}; pass amounts above 0"
        ) from wrong
    checks = workspace.store.decisions(workspace.model, source=CHECK)
    losses = [check.record.loss for check in checks_in(checks) if check.record.loss is not None]
    priced = RetrainingCost(
        money=money,
        loss=loss,
        rows_per_check=rows_per_check,
        checks_of_year=checks_of_year(workspace, now=now),
        model=worth_of_live(workspace),
        worst_loss=max(losses, default=None),
    )
    if priced.model is not None and priced.loss_of_year is not None and priced.loss_of_year < priced.retraining_cost:
        raise BadInputError(
            f"a retraining at {cost:.6g} {currency} costs as much as {priced.retraining_cost:.4g} in mean {loss} over "
            f"one usual check of {rows_per_check} rows at {per_row:.6g} {currency} a row; that is more than all loss "
            f"of a year, {priced.loss_of_year:.4g} ({priced.model.loss:.4g} when judged, in "
            f"{priced.checks_of_year:.3g} checks), so nothing would ever be retrained; pass a lower --cost, or a "
            "higher --per-row"
        )
    return priced


def checks_of_year(workspace: Workspace, *, now: pd.Timestamp) -> float:
    """Usual checks of a year, at the rate of the rows that landed; by `data.batch_every` where their time is one."""
    year = pd.Timedelta(days=YEAR_DAYS)
    times = read_as_of(workspace, as_of=now).times["_event"]
    span = times.max() - times.min() if len(times) else pd.Timedelta(0)
    if span <= pd.Timedelta(0):
        return float(year / pd.Timedelta(workspace.params.data.batch_every))
    return float(len(times) * (year / span) / workspace.params.gain.rows_per_check)
