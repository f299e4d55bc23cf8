"""The data set of predictions: each row once a version, whatever is killed; read in part; open to others."""

import json
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from retrim.errors import BadInputError
from retrim.lineage import prediction_log as module
from retrim.lineage.prediction_log import (
    PredictionLog,
    probabilities_of,
    span_of,
)
from retrim.lineage.stored_prediction import StoredPrediction
from retrim.stats.codec import to_record
from tests.builders.predicted import predicted_rows

START = pd.Timestamp("2024-01-01", tz="UTC")
EVER = START - pd.Timedelta("9000D"), START + pd.Timedelta("9000D")
ROOT = Path(__file__).parents[2]


def log_at(folder: Path | str, lock: Path | None = None) -> PredictionLog:
    return PredictionLog(str(folder), "shop", lock or Path(f"{folder}.lock"))


def rows(keys: list[str], value: float = 1.0, *, day: float = 0, at: float = 1, batch: str = "b") -> pa.Table:
    days = pd.Timedelta("1D")
    return predicted_rows(keys, [value] * len(keys), event=START + day * days, at=START + at * days, batch=batch)


@pytest.fixture(params=["folder", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> PredictionLog:
    """On disk, and at an address of fsspec."""
    if request.param == "folder":
        return log_at(tmp_path / "predictions")
    return log_at(f"memory://{tmp_path.name}", tmp_path / "lock")


def test_a_row_is_predicted_once_a_version(log: PredictionLog) -> None:
    assert log.add(1, rows(["a", "b"])) == 2
    assert log.add(1, rows(["b", "c"])) == 1
    assert log.add(2, rows(["b"])) == 1
    assert log.add(1, rows(["a", "b", "c"])) == 0
    assert (log.all_keys(1), log.all_keys(2), log.versions()) == (["a", "b", "c"], ["b"], [1, 2])


def test_a_row_whose_event_was_corrected_is_predicted_once_a_version(log: PredictionLog) -> None:
    log.add(1, rows(["a", "b"]))

    assert log.add(1, rows(["a", "c"], day=40)) == 1
    assert log.all_keys(1) == ["a", "b", "c"]


def test_every_version_s_predictions_of_a_row_are_read(log: PredictionLog) -> None:
    log.add(2, rows(["a"], 2.0, at=3))
    log.add(1, rows(["a", "b"], 1.0, at=2))
    served = log.answers(None, ["a", "c"], EVER)

    assert served[["key", "version", "prediction"]].to_numpy().tolist() == [["a", 1, 1.0], ["a", 2, 2.0]]
    assert served["at"].tolist() == [START + pd.Timedelta("2D"), START + pd.Timedelta("3D")]


def test_each_request_for_a_key_is_kept_once_and_apart_from_the_landed_row(log: PredictionLog) -> None:
    requests = log.of_role("request")
    parts = [predicted_rows(["a"], [1.0], event=START, at=START, request=request) for request in ("q", "r", "q")]
    counts = [requests.add(1, part) for part in parts]

    repeated = requests.add(
        1, pa.concat_tables([predicted_rows(list("bcb"), [1.0, 2.0, 3.0], event=START, at=START)] * 2)
    )

    assert (counts, repeated, requests.all_keys(1), log.all_keys(1)) == ([1, 1, 0], 2, ["a", "a", "b", "c"], [])
    assert [requests.answers(1, [key])["prediction"].tolist() for key in "bc"] == [[1.0], [2.0]]
    assert log.add(1, rows(["a"])) == 1


def test_nothing_stored_gives_nothing(log: PredictionLog) -> None:
    assert (log.versions(), log.all_keys(1), log.predicted(1, ["a"])) == ([], [], set())
    assert len(log.answers(None, ["a"], EVER)) == len(log.since(None, most=5)) == len(log.drawn(3, seed=1)) == 0
    assert log.first(version=1, keys=["a"]) is None


def test_months_and_full_files_are_files_of_their_own(log: PredictionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 4)
    log.add(1, rows(["a", "b", "c"]))
    log.add(1, rows(list("defghij")))
    log.add(1, rows(["k"], day=40))
    names = [name.partition("model=shop/")[2] for name in log.files()]

    assert names == [f"version=1/month=2024-01/part-000{n}.parquet" for n in (0, 1, 2)] + [
        "version=1/month=2024-02/part-0000.parquet"
    ]
    assert log.all_keys(1) == list("abcdefghijk")


def test_no_stored_file_is_overwritten_where_an_earlier_one_is_gone(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    log.add(1, rows(list("abcd")))
    log._opened()[0].rm(log.files()[0])
    log.add(1, rows(["e"]))

    assert log.all_keys(1) == ["c", "d", "e"]


def test_files_are_listed_once_for_many_months(log: PredictionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    parts = PredictionLog._parts
    monkeypatch.setattr(PredictionLog, "_parts", lambda log, folder: listed.append(folder) or parts(log, folder))
    counts = []
    for months in (1, 5):
        before = len(listed)
        log.add(1, pa.concat_tables(rows([f"{months} {month}"], day=31 * month) for month in range(months)))
        counts.append(len(listed) - before)

    assert counts == [1, 1]
    assert len(log.all_keys(1)) == 6


def test_rows_are_parted_by_their_months(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MONTHS_AT_ONCE", 2)
    every = pa.concat_tables(rows([f"{day}"], day=day) for day in (70, 0, 40, 1))

    assert [part["key"].to_pylist() for part in module.in_parts(every)] == [["0", "40", "1"], ["70"]]


class Listing(MemoryFileSystem):  # type: ignore[misc]
    """Keeps what it listed until it is told to look again, as those of object stores do."""

    protocol = "listing"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(MemoryFileSystem._strip_protocol(path.replace("listing://", "memory://")))

    def find(self, path: str, *more: Any, **options: Any) -> Any:
        if path not in self.dircache:
            self.dircache[path] = super().find(path, *more, **options)
        return self.dircache[path]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()


def test_what_another_process_stored_is_seen(tmp_path: Path) -> None:
    fsspec.register_implementation("listing", Listing, clobber=True)
    log, other = (log_at(f"{kind}://{tmp_path.name}", tmp_path / "lock") for kind in ("listing", "memory"))
    log.add(1, rows(["a"]))
    assert log.all_keys(1) == ["a"]
    other.add(1, rows(["b"], day=40))

    assert log.all_keys(1) == ["a", "b"]
    assert log.add(1, rows(["b", "c"], day=40)) == 1


def test_a_file_at_an_address_of_this_machine_is_replaced_whole(tmp_path: Path) -> None:
    log = log_at(f"file://{tmp_path / 'predictions'}", tmp_path / "lock")
    log.add(1, rows(["a"]))
    (path,) = tmp_path.rglob("*.parquet")
    with path.open("rb") as before:
        log.add(1, rows(["b"]))

        assert pq.read_table(before)["key"].to_pylist() == ["a"]
    assert log.all_keys(1) == ["a", "b"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_predictions_are_counted_by_the_day_of_the_event_over_all_versions(log: PredictionLog) -> None:
    first, last = START.floor("D"), (START + pd.Timedelta("31D")).floor("D")  # of two months
    for version, keys in ((1, ["a", "b", "c"]), (2, ["a", "b"])):
        log.add(version, rows(keys))
    log.add(2, rows(["d"], day=31))

    assert log.counts_by_day(90) == {first: 5, last: 1}
    assert log.counts_by_day(1) == {last: 1}


def test_an_empty_log_counts_no_day(log: PredictionLog) -> None:
    assert log.counts_by_day(90) == {}


def test_batches_are_counted_by_version(log: PredictionLog) -> None:
    log.add(1, rows(["a", "b"], batch="x"))
    log.add(1, rows(["c"], batch="y"))

    assert log.batch_counts(1) == {"x": 2, "y": 1}


def test_every_bit_and_probability_comes_back(log: PredictionLog) -> None:
    values = np.random.default_rng(1).normal(size=50)
    chances = np.random.default_rng(2).dirichlet([1, 1, 1], size=50)
    made = predicted_rows([str(n) for n in range(50)], values.tolist(), event=START, at=START)
    place = made.column_names.index("probabilities")
    log.add(1, made.set_column(place, "probabilities", probabilities_of(chances, ["a", "b", "c"])))
    found = log.since(None, most=50).set_index("key").loc[[str(n) for n in range(50)]]

    assert found["prediction"].tolist() == values.tolist()
    assert [list(dict(each).values()) for each in found["probabilities"]] == chances.tolist()
    assert list(dict(found["probabilities"].iloc[0])) == ["a", "b", "c"]


def test_the_newest_come_first_since_a_moment(log: PredictionLog) -> None:
    for at in (1, 2, 3):
        log.add(1, rows([str(at)], at=at))

    assert log.since(START + pd.Timedelta("2D"), most=9)["key"].tolist() == ["3", "2"]
    assert log.since(None, most=1)["key"].tolist() == ["3"]


@pytest.mark.slow
def test_the_newest_of_many_are_shown_without_loading_the_others(tmp_path: Path) -> None:
    """Of 200,000 rows that were made at one moment 20 are asked for."""
    log, n = log_at(tmp_path), 200_000
    events = pd.date_range(START, periods=n, freq="10s")
    log.add(1, predicted_rows([f"{number:08d}" for number in range(n)], [1.0] * n, event=events, at=START))
    tracemalloc.start()
    found = log.since(None, most=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found["key"].tolist() == [f"{number:08d}" for number in range(n - 1, n - 21, -1)]
    assert peak < 5e6


def test_the_predictions_of_a_request_are_found(log: PredictionLog) -> None:
    log.add(1, predicted_rows(["a", "b"], [1.0, 2.0], event=START, at=START, request="q"))

    assert log.read(["key"], request="q")["key"].to_pylist() == ["a", "b"]


def test_pandas_and_arrow_read_it_without_retrim(tmp_path: Path) -> None:
    log = log_at(tmp_path / "predictions")
    log.add(3, rows(["a", "b"], 1.5))
    log.add(4, rows(["c"], 2.5, day=40))
    by_pandas = pd.read_parquet(tmp_path / "predictions")
    by_arrow = pads.dataset(tmp_path / "predictions", partitioning="hive").to_table().to_pandas()

    assert by_pandas.sort_values("key")["prediction"].tolist() == [1.5, 1.5, 2.5]
    assert by_arrow.sort_values("key")["version"].tolist() == [3, 3, 4]


def test_a_prediction_is_shown_as_json(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    log.add(3, rows(["a"], 1.5))
    found = StoredPrediction.of(log.since(None, most=1).iloc[0])
    record = json.loads(json.dumps(to_record(found)))

    assert (record["key"], record["version"], record["value"]) == ("a", 3, 1.5)
    assert (record["event"], record["interval"]) == ("2024-01-01T00:00:00+00:00", None)
    assert found.in_words == "1.5"


def test_rows_of_a_file_are_read_a_row_group_at_a_time(log: PredictionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROW_GROUP", 4)
    log.add(1, rows(list("abcdefghij")))
    (name,) = log.contents()

    assert [table["key"].to_pylist() for table in log.rows_of(name)] == [list("abcd"), list("efgh"), list("ij")]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    log = log_at(tmp_path)
    log.add(1, rows(["a"]))
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(BadInputError, match=rf"/{re.escape(path.name)}\b.*\brestore\b"):
        log.all_keys(1)


def test_a_month_that_is_deleted_while_it_is_read_counts_as_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(tmp_path)
    log.add(1, rows(["a"]))
    log.add(1, rows(["b"], day=40))
    (old,) = (path for path in tmp_path.rglob("*.parquet") if "2024-01" in str(path))
    find = PredictionLog._files

    def deleted_since(*given: Any) -> list[str]:
        found = find(*given)
        old.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(PredictionLog, "_files", deleted_since)

    assert list(log.answers(1)["key"]) == ["b"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["batch", "request_id"]),
        lambda table: table.append_column("note", pa.array(["x"] * len(table))),
        lambda table: table.set_column(0, "key", table["key"].dictionary_encode()),
        lambda table: table.select(table.column_names[::-1]),
    ],
    ids=["lacks some", "has another", "of another type", "in another order"],
)
def test_a_file_of_other_columns_is_read_and_added_to(
    log: PredictionLog, change: Callable[[pa.Table], pa.Table]
) -> None:
    log.add(1, rows(["a", "b"]))
    system, _ = log._opened()
    (name,) = log.files()
    with system.open(name, "rb") as file:
        table = pq.ParquetFile(file).read()
    with system.open(name, "wb") as file:
        pq.write_table(change(table), file)

    assert log.predicted(1, ["a", "z"]) == {"a"}
    assert (log.first(version=1, keys=["a"]) is None, len(log.drawn(9, seed=1))) == (False, 2)
    assert log.batch_counts(1).get("b", 0) in {0, 2}
    assert log.add(1, rows(["b", "c"])) == 1
    assert log.all_keys(1) == ["a", "b", "c"]


def test_columns_that_nobody_asks_for_are_not_read(log: PredictionLog) -> None:
    log.add(1, rows(["a", "b"]))
    system, _ = log._opened()
    (name,) = log.files()
    with system.open(name, "rb") as file:
        content = bytearray(file.read())
    chunk = pq.ParquetFile(pa.BufferReader(bytes(content))).metadata.row_group(0).column(2)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    with system.open(name, "wb") as file:
        file.write(content)

    assert chunk.path_in_schema == "prediction"
    assert log.predicted(1, ["a", "z"]) == {"a"}


def test_what_was_predicted_is_copied(tmp_path: Path) -> None:
    log, other = log_at(tmp_path / "a"), log_at(tmp_path / "b")
    for at in (2, 3, 8):
        log.add(1, rows([str(at)], at=at))
    log.copy_to(other)

    assert other.all_keys(1) == ["2", "3", "8"]


@pytest.mark.slow
def test_of_two_processes_that_predict_the_same_rows_each_row_is_there_once(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        "from tests.lineage.test_prediction_log import log_at, rows\n"
        f"log = log_at(Path({str(tmp_path)!r}))\nprint('ready', flush=True); sys.stdin.readline()\n"
        "print(sum(log.add(1, rows([str(n) for n in range(k, k + 300)])) for k in range(0, 3000, 100)))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    said = [int(each.communicate(timeout=120)[0]) for each in both]

    assert sum(said) == 3200
    assert len(log_at(tmp_path).all_keys(1)) == len(set(log_at(tmp_path).all_keys(1))) == 3200


def test_killed_before_any_of_its_writes_it_has_each_row_once_in_the_end(tmp_path: Path) -> None:
    """Two files that grow and two that begin: a process dies before each of them is put in place."""
    whole = [rows(["a", "b"]), rows(["c"], day=40)], rows(["a", "b", "c", "d"]), rows(["e"], day=40)
    table = pa.concat_tables([whole[1], whole[2], rows(["f"], day=80)])
    for writes in range(3):
        log = log_at(tmp_path / str(writes))
        for each in whole[0]:
            log.add(1, each)
        child = os.fork()
        if not child:
            _die_before(writes)
            log.add(1, table)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert len(log.all_keys(1)) == len(set(log.all_keys(1)))
        log.add(1, table)
        assert sorted(log.all_keys(1)) == ["a", "b", "c", "d", "e", "f"], writes


def _die_before(writes: int) -> None:
    """Has this process killed before that many files and one are put in place."""
    real, left = Path.replace, [writes]

    def replace(path: Path, to: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, to)

    Path.replace = replace  # type: ignore[assignment, method-assign]


def read_bytes() -> int:
    """Bytes that this process has read so far, by the system's count."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].partition(": ")[2])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="the system does not count what is read")
def test_what_is_asked_for_is_read_and_little_else(tmp_path: Path) -> None:
    """600,000 rows of two years: for a day of them, twice, less than a twentieth of the bytes is read."""
    log, n = log_at(tmp_path), 600_000
    events = pd.date_range(START, periods=n, freq="105s")
    random = np.random.default_rng(1)
    keys = [f"{number:08d}" for number in range(n)]
    log.add(1, predicted_rows(keys, random.normal(size=n).tolist(), event=events, at=START, batch="b"))
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    asked = slice(300_000, 300_800)
    span = span_of(pd.Series(events[asked]))
    before = read_bytes()
    found = len(log.read(version=1, keys=keys[asked], events=span)), len(log.answers(None, keys[asked], span))
    read = read_bytes() - before

    assert found == (800, 800)
    assert read < size / 20, (read, size)

    before = read_bytes()
    counted = log.batch_counts(1)

    assert counted == {"b": n}
    assert read_bytes() - before < size / 5


AWAY = """
import sys
from pathlib import Path
from retrim.errors import RetrimError
from retrim.lineage.prediction_log import PredictionLog
try:
    PredictionLog("s3://away/predictions", "bike", Path(sys.argv[1])).versions()
except RetrimError as error:
    print(type(error).__name__, error)
"""


def test_an_address_that_is_away_is_named_with_its_cure(tmp_path: Path) -> None:
    """In a process of its own: fsspec keeps what it has opened."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", AWAY, str(tmp_path / "lock")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert said.startswith("RetrimError predictions at s3://away/predictions cannot be reached: ")
    assert said.strip().endswith("and RETRIM_PREDICTIONS")


def test_a_database_is_no_place_of_theirs(tmp_path: Path) -> None:
    log = PredictionLog(f"sqlite:///{tmp_path}/predictions.db", "m", tmp_path / "lock")

    with pytest.raises(BadInputError, match=r"^RETRIM_PREDICTIONS .* RETRIM_PREDICTIONS_TABLE$"):
        log.add(1, rows(["a"]))
