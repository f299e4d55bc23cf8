"""When a batch arrives.

Arrivals go forward, or a table as of a past date would change after the fact. The exception is a batch that came and
was quarantined: it keeps the time at which it came. Versions made meanwhile hold their own batches and still rebuild.

A batch that keeps its contract, held against what has landed: whether it is what it looks like.

What is in a file that is to land: typed rows with their keys, and every fault but the suite's.

Taking a landed batch back: a new fact with its own time, so that views of before it stay as they were.

Lands a batch, or sets it aside: the way in for every row and every label.

A batch lands whole or not at all. Each use case may be killed between any two of its
writes and run again: what had landed is found by its digest, what had not is done.
"""

import hashlib
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd

from retrim.adapters.great_expectations import fit_suite, for_columns, read_suite, validate
from retrim.adapters.landing_zone import AtAddress, Landing
from retrim.batches.concern import BatchParams, Concern
from retrim.batches.verdict import History, VerdictKind, look_at
from retrim.batches.verdict import VerdictKind as Verdict
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths, file_digest, name_of
from retrim.landing.as_of_view import landed_columns, made_with, refuse_changes
from retrim.landing.quarantine import Quarantine, QuarantinedBatch, State
from retrim.lineage.workspace import Workspace, clock, require_who_and_why
from retrim.reading.chunks import Chunk, ChunkPart
from retrim.reading.landed import ID_LENGTH, ROW, BatchFile, Kind, LandedRows, Withdrawal, batch_id, schemas_of
from retrim.reading.table import KEY, read_bytes, read_content
from retrim.stats.codec import Unwritten, key, to_record, written
from retrim.table.data import LABEL_TIME, DataParams, row_keys
from retrim.table.derived_columns import with_made
from retrim.table.fault import EXAMPLES_KEPT, Fault, Suite, of_rows
from retrim.table.reading import PLAIN, ReadingParams
from retrim.table.schema import lacking, read_as

A_SECOND = pd.Timedelta("1s")


def arrival(
    landing: Landing, now: pd.Timestamp | None, *, correction: bool, came: pd.Timestamp | None = None
) -> pd.Timestamp:
    """The arrival time of what is about to land. Hold the landing zone's lock.

    Args:
        now: Its arrival time, UTC; None: when it first came, else by the clock.
        came: When it first came and was quarantined; then it may be before others. None: it comes now.

    Raises:
        BadInputError: It has no time zone; or it comes now, and is before the last arrival, or for a correction at the
            same time.
    """
    if came is not None:
        now = came if now is None else now
    last = None if came is not None else max((file.arrived for file in landing.batches()), default=None)
    if now is None:
        now = clock()
        while correction and last is not None and now < last <= now + 2 * A_SECOND:  # each has a second of its own
            time.sleep(0.05)
            now = clock()
        if last is not None and now <= last <= now + A_SECOND:
            now = last + A_SECOND if correction else last
    if now.tzinfo is None:
        raise BadInputError(f"the arrival time {now} has no time zone; write it in UTC")
    if last is not None and (now < last or (correction and now == last)):
        raise BadInputError(
            f"the arrival time {now} is not after that of the last batch, {last}; specify a later time; if the "
            "clock was fast when that batch arrived, see `retrim doctor`"
        )
    return now


AFTER_ARRIVAL = "after its arrival"
"""In the rule of times that are later than their batch came."""
BATCHES = 12  # newest regular batches, at least, so that it is known how long a batch usually is
CURE = {
    "broken": "correct the batch at its source and ingest it again, or land it anyway: retrim batch release ID "
    "--reason WHY",
    "suspicious": "inspect the batch; if it is wrong, withdraw it: retrim batch withdraw ID --reason WHY",
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
) -> tuple[VerdictKind, tuple[Fault, ...]]:
    """The verdict, and a fault for each concern that makes it so; only those of a broken batch hold it back.

    Corrections and labels are no history: they are not as long as a batch, nor as new.
    """
    regular = [file for file in landing.standing() if file.kind == "rows" and not file.correction]
    if not regular:
        return "ok", ()
    history = _history(regular, data, params, root=landing.root)
    history = replace(history, ends=[], lags=[], counts=[]) if of else history
    verdict = look_at(frame, history, data, params, arrives=now, made=reading.made, zone=reading.zone)
    grave = [concern for concern in verdict.concerns if concern.verdict == verdict.kind and concern.verdict in CURE]
    return verdict.kind, tuple(_fault(concern, len(frame)) for concern in grave)


