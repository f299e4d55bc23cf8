"""Predicts rows whose answer nobody knows yet: from IN to OUT, in parts, once.

A request is told by its content: the same rows, version, rules and OUT. One that was stopped is begun again, with the
same bytes in the end; one that was carried out is not repeated, as `var/predict/<request>.json` notes it.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim import __version__
from retrim.adapters.database import iso
from retrim.errors import BadInputError, UnknownNameError
from retrim.files import count_cores, make_private_folder, write_file
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace, report_progress
from retrim.parquet import parquet_table
from retrim.reading.address import place_of
from retrim.release.versions import Stored, interval_width
from retrim.serving.checked_rows import check_rows
from retrim.serving.needed_columns import NeededColumns, needed_columns, version_to_ask
from retrim.serving.past_features import LandedPast, read_past
from retrim.serving.rows_in import LoadedRows, RowsIn, open_rows
from retrim.serving.rows_out import REQUEST, RowsOut
from retrim.stats.codec import from_record, to_json, to_record
from retrim.table.data import ColumnType
from retrim.table.reading import ReadingParams
from retrim.training.estimators import is_own
from retrim.training.predicted import largest_contributions, predicted_columns, probability_columns

EXAMPLE = 100
"""Characters of an unknown value that are told: a cell may hold a whole text."""
PartCounts = tuple[int, int, "dict[str, UnseenValues]"]
"""Rows of a part, those of them that were predicted, and unseen values by feature."""


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
    """What every part is predicted with; the files of parts lie in `folder`, to be read in order of name."""

    stored: Stored
    needs: NeededColumns
    reading: ReadingParams
    rows_in: RowsIn
    out: RowsOut
    width: float | None
    explained: int
    request: str
    past: LandedPast | None
    folder: Path
    by_risk: bool


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
    keep: tuple[str, ...] = (),
    by_risk: bool = False,
) -> PredictedRows:
    """Predicts the rows at `where` and writes them to `to`.

    Args:
        version: Whose predictions; None: the live version's.
        keep: Columns of IN that are written beside each prediction, as they stand there.
        by_risk: Whether the highest prediction comes first; else rows come as in IN.

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
    make_private_folder(workspace.paths.tmp)
    with (
        held_locks(workspace, f"predict-{turn}"),
        TemporaryDirectory(prefix="predict-", dir=workspace.paths.tmp) as name,
    ):
        rows_in = open_rows(where, workspace.params.reading, query=query, table=table, spool=Path(name) / "in")
        there = rows_in.names()
        _refuse_wishes(keep, there, by_risk=by_risk, task=stored.predictor.view.task)
        needs, history = needed_columns(workspace, stored, there, kept=keep)
        past = None if history is None else read_past(workspace, history, stored.predictor.view.needs, now=now)
        about = [keep, "risk"] if by_risk else [keep] if keep else []
        request = _request(workspace, stored, rows_in, out, explained, past, needs, about, now=now)
        scoring = _Scoring(
            stored=stored,
            needs=needs,
            reading=workspace.params.reading,
            rows_in=rows_in,
            out=out,
            width=interval_width(stored),
            explained=explained,
            request=request,
            past=past,
            folder=Path(name),
            by_risk=by_risk,
        )
        with held_locks(workspace, f"predict-{request}"):
            return _once(scoring, home / f"{request}.json", now=now)


def _refuse_wishes(keep: tuple[str, ...], there: set[str], *, by_risk: bool, task: str) -> None:
    if strange := [column for column in keep if column not in there]:
        raise UnknownNameError("column", strange[0], sorted(there))
    if by_risk and task == "multiclass":
        raise BadInputError("--sort risk needs one number a row, but this model predicts several classes")


def _once(scoring: _Scoring, record: Path, *, now: pd.Timestamp) -> PredictedRows:
    """Carries a request out, or says that it was."""
    out, request = scoring.out, scoring.request
    publishing = record.with_suffix(".publishing")  # there while OUT is being written
    if record.is_file() and not publishing.exists():
        noted = json.loads(record.read_bytes())
        if noted["out"] is not None and noted["out"] == out.state(request):
            return replace(from_record(PredictedRows, noted["done"]), already=True)
    if not publishing.exists():
        out.refuse_existing()
    count, rows, unseen = _predict_parts(scoring)
    parts, rejected = (sorted(scoring.folder.glob(f"part-*{kind}")) for kind in (".parquet", ".rejected"))
    if scoring.by_risk:
        _sort(parts)
    if not publishing.exists():
        out.refuse_existing()
    write_file(publishing, b"")
    out.publish(parts, rejected, request, scoring.folder)
    beside = out.rejected if rejected else None
    version = scoring.stored.version
    done = PredictedRows(request, version, rows, count - rows, out.shown, beside, iso(now), unseen)
    write_file(record, to_json({"done": to_record(done), "out": out.state(request)}))
    publishing.unlink()
    return done


def _sort(parts: list[Path]) -> None:
    """Puts the highest prediction of all parts first; rows with the same stay as in IN."""
    table = pa.concat_tables([parquet_table(path.read_bytes()) for path in parts])
    table = table.sort_by([("prediction", "descending"), ("row", "ascending")])
    first = 0
    for path in parts:
        rows = pq.read_metadata(path).num_rows
        pq.write_table(table.slice(first, rows), path, compression="zstd")
        first += rows


