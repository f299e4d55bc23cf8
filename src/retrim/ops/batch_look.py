"""A batch that keeps its contract, held against what has landed: whether it is what it looks like."""

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.core.batches import BatchParams, Concern, History, Kind, look_at
from retrim.core.fault import Fault
from retrim.core.table import DataParams
from retrim.datasets.landed import BatchFile
from retrim.datasets.landed_rows import ROW, LandedRows

BATCHES = 12  # newest regular batches, at least, so that it is known how long a batch usually is
CURE = {
    "broken": "correct it at its source and ingest that; or land it anyway: retrim quarantine release ID --reason WHY",
    "unsure": "look at it; land it if the world is so: retrim quarantine release ID --reason WHY; else drop it",
}


def look_at_batch(
    frame: pd.DataFrame, *, landing: Landing, data: DataParams, params: BatchParams, now: pd.Timestamp
) -> tuple[Kind, tuple[Fault, ...]]:
    """The verdict, and a fault for each concern that sets the batch aside; a person may release it all the same.

    Corrections and labels are no history: they are not as long as a batch, nor as new.

    Args:
        frame: Typed rows.
        landing: What has landed.
        data: What the table is.
        params: How far off is too far.
        now: When it arrives.
    """
    regular = [file for file in landing.batches() if file.kind == "rows" and not file.correction]
    if not regular:
        return "ok", ()
    verdict = look_at(frame, _history(regular, data, params), data, params, arrives=now)
    holding = [concern for concern in verdict.concerns if concern.verdict in CURE]
    return verdict.kind, tuple(_fault(concern, len(frame)) for concern in holding)


def _history(regular: list[BatchFile], data: DataParams, params: BatchParams) -> History:
    """The newest batches that hold `history_rows` rows together, and at least 12 of them."""
    taken: list[BatchFile] = []
    rows = 0
    for file in reversed(regular):
        if rows >= params.history_rows and len(taken) >= BATCHES:
            break
        taken.insert(0, file)
        rows += file.rows
    landed = LandedRows([file.path for file in taken])
    times = landed.narrow(["_batch", data.time])
    ends = times.groupby("_batch", sort=False, observed=True)[data.time].max()
    places = times.sort_values(data.time, kind="stable")[ROW].iloc[-params.history_rows :].to_numpy()
    newest = landed.take(places, landed.columns)
    last = [pd.Timestamp(ends[file.batch]) for file in taken]
    lags = [file.arrived - end for file, end in zip(taken, last, strict=True)]
    return History(newest, last, lags, [file.rows for file in taken])


def _fault(concern: Concern, rows: int) -> Fault:
    rule = f"is as it was before ({concern.verdict}: {concern.text})"
    return Fault(concern.column, rule, rows, (), releasable=True, cure=CURE[concern.verdict])
