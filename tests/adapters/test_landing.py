"""The landing zone: whole or not at all, once, and the same wherever its files lie."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError, RefusedError
from retrim.reading.landed import facts_of, hash_file, landed_files
from tests.builders.landed import read_landed

NOON = pd.Timestamp("2024-05-01T12:00:00.123456", tz="UTC")
DIGEST, OTHER = "ab" * 32, "cd" * 32


def rows(*keys: str) -> pd.DataFrame:
    at = pd.Series(pd.to_datetime(["2024-04-01T00:00:00Z"] * len(keys), utc=True)).dt.as_unit("us")
    blank = pd.Series([None] * len(keys), dtype="str")
    return pd.DataFrame({"_key": pd.Series(keys, dtype="str"), "at": at, "x": 1.5, "word": blank})


def land(landing: Landing, frame: pd.DataFrame, digest: str = DIGEST, at: pd.Timestamp = NOON) -> Path:
    with landing.locked():
        return landing.land("rows", frame, digest=digest, arrived=at, correction=False, released="")


def land_labels(landing: Landing, digest: str = OTHER) -> Path:
    labels = pd.DataFrame({"_key": ["a"], "y": [2.0], "label_time": [NOON]})
    with landing.locked():
        return landing.land("labels", labels, digest=digest, arrived=NOON, correction=True, released="checked by hand")


def test_a_batch_lies_in_the_partition_of_its_day(tmp_path: Path) -> None:
    path = land(Landing(tmp_path / "landing"), rows("a"))

    assert path.relative_to(tmp_path) == Path("landing/arrived=2024-05-01/rows-abababababababab.parquet")


def test_what_landed_is_read_back_with_its_types(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    land(landing, rows("a", "b"))
    frame, labels = read_landed(tmp_path)

    assert labels is None
    pd.testing.assert_frame_equal(frame[["_key", "at", "x", "word"]], rows("a", "b"))
    assert frame.dtypes.astype("str").to_dict()["_arrived"] == "datetime64[us, UTC]"
    assert frame["_arrived"].tolist() == [NOON, NOON]
    assert frame["_batch"].tolist() == [DIGEST[:16]] * 2
    assert frame["_correction"].dtype == "bool"


def test_facts_stand_in_the_file_itself(tmp_path: Path) -> None:
    path = land_labels(Landing(tmp_path / "landing"))
    moved = path.rename(tmp_path / "moved.parquet")
    facts = facts_of(moved)

    assert (facts.kind, facts.digest, facts.arrived, facts.correction) == ("labels", OTHER, NOON, True)
    assert (facts.released, facts.rows, facts.batch) == ("checked by hand", 1, OTHER[:16])


def test_equal_batches_have_equal_bytes(tmp_path: Path) -> None:
    one, two = (land(Landing(tmp_path / name), rows("a")).read_bytes() for name in ("one", "two"))

    assert one == two


def test_landing_again_changes_nothing(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    path = land(landing, rows("a"))
    before = (path.stat().st_ino, path.stat().st_mtime_ns)
    again = land(landing, rows("a"), at=NOON + pd.Timedelta(2, "D"))

    assert again == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    assert len(landing.batches()) == 1


def test_a_room_reads_the_same_flat_or_in_partitions(tmp_path: Path) -> None:
    landing = Landing(tmp_path / "landing")
    land(landing, rows("a", "b"))
    land_labels(landing)
    flat, deep = tmp_path / "flat", tmp_path / "deep"
    for batch in landing.batches():
        for link in (flat / batch.path.name, deep / batch.path.relative_to(landing.root)):
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(batch.path, link)

    for run_directory in (flat, deep):
        for read, landed in zip(read_landed(run_directory), read_landed(landing.root), strict=True):
            pd.testing.assert_frame_equal(read, landed)


def test_batches_come_in_order_of_arrival(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    land(landing, rows("a"), digest=OTHER, at=NOON)
    land(landing, rows("b"), digest=DIGEST, at=NOON + pd.Timedelta(1, "h"))

    assert [batch.digest for batch in landing.batches()] == [OTHER, DIGEST]
    assert [batch.digest for batch in landing.batches(as_of=NOON)] == [OTHER]


def test_an_empty_zone_knows_nothing(tmp_path: Path) -> None:
    landing = Landing(tmp_path / "landing")

    assert (landing.batches(), landing.has(DIGEST)) == ([], False)


def test_an_empty_zone_says_how_rows_get_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="retrim ingest FILE"):
        read_landed(tmp_path)


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    path = land(landing, rows("a"))
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(BadInputError, match=path.name):
        read_landed(tmp_path)


def test_a_file_from_elsewhere_is_named(tmp_path: Path) -> None:
    rows("a").to_parquet(tmp_path / "mine.parquet")

    with pytest.raises(BadInputError, match=r"mine\.parquet"):
        landed_files(tmp_path)


def test_a_batch_without_a_column_is_read_with_it_missing(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    land(landing, rows("a"))
    land(landing, rows("b").drop(columns="x"), digest=OTHER)

    assert read_landed(tmp_path)[0]["x"].isna().tolist() == [False, True]


def test_what_a_killed_landing_left_is_cleared_and_never_read(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    land(landing, rows("a"))
    (tmp_path / ".tmp-0123456789abcdef").write_bytes(b"PAR1 half")

    assert len(landing.batches()) == 1
    with landing.locked():
        assert list(tmp_path.glob(".tmp-*")) == []


def test_who_lands_keeps_others_from_landing(tmp_path: Path) -> None:
    with Landing(tmp_path).locked(), (tmp_path / ".lock").open("w") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_processes_that_land_one_batch_at_once_land_it_once(tmp_path: Path) -> None:
    code = (
        "import sys, pandas as pd; from pathlib import Path; from retrim.adapters.landing_zone import Landing\n"
        "landing = Landing(Path(sys.argv[1])); at = pd.Timestamp(sys.argv[2], tz='UTC')\n"
        "frame = pd.DataFrame({'_key': [str(n) for n in range(50_000)], 'x': 1.0})\n"
        "with landing.locked():\n"
        "    landing.land('rows', frame, digest='ab' * 32, arrived=at, correction=False, released='')\n"
    )
    source = str(Path(__file__).resolve().parents[2] / "src")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), f"2024-05-0{day}"], env={**os.environ, "PYTHONPATH": source}
        )
        for day in (1, 2, 3)
    ]

    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    assert [batch.rows for batch in Landing(tmp_path).batches()] == [50_000]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255), of_the_hash=st.booleans())
def test_a_batch_of_which_a_byte_was_turned_is_not_read(
    tmp_path: Path, place: float, mask: int, of_the_hash: object
) -> None:
    path = land(Landing(tmp_path), rows("a"))
    altered = hash_file(path) if of_the_hash else path
    whole = altered.read_bytes()
    content = bytearray(whole)
    content[int(place * len(content))] ^= mask
    altered.write_bytes(bytes(content))
    try:
        with pytest.raises((RefusedError, BadInputError), match=path.stem):
            read_landed(tmp_path)
    finally:
        altered.write_bytes(whole)


def test_a_batch_of_which_a_column_s_name_was_turned_is_not_read(tmp_path: Path) -> None:
    path = land(Landing(tmp_path), rows("a"))
    whole = path.read_bytes()
    places = [at for at in range(len(whole)) if whole.startswith(b"_key", at)]
    for at in places:
        content = bytearray(whole)
        content[at] ^= 0x80
        path.write_bytes(bytes(content))
        with pytest.raises((RefusedError, BadInputError), match=path.stem):
            read_landed(tmp_path)
    assert len(places) > 1


def test_a_batch_without_a_hash_is_read_as_in_a_run_directory(tmp_path: Path) -> None:
    path = land(Landing(tmp_path), rows("a"))
    hash_file(path).unlink()

    assert len(read_landed(tmp_path)[0]) == 1
