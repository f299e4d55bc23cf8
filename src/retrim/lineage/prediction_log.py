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
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs
import pyarrow.parquet as pq

from retrim.adapters.sql_table import is_database
from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, make_private_folder
from retrim.lineage.stored_prediction import StoredPrediction
from retrim.parquet import parquet_file
from retrim.reading.address import Address, address_of, is_address, is_here, open_system

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
        "token": pa.string(),
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
NOTHING = SCHEMA.empty_table().append_column("version", pa.array([], pa.int64()))
LANDED = ("key",)
ASKED_ONCE = ("key", "request_id", "features")
"""Columns that tell the answers of a version apart: a request may name a key twice."""
IN_ORDER = [("event_time", "ascending"), ("key", "ascending")]
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
class PredictionLog:
    """The data set of a model; a row once a version, never changed.

    Args:
        where: A folder, or an fsspec address.
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
            fresh = rows.take(firsts).cast(SCHEMA).sort_by(IN_ORDER)
            files: dict[str, list[str]] = {}
            for name in names:
                files.setdefault(month_of(name), []).append(name)
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
                self._write(system, names[-1], whole.sort_by(IN_ORDER))
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
        return sorted({version_of(name) for name in self.files()})

    def read(
        self,
        columns: Sequence[str] = SCHEMA.names,
        *,
        version: int | None = None,
        keys: Iterable[str] | pa.ChunkedArray | None = None,
        events: Moments | None = None,
        at: pd.Timestamp | None = None,
        request: str | None = None,
    ) -> pa.Table:
        """Predictions that have all that is given, with their `version`, in order of version and month.

        Args:
            keys: Whatever their event, which a correction may have moved.
            events: The first and the last event.
        """
        conditions = [] if keys is None else [pads.field("key").isin(_as_keys(keys))]
        conditions += [] if events is None else [_within(events)]
        conditions += [] if at is None else [_within((at, at), "at")]
        conditions += [] if request is None else [pads.field("request_id") == request]
        query = reduce(and_, conditions) if conditions else None
        months = None if events is None else (f"{events[0]:%Y-%m}", f"{events[1]:%Y-%m}")
        tables = [NOTHING.select([*columns, "version"])]
        for number in self.versions() if version is None else [version]:
            try:
                rows = self._scan(self._files(number, months), list(columns), query)
            except BadInputError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise  # else a month was deleted, as keep_predictions says, since it was listed
                rows = self._scan(self._files(number, months), list(columns), query)
            tables.append(_with_version(rows, number))
        return pa.concat_tables(tables)

    def first(
        self, *, version: int | None = None, keys: Iterable[str] | None = None, request: str | None = None
    ) -> StoredPrediction | None:
        """The oldest prediction that has what is given."""
        rows = self.read(version=version, keys=keys, request=request).to_pandas()
        rows = rows.sort_values(["at", "version"], kind="stable")
        return StoredPrediction.of(rows.iloc[0]) if len(rows) else None

    def predicted(self, version: int, keys: Iterable[str] | pa.ChunkedArray) -> set[str]:
        """Those of the keys that a version has predicted."""
        return set(self.read(["key"], version=version, keys=keys)["key"].to_pylist())

    def answers(
        self, version: int | None = None, keys: Iterable[str] | None = None, events: Moments | None = None
    ) -> pd.DataFrame:
        """What a version predicted, or every one: `ANSWER` and `version`, with `at` in UTC."""
        answers: pd.DataFrame = self.read(ANSWER, version=version, keys=keys, events=events).to_pandas()
        return answers

    def all_keys(self, version: int) -> list[str]:
        """Keys of all rows that a version has predicted, in order of their events."""
        return list(self.read(["key", "event_time"], version=version).sort_by(IN_ORDER)["key"].to_pylist())

    def batch_counts(self, version: int) -> dict[str, int]:
        """How many rows of each landed batch a version has predicted."""
        counts: Counter[str] = Counter()
        for name in self._files(version, None):
            counts.update(_counted(self._read_file(name, ["batch"])["batch"]))
        return counts

    def counts_by_day(self, days: int) -> dict[pd.Timestamp, int]:
        """Predictions of all versions by the day of the event, of the newest days that have any."""
        months = sorted({month_of(name) for name in self.files()})[-(days // 28 + 1) :]
        counts: Counter[pd.Timestamp] = Counter()
        for version in self.versions() if months else []:
            events = self._scan(self._files(version, (months[0], months[-1])), ["event_time"], None)["event_time"]
            for day, rows in _counted(pc.floor_temporal(events, unit="day")).items():
                counts[pd.Timestamp(day)] += rows
        return {day: counts[day] for day in sorted(counts)[-days:]}

    def since(self, moment: pd.Timestamp | None, *, most: int) -> pd.DataFrame:
        """The newest predictions by the moment at which they were made, then by their event, newest first."""
        order = ["at", "event_time", "key"]
        query = None if moment is None else pads.field("at") >= pa.scalar(moment.to_pydatetime(), TIME)
        newest = SCHEMA.empty_table().select(order).append_column("file", pa.array([], pa.string()))
        for name in self.files():
            moments = self._scan([name], order, query)
            names = pa.array([name] * len(moments), pa.string())
            every = pa.concat_tables([newest, moments.append_column("file", names)])
            newest = every.take(pc.select_k_unstable(every, most, [(column, "descending") for column in order]))
        tables = [NOTHING]
        for name in pc.unique(newest["file"]).to_pylist():
            of_file = newest.filter(pc.equal(newest["file"], name))
            matching = _within(span_of(of_file["event_time"])) & pads.field("key").isin(of_file["key"])
            tables.append(_with_version(self._scan([name], None, matching), version_of(name)))
        rows: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return rows.sort_values(order, ascending=False, ignore_index=True).head(most)

    def drawn(self, count: int, *, seed: int) -> pd.DataFrame:
        """That many predictions, of all versions, drawn by `seed`: row groups first, so few are read."""
        groups = []
        for name in self.files():
            with self._opened_file(name) as stored:
                groups += [(name, number) for number in range(stored.num_row_groups)]
        random = np.random.default_rng(seed)
        tables = [NOTHING]
        for place in random.permutation(len(groups))[:count]:
            name, group = groups[place]
            with self._opened_file(name) as stored:
                table = _as_stored(stored.read_row_group(group, use_threads=False), SCHEMA)
            rows = np.sort(random.permutation(len(table))[: max(count // len(groups), 1)])
            tables.append(_with_version(table.take(pa.array(rows)), version_of(name)))
        drawn: pd.DataFrame = pa.concat_tables(tables).to_pandas()
        return drawn

    def files(self) -> list[str]:
        """All files, in order of name."""
        return self._parts(self._opened()[1])

    def contents(self) -> dict[str, str]:
        """Each file, with what its file system tells one content of it from another by; none is read."""
        system, root = self._opened()
        names = self.files()
        with self._reading(root):
            return {name: str(system.ukey(name)) for name in names}

    def rows_of(self, name: str) -> Iterator[pa.Table]:
        """Rows of a file, a row group at a time."""
        with self._opened_file(name) as stored:
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

    def _scan(self, names: list[str], columns: list[str] | None, query: pads.Expression | None) -> pa.Table:
        if not names:
            return SCHEMA.empty_table().select(columns or SCHEMA.names)
        if is_address(self.where):
            return pa.concat_tables([self._read_file(name, columns, query) for name in names])
        with self._reading(f"{self._address.shown}"):
            return pads.dataset(names, schema=SCHEMA, format="parquet").to_table(columns=columns, filter=query)

    def _files(self, version: int, months: tuple[str, str] | None) -> list[str]:
        """Files of a version, in order, of these months, the first and the last included."""
        names = self._parts(f"{self._opened()[1]}/version={version}")
        return [name for name in names if months is None or months[0] <= month_of(name) <= months[1]]

    def _parts(self, folder: str) -> list[str]:
        """Files below a folder, in order of name; none if it is not there."""
        system, _ = self._opened()
        with self._reading(folder):
            system.invalidate_cache()
            if not system.exists(folder):
                return []
            return sorted(str(name) for name in system.find(folder) if str(name).rpartition("/")[2].startswith("part-"))

    @contextmanager
    def _opened_file(self, name: str) -> Iterator[Any]:
        system, _ = self._opened()
        with self._reading(name), system.open(name, "rb") as file, parquet_file(file) as stored:
            yield stored

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


def _with_version(rows: pa.Table, version: int) -> pa.Table:
    return rows.append_column("version", pa.array(np.full(len(rows), version), pa.int64()))


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


def _as_keys(keys: Iterable[str] | pa.ChunkedArray) -> pa.Array:
    if isinstance(keys, pa.ChunkedArray):
        return keys.combine_chunks()
    return pa.array(list(keys), pa.string())


def _part(name: str, what: str) -> str:
    return name.rpartition(f"/{what}=")[2].partition("/")[0]


def version_of(name: str) -> int:
    """Whose predictions a file holds."""
    return int(_part(name, "version"))


def month_of(name: str) -> str:
    """Of which events a file holds predictions, such as 2026-05."""
    return _part(name, "month")


def _damaged(name: str, error: Exception) -> BadInputError:
    why = " ".join(str(error).split())[:200]
    return BadInputError(f"stored predictions in {name} cannot be read ({why}); restore them from a backup")
