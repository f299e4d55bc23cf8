"""Predicts rows whose answer nobody knows yet: from IN to OUT, in parts, once.

Parts lie under `var/predict/<request>/` until all are there. A request is told by its content: the same rows, version,
rules and OUT. So one that was stopped goes on where it was, with the same bytes in the end as if it had not been.
"""

import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim import __version__
from retrim.adapters.database import iso
from retrim.errors import BadInputError
from retrim.files import count_cores, flush, make_private_folder, write_file
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace, report_progress
from retrim.reading.address import place_of
from retrim.release.versions import Stored, interval_width
from retrim.serving.checked_rows import CheckedRows, check_rows
from retrim.serving.needed_columns import NeededColumns, needed_columns, version_to_ask
from retrim.serving.past_features import LandedPast, read_past
from retrim.serving.rows_in import RowsIn, RowsPart, open_rows
from retrim.serving.rows_out import REQUEST, RowsOut
from retrim.stats.codec import from_record, to_json, to_record
from retrim.table.data import ColumnType
from retrim.table.reading import ReadingParams
from retrim.training.estimators import is_own
from retrim.training.predicted import largest_contributions, predicted_columns, probability_columns

EXAMPLE = 100
"""Characters of an unknown value that are told: a cell may hold a whole text."""
PUBLISHING = "publishing"
"""A file beside the parts: OUT is being written."""


@dataclass(frozen=True)
class UnseenValues:
    """Category values that were not seen in training.

    Args:
        rows: Rows that have such a value.
        example: The first such value in alphabetical order.
    """

    rows: int
    example: str

    def __add__(self, other: "UnseenValues") -> "UnseenValues":
        return UnseenValues(self.rows + other.rows, min(self.example, other.example))


@dataclass(frozen=True)
class PredictedRows:
    """The result of predicting a file.

    Args:
        request: Id of the request, computed from the rows, the version and OUT.
        version: The version that made the predictions.
        rows: Rows that were predicted.
        rejected: Rows that could not be predicted.
        out: Where the predictions are.
        rejected_in: Where the rejected cells are listed; None if there are none.
        at: When the predictions were made.
        unseen: Category values that were not seen in training, by feature. The model treats them as missing.
        already: Whether an earlier call had already made all predictions.
    """

    request: str
    version: int
    rows: int
    rejected: int
    out: str
    rejected_in: str | None
    at: str
    unseen: Mapping[str, UnseenValues] = field(default_factory=dict)
    already: bool = False


@dataclass(frozen=True)
class _Scoring:
    """What every part is predicted with."""

    stored: Stored
    needs: NeededColumns
    reading: ReadingParams
    rows_in: RowsIn
    width: float | None
    explained: int
    request: str
    of_table: bool
    past: LandedPast | None


def predict(
    workspace: Workspace,
    where: str,
    to: str,
    *,
    version: int | None,
    explained: int,
    query: str | None,
    table: str | None,
    into: str,
    now: pd.Timestamp,
) -> PredictedRows:
    """Predicts the rows at `where` and writes them to `to`.

    Args:
        version: Whose predictions; None: the live version's.

    Raises:
        BadInputError: IN or OUT cannot be used, no version is live, or a column is missing.
        RefusedError: A stored bundle was altered, or its model has no exact contributions.
        BusyError: The same is in progress in another process.
    """
    stored = version_to_ask(workspace, version)
    out = RowsOut(to, into)
    out.refuse_unusable()
    home = workspace.paths.var / "predict"
    make_private_folder(home)
    source = [place_of(where), query, table]
    turn = _id([out.target, *(source if out.is_table else [])])  # many may write into one table at once
    spool = home / f"spool-{turn}"
    with held_locks(workspace, f"predict-{turn}"):
        try:
            with open_rows(where, workspace.params.reading, query=query, table=table, spool=spool) as rows_in:
                needs, history = needed_columns(workspace, stored, rows_in.names())
                past = None if history is None else read_past(workspace, history, stored.predictor.view.needs, now=now)
                request = _request(workspace, stored, rows_in, out, explained, past, needs, now=now)
                with held_locks(workspace, f"predict-{request}"):
                    scoring = _Scoring(
                        stored=stored,
                        needs=needs,
                        reading=workspace.params.reading,
                        rows_in=rows_in,
                        width=interval_width(stored),
                        explained=explained,
                        request=request,
                        of_table=out.is_table,
                        past=past,
                    )
                    return _once(scoring, out, home / request, now=now)
        finally:
            shutil.rmtree(spool, ignore_errors=True)