def _history(regular: list[BatchFile], data: DataParams, params: BatchParams, *, root: Path) -> History:
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
    landed = LandedRows([file.path for file in taken], read, root=root)
    times = landed.narrow(["_batch", data.time])
    ends = dict(times.groupby("_batch", sort=False, observed=True)[data.time].max().items())
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
    cure = f"{CURE[concern.verdict]}; to accept such batches, set {concern.setting}"
    return Fault(concern.column, concern.rule, rows, (), releasable=True, cure=cure)


WHICH = (
    "show which of the two times is meant: write its UTC offset, such as 2024-10-27T02:00:00+01:00, or send "
    "both rows in order"
)


def examine(
    content: bytes,
    kind: Kind,
    *,
    landing: Landing,
    how: tuple[DataParams, ReadingParams],
    now: pd.Timestamp,
    correction: bool,
    elsewhere: Collection[str] = (),
    of: str = "",
    beside: tuple[int, int] = (0, 0),
) -> tuple[pd.DataFrame | None, tuple[Fault, ...]]:
    """Typed rows with their `_key`, and every fault but the suite's; None when it cannot be read at all.

    Of a chunk, `of` is its large file, `beside` the number of rows of that file before and after it, and `elsewhere`
    the columns of the whole file.
    """
    data, spelt = how
    reading = read_content(content, data, labels=kind == "labels", reading=spelt, elsewhere=elsewhere)
    if reading.frame is None or reading.faults:
        return None, reading.faults
    frame = reading.frame
    open_faults = _settle_open(frame, reading.either, kind, data, landing=landing, correction=correction)
    if kind == "rows":
        newest = None if spelt.arrival is None else _newest_event(landing, data, until=now, but=of)
        frame = with_made(frame, data, spelt, arrives=now, newest=newest, beside=beside)[list(data.columns)]
        if spelt.arrival is not None:  # of two files that arrive at once, the second one's are a little later
            now = max(now, frame[data.time].max())
    if KEY not in frame:
        frame.insert(0, KEY, row_keys(frame, data.key, batch_id(reading.digest)))
    if kind == "labels":
        frame = frame[[KEY, data.target, LABEL_TIME]]
    faults = [
        *open_faults,
        *_settle_classes(frame, data, landing=landing),
        *_key_faults(frame, kind, landing=landing, correction=correction),
        *_time_faults(frame, kind, data, arrives=now),
    ]
    if kind == "rows" and data.labels == "with_rows":
        missing = frame[data.target].isna()
        cure = "send the rows with their labels, or set data.labels to 'later' or 'or_never' in params.yaml"
        rule = "is not blank, because labels come with the rows"
        faults += _of(frame, missing, data.target, rule, releasable=True, cure=cure)
    return frame, tuple(faults)


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
        early_row, late_row = (landing.known(each, kind="rows", surely=True) for each in (early, late))
        if correction:
            is_later = ~early_row & late_row
            unclear = pd.Series(early_row & late_row, index=early.index).reindex(keys.index, fill_value=False)
            rule, cure = "shows which of two equal local times it is, if rows of both have landed", WHICH
            faults += _of(frame.assign(**{KEY: keys}), unclear, name, rule, releasable=False, cure=cure)
        elif kind == "rows":
            is_later = early_row & ~late_row
        else:
            early_label, late_label = (landing.known(each, kind="labels", surely=True) for each in (early, late))
            is_later = late_row & ~late_label & (~early_row | early_label)
        frame.loc[early.index[is_later], name] = either[name]
    return faults


