"""What is in a file that is to land: typed rows with their keys, and every fault but the suite's."""

from collections.abc import Mapping

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.core.fault import EXAMPLES_KEPT, Fault, of_rows
from retrim.core.keyed import row_keys
from retrim.core.made import with_made
from retrim.core.reading import ReadingParams
from retrim.core.table import LABEL_TIME, DataParams
from retrim.datasets.landed import Kind, batch_id
from retrim.datasets.table import KEY, read_content

WHICH = (
    "say which of the two: write the time with its offset, such as 2024-10-27T02:00:00+01:00, send both rows in their "
    "order, or name a column that says it (reading.repeated)"
)


def examine(
    content: bytes,
    kind: Kind,
    *,
    landing: Landing,
    how: tuple[DataParams, ReadingParams],
    now: pd.Timestamp,
    correction: bool,
) -> tuple[pd.DataFrame | None, tuple[Fault, ...]]:
    """Typed rows with their `_key`, and every fault but the suite's; None when it cannot be read at all."""
    data, spelt = how
    reading = read_content(content, data, labels=kind == "labels", reading=spelt)
    if reading.frame is None or reading.faults:
        return None, reading.faults
    frame = reading.frame
    open_faults = _settle_open(frame, reading.either, kind, data, landing=landing, correction=correction)
    if kind == "rows":
        frame = with_made(frame, data, spelt, arrives=now)[list(data.columns)]
    if KEY not in frame:
        frame.insert(0, KEY, row_keys(frame, data.key, batch_id(reading.digest)))
    if kind == "labels":
        frame = frame[[KEY, data.target, LABEL_TIME]]
    faults = [
        *open_faults,
        *_key_faults(frame, kind, landing=landing, correction=correction),
        *_time_faults(frame, kind, data, arrives=now),
    ]
    if kind == "rows" and data.labels == "with_rows":
        missing = frame[data.target].isna()
        cure = "send the rows with their labels, or set data.labels to 'later' or 'or_never' in params.yaml"
        rule = "is not blank, as labels come with the rows"
        faults += _of(frame, missing, data.target, rule, releasable=True, cure=cure)
    return frame, tuple(faults)


def _key_faults(frame: pd.DataFrame, kind: Kind, *, landing: Landing, correction: bool) -> list[Fault]:
    keys = frame[KEY]
    twice = keys.duplicated(keep=False)
    faults = _of(frame, twice, KEY, "is there once in the batch", releasable=False, cure="keep one row a key")
    if not correction:
        known = pd.Series(landing.known(keys, kind=kind, surely=True), index=keys.index)
        rule = f"is the key of no {'row' if kind == 'rows' else 'label'} that has landed before"
        cure = "to replace what has landed, land the file as a correction: retrim ingest FILE --correction"
        faults += _of(frame, known, KEY, rule, releasable=False, cure=cure)
    if kind == "labels":
        strange = pd.Series(~landing.known(keys, kind="rows", surely=False), index=keys.index)
        cure = "land the rows, then release the labels; released before, they wait for their rows"
        faults += _of(frame, strange, KEY, "is the key of a row that has landed", releasable=True, cure=cure)
    return faults


def _settle_open(
    frame: pd.DataFrame,
    either: Mapping[str, pd.Series],
    kind: Kind,
    data: DataParams,
    *,
    landing: Landing,
    correction: bool,
) -> list[Fault]:
    """Settles by what has landed of which of two equal local times a row is, where its file does not tell.

    New rows are of the later one where the earlier has landed, and labels where the earlier row is not there or has its
    label. A correction of one of two that have both landed has to say which: that is a fault.
    """
    faults = []
    for name in [name for name in either if name in data.key]:
        rows = either[name].notna()
        keys = row_keys(frame, data.key, "")
        early, late = keys[rows], row_keys(frame[rows].assign(**{name: either[name][rows]}), data.key, "")
        early_row, late_row = (landing.known(each, kind="rows", surely=True) for each in (early, late))
        if correction:
            is_later = ~early_row & late_row
            unclear = pd.Series(early_row & late_row, index=early.index).reindex(keys.index, fill_value=False)
            rule, cure = "is one time, where clocks showed it twice and both have landed", WHICH
            faults += _of(frame.assign(**{KEY: keys}), unclear, name, rule, releasable=False, cure=cure)
        elif kind == "rows":
            is_later = early_row & ~late_row
        else:
            early_label, late_label = (landing.known(each, kind="labels", surely=True) for each in (early, late))
            is_later = late_row & ~late_label & (~early_row | early_label)
        frame.loc[early.index[is_later], name] = either[name]
    return faults


def _time_faults(frame: pd.DataFrame, kind: Kind, data: DataParams, *, arrives: pd.Timestamp) -> list[Fault]:
    """Events and label times later than their arrival, and labels that were due before their event.

    Such a row would never be mature or overdue, and what is newest by its event would be it for good.
    """
    name, span = (data.time, data.latest_after) if kind == "rows" else (LABEL_TIME, pd.Timedelta(data.times_ahead))
    rule = f"is not after its arrival, {arrives}" + (f", by more than {span}" if span else "")
    cure = (
        "correct the times, or name the zone that they are of (reading.zone); if rows are known before their event, "
        "say how long before: data.times_ahead"
    )
    faults = _of(frame, frame[name] > arrives + span, name, rule, releasable=False, cure=cure)
    if kind == "rows" and data.due is not None:
        early = frame[data.due] < frame[data.time]
        cure = "correct the due times, or the event times"
        faults += _of(frame, early, data.due, "is not before the row's event", releasable=False, cure=cure)
    return faults


def _of(frame: pd.DataFrame, bad: pd.Series, column: str, rule: str, *, releasable: bool, cure: str) -> list[Fault]:
    rows = frame.index[bad]
    if not len(rows):
        return []
    keys, values = (frame.loc[rows[:EXAMPLES_KEPT], name].astype("str").fillna("") for name in (KEY, column))
    found = zip(keys.index, keys, values, strict=True)
    return [of_rows(column, rule, found, count=len(rows), releasable=releasable, cure=cure)]
