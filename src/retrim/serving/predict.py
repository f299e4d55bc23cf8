"""Predicts rows whose answer nobody knows yet: from IN to OUT, in parts, once.

Parts lie under `var/predict/<request>/` until all are there. A request is told by its content: the same rows, version,
rules and OUT. So one that was stopped goes on where it was, with the same bytes in the end as if it had not been.

Features from the past of rows that have not landed are made of what has landed, and of the rows themselves.
"""

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from retrim.release.versions import Stored, interval_width, load_champion, load_stored_version
from retrim.serving.checked_rows import CheckedRows, NeededColumns, check_rows, suite_of_rows
from retrim.serving.rows_in import RowsIn, RowsPart, open_rows
from retrim.serving.rows_out import REQUEST, RowsOut
from retrim.stats.codec import from_record, to_json, to_record
from retrim.table.data import ColumnType, row_keys, total_order, with_past
from retrim.table.fault import Suite
from retrim.table.lags import HistoryParams, past_takes
from retrim.table.reading import ReadingParams
from retrim.training.estimators import is_own
from retrim.training.predicted import largest_contributions, predicted_columns, probability_columns


@dataclass(frozen=True)
class LandedPast:
    """What has landed, as far as features from the past are made of it.

    Args:
        workspace: The workspace.
        history: Of the version.
        landed: Landed rows with their times and what the features are made of, in total order.
    """

    workspace: Workspace
    history: HistoryParams
    landed: pd.DataFrame

    @property
    def see_one_another(self) -> bool:
        """Whether a row's features are made of other rows that have not landed: of a column known before its label."""
        return any(feature.of not in self._late for feature in self.history.features)

    @property
    def _late(self) -> set[str]:
        columns = self.workspace.params.data.columns
        return {name for name, column in columns.items() if column.role in ("target", "forbidden")}

    def narrow(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Of rows, what features from the past are made of."""
        data = self.workspace.params.data
        wanted = {data.time, *data.key, *past_takes(self.history)} - self._late
        return rows[[name for name in rows if name in wanted]]

    def features(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """The features of rows that have not landed, by name, shape (n,); a landed row of the same key is replaced."""
        data = self.workspace.params.data
        named = set(data.key) <= set(rows)
        keys = row_keys(rows, data.key, "") if named else pd.Series([f"\0{n}" for n in range(len(rows))])
        fresh = rows.assign(_key=keys.to_numpy(), _event=rows[data.time], _due=None, _place=np.arange(len(rows)))
        before = self.landed[~self.landed["_key"].isin(fresh["_key"])] if named else self.landed
        fresh = fresh.reindex(columns=[*before.columns, "_place"])
        fresh = fresh.astype({name: before[name].dtype for name in before})
        table = pd.concat([before.assign(_place=-1), fresh], ignore_index=True)
        table = table.take(total_order(table["_event"], table["_key"])).reset_index(drop=True)
        made = with_past(table, data, self.history)
        own = made[made["_place"] >= 0].sort_values("_place")
        return {name: own[name].to_numpy() for name in self.history.columns if name in own}


def read_past(workspace: Workspace, history: HistoryParams, needed: Iterable[str], *, now: pd.Timestamp) -> LandedPast:
    """What has landed by `now`, for features that a version needs.

    Raises:
        BadInputError: No rows have landed, or a feature is made of a column that the table no longer has.
    """
    from retrim.landing.as_of_view import read_as_of  # for features of the past, which most versions have not

    table = read_as_of(workspace, as_of=now)
    takes = sorted(past_takes(history))
    gone = [name for name in takes if name not in table.times]
    if gone:
        feature = next(name for name in history.columns if name in set(needed))
        raise BadInputError(
            f"the version needs {feature!r}, which is computed from {gone[0]!r}, but the table no longer has "
            f"{gone[0]!r}; add {feature!r} to the rows, or use a different version: --version N"
        )
    columns = dict.fromkeys(["_key", "_event", "_due", workspace.params.data.time, *takes])
    return LandedPast(workspace, history, table.times[[name for name in columns if name in table.times]])


EXAMPLE = 100
"""Characters of an unknown value that are told: a cell may hold a whole text."""


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


SuiteOf = Callable[[Path, Mapping[str, ColumnType]], Suite]


@dataclass(frozen=True)
class _Scoring:
    """What every part is predicted with."""

    found: Stored
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
    found = version_to_ask(workspace, version)
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
                needs, history = needed_columns(workspace, found, rows_in.names())
                past = None if history is None else read_past(workspace, history, found.predictor.view.needs, now=now)
                request = _request(workspace, found, rows_in, out, explained, past, needs, now=now)
                with held_locks(workspace, f"predict-{request}"):
                    scoring = _Scoring(
                        found=found,
                        needs=needs,
                        reading=workspace.params.reading,
                        rows_in=rows_in,
                        width=interval_width(found),
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


PUBLISHING = "publishing"
"""A file beside the parts: OUT is being written."""


def _gone(folder: Path) -> Path:
    return folder.with_name(f".gone-{folder.name}")


def _remove(folder: Path) -> None:
    """Removes the parts: all of them at once, for who comes after a kill."""
    folder.rename(_gone(folder))
    shutil.rmtree(_gone(folder))


def version_to_ask(workspace: Workspace, version: int | None) -> Stored:
    """A version by its number; None: the live one.

    Raises:
        BadInputError: There is none.
        RefusedError: Its stored bundle was altered.
    """
    found = load_champion(workspace) if version is None else load_stored_version(workspace, version)
    if found is None:
        raise BadInputError(
            f"no version of {workspace.model} is live; choose one with --version N, or train one: retrim retrain"
        )
    return found


def history_of(workspace: Workspace, version: int) -> HistoryParams:
    """The features from the past that a version was made with."""
    row = workspace.store.version(workspace.model, version)
    noted = None if row is None else row.made_from.history
    return HistoryParams.model_validate(noted) if noted else HistoryParams()


def needed_columns(
    workspace: Workspace, found: Stored, there: set[str], suite_of: SuiteOf = suite_of_rows
) -> tuple[NeededColumns, HistoryParams | None]:
    """Columns that a version takes, and its features from the past where IN does not have them."""
    data, reading = workspace.params.data, workspace.params.reading
    history = history_of(workspace, found.version)
    needed = found.predictor.view.needs
    from_past = [name for name in history.columns if name in needed]
    to_make = [name for name in from_past if name not in there]
    types = {name: column.type for name, column in data.columns.items()}
    required: dict[str, ColumnType] = {name: kind for name, kind in needed.items() if name not in from_past}
    for name in found.predictor.columns:
        if name not in from_past:
            required.setdefault(name, types.get(name, "category"))
    calendar = {name: part for name, part in reading.calendar.items() if name in required}
    if to_make:
        late = {name for name, column in data.columns.items() if column.role in ("target", "forbidden")}
        for name in (data.time, *sorted(past_takes(history) - late)):
            required.setdefault(name, types.get(name, "category" if name in history.entity else "number"))
    carried = {name: types[name] for name in (*data.key, data.time) if name in types}
    filled = frozenset({data.time} if calendar or to_make else ())
    suite = suite_of(workspace.paths.root / data.suite, required)
    made = () if to_make else tuple(from_past)
    return NeededColumns(required, carried, made, calendar, data.time, filled, suite), history if to_make else None


def _request(
    workspace: Workspace,
    found: Stored,
    rows_in: RowsIn,
    out: RowsOut,
    explained: int,
    past: LandedPast | None,
    needs: NeededColumns,
    *,
    now: pd.Timestamp,
) -> str:
    """The id of a request: all that its bytes depend on."""
    row = workspace.store.version(workspace.model, found.version)
    batches = [] if past is None else sorted(file.batch for file in workspace.landing.batches(now))
    settings = [workspace.params.reading.model_dump(mode="json"), workspace.params.data.model_dump(mode="json")]
    about = [workspace.model, found.version, None if row is None else row.bundle, rows_in.state(), explained, batches]
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
    for path, count, predicted in _made(scoring, folder, whole):
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
    return PredictedRows(scoring.request, scoring.found.version, rows, rejected, out.shown, beside, iso(now), unseen)


def _made(
    scoring: _Scoring, folder: Path, whole: tuple[np.ndarray, dict[str, np.ndarray]] | None
) -> Iterator[tuple[Path, int, int]]:
    """Each part's file, its rows, and how many of them are predicted; several are made at once, given in order."""
    cores = 1 if is_own(scoring.found.predictor.recipe.model) else count_cores()
    _ = scoring.found.predictor.model  # loaded once, before threads ask for it
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
            found = from_record(UnseenValues, record)
            whole[name] = whole[name] + found if name in whole else found
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
    unseen = scoring.found.predictor.view.unseen_values(frame)
    if unseen:
        told = {name: UnseenValues(len(each), min(each.astype(str))[:EXAMPLE]) for name, each in unseen.items()}
        write_file(_unseen_of(path), to_json({name: to_record(each) for name, each in told.items()}))
    _write(_predictions(scoring, frame, checked), path)
    return len(frame)


def _predictions(scoring: _Scoring, frame: pd.DataFrame, checked: CheckedRows) -> pa.Table:
    predictor = scoring.found.predictor
    view = predictor.view
    predicted = predictor.predict(frame)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {"row": pa.array(checked.rows, pa.int64())}
    for name, kind in scoring.needs.carried.items():
        if name in frame:
            columns[name] = _carried(frame[name], kind)
    said = predicted_columns(view, predicted, predictor.decide(predicted), scoring.width)
    wanted = {"prediction": True, "class": view.task == "multiclass", "decision": predictor.threshold is not None}
    columns |= {name: values for name, values in said.items() if wanted.get(name, scoring.width is not None)}
    columns |= probability_columns(view, predicted)
    if scoring.explained:
        columns |= largest_contributions(predictor, view.matrix(frame), predicted, scoring.explained)
    columns["version"] = pa.array(np.full(len(frame), scoring.found.version), pa.int64())
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