def _settle_classes(frame: pd.DataFrame, data: DataParams, *, landing: Landing) -> list[Fault]:
    """Spells true and false as the positive class is spelt, and faults a third class of a binary target.

    Whatever is not the positive class would count as the negative one.
    """
    target, positive = data.target, data.positive
    if positive is None:
        return []
    words = frame[target].value_counts().index
    if words.isin([positive]).all():
        return []
    spelt = {word: _spelt_as(positive, word) for word in words}
    known = _known_classes(spelt, positive, data, landing=landing)
    spelt = {word: spelling for word, spelling in spelt.items() if word not in known and word != spelling}
    frame[target] = frame[target].replace(spelt)
    new = [word for word in frame[target].value_counts().index if word not in known]
    if len(known) == 1:  # the commonest one is the negative class
        known, new = [*known, *new[:1]], new[1:]
    rule = f"is {' or '.join(map(repr, known))}, because a binary target has two values"
    cure = "correct these labels, or spell them as those that have landed"
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
    found = zip(keys.index, keys, values, strict=True)
    return [of_rows(column, rule, found, count=len(rows), releasable=releasable, cure=cure)]


@dataclass(frozen=True)
class WithdrawalResult:
    """The result of a withdrawal.

    Args:
        fresh: Whether anything was withdrawn now; False if all of it had been withdrawn before.
        withdrawals: Withdrawal of the batch, or of each chunk of a large file.
        rows: Rows in these batches.
        versions: Versions that were made with these batches.
    """

    fresh: Unwritten[bool]
    withdrawals: Annotated[tuple[Withdrawal, ...], key("batches")]
    rows: int
    versions: tuple[int, ...]

    @written
    def outcome(self) -> Literal["withdrawn", "already"]:
        return "withdrawn" if self.fresh else "already"


def withdraw(workspace: Workspace, name: str, *, by: str, reason: str, now: pd.Timestamp | None) -> WithdrawalResult:
    """Takes a batch back, or all pieces of a large file; doing it again changes nothing.

    Args:
        now: From when on it is left out, after the last arrival; None: by the clock.

    Raises:
        BadInputError: There is no such batch, or several; nobody or no reason is named; or the time is not after the
            last arrival.
    """
    require_who_and_why(by=by, reason=reason)
    landing = workspace.landing
    with landing.locked():
        files, before = find_batches(landing.batches(), name), landing.withdrawals()
        fresh = [file for file in files if file.batch not in before]
        at = _moment(workspace, now) if fresh else clock()
        for file in fresh:
            landing.withdraw(Withdrawal(file.batch, file.digest, at, by, reason))
        kept = landing.withdrawals()
    withdrawals = tuple(kept[file.batch] for file in files)
    versions = tuple(made_with(workspace, *files))
    return WithdrawalResult(bool(fresh), withdrawals, sum(file.rows for file in files), versions)


def find_batches(files: list[BatchFile], name: str) -> list[BatchFile]:
    """The batch whose digest begins with `name`; or the pieces of the large file whose digest does.

    Raises:
        BadInputError: None does, or those of several do.
    """
    own = [file for file in files if file.digest.startswith(name)] if name else []
    pieces = [file for file in files if file.of.startswith(name)] if name else []
    found = {file.digest for file in own} | {file.of for file in pieces}
    if not found:
        raise BadInputError(
            f"no landed batch has an id that begins with {name!r}; list landed batches with `retrim batch list`, and "
            "those in quarantine with `retrim batch list --quarantined`"
        )
    if len(found) > 1:
        listed = ", ".join(sorted(each[:ID_LENGTH] for each in found))
        raise BadInputError(f"{name!r} matches several batches: {listed}; write more digits of the id")
    return own or pieces


def _moment(workspace: Workspace, now: pd.Timestamp | None) -> pd.Timestamp:
    """When a withdrawal counts from: after all that has arrived, so that no view of before it changes."""
    last = max(file.arrived for file in workspace.landing.batches())
    if now is None:
        now = clock()
        if now <= last <= now + A_SECOND:
            now = last + A_SECOND
    if now <= last:
        raise BadInputError(
            f"the time {now} is not after the last arrival, {last}, and earlier as-of views must not change; "
            "specify a later time"
        )
    return now


