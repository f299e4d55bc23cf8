"""A batch that keeps its contract, held against what has landed: whether it is what it looks like."""

from dataclasses import replace

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.core.batches import BatchParams, Concern, History, Kind, look_at
from retrim.core.fault import Fault
from retrim.core.landed_schema import lacking, read_as
from retrim.core.reading import ReadingParams
from retrim.core.table import DataParams
from retrim.datasets.landed import BatchFile, schemas_of
from retrim.datasets.landed_rows import ROW, LandedRows

BATCHES = 12  # newest regular batches, at least, so that it is known how long a batch usually is
CURE = {
    "broken": "correct it at its source and ingest that; or land it anyway: retrim quarantine release ID --reason WHY",
    "suspicious": "inspect it; if it is wrong, take it back: retrim batch withdraw ID --reason WHY",
}


def look_at_batch(
    frame: pd.DataFrame,
    *,
    landing: Landing,
    data: DataParams,
    params: BatchParams,
    now: pd.Timestamp,
    of: str = "",
    reading: ReadingParams,
) -> tuple[Kind, tuple[Fault, ...]]:
    """The verdict, and a fault for each concern that makes it so; only those of a broken batch hold it back.

    Corrections and labels are no history: they are not as long as a batch, nor as new.

    Args:
        frame: Typed rows.
        landing: What has landed.
        data: What the table is.
        params: How far off is too far.
        now: When it arrives.
        of: The large file that it is a piece of. How much a piece holds says nothing, so it is not held against that.
        reading: Columns that no file has, and the zone whose clocks a column may show.
    """
    regular = [file for file in landing.standing() if file.kind == "rows" and not file.correction]
    if not regular:
        return "ok", ()
    history = _history(regular, data, params)
    history = replace(history, ends=[], lags=[], counts=[]) if of else history
    verdict = look_at(frame, history, data, params, arrives=now, made=reading.made, zone=reading.zone)
    grave = [concern for concern in verdict.concerns if concern.verdict == verdict.kind and concern.verdict in CURE]
    return verdict.kind, tuple(_fault(concern, len(frame)) for concern in grave)


def _history(regular: list[BatchFile], data: DataParams, params: BatchParams) -> History:
    """The newest batches that hold `history_rows` rows together, and at least 12 files; pieces of one are a batch."""
    taken: list[BatchFile] = []
    rows = 0
    for file in reversed(regular):
        if rows >= params.history_rows and len(taken) >= BATCHES:
            break
        taken.insert(0, file)
        rows += file.rows
    schemas = schemas_of(taken)
    read = read_as(schemas, data, {})
    landed = LandedRows([file.path for file in taken], read)
    times = landed.narrow(["_batch", data.time])
    ends = times.groupby("_batch", sort=False, observed=True)[data.time].max()
    places = times.sort_values(data.time, kind="stable")[ROW].iloc[-params.history_rows :].to_numpy()
    newest = landed.take(places, landed.columns)
    batches: dict[str, list[BatchFile]] = {}
    for file in taken:
        batches.setdefault(file.of or file.digest, []).append(file)
    last = [max(pd.Timestamp(ends[file.batch]) for file in each) for each in batches.values()]
    lags = [max(file.arrived for file in each) - end for each, end in zip(batches.values(), last, strict=True)]
    counts = [sum(file.rows for file in each) for each in batches.values()]
    return History(newest, last, lags, counts, lacking(schemas, data.columns, read.names))


def _fault(concern: Concern, rows: int) -> Fault:
    rule = f"is as it was before ({concern.verdict}: {concern.text})"
    cure = f"{CURE[concern.verdict]}; such batches pass with {concern.setting}"
    return Fault(concern.column, rule, rows, (), releasable=True, cure=cure)
