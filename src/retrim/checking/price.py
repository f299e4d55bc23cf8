"""The retraining cost of a workspace, from what it costs in money."""

import pandas as pd
from pydantic import ValidationError

from retrim.checking.history import CHECK, checks_in
from retrim.decision.retraining_cost import YEAR_DAYS, MoneyParams, RetrainingCost
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import worth_of_live
from retrim.stats.plugins import explain


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
    losses = [check.record.performance.loss for check in checks_in(checks) if check.record.performance.loss is not None]
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