@dataclass(frozen=True, kw_only=True)
class ListedBatch(BatchFile):
    """A landed batch, with whether it counts.

    Args:
        withdrawn: Who withdrew it, when and why. None: nobody.
    """

    withdrawn: Withdrawal | None


@dataclass(frozen=True, kw_only=True)
class ShownBatch(ListedBatch):
    """A landed batch, with what is in it and what it is in.

    Args:
        columns: Type of each column.
        versions: Versions made with it.
    """

    columns: dict[str, str]
    versions: list[int]


def listed_batches(workspace: Workspace) -> list[ListedBatch]:
    """Every landed batch, in order of arrival."""
    withdrawals = workspace.landing.withdrawals()
    return [ListedBatch(**vars(file), withdrawn=withdrawals.get(file.batch)) for file in workspace.landing.batches()]


def show_batch(workspace: Workspace, name: str) -> ShownBatch:
    """One landed batch.

    Raises:
        BadInputError: There is no such batch, or several.
    """
    files = find_batches(workspace.landing.batches(), name)
    if len(files) > 1:
        listed = ", ".join(file.batch for file in files)
        raise BadInputError(
            f"{name!r} is a large file that landed in {len(files)} batches: {listed}; specify one of these batches"
        )
    (file,), withdrawals = files, workspace.landing.withdrawals()
    found = withdrawals.get(file.batch)
    versions = made_with(workspace, file)
    return ShownBatch(**vars(file), withdrawn=found, columns=dict(file.schema.types), versions=versions)


def refuse_withdrawn(found: BatchFile, withdrawal: Withdrawal | None) -> None:
    """Refuses a file that landed before and was withdrawn.

    Raises:
        RefusedError: It was: says by whom and why, and the cure.
    """
    if withdrawal is not None:
        raise RefusedError(
            f"batch {found.batch} was withdrawn on {withdrawal.at.isoformat()} by {withdrawal.by} "
            f"({withdrawal.reason}); correct its rows, and land the corrected file. If the rows were right, store "
            "them in a different format, such as Parquet, and land that file"
        )


log = logging.getLogger(__name__)
Outcome = Literal["landed", "already", "quarantined"]


@dataclass(frozen=True)
class Landed:
    """The result of landing a batch.

    Args:
        outcome: `landed`; `already`: the same bytes had landed before, so nothing was done; or `quarantined`.
        kind: Rows or labels.
        digest: SHA-256 of the file's bytes.
        rows: Rows of the batch; 0 if it could not be read.
        path: The landed file, or the folder in quarantine.
        faults: Why the batch was quarantined or is suspicious; for a released batch, the faults that were overridden.
        verdict: Verdict of this inspection; None if the batch was not inspected.
        part: For a chunk of a large file: which one. Its faults name rows of that file.
        notes: Expectations that were skipped because their column is gone; how many rows a correction added.
        size: Bytes that were read.
    """

    outcome: Outcome
    kind: Kind
    digest: str
    rows: int
    path: Path
    faults: tuple[Fault, ...]
    verdict: Verdict | None
    part: ChunkPart | None = None
    notes: tuple[str, ...] = ()
    size: int = 0

    @property
    def batch(self) -> str:
        """Id of the batch: the first 16 digits of the digest."""
        return batch_id(self.digest)

    def as_record(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "batch": self.batch,
            "kind": self.kind,
            "digest": self.digest,
            "rows": self.rows,
            "path": str(self.path),
            "faults": [to_record(fault) for fault in self.faults],
            "verdict": self.verdict,
            "notes": list(self.notes),
            **({} if self.part is None else self.part.as_record()),
        }


