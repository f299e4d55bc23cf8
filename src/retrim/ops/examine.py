"""What is in a file that is to land: typed rows with their keys, and every fault but the suite's."""

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.core.fault import EXAMPLES_KEPT, Fault, of_rows
from retrim.core.keyed import row_keys
from retrim.core.made import with_made
from retrim.core.reading import ReadingParams
from retrim.core.table import LABEL_TIME, DataParams
from retrim.datasets.landed import Kind, batch_id
from retrim.datasets.table import KEY, read_content


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
    if kind == "rows":
        frame = with_made(frame, data, spelt, arrives=now)[list(data.columns)]
    if KEY not in frame:
        frame.insert(0, KEY, row_keys(frame, data.key, batch_id(reading.digest)))
    if kind == "labels":
        frame = frame[[KEY, data.target, LABEL_TIME]]
    faults = _key_faults(frame, kind, landing=landing, correction=correction)
    if kind == "rows" and data.labels == "with_rows":
        missing = frame[data.target].isna()
        cure = "send the rows with their labels, or set data.labels to 'later' in params.yaml"
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


def _of(frame: pd.DataFrame, bad: pd.Series, column: str, rule: str, *, releasable: bool, cure: str) -> list[Fault]:
    rows = frame.index[bad]
    if not len(rows):
        return []
    keys, values = (frame.loc[rows[:EXAMPLES_KEPT], name].astype("str").fillna("") for name in (KEY, column))
    found = zip(keys.index, keys, values, strict=True)
    return [of_rows(column, rule, found, count=len(rows), releasable=releasable, cure=cure)]
