"""Whether a retraining has to wait for rows, and until when."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pandas as pd

from retrim.adapters.store import iso
from retrim.core.enough import cut_first, enough_at, rows_missing
from retrim.core.table import mature, overdue_labels
from retrim.errors import BadInputError
from retrim.ops.champion import champion
from retrim.ops.house import House
from retrim.ops.known import known_times


@dataclass(frozen=True)
class RowsToWaitFor:
    """Rows that have to mature before a retraining can be judged.

    Args:
        reason: Why, in a sentence.
        until: When there will be enough; None where that cannot be said.
        missing: How many.
        known: What was known when that was said: see `what_is_known`.
    """

    reason: str
    until: pd.Timestamp | None
    missing: int
    known: dict[str, str]

    def as_record(self) -> dict[str, Any]:
        until = None if self.until is None else iso(self.until)
        return {"reason": self.reason, "until": until, "missing": self.missing, "known": self.known}


def what_is_known(house: House, *, as_of: pd.Timestamp | None = None) -> dict[str, str]:
    """Digests of what a deferral rests on: batches of rows and labels that have landed, by `as_of` if given; settings.

    A run that was deferred is tried again when one of them has changed.
    """
    batches = "\n".join(f"{batch.digest} {batch.arrived.isoformat()}" for batch in house.landing.batches(as_of))
    settings = house.params.model_dump_json()
    return {"landed": sha256(batches.encode()).hexdigest(), "settings": sha256(settings.encode()).hexdigest()}


def rows_to_wait_for(house: House, *, as_of: pd.Timestamp, by_person: bool) -> RowsToWaitFor | None:
    """What a retraining as of a date waits for, which a person asked for or a check decided; None if for nothing.

    The date is when enough of the rows that have landed will be due, or of those that come at the rate of the newest.

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
    until = enough_at(table["_event"], table["_due"], table["_matured"], missing=missing, as_of=as_of)
    when = "when there will be cannot be told" if until is None else f"enough by {iso(until)}"
    reason = f"{reason}; {when}, asked again when rows, labels or settings change"
    silent = overdue_labels(table, house.params.data, as_of=as_of)
    if silent:
        reason = f"{reason}; {silent} labels were due and have not come, land them: retrim ingest FILE --labels"
    return RowsToWaitFor(reason, until, missing, what_is_known(house, as_of=as_of))


def _too_few_to_train(house: House, ripe: pd.DataFrame) -> tuple[int, str]:
    """Rows that are missing for a first version although there are many: a long horizon leaves few to fit on."""
    event, due, params = ripe["_event"], ripe["_due"], house.params
    try:
        cut_first(event, due, params.split, params.tune, params.backtest)
    except ValueError as error:
        missing = max(rows_missing(event, due, params.split, params.tune, params.backtest), 1)
        return missing, f"too few of {len(ripe)} mature rows to train on before those that judge ({error})"
    return 0, ""