def land_batch(
    path: Path | Chunk,
    *,
    workspace: WorkspacePaths,
    data: DataParams,
    now: pd.Timestamp | None,
    correction: bool,
    batches: BatchParams | None = None,
    reading: ReadingParams = PLAIN,
    at: AtAddress | None = None,
) -> Landed:
    """Lands the file at `path` as rows, arrived `now`, or quarantines it.

    Args:
        now: Arrival time, UTC; not before that of the last batch, and after it for a correction. None: by the
            clock when its turn has come, so that of two that land at once neither is too early.
        batches: How a batch that keeps its contract is looked at; None, and corrections: by the contract alone.
        at: Where the landing zone is of record; None: in the workspace.

    Raises:
        BadInputError: There is no such file, the suite cannot be used, the arrival time goes
            backwards, or a table without a key is to be corrected.
    """
    look = None if correction else batches
    how = (data, reading)
    return _land(path, "rows", workspace=workspace, how=how, now=now, correction=correction, batches=look, at=at)


def land_labels(
    path: Path | Chunk,
    *,
    workspace: WorkspacePaths,
    data: DataParams,
    now: pd.Timestamp | None,
    correction: bool,
    reading: ReadingParams = PLAIN,
    at: AtAddress | None = None,
) -> Landed:
    """The same for labels of rows that landed before. A correction may replace labels that are known."""
    how = (data, reading)
    return _land(path, "labels", workspace=workspace, how=how, now=now, correction=correction, batches=None, at=at)


def quarantine_list(workspace: WorkspacePaths) -> list[QuarantinedBatch]:
    """Every batch that was ever set aside, with its state, in order of arrival."""
    return Quarantine(workspace.quarantine).entries()


def quarantined_batch(workspace: Workspace, name: str) -> QuarantinedBatch | None:
    """The batch in quarantine that a name means; None: it means one that landed, or none."""
    if any(each.startswith(name) for file in workspace.landing.batches() for each in (file.digest, file.of)):
        return None
    quarantine = Quarantine(workspace.paths.quarantine)
    return quarantine.get(name) if any(entry.batch.startswith(name) for entry in quarantine.entries()) else None


def release_quarantined(
    name: str,
    *,
    workspace: WorkspacePaths,
    data: DataParams,
    now: pd.Timestamp,
    by: str,
    reason: str,
    reading: ReadingParams = PLAIN,
    arrived: pd.Timestamp | None = None,
    at: AtAddress | None = None,
) -> Landed:
    """Lands a quarantined batch in spite of its bounds, whatever has landed since.

    It is released `now`, and arrived at `arrived`, UTC; None: when it first came.

    Raises:
        RefusedError: It has faults that no reason cures, or was dropped.
        BadInputError: No such batch, or nobody or no reason is named.
    """
    require_who_and_why(by=by, reason=reason)
    landing, quarantine = Landing(workspace.landing, at), Quarantine(workspace.quarantine)
    with landing.locked():
        entry = quarantine.get(name)
        before = landing.find(entry.digest)
        if before is not None:
            refuse_withdrawn(before, landing.withdrawals().get(before.batch))
            _close_landed(quarantine, entry, before.released, by=by, now=now)
            return Landed("already", before.kind, before.digest, before.rows, before.path, (), None)
        content = quarantine.content(entry)
        if entry.state != "held" or content is None:
            raise RefusedError(f"batch {entry.batch} was {entry.state} ({entry.reason}); ingest {entry.file} again")
        refuse_changes(landing, data)
        came = arrival(landing, arrived, correction=entry.correction, came=entry.arrived)
        frame, faults = examine(
            content,
            entry.kind,
            landing=landing,
            how=(data, reading),
            now=came,
            correction=entry.correction,
            elsewhere=data.columns if entry.of else (),
            of=entry.of,
            beside=entry.beside,
        )
        stubborn = [fault for fault in faults if not fault.releasable]
        if stubborn or frame is None:
            listed = "; ".join(f"{fault}: {fault.cure}" for fault in stubborn)
            raise RefusedError(f"batch {entry.batch} cannot be released: {listed}")
        what = (entry.kind, data, entry.of)
        path = _write(landing, what, frame, entry.digest, now=came, correction=entry.correction, released=reason)
        _close_landed(quarantine, entry, reason, by=by, now=now)
    log.info("batch released", extra={"batch": entry.batch, "by": by, "reason": reason})
    return Landed("landed", entry.kind, entry.digest, len(frame), path, entry.faults, None)


