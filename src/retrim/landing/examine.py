"""What is in a file that is to land: typed rows with their keys, every fault, and whether it is what it looks like."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import pandas as pd

from retrim.adapters.great_expectations import fit_suite, for_columns, validate
from retrim.adapters.landing_zone import Landing
from retrim.batches.concern import BatchParams, Concern
from retrim.batches.verdict import History, VerdictKind, look_at
from retrim.landing.as_of_view import landed_columns
from retrim.reading.landed import BatchFile, Kind, batch_id, schemas_of
from retrim.reading.landed_rows import ROW, LandedRows
from retrim.reading.table import KEY, read_content
from retrim.table.data import LABEL_TIME, DataParams
from retrim.table.derived_columns import with_made
from retrim.table.fault import EXAMPLES_KEPT, Fault, Suite, of_rows
from retrim.table.keys import row_keys
from retrim.table.reading import ReadingParams
from retrim.table.schema import lacking, read_as

AFTER_ARRIVAL = "after its arrival"
"""In the rule of times that are later than their batch came."""
HISTORY_ROWS = 50_000  # newest landed rows that are read at most: this limits the memory that a verdict needs
BATCHES = 12  # newest regular batches, at least, so that it is known how long a batch usually is
CURE = {
    "broken": "correct the batch at its source and ingest it again, or land it anyway: retrim batch release ID "
    "--reason WHY",
    "suspicious": "inspect the batch; if it is wrong, withdraw it: retrim batch withdraw ID --reason WHY",
}
WHICH = (
    "show which of the two times is meant: write its UTC offset, such as 2024-10-27T02:00:00+01:00, or send "
    "both rows in order"
)


@dataclass(frozen=True)
class Incoming:
    """A file that is to land; of a chunk also the SHA-256, rows before and after it, and columns of the whole file."""

    content: bytes
    name: str
    kind: Kind
    correction: bool
    of: str = ""
    beside: tuple[int, int] = (0, 0)
    elsewhere: Collection[str] = ()

    @cached_property
    def digest(self) -> str:
        return sha256(self.content).hexdigest()


def examine(
    incoming: Incoming, data: DataParams, reading: ReadingParams, *, landing: Landing, now: pd.Timestamp
) -> tuple[pd.DataFrame | None, tuple[Fault, ...], tuple[Fault, ...]]:
    """Typed rows with their `_key` (None: it cannot be read), faults and warnings, without those of the suite."""
    kind, correction = incoming.kind, incoming.correction
    content = read_content(
        incoming.content, data, labels=kind == "labels", reading=reading, elsewhere=incoming.elsewhere
    )
    if content.frame is None or content.faults:
        return None, content.faults, content.warnings
    frame = content.frame
    open_faults = _settle_open(frame, content.either, kind, data, landing=landing, correction=correction)
    if kind == "rows":
        newest = None if reading.arrival is None else _newest_event(landing, data, until=now, but=incoming.of)
        frame = with_made(frame, data, reading, arrives=now, newest=newest, beside=incoming.beside)[list(data.columns)]
        if reading.arrival is not None:  # of two files that arrive at once, the second one's are a little later
            now = max(now, frame[data.time].max())
    if KEY not in frame:
        frame.insert(0, KEY, row_keys(frame, data.key, batch_id(content.digest)))
    if kind == "labels":
        frame = frame[[KEY, data.target, LABEL_TIME]]
    faults = [
        *open_faults,
        *_settle_classes(frame, data, landing=landing),
        *_key_faults(frame, kind, landing=landing, correction=correction),
        *_time_faults(frame, kind, data, arrives=now),
    ]
    if kind == "rows" and data.labels == "with_rows":
        cure = "send the rows with their labels, or set data.labels to 'later' or 'or_never' in params.yaml"
        rule = "is not blank, because labels come with the rows"
        faults += _of(frame, frame[data.target].isna(), data.target, rule, releasable=True, cure=cure)
    return frame, tuple(faults), content.warnings


def hold_to_suite(
    frame: pd.DataFrame, kind: Kind, suite: Suite, *, landing: Landing, data: DataParams
) -> tuple[tuple[Fault, ...], tuple[Fault, ...], tuple[str, ...]]:
    """Faults and warnings by the suite as far as it fits the columns that have landed, and what does not fit."""
    landed, names = landed_columns(landing, data)
    suite, notes = fit_suite(suite, data.suite, columns=frame.columns, landed=landed, names=names)
    if kind == "labels":
        suite, notes = for_columns(suite, frame.columns), ()
    return validate(frame, suite.without(data.warned)), validate(frame, for_columns(suite, data.warned)), notes


def look_at_batch(
    frame: pd.DataFrame,
    *,
    landing: Landing,
    data: DataParams,
    params: BatchParams,
    now: pd.Timestamp,
    of: str = "",
    reading: ReadingParams,
) -> tuple[VerdictKind, tuple[Fault, ...]]:
    """The verdict, and a fault for each concern that makes it so; only those of a broken batch hold it back."""
    # Corrections and labels are no history: they are not as long as a batch, nor as new.
    regular = [file for file in landing.standing() if file.kind == "rows" and not file.correction]
    if not regular:
        return "ok", ()
    history = _history(regular, data, root=landing.root)
    history = replace(history, ends=[], lags=[], counts=[]) if of else history
    verdict = look_at(frame, history, data, arrives=now, skip=(*reading.made, *params.skip), zone=reading.zone)
    grave = [concern for concern in verdict.concerns if concern.verdict == verdict.kind and concern.verdict in CURE]
    return verdict.kind, tuple(_fault(concern, len(frame)) for concern in grave)


def _history(regular: list[BatchFile], data: DataParams, *, root: Path) -> History:
    """The newest batches that hold `HISTORY_ROWS` rows together, and at least 12 files; pieces of one are a batch."""
    taken: list[BatchFile] = []
    rows = 0
    for file in reversed(regular):
        if rows >= HISTORY_ROWS and len(taken) >= BATCHES:
            break
        taken.insert(0, file)
        rows += file.rows
    schemas = schemas_of(taken)
    read = read_as(schemas, data, {})
    landed = LandedRows([file.path for file in taken], read, root=root)
    times = landed.narrow(["_batch", data.time])
    ends = dict(times.groupby("_batch", sort=False, observed=True)[data.time].max().items())
    places = times.sort_values(data.time, kind="stable")[ROW].iloc[-HISTORY_ROWS:].to_numpy()
    newest = landed.take(places, landed.columns)
    batches: dict[str, list[BatchFile]] = {}
    for file in taken:
        batches.setdefault(file.of or file.digest, []).append(file)
    last = [max(pd.Timestamp(ends[file.batch]) for file in files) for files in batches.values()]
    lags = [max(file.arrived for file in files) - end for files, end in zip(batches.values(), last, strict=True)]
    counts = [sum(file.rows for file in files) for files in batches.values()]
    return History(newest, last, lags, counts, lacking(schemas, data.columns, read.names))


def _fault(concern: Concern, rows: int) -> Fault:
    cure = f"{CURE[concern.verdict]}; to accept such batches, set {concern.setting}"
    return Fault(concern.column, concern.rule, rows, (), releasable=True, cure=cure)


def _newest_event(landing: Landing, data: DataParams, *, until: pd.Timestamp, but: str) -> pd.Timestamp | None:
    """The newest event of the batches that arrived by then, but those of one large file; None: there are none.

    Events of a table without an event time are no later than their arrival, so the newest batches have it.
    """
    newest = None
    for file in reversed(landing.standing()):
        if newest is not None and file.arrived < newest:
            break
        if file.kind == "rows" and file.arrived <= until and not (but and file.of == but):
            last = _column_of(file, data.time, data, landing=landing).max()
            newest = last if newest is None else max(newest, last)
    return newest


def _column_of(file: BatchFile, name: str, data: DataParams, *, landing: Landing) -> pd.Series:
    """A column of a landed batch, as it is declared now."""
    read = read_as(schemas_of([file]), data, {}, labels=file.kind == "labels")
    return LandedRows([file.path], read, root=landing.root).narrow([name])[name]


def landed_alike(frame: pd.DataFrame, data: DataParams, *, landing: Landing) -> BatchFile | None:
    """The landed batch that holds these rows, cell by cell, from a file of other bytes; None: none does."""
    names = [name for name in (KEY, *data.columns) if name in frame]
    rows = frame[names].sort_values(KEY, ignore_index=True)
    for file in reversed(landing.standing()):
        if file.kind != "rows" or file.rows != len(rows):
            continue
        columns = {name: _column_of(file, name, data, landing=landing) for name in names}
        there = pd.DataFrame(columns).sort_values(KEY, ignore_index=True)
        if all(bool(((rows[name] == there[name]) | (rows[name].isna() & there[name].isna())).all()) for name in names):
            return file
    return None


def _key_faults(frame: pd.DataFrame, kind: Kind, *, landing: Landing, correction: bool) -> list[Fault]:
    keys = frame[KEY]
    twice = keys.duplicated(keep=False)
    faults = _of(frame, twice, KEY, "is unique in the batch", releasable=False, cure="keep one row per key")
    if not correction:
        known = pd.Series(landing.known(keys, kind=kind, surely=True), index=keys.index)
        rule = f"is not the key of a {'row' if kind == 'rows' else 'label'} that has landed before"
        cure = "to replace what has landed, land the file as a correction: retrim ingest FILE --correction"
        faults += _of(frame, known, KEY, rule, releasable=False, cure=cure)
    if kind == "labels":
        strange = pd.Series(~landing.known(keys, kind="rows", surely=False), index=keys.index)
        cure = "land the rows, then release the labels; labels that are released first wait for their rows"
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
        early_row, late_row = (landing.known(some, kind="rows", surely=True) for some in (early, late))
        if correction:
            is_later = ~early_row & late_row
            unclear = pd.Series(early_row & late_row, index=early.index).reindex(keys.index, fill_value=False)
            rule, cure = "shows which of two equal local times it is, if rows of both have landed", WHICH
            faults += _of(frame.assign(**{KEY: keys}), unclear, name, rule, releasable=False, cure=cure)
        elif kind == "rows":
            is_later = early_row & ~late_row
        else:
            early_label, late_label = (landing.known(some, kind="labels", surely=True) for some in (early, late))
            is_later = late_row & ~late_label & (~early_row | early_label)
        frame.loc[early.index[is_later], name] = either[name]
    return faults


def _settle_classes(frame: pd.DataFrame, data: DataParams, *, landing: Landing) -> list[Fault]:
    """Spells true and false as the positive class is spelt, and faults a class of a binary target that is not known.

    Whatever is not the positive class would count as the negative one. Two are known, or those that `rest` declares.
    """
    target, positive, rest = data.target, data.positive, data.columns[data.target].rest
    if positive is None:
        return []
    words = frame[target].value_counts().index
    if words.isin([positive]).all():
        return []
    spelt = {word: _spelt_as(positive, word) for word in words}
    known = [positive, *rest] if rest else _known_classes(spelt, positive, data, landing=landing)
    spelt = {word: spelling for word, spelling in spelt.items() if word not in known and word != spelling}
    frame[target] = frame[target].replace(spelt)
    new = [word for word in frame[target].value_counts().index if word not in known]
    if len(known) == 1:  # the commonest one is the negative class
        known, new = [*known, *new[:1]], new[1:]
    rule = f"is {' or '.join(map(repr, known))}, because a binary target has {'these' if rest else 'two'} values"
    cure = "correct these labels, or spell them as those that have landed"
    if rest:
        cure += f"; a class that is new: add it to data.columns.{target}.rest"
    return _of(frame, frame[target].isin(new), target, rule, releasable=True, cure=cure)


def _spelt_as(positive: str, word: str) -> str:
    """True and false, which Parquet stores as booleans and each program spells in its way, as the positive class."""
    if {word.lower(), positive.lower()} <= {"true", "false"}:
        for spell in (str.lower, str.upper, str.capitalize):
            if spell(positive) == positive:
                return spell(word)
    return word


def _known_classes(spelt: Mapping[str, str], positive: str, data: DataParams, *, landing: Landing) -> list[str]:
    """The positive class and those that have landed; only as far back as it takes to know all words of a file."""
    known = {positive: None}
    for file in reversed(landing.standing()):
        if all(word in known or spelling in known for word, spelling in spelt.items()):
            break
        known |= dict.fromkeys(_column_of(file, data.target, data, landing=landing).dropna().unique())
    return list(known)


def _time_faults(frame: pd.DataFrame, kind: Kind, data: DataParams, *, arrives: pd.Timestamp) -> list[Fault]:
    """Events and label times later than their arrival, and labels that were due before their event.

    Such a row would never be mature or overdue, and what is newest by its event would be it for good.
    """
    name, span = (data.time, data.latest_after) if kind == "rows" else (LABEL_TIME, pd.Timedelta(data.times_ahead))
    rule = f"is {f'at most {span}' if span else 'not'} {AFTER_ARRIVAL}, {arrives}"
    cure = (
        "correct the times, or set their time zone (reading.zone); if rows are known before their event, set how long "
        "before in data.times_ahead"
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
    cells = zip(keys.index, keys, values, strict=True)
    return [of_rows(column, rule, cells, count=len(rows), releasable=releasable, cure=cure)]
