"""Whether a retraining has to wait for rows, and until when."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import iso
from retrim.core.enough import A_SECOND, cut_first, rows_missing
from retrim.core.table import mature
from retrim.errors import BadInputError
from retrim.ops.champion import champion
from retrim.ops.house import House
from retrim.ops.known import known_times

WAIT_AT_MOST = pd.Timedelta("365D")  # a wrong year in a few rows must not put a model to sleep for good


@dataclass(frozen=True)
class RowsToWaitFor:
    """Rows that have to mature before a retraining can be judged: why, until when, how many."""

    reason: str
    until: pd.Timestamp
    missing: int

    def as_record(self) -> dict[str, Any]:
        return {"reason": self.reason, "until": iso(self.until), "missing": self.missing}


def rows_to_wait_for(house: House, *, as_of: pd.Timestamp, by_person: bool) -> RowsToWaitFor | None:
    """What a retraining as of a date waits for, which a person asked for or a check decided; None if for nothing.

    The date is when enough of the rows that have landed will be due; if even those do
    not suffice, it is extrapolated from the rate at which rows come.

    Raises:
        BadInputError: No rows had landed by then.
    """
    table = known_times(house, as_of=as_of)
    found = champion(house)
    ripe = mature(table)
    if not len(table):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")
    fresh = ripe
    if found is not None:
        fresh = ripe[ripe["_event"] > (found.predictor.used_until if by_person else found.predictor.judged_until)]
    # Version 1 also needs rows to train on: as many again as those that judge, three times over.
    needed = house.params.gate.min_rows if found is not None else house.params.split.judge_rows * 4
    missing, reason = needed - len(fresh), f"{len(fresh)} mature rows that no model has seen, {needed} needed"
    if missing <= 0 and found is None:
        missing, reason = _too_few_to_train(house, ripe)
    if missing <= 0:
        return None
    until = _enough_at(table, missing, as_of)
    reason = f"{reason}; enough by {iso(until)}"
    silent = int((table["_matured"].isna() & (table["_due"] <= as_of)).sum())
    if silent:
        reason = f"{reason}; {silent} labels were due and have not come, land them: retrim ingest FILE --labels"
    return RowsToWaitFor(reason, until, missing)


def _too_few_to_train(house: House, ripe: pd.DataFrame) -> tuple[int, str]:
    """Rows that are missing for a first version although there are many: a long horizon leaves few to fit on."""
    event, due, params = ripe["_event"], ripe["_due"], house.params
    try:
        cut_first(event, due, params.split, params.tune, params.backtest)
    except ValueError as error:
        missing = max(rows_missing(event, due, params.split, params.tune, params.backtest), 1)
        return missing, f"too few of {len(ripe)} mature rows to train on before those that judge ({error})"
    return 0, ""


def _enough_at(table: pd.DataFrame, missing: int, as_of: pd.Timestamp) -> pd.Timestamp:
    latest = as_of + WAIT_AT_MOST
    coming = table.loc[table["_matured"].isna() & table["_due"].between(as_of, latest, inclusive="right"), "_due"]
    coming = coming.sort_values()
    if len(coming) >= missing:
        return pd.Timestamp(coming.iloc[missing - 1])
    span = table["_event"].iloc[-1] - table["_event"].iloc[0]
    last = coming.iloc[-1] if len(coming) else as_of
    a_row = span / max(len(table) - 1, 1)
    return min(pd.Timestamp(last + min(max(a_row, A_SECOND), WAIT_AT_MOST) * (missing - len(coming))), latest)
