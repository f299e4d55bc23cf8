"""What was predicted, by which version and when: a Parquet data set that others read without retrim. Predictions of
landed rows lie under the model's name. Answers to requests lie apart, because a client chooses their keys and features:
`~request` those of the live version, `~named` those of a version that the request named, `~canary` those of one that
has a share of the requests, `~shadow` those that nobody received. No model's name has a tilde. A file holds up to
`ROWS` rows in order of their event, in small row groups that say which events they hold. A newer file replaces it
whole, with the rows that it had and more: a row is there once or not yet.

    <address>/model=<model>/version=<N>/month=<month of the event>/part-0000.parquet
    <address>/model=<model>~request/...
"""

import fcntl
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs
import pyarrow.parquet as pq
from pydantic import BeforeValidator, Field

from retrim.adapters.sql_table import is_database
from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, make_private_folder
from retrim.parquet import parquet_file
from retrim.reading.address import Address, address_of, is_address, is_here, open_system
from retrim.stats.codec import Instant, Unwritten, from_record, written

TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "event_time": TIME,
        "prediction": pa.float64(),
        "class": pa.string(),
        "lower": pa.float64(),
        "upper": pa.float64(),
        "probabilities": pa.map_(pa.string(), pa.float64()),
        "decision": pa.bool_(),
        "at": TIME,
        "request_id": pa.string(),
        "batch": pa.string(),
        "features": pa.string(),
    }
)
"""Columns of a file; `version` and `month` are folders."""
ASKED = ("key", "event_time", "at", "request_id")
"""Columns by which rows are asked for."""
Role = Literal["request", "named", "canary", "shadow"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Which version answered a request, and for whom. It stands for the batch of such a row."""
ROWS, ROW_GROUP = 1 << 17, 1 << 13
MONTHS_AT_ONCE = 120
"""Each has a file to write: others wait for the lock no longer than for these."""
Moments = tuple[pd.Timestamp, pd.Timestamp]
NONE = pd.Timestamp(0, tz="UTC")
LANDED = ("key",)
ASKED_ONCE = ("key", "request_id", "features")
"""Columns that tell the answers of a version apart: a request may name a key twice."""
ANSWER = ["key", "at", "prediction", "probabilities", "request_id", "features"]
"""Columns that tell what was said of a row, when, to whom, and of which features (`FeatureView.digests`)."""


def probabilities_of(predicted: np.ndarray, classes: Sequence[str]) -> pa.Array:
    """Probabilities of each row as a map from class to probability.

    Args:
        predicted: Shape (n, classes).
    """
    n, width = predicted.shape
    offsets = pa.array(np.arange(n + 1, dtype="int32") * width)
    return pa.MapArray.from_arrays(offsets, pa.array(list(classes) * n, pa.string()), pa.array(predicted.ravel()))


@dataclass(frozen=True)
class StoredPrediction:
    """A stored prediction.

    Args:
        key: Key of the row.
        event: Event time of the row.
        version: The version that made the prediction.
        at: When the prediction was made.
        value: Predicted number, or probability of the positive class or of `label`.
        label: The most probable of several classes; None for another task.
        lower: Lower end of the 90% prediction interval; None if the version has none.
        upper: Upper end of the 90% prediction interval.
        probabilities: Probability of each of several classes, by name; empty for another task.
        decision: Whether the row was selected; None if the model makes no decisions.
        request: Id of the request that made the prediction.
        batch: The landed batch that the row is in; a `Role` if a request sent the row; None if this is not known.
    """

    key: str
    event: Annotated[Instant, Field(validation_alias="event_time")]
    version: int
    at: Instant
    value: Annotated[
        float,
        Field(validation_alias="prediction"),
        BeforeValidator(lambda value: np.nan if value is None else value),
    ]
    label: Annotated[str | None, Field(validation_alias="class")]
    lower: Unwritten[float | None]
    upper: Unwritten[float | None]
    probabilities: Annotated[dict[str, float], BeforeValidator(lambda pairs: dict(pairs or []))]
    decision: bool | None
    request: Annotated[str | None, Field(validation_alias="request_id")]
    batch: str | None

    @classmethod
    def of(cls, row: "pd.Series[Any]") -> "StoredPrediction":
        """Of a row of the log with its `version`."""
        return from_record(cls, {str(name): None if _is_missing(value) else value for name, value in row.items()})

    @written
    def interval(self) -> tuple[float, float] | None:
        """90% prediction interval; None if the version has none."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)

    def as_value(self) -> float | list[float]:
        """The number, or one a class."""
        return list(self.probabilities.values()) or float(self.value)

    @property
    def in_words(self) -> str:
        """The prediction, with its class, interval or decision where it has one."""
        if self.label is not None:
            return f"{self.label} ({self.value:.1%})"
        if self.interval is not None:
            return f"{self.value:.6g} ({self.interval[0]:.6g} to {self.interval[1]:.6g})"
        selected = "" if self.decision is None else ", selected" if self.decision else ", not selected"
        return f"{self.value:.6g}{selected}"


@dataclass(frozen=True)
class PredictionLog:
    """The data set of a model; a row once a version, never changed.

    Args:
        where: A folder, or an fsspec address.
        model: Name of the model.
        lock: A file that keeps writers apart.
        identity: Columns that tell the rows of a version apart.
    """

    where: str
    model: str
    lock: Path
    identity: tuple[str, ...] = LANDED

    def of_role(self, role: Role) -> "PredictionLog":
        """The answers to requests that were given in a role."""
        return replace(self, model=f"{self.model}~{role}", identity=ASKED_ONCE)

    def of_every_role(self) -> "Iterator[PredictionLog]":
        """The answers to requests, by role; those of shadows, which nobody received, last."""
        yield from map(self.of_role, ROLES)

    def add(self, version: int, rows: pa.Table) -> int:
        """Adds predictions that are not there yet by `identity`, of several alike the first; gives how many were added.

        Stopped half-way, some months are there and others are not: done again, it adds the rest.
        """
        if not len(rows):
            return 0
        with self._held():
            names, query = self._files(version, None), pads.field("key").isin(_as_keys(rows["key"]))
            if self.identity == ASKED_ONCE:  # answers that are added again were given at the same moment
                query &= _within(span_of(rows["at"]), "at")
            known = self._scan(names, list(self.identity), query)
            identities = pa.table({"identity": self._identities(rows), "row": np.arange(len(rows))})
            identities = identities.filter(pc.invert(pc.is_in(identities["identity"], self._identities(known))))
            firsts = identities.group_by("identity").aggregate([("row", "min")])["row_min"]
            fresh = rows.take(firsts).cast(SCHEMA).sort_by([("event_time", "ascending"), ("key", "ascending")])
            files: dict[str, list[str]] = {}
            for name in names:
                files.setdefault(_part(name, "month"), []).append(name)
            months = _months_of(fresh)
            for month in pc.unique(months).sort().to_pylist():
                self._append(version, month, files.get(month, []), fresh.filter(pc.equal(months, month)))
        return len(fresh)

    def _identities(self, rows: pa.Table) -> pa.ChunkedArray:
        columns = [rows[name] for name in self.identity]
        return pc.binary_join_element_wise(*columns, "\0", null_handling="replace", null_replacement="")

    def _append(self, version: int, month: str, names: list[str], rows: pa.Table) -> None:
        """Fills the last file of a month, then begins others; each write is whole and adds rows only."""
        system, root = self._opened()
        folder = f"{root}/version={version}/month={month}"
        number = int(Path(names[-1]).stem.removeprefix("part-")) + 1 if names else 0
        if names:
            last = self._read_file(names[-1])
            if len(last) < ROWS:
                taken, rows = rows.slice(0, ROWS - len(last)), rows.slice(ROWS - len(last))
                whole = pa.concat_tables([last, taken])
                self._write(system, names[-1], whole.sort_by([("event_time", "ascending"), ("key", "ascending")]))
        for start in range(0, len(rows), ROWS):
            self._write(system, f"{folder}/part-{number:04d}.parquet", rows.slice(start, ROWS))
            number += 1

    def _write(self, system: Any, name: str, rows: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(rows, sink, compression="zstd", row_group_size=ROW_GROUP)
        try:
            path = Path(name)
            if is_address(self.where):
                system.makedirs(str(path.parent), exist_ok=True)
            else:
                make_private_folder(path.parent)
            if not is_here(system):
                system.pipe_file(name, sink.getvalue())
            else:
                fresh = path.with_name(f".{path.name}.new")
                fresh.write_bytes(sink.getbuffer())
                flush(fresh)
                fresh.replace(path)
        except Exception as error:  # noqa: BLE001  each kind of address has errors of its own
            raise RetrimError(
                f"predictions cannot be written to {self._address.shown}: {self._address.clean(error)}; check the "
                "disk, its permissions and RETRIM_PREDICTIONS"
            ) from None

    def versions(self) -> list[int]:
        """Versions that have predicted, ascending."""
        return sorted({version_of(name) for name in self._all_files()})

    def predicted(self, version: int, keys: Iterable[str] | pa.ChunkedArray) -> set[str]:
        """Those of the keys that a version has predicted, at whatever event: a correction may have moved theirs."""
        return set(self._read(version, ["key"], None, _as_keys(keys))["key"].to_pylist())

    def of_version(self, version: int, keys: Iterable[str], events: Moments) -> pa.Table:
        """What a version predicted for rows; those it did not predict are left out."""
        return self._read(version, None, events, _as_keys(keys))

    def answered(self, version: int, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """What a version predicted at whatever event, of these keys or of all.

        Returns:
            `ANSWER`, with `at` in UTC.
        """
        answers: pd.DataFrame = self._read(version, ANSWER, None, None if keys is None else _as_keys(keys)).to_pandas()
        return answers

    def of_rows(self, keys: Iterable[str], events: Moments) -> pd.DataFrame:
        """What every version predicted for rows, the oldest first.

        Returns:
            `ANSWER` and `version`, with `at` in UTC.
        """
        wanted = _as_keys(keys)
        frames = [
            self._read(version, ANSWER, events, wanted).to_pandas().assign(version=version)
            for version in self.versions()
        ]
        empty = SCHEMA.empty_table().select(ANSWER).to_pandas().assign(version=0)
        frame: pd.DataFrame = pd.concat([part for part in frames if len(part)] or [empty])
        return frame.sort_values(["at", "version"], kind="stable", ignore_index=True)

    def batch_counts(self, version: int) -> dict[str, int]:
        """How many rows of each landed batch a version has predicted."""
        counts: Counter[str] = Counter()
        for name in self._files(version, None):
            counts.update(_counted(self._read_file(name, ["batch"])["batch"]))
        return counts

    def counts_by_day(self, days: int) -> dict[pd.Timestamp, int]:
        """Predictions of all versions by the day of the event, of the newest days that have any."""
        months = sorted({_part(name, "month") for name in self._all_files()})[-(days // 28 + 1) :]
        counts: Counter[pd.Timestamp] = Counter()
        for version in self.versions() if months else []:
            events = self._scan(self._files(version, (months[0], months[-1])), ["event_time"], None)["event_time"]
            for day, rows in _counted(pc.floor_temporal(events, unit="day")).items():
                counts[pd.Timestamp(day)] += rows
        return {day: counts[day] for day in sorted(counts)[-days:]}

    def all_keys(self, version: int) -> list[str]:
        """Keys of all rows that a version has predicted, in order of their events."""
        table = self._read(version, ["key", "event_time"], None, None)
        return list(table.sort_by([("event_time", "ascending"), ("key", "ascending")])["key"].to_pylist())

    def one(self, version: int, key: str) -> "StoredPrediction | None":
        """What a version predicted for one row, the first of several requests."""
        rows = self._frames(pads.field("key") == key, version=version).sort_values("at", kind="stable")
        return StoredPrediction.of(rows.iloc[0]) if len(rows) else None

    def of_request(self, request: str) -> pd.DataFrame:
        """Predictions that one request or call made, the oldest first, with `version`."""
        answers = self._frames(pads.field("request_id") == request, version=None)
        return answers.sort_values(["at", "version"], kind="stable", ignore_index=True)

    def since(self, moment: pd.Timestamp | None, *, most: int) -> pd.DataFrame:
        """The newest predictions by the moment at which they were made, then by their event, newest first."""
        order = ["at", "event_time", "key"]
        query = None if moment is None else pads.field("at") >= pa.scalar(moment.to_pydatetime(), TIME)
        newest = SCHEMA.empty_table().select(order).append_column("file", pa.array([], pa.string()))
        for name in self._all_files():
            moments = self._scan([name], order, query)
            names = pa.array([name] * len(moments), pa.string())
            every = pa.concat_tables([newest, moments.append_column("file", names)])
            newest = every.take(pc.select_k_unstable(every, most, [(column, "descending") for column in order]))
        frames = [self._frames(pads.scalar(False), version=None)]
        for name in pc.unique(newest["file"]).to_pylist():
            of_file = newest.filter(pc.equal(newest["file"], name))
            matching = _within(span_of(of_file["event_time"])) & pads.field("key").isin(of_file["key"])
            rows = self._scan([name], None, matching)
            frames.append(rows.to_pandas().assign(version=version_of(name)))
        whole: pd.DataFrame = pd.concat([part for part in frames if len(part)] or frames)
        return whole.sort_values(order, ascending=False, ignore_index=True).head(most)

    def made_at(self, version: int, moment: pd.Timestamp) -> pd.DataFrame:
        """Predictions of a version that were made at a moment, in order of the event."""
        predictions = self._frames(pads.field("at") == pa.scalar(moment.to_pydatetime(), TIME), version=version)
        ordered: pd.DataFrame = predictions.sort_values(["event_time", "key"], ignore_index=True)
        return ordered

    def drawn(self, count: int, *, seed: int) -> pd.DataFrame:
        """That many predictions, of all versions, drawn by `seed`: row groups first, so few are read."""
        system, _ = self._opened()
        groups = []
        for name in self._all_files():
            with self._reading(name), system.open(name, "rb") as file, parquet_file(file) as stored:
                parts = stored.num_row_groups
            groups += [(name, number) for number in range(parts)]
        random = np.random.default_rng(seed)
        frames = []
        for place in random.permutation(len(groups))[:count]:
            name, group = groups[place]
            with self._reading(name), system.open(name, "rb") as file, parquet_file(file) as stored:
                table = _as_stored(stored.read_row_group(group, use_threads=False), SCHEMA)
            rows = table.take(pa.array(np.sort(random.permutation(len(table))[: max(count // len(groups), 1)])))
            frames.append(rows.to_pandas().assign(version=version_of(name)))
        return pd.concat(frames, ignore_index=True) if frames else self._frames(pads.scalar(False), version=None)

    def months(self) -> list[str]:
        """Months that have files, such as 2026-05, ascending."""
        return sorted({_part(name, "month") for name in self._all_files()})

    def files_before(self, month: str) -> list[str]:
        """Files of months before one, such as 2026-05, of all versions; nothing is written to such a month any more."""
        return [name for name in self._all_files() if _part(name, "month") < month]

    def contents(self) -> dict[str, str]:
        """Each file, with what its file system tells one content of it from another by; none is read."""
        system, root = self._opened()
        names = self._all_files()
        with self._reading(root):
            return {name: str(system.ukey(name)) for name in names}

    def rows_of(self, name: str) -> Iterator[pa.Table]:
        """Rows of a file, a row group at a time."""
        system, _ = self._opened()
        with self._reading(name), system.open(name, "rb") as file, parquet_file(file) as stored:
            for number in range(stored.num_row_groups):
                yield _as_stored(stored.read_row_group(number, use_threads=False), SCHEMA)

    def drop_file(self, name: str) -> int:
        """Removes one of them for good; gives its bytes."""
        with self._held():
            system, _ = self._opened()
            size = int(system.size(name) or 0)
            system.rm_file(name)
        return size

    def copy_to(self, to: "PredictionLog") -> None:
        """Adds what was predicted to another log."""
        for version in self.versions():
            for name in self._files(version, None):
                to.add(version, self._scan([name], None, None))

    def _frames(self, query: pads.Expression | None, *, version: int | None) -> pd.DataFrame:
        versions = self.versions() if version is None else [version]
        frames = [
            self._scan(self._files(number, None), None, query).to_pandas().assign(version=number) for number in versions
        ]
        empty = SCHEMA.empty_table().to_pandas().assign(version=pd.Series(dtype="int64"))
        every: pd.DataFrame = pd.concat([part for part in frames if len(part)] or [empty], ignore_index=True)
        return every

    def _read(self, version: int, columns: list[str] | None, events: Moments | None, keys: pa.Array | None) -> pa.Table:
        query, months = None, None
        if events is not None:
            query = _within(events)
            months = f"{events[0]:%Y-%m}", f"{events[1]:%Y-%m}"
        if keys is not None:
            query = pads.field("key").isin(keys) if query is None else query & pads.field("key").isin(keys)
        try:
            return self._scan(self._files(version, months), columns, query)
        except BadInputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise  # else a month was deleted, as keep_predictions says, since it was listed
            return self._scan(self._files(version, months), columns, query)

    def _scan(self, names: list[str], columns: list[str] | None, query: pads.Expression | None) -> pa.Table:
        if not names:
            return SCHEMA.empty_table().select(columns or SCHEMA.names)
        if is_address(self.where):
            return pa.concat_tables([self._read_file(name, columns, query) for name in names])
        with self._reading(f"{self._address.shown}"):
            return pads.dataset(names, schema=SCHEMA, format="parquet").to_table(columns=columns, filter=query)

    def _all_files(self) -> list[str]:
        return self._parts(self._opened()[1])

    def _files(self, version: int, months: tuple[str, str] | None) -> list[str]:
        """Files of a version, in order, of these months, the first and the last included."""
        names = self._parts(f"{self._opened()[1]}/version={version}")
        return [name for name in names if months is None or months[0] <= _part(name, "month") <= months[1]]

    def _parts(self, folder: str) -> list[str]:
        """Files below a folder, in order of name; none if it is not there."""
        system, _ = self._opened()
        with self._reading(folder):
            system.invalidate_cache()
            if not system.exists(folder):
                return []
            return sorted(str(name) for name in system.find(folder) if str(name).rpartition("/")[2].startswith("part-"))

    def _read_file(self, name: str, columns: list[str] | None = None, query: pads.Expression | None = None) -> pa.Table:
        """What is asked for of a file; row groups that have none of the rows by their statistics are not read."""
        system, _ = self._opened()
        needed = {*(columns or SCHEMA.names), *(() if query is None else ASKED)}
        wanted = [column for column in SCHEMA.names if column in needed]
        schema = pa.schema([SCHEMA.field(column) for column in wanted])
        with self._reading(name), system.open(name, "rb") as file, parquet_file(file) as stored:
            groups = list(range(stored.num_row_groups))
            if query is not None:
                fragment = pads.ParquetFileFormat().make_fragment(file).subset(query, schema=SCHEMA)
                groups = [group.id for group in fragment.row_groups]
            there = [column for column in wanted if column in stored.schema_arrow.names]
            whole = _as_stored(stored.read_row_groups(groups, there, use_threads=False), schema)
        return pads.dataset(whole).to_table(columns=columns, filter=query, use_threads=False)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, FileNotFoundError) as error:
            raise _damaged(name, error) from error
        except Exception as error:
            if is_address(self.where):  # each kind of address has errors of its own
                raise RetrimError(
                    f"predictions at {self._address.shown} cannot be reached: {self._address.clean(error)}; check the "
                    "network, your access to the address and RETRIM_PREDICTIONS"
                ) from None
            if isinstance(error, OSError):
                raise _damaged(name, error) from error
            raise

    @property
    def _address(self) -> Address:
        return address_of(self.where) if is_address(self.where) else Address(self.where, self.where, ())

    def _opened(self) -> tuple[Any, str]:
        if is_database(self.where):
            raise BadInputError(
                "RETRIM_PREDICTIONS is a database address, but predictions of landed rows are stored as Parquet files; "
                "set it to a folder, or to an address such as s3://bucket/predictions. For a copy in a table, set "
                "RETRIM_PREDICTIONS_TABLE"
            )
        where = self.where if is_address(self.where) else f"file://{Path(self.where).absolute()}"
        system, path = open_system(address_of(where))
        return system, f"{path.rstrip('/')}/model={self.model}"

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Alone among the processes of this workspace; the system frees the lock of one that dies."""
        make_private_folder(self.lock.parent)
        with self.lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def in_parts(rows: pa.Table) -> Iterator[pa.Table]:
    """Rows of a few months at a time: between two of them, others write and the writer may stop."""
    months = _months_of(rows)
    there = pc.unique(months).sort()
    for start in range(0, len(there), MONTHS_AT_ONCE):
        yield rows.filter(pc.is_in(months, value_set=there.slice(start, MONTHS_AT_ONCE)))


def _months_of(rows: pa.Table) -> pa.ChunkedArray:
    return pc.strftime(rows["event_time"], format="%Y-%m")


def _counted(column: pa.ChunkedArray) -> dict[Any, int]:
    """How often each value is there that is not missing."""
    counts = pc.value_counts(column.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def _as_stored(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema, whatever others a file has; those that it lacks are missing in each of its rows.

    Raises:
        pa.ArrowException: One is of another type, in which it cannot be.
    """
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def span_of(events: pd.Series | pa.ChunkedArray) -> Moments:
    """From when to when events are; of none, a moment."""
    if not len(events):
        return NONE, NONE
    if isinstance(events, pd.Series):
        return events.min(), events.max()
    ends = pc.min_max(events)
    return pd.Timestamp(ends["min"].as_py()), pd.Timestamp(ends["max"].as_py())


def _within(moments: Moments, column: str = "event_time") -> pads.Expression:
    first, last = (pa.scalar(moment.to_pydatetime(), TIME) for moment in moments)
    return (pads.field(column) >= first) & (pads.field(column) <= last)


def _is_missing(value: Any) -> bool:
    return value is None or (not isinstance(value, list | np.ndarray) and bool(pd.isna(value)))


def _as_keys(keys: Iterable[str] | pa.ChunkedArray) -> pa.Array:
    if isinstance(keys, pa.ChunkedArray):
        return keys.combine_chunks()
    return pa.array(list(keys), pa.string())


def _part(name: str, what: str) -> str:
    return name.rpartition(f"/{what}=")[2].partition("/")[0]


def version_of(name: str) -> int:
    """Whose predictions a file holds."""
    return int(_part(name, "version"))


def _damaged(name: str, error: Exception) -> BadInputError:
    why = " ".join(str(error).split())[:200]
    return BadInputError(f"stored predictions in {name} cannot be read ({why}); restore them from a backup")