@dataclass(frozen=True)
class NotedRequest:
    """A request that was carried out: what came of it, and the state of its output then."""

    done: PredictedRows
    out: str | None = None


def _once(scoring: _Scoring, out: RowsOut, folder: Path, *, now: pd.Timestamp) -> PredictedRows:
    """Carries a request out, or says that it was."""
    shutil.rmtree(_gone(folder), ignore_errors=True)
    record = folder.with_name(f"{folder.name}.json")
    if record.is_file() and not folder.exists():  # it is there where one was stopped right before its end
        noted = from_record(NotedRequest, json.loads(record.read_bytes()))
        if noted.out is not None and noted.out == out.state(scoring.request):
            return replace(noted.done, already=True)
    if not (folder / PUBLISHING).exists():
        out.refuse_existing()
    done = _carry_out(scoring, out, folder, now=now)
    write_file(record, to_json(to_record(NotedRequest(done, out.state(scoring.request)))))
    _remove(folder)
    return done


def _gone(folder: Path) -> Path:
    return folder.with_name(f".gone-{folder.name}")


def _remove(folder: Path) -> None:
    """Removes the parts: all of them at once, for who comes after a kill."""
    folder.rename(_gone(folder))
    shutil.rmtree(_gone(folder))


def _request(
    workspace: Workspace,
    stored: Stored,
    rows_in: RowsIn,
    out: RowsOut,
    explained: int,
    past: LandedPast | None,
    needs: NeededColumns,
    *,
    now: pd.Timestamp,
) -> str:
    """The id of a request: all that its bytes depend on."""
    row = workspace.store.version(workspace.model, stored.version)
    batches = [] if past is None else sorted(file.batch for file in workspace.landing.batches(now))
    settings = [workspace.params.reading.model_dump(mode="json"), workspace.params.data.model_dump(mode="json")]
    about = [workspace.model, stored.version, None if row is None else row.bundle, rows_in.state(), explained, batches]
    return _id([*about, settings, to_record(needs.suite), __version__, place_of(out.where), out.table])


def _id(about: list[Any]) -> str:
    return sha256(to_json(about)).hexdigest()[:16]


def _carry_out(scoring: _Scoring, out: RowsOut, folder: Path, *, now: pd.Timestamp) -> PredictedRows:
    make_private_folder(folder)
    whole = None
    if scoring.past is not None and scoring.past.see_one_another:
        whole = _whole_past(scoring, scoring.past)
    rows = rejected = 0
    parts: list[Path] = []
    for path, count, predicted in _parts_made(scoring, folder, whole):
        parts.append(path)
        rows, rejected = rows + predicted, rejected + count - predicted
        report_progress(f"predicting: {rows + rejected:,} rows of {scoring.rows_in.shown}")
    if not parts:
        raise BadInputError(f"{scoring.rows_in.shown} has no rows; specify a table with rows")
    spoilt = [path for path in map(_rejected_of, parts) if path.exists()]
    if not (folder / PUBLISHING).exists():
        if scoring.rows_in.state_now() != scoring.rows_in.state():
            _remove(folder)
            raise BadInputError(
                f"{scoring.rows_in.shown} changed while retrim was reading it, so nothing was written; run the "
                "command again when nothing is writing to the source"
            )
        out.refuse_existing()
    write_file(folder / PUBLISHING, b"")
    out.publish(parts, spoilt, scoring.request, folder)
    beside = out.rejected if rejected else None
    unseen = _unseen_in(parts)
    return PredictedRows(scoring.request, scoring.stored.version, rows, rejected, out.shown, beside, iso(now), unseen)