def drop_quarantined(
    name: str, *, workspace: WorkspacePaths, now: pd.Timestamp, by: str, reason: str
) -> QuarantinedBatch:
    """Removes the bytes of a quarantined batch and keeps its report.

    Raises:
        RefusedError: It was released or has landed.
        BadInputError: No such batch, or nobody or no reason is named.
    """
    require_who_and_why(by=by, reason=reason)
    quarantine = Quarantine(workspace.quarantine)
    with Landing(workspace.landing).locked_here():
        entry = quarantine.get(name)
        if entry.state in ("released", "landed"):
            raise RefusedError(
                f"batch {entry.batch} was {entry.state}; correct its rows: retrim ingest FILE --correction"
            )
        entry = quarantine.close(entry, state="dropped", by=by, reason=reason, now=now)
    log.info("batch dropped", extra={"batch": entry.batch, "by": by, "reason": reason})
    return entry


def _land(
    path: Path | Chunk,
    kind: Kind,
    *,
    workspace: WorkspacePaths,
    how: tuple[DataParams, ReadingParams],
    now: pd.Timestamp | None,
    correction: bool,
    batches: BatchParams | None,
    at: AtAddress | None,
) -> Landed:
    data = how[0]
    if correction and not data.key and kind == "rows":
        raise BadInputError("rows without a key cannot be corrected; set the key columns in params.yaml (data.key)")
    suite = read_suite(workspace.root / data.suite)
    landing, quarantine = Landing(workspace.landing, at), Quarantine(workspace.quarantine)
    elsewhere: Collection[str] = ()
    if isinstance(path, Chunk):
        content, name, of, elsewhere = path.content, path.name, path.part.of, path.columns
    else:
        content, name, of = read_bytes(path), name_of(path), ""
    digest = hashlib.sha256(content).hexdigest()
    with landing.locked():
        entry = quarantine.find(digest)
        before = landing.find(digest)
        if before is not None:
            refuse_withdrawn(before, landing.withdrawals().get(before.batch))
            if entry is not None:
                _close_landed(quarantine, entry, before.released, by="", now=now or clock())
            return Landed("already", before.kind, digest, before.rows, before.path, (), None, size=len(content))
        came = None  # what waits in quarantine, and is offered again, came before
        if (
            entry is not None
            and (entry.state, entry.kind, entry.correction) == ("held", kind, correction)
            and not any(AFTER_ARRIVAL in fault.rule for fault in entry.faults)  # else a clock may have been slow then
        ):
            came = entry.arrived
        refuse_changes(landing, data)
        begun = arrival(landing, now, correction=correction, came=came)
        beside = (0, 0) if isinstance(path, Path) else (path.part.first, path.part.after)
        frame, faults = examine(
            content,
            kind,
            landing=landing,
            how=how,
            now=begun,
            correction=correction,
            elsewhere=elsewhere,
            of=of,
            beside=beside,
        )
        notes: tuple[str, ...] = ()
        if frame is not None and all(fault.releasable for fault in faults):
            more, notes = _hold_to_suite(frame, kind, suite, landing=landing, data=data)
            faults += more
        verdict: Verdict | None = "broken" if frame is None or faults else None
        if frame is not None and not faults and batches is not None and batches.skip != "all":
            verdict, faults = look_at_batch(
                frame, landing=landing, now=now or clock(), of=of, data=data, params=batches, reading=how[1]
            )
        rows = 0 if frame is None else len(frame)
        closed = now or clock()
        now = arrival(landing, now, correction=correction, came=came)  # late: a check just now has not seen it
        if frame is None or (faults and verdict == "broken"):
            entry = QuarantinedBatch(
                digest=digest,
                kind=kind,
                correction=correction,
                file=name,
                of=of,
                beside=beside,
                size=len(content),
                arrived=came or now,
                state="held",
                by="",
                reason="",
                closed=None,
                faults=faults,
            )
            folder = quarantine.put(entry, content)
            log.info("batch quarantined", extra={"batch": entry.batch, "faults": len(faults)})
            return Landed("quarantined", kind, digest, rows, folder, faults, verdict, notes=notes, size=len(content))
        why = "; ".join(f"{fault}; {fault.cure}" for fault in faults) if verdict == "suspicious" else ""
        if correction and (new := int((~landing.known(frame[KEY], kind=kind, surely=False)).sum())):
            notes = (
                *notes,
                f"{new} of {rows} {kind} had not landed before; they were added, as there was nothing to correct",
            )
        landed = _write(
            landing, (kind, data, of), frame, digest, now=now, correction=correction, released="", suspicious=why
        )
        if entry is not None:
            _close_landed(quarantine, entry, "", by="", now=closed)
    log.info("batch landed", extra={"batch": batch_id(digest), "rows": rows})
    return Landed("landed", kind, digest, rows, landed, faults, verdict, notes=notes, size=len(content))