def _request(
    workspace: Workspace,
    stored: Stored,
    rows_in: RowsIn,
    out: RowsOut,
    explained: int,
    past: LandedPast | None,
    needs: NeededColumns,
    wanted: list[Any],
    *,
    now: pd.Timestamp,
) -> str:
    """The id of a request: all that its bytes depend on."""
    row = workspace.store.version(workspace.model, stored.version)
    batches = [] if past is None else sorted(file.batch for file in workspace.landing.batches(now))
    settings = [workspace.params.reading.model_dump(mode="json"), workspace.params.data.model_dump(mode="json")]
    about = [workspace.model, stored.version, None if row is None else row.bundle, rows_in.state(), explained, batches]
    return _id([*about, settings, to_record(needs.suite), __version__, place_of(out.where), out.table, *wanted])


def _id(about: list[Any]) -> str:
    return sha256(to_json(about)).hexdigest()[:16]


def _predict_parts(scoring: _Scoring) -> tuple[int, int, dict[str, UnseenValues]]:
    """Predicts all parts: how many rows there are, how many were predicted, and unseen values by feature.

    Raises:
        BadInputError: IN has no rows, or changed meanwhile.
    """
    parts = count = rows = 0
    unseen: dict[str, UnseenValues] = {}
    for part_count, part_rows, part_unseen in _parts_made(scoring):
        parts, count, rows = parts + 1, count + part_count, rows + part_rows
        for name, values in part_unseen.items():
            unseen[name] = unseen[name] + values if name in unseen else values
        report_progress(f"predicting: {count:,} rows of {scoring.rows_in.shown}")
    if not parts:
        raise BadInputError(f"{scoring.rows_in.shown} has no rows; specify a table with rows")
    if scoring.rows_in.state_now() != scoring.rows_in.state():
        raise BadInputError(
            f"{scoring.rows_in.shown} changed while retrim was reading it, so nothing was written; run the "
            "command again when nothing is writing to the source"
        )
    return count, rows, unseen


def _parts_made(scoring: _Scoring) -> Iterator[PartCounts]:
    """The counts of parts in order; several are made at once."""
    past, whole = scoring.past, None
    if past is not None and past.see_one_another:
        whole = _whole_past(scoring, past)
    cores = 1 if is_own(scoring.stored.predictor.recipe.model) else count_cores()
    _ = scoring.stored.predictor.model  # loaded once, before threads ask for it
    waiting: deque[Future[PartCounts]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for number, load in enumerate(scoring.rows_in.parts(scoring.needs.columns)):
                path = scoring.folder / f"part-{number:06d}.parquet"
                waiting.append(pool.submit(_make_part, scoring, load, path, whole))
                if len(waiting) > cores:
                    yield waiting.popleft().result()
            yield from (future.result() for future in waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _make_part(
    scoring: _Scoring,
    load: Callable[[], LoadedRows],
    path: Path,
    whole: tuple[np.ndarray, dict[str, np.ndarray]] | None,
) -> PartCounts:
    loaded = load()
    frame, rows, rejected = check_rows(loaded, scoring.needs, scoring.reading)
    if whole is not None:
        places = np.searchsorted(whole[0], rows)
        frame = frame.assign(**{name: values[places] for name, values in whole[1].items()})
    elif scoring.past is not None:
        frame = frame.assign(**scoring.past.features(scoring.past.narrow(frame)))
    unseen = {
        name: UnseenValues(len(cells), min(cells.astype(str))[:EXAMPLE])
        for name, cells in scoring.stored.predictor.view.unseen_values(frame).items()
    }
    places = pa.array(np.searchsorted(loaded.rows, rows))
    kept = {name: loaded.table.column(name).take(places) for name in scoring.needs.kept}
    pq.write_table(_predictions(scoring, frame, rows, kept), path, compression="zstd")
    if len(rejected):
        if scoring.out.is_table:
            rejected = rejected.append_column(REQUEST, pa.array([scoring.request] * len(rejected), pa.string()))
        pq.write_table(rejected, path.with_suffix(".rejected"), compression="zstd")
    return len(loaded.rows) + len(loaded.ragged), len(frame), unseen


def _predictions(
    scoring: _Scoring, frame: pd.DataFrame, rows: np.ndarray, kept: Mapping[str, pa.ChunkedArray]
) -> pa.Table:
    predictor = scoring.stored.predictor
    view = predictor.view
    predicted = predictor.predict(frame)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"row": pa.array(rows, pa.int64())}
    for name, kind in scoring.needs.carried.items():
        if name in frame:
            columns[name] = _carried(frame[name], kind)
    columns |= {name: cells for name, cells in kept.items() if name not in columns}
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


def _whole_past(scoring: _Scoring, past: LandedPast) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Numbers of all rows that can be predicted, ascending, and their features from the past."""
    rows, narrow = [], []
    for load in scoring.rows_in.parts(scoring.needs.columns):
        frame, numbers, _ = check_rows(load(), scoring.needs, scoring.reading)
        rows.append(numbers)
        narrow.append(past.narrow(frame))
    if not rows:
        return np.empty(0, "int64"), {}
    return np.concatenate(rows), past.features(pd.concat(narrow, ignore_index=True))
