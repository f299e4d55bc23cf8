"""A table's history as files that came one after another: rows with their labels, or labels when they became known."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pandas as pd

from retrim.onboarding.draft import WorkspaceDraft
from retrim.profile.rhythm import Rhythm
from retrim.reading.landed import Kind, batch_id
from retrim.reading.raw import RawTable
from retrim.reading.table import KEY
from retrim.table.data import LABEL_TIME

FIRST_SHARE = 0.6
"""Share of the history that lands as one batch, as nothing is checked before there is a model."""
MOST_BATCHES = 30
"""Batches that the rest lands in, at most."""

LIKE_FILES = 3
"""Of those batches the last that many come as often as files do."""


@dataclass(frozen=True)
class HistoryFile:
    """One file of the history.

    Args:
        kind: Rows, or labels of rows that landed before.
        rows: Places of its rows in the whole table, in the order of the file.
    """

    arrives: pd.Timestamp
    kind: Kind
    rows: list[int]


def contents(drafted: WorkspaceDraft, raw: RawTable, *, now: pd.Timestamp) -> Iterator[tuple[HistoryFile, bytes]]:
    """Each file of the history with its bytes, in the order in which they land."""
    data, known = drafted.data, drafted.known
    names: dict[int, str] = {}  # of rows that no column names: by their batch and number
    for piece in pieces(drafted, now=now):
        if piece.kind == "rows":
            apart = () if known is None else (data.target, drafted.label_time)
            content = raw.piece(piece.rows, without=apart)
            if known is not None and not data.key:
                batch = batch_id(sha256(content).hexdigest())
                names |= {row: f"{batch}:{number}" for number, row in enumerate(piece.rows)}
        else:
            columns = {name: name for name in data.key} | {data.target: data.target}
            beside = {} if data.key else {KEY: [names[row] for row in piece.rows]}
            columns[drafted.label_time] = LABEL_TIME
            content = raw.piece(piece.rows, only=columns, beside=beside)
        yield piece, content


def pieces(drafted: WorkspaceDraft, *, now: pd.Timestamp) -> Iterator[HistoryFile]:
    """The history as files: most of it first, then a batch at a time, labels that come later after their rows.

    Args:
        now: None arrives later.
    """
    batches = _rows(drafted, now)
    if drafted.known is None:
        yield from batches
        return
    frame, data = drafted.frame, drafted.data
    due = frame[data.due] if data.due else frame[data.time] + pd.Timedelta(data.label_horizon or 0)
    known = drafted.known.fillna(due).where(frame[data.target].notna())
    order = known.dropna().sort_values(kind="stable").index
    left = pd.Series(known[order].to_numpy(), index=frame["_row"].to_numpy()[order])
    landed: set[int] = set()
    arrives = now
    for piece in batches:
        yield piece
        arrives = piece.arrives
        landed |= set(piece.rows)
        here = (left <= arrives).to_numpy() & left.index.isin(landed)
        if here.any():
            yield HistoryFile(arrives, "labels", [int(row) for row in left.index[here]])
            left = left[~here]
    if not len(left):
        return
    every = pd.Timedelta(data.batch_every)
    every *= max(int(np.ceil((left.iloc[-1] - arrives) / every / MOST_BATCHES)), 1)
    number = np.ceil(((left - arrives) / every).to_numpy())
    for span in np.unique(number):
        over = max(arrives, min(arrives + int(span) * every, now).floor("s"))
        yield HistoryFile(over, "labels", [int(row) for row in left.index[number == span]])


def _rows(drafted: WorkspaceDraft, now: pd.Timestamp) -> Iterator[HistoryFile]:
    frame, data = drafted.frame, drafted.data
    if drafted.reading.arrival is not None:
        yield from _by_order(frame.sort_values(data.time, kind="stable"), data.time, drafted.rhythm, now)
        return
    event = frame[data.time].sort_values(kind="stable")
    every = pd.Timedelta(data.batch_every)
    start = event.iloc[min(int(len(event) * FIRST_SHARE), len(event) - 1)].floor(
        "D" if every >= pd.Timedelta("1D") else "h"
    )
    left = max(event.iloc[-1] - start, pd.Timedelta("1s"))
    ends = _ends(int(np.ceil(left / every)))
    number = np.searchsorted(ends, ((frame[data.time] - start) // every).to_numpy(), side="right")
    last = min(event.iloc[0], now)
    for span in np.unique(number):
        rows = frame["_row"].to_numpy()[number == span]
        over = min(start + ends[min(int(span), len(ends) - 1)] * every, event.iloc[-1].ceil("D"))
        last = max(last, min(over, now)).floor("s")
        yield HistoryFile(last, "rows", [int(row) for row in rows])


def _ends(spans: int) -> list[int]:
    """Where batches end, in spans after the first batch, the first batch's end among them.

    Several spans make a batch where there are many, but for the last, which show how often files come.
    """
    together = max(-(-spans // MOST_BATCHES), 1)
    last = [] if together == 1 else [spans - left for left in range(LIKE_FILES, 0, -1)]
    return sorted({*range(0, spans - len(last), together), *last, spans})


def _by_order(frame: pd.DataFrame, time: str, rhythm: Rhythm, now: pd.Timestamp) -> Iterator[HistoryFile]:
    """By order of the rows, as far apart as files come, the last now; rows of one made time come together."""
    n, rows, times = len(frame), frame["_row"].to_numpy(), frame[time].to_numpy()
    first = int(n * FIRST_SHARE)
    usual = max(rhythm.batch_rows, -(-(n - first) // MOST_BATCHES), 1)
    ends = [*range(first, n, usual), n] if first < n else [n]
    ends = [int(np.searchsorted(times, times[max(end, 1) - 1], side="right")) for end in ends]
    starts = [0, *ends[:-1]]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end > start:
            arrives = now - (len(ends) - 1 - number) * pd.Timedelta(rhythm.batch_every)
            yield HistoryFile(arrives, "rows", [int(row) for row in rows[start:end]])