def quarantine_unread(
    path: Path,
    kind: Kind,
    fault: Fault,
    *,
    workspace: WorkspacePaths,
    now: pd.Timestamp | None,
    at: AtAddress | None,
) -> Landed:
    """Sets a file aside without reading it as a table; nothing of it is held in memory.

    Args:
        now: When it arrives, UTC; None: by the clock.
        at: Where the landing zone is of record; None: in the workspace.
    """
    landing, quarantine, digest = Landing(workspace.landing, at), Quarantine(workspace.quarantine), file_digest(path)
    with landing.locked():
        before = landing.find(digest)
        if before is not None:
            return Landed("already", before.kind, digest, before.rows, before.path, (), None)
        entry = QuarantinedBatch(
            digest=digest,
            kind=kind,
            correction=False,
            file=name_of(path),
            size=path.stat().st_size,
            arrived=arrival(landing, now, correction=False),
            state="held",
            by="",
            reason="",
            closed=None,
            faults=(fault,),
        )
        folder = quarantine.put(entry, path)
    log.info("batch quarantined", extra={"batch": entry.batch, "faults": 1})
    return Landed("quarantined", kind, digest, 0, folder, (fault,), None)


def _hold_to_suite(
    frame: pd.DataFrame, kind: Kind, suite: Suite, *, landing: Landing, data: DataParams
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """Faults by the suite as far as it fits the columns that have landed, and what does not fit."""
    landed, names = landed_columns(landing, data)
    fitted = fit_suite(suite, data.suite, columns=frame.columns, landed=landed, names=names)
    if kind == "rows":
        return validate(frame, fitted.suite), fitted.notes
    return validate(frame, for_columns(fitted.suite, frame.columns)), ()


def _write(
    landing: Landing,
    what: tuple[Kind, DataParams, str],
    frame: pd.DataFrame,
    digest: str,
    *,
    now: pd.Timestamp,
    correction: bool,
    released: str,
    suspicious: str = "",
) -> Path:
    kind, data, of = what
    land = partial(
        landing.land_labels if kind == "labels" else partial(landing.land_rows, suspicious=suspicious),
        digest=digest,
        arrived=now,
        correction=correction,
        released=released,
        of=of,
        data=data,
    )
    if kind == "labels":
        # A source that does not say when a label was known learned it when it sent it.
        known = frame[LABEL_TIME].fillna(now)
        return land(frame.assign(**{LABEL_TIME: known}))
    # In order of event, so that whoever reads a span of time reads few parts of the file.
    if not frame[data.time].is_monotonic_increasing:
        frame = frame.sort_values(data.time, kind="stable", ignore_index=True)
    return land(frame)


def _close_landed(
    quarantine: Quarantine, entry: QuarantinedBatch, released: str, *, by: str, now: pd.Timestamp
) -> None:
    """Ends an entry whose bytes have landed: released with that reason, or else accepted when they came again."""
    state: State = "released" if released else "landed"
    quarantine.close(
        entry, state=state, by=by if released else "", reason=released or "accepted when it was ingested again", now=now
    )