def _parts_made(
    scoring: _Scoring, folder: Path, whole: tuple[np.ndarray, dict[str, np.ndarray]] | None
) -> Iterator[tuple[Path, int, int]]:
    """Each part's file, its rows, and how many of them are predicted; several are made at once, given in order."""
    cores = 1 if is_own(scoring.stored.predictor.recipe.model) else count_cores()
    _ = scoring.stored.predictor.model  # loaded once, before threads ask for it
    waiting: deque[tuple[Path, int, Future[int]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for number, part in enumerate(scoring.rows_in.parts(scoring.needs.columns)):
                path = folder / f"part-{number:06d}.parquet"
                waiting.append((path, part.count, pool.submit(_make_part, scoring, part, path, whole)))
                while len(waiting) > cores:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _first(waiting: deque[tuple[Path, int, Future[int]]]) -> tuple[Path, int, int]:
    path, count, future = waiting.popleft()
    return path, count, future.result()


def _rejected_of(part: Path) -> Path:
    return part.with_name(f"{part.stem}.rejected")


def _unseen_of(part: Path) -> Path:
    return part.with_name(f"{part.stem}.unseen")


def _unseen_in(parts: Iterable[Path]) -> dict[str, UnseenValues]:
    """What the parts hold of values that training did not know, by feature."""
    whole: dict[str, UnseenValues] = {}
    for path in filter(Path.exists, map(_unseen_of, parts)):
        for name, record in json.loads(path.read_bytes()).items():
            unseen = from_record(UnseenValues, record)
            whole[name] = whole[name] + unseen if name in whole else unseen
    return whole


def _make_part(
    scoring: _Scoring, part: RowsPart, path: Path, whole: tuple[np.ndarray, dict[str, np.ndarray]] | None
) -> int:
    """Writes a part, if it is not there; gives how many rows it has."""
    if path.exists():
        return int(pq.read_metadata(path).num_rows)
    checked = check_rows(part.load(), part.file, scoring.needs, scoring.reading)
    frame = checked.frame
    if whole is not None:
        places = np.searchsorted(whole[0], checked.rows)
        frame = frame.assign(**{name: values[places] for name, values in whole[1].items()})
    elif scoring.past is not None:
        frame = frame.assign(**scoring.past.features(scoring.past.narrow(frame)))
    if len(checked.rejected):
        _write(_for_table(checked.rejected, scoring), _rejected_of(path))
    unseen = scoring.stored.predictor.view.unseen_values(frame)
    if unseen:
        counts = {name: UnseenValues(len(cells), min(cells.astype(str))[:EXAMPLE]) for name, cells in unseen.items()}
        write_file(_unseen_of(path), to_json({name: to_record(count) for name, count in counts.items()}))
    _write(_predictions(scoring, frame, checked), path)
    return len(frame)


def _predictions(scoring: _Scoring, frame: pd.DataFrame, checked: CheckedRows) -> pa.Table:
    predictor = scoring.stored.predictor
    view = predictor.view
    predicted = predictor.predict(frame)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"row": pa.array(checked.rows, pa.int64())}
    for name, kind in scoring.needs.carried.items():
        if name in frame:
            columns[name] = _carried(frame[name], kind)
    answers = predicted_columns(view, predicted, predictor.decide(predicted), scoring.width)
    wanted = {"prediction": True, "class": view.task == "multiclass", "decision": predictor.threshold is not None}
    columns |= {name: values for name, values in answers.items() if wanted.get(name, scoring.width is not None)}
    columns |= probability_columns(view, predicted)
    if scoring.explained:
        columns |= largest_contributions(predictor, view.matrix(frame), predicted, scoring.explained)
    columns["version"] = pa.array(np.full(len(frame), scoring.stored.version), pa.int64())
    columns[REQUEST] = pa.array([scoring.request] * len(frame), pa.string())
    return pa.table(columns)


def _carried(values: pd.Series, kind: ColumnType) -> pa.Array | pa.ChunkedArray:
    if kind == "integer":
        return pa.array(values, pa.float64(), from_pandas=True).cast(pa.int64())
    return pa.Table.from_pandas(values.to_frame(), preserve_index=False).column(0)


def _for_table(rejected: pa.Table, scoring: _Scoring) -> pa.Table:
    if not scoring.of_table:
        return rejected
    return rejected.append_column(REQUEST, pa.array([scoring.request] * len(rejected), pa.string()))


def _write(table: pa.Table, path: Path) -> None:
    fresh = path.with_name(f".{path.name}.new")
    pq.write_table(table, fresh, compression="zstd")
    flush(fresh)
    fresh.replace(path)


def _whole_past(scoring: _Scoring, past: LandedPast) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Numbers of all rows that can be predicted, ascending, and their features from the past."""
    rows, narrow = [], []
    for part in scoring.rows_in.parts(scoring.needs.columns):
        checked = check_rows(part.load(), part.file, scoring.needs, scoring.reading)
        rows.append(checked.rows)
        narrow.append(past.narrow(checked.frame))
    if not rows:
        return np.empty(0, "int64"), {}
    return np.concatenate(rows), past.features(pd.concat(narrow, ignore_index=True))
