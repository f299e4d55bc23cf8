"""Landed rows on disk: whatever is taken is what reading them all gives."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.adapters import landing_zone as writing
from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError, RefusedError
from retrim.reading import landed_rows
from retrim.reading.frames import read_frame, read_rows_at
from retrim.reading.frames import writing as adding
from retrim.reading.landed import landed_files
from retrim.reading.landed_rows import ROW, LandedRows
from tests.builders.landed import read_rows

NOON = pd.Timestamp("2024-05-01T12:00:00Z")


def rows(first: int, count: int) -> pd.DataFrame:
    numbers = np.arange(first, first + count)
    keys = pd.Series([f"k{number}" for number in numbers], dtype="str")
    words = pd.Series(["a", None] * count, dtype="str")[:count]
    return pd.DataFrame({"_key": keys, "x": numbers / 2, "word": words})


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three files, of several row groups."""
    monkeypatch.setattr(writing, "ROW_GROUP", 4)
    landing = Landing(tmp_path)
    for number, count in enumerate((10, 1, 7)):
        with landing.locked():
            digest, arrived = f"{number:064x}"[::-1], NOON + pd.Timedelta(number, "D")
            landing.land(
                "rows", rows(number * 10, count), digest=digest, arrived=arrived, correction=False, released=""
            )
    return [file.path for file in landed_files(tmp_path)]


def test_rows_taken_in_any_order_are_those_read_whole(paths: list[Path]) -> None:
    whole, landed = read_rows(paths), LandedRows(paths)
    order = np.random.default_rng(5).permutation(18)

    assert len(landed) == 18
    for places in (order, order[:5], np.array([17]), np.array([], dtype="int64")):
        taken = landed.take(places, landed.columns)
        pd.testing.assert_frame_equal(taken, whole.iloc[places].reset_index(drop=True))


def test_a_few_columns_of_all_rows_come_with_their_numbers(paths: list[Path]) -> None:
    narrow = LandedRows(paths).narrow(["_batch", "x", "x"])
    whole = read_rows(paths)

    assert list(narrow) == ["_batch", "x", ROW]
    assert narrow["x"].tolist() == whole["x"].tolist()
    assert narrow["_batch"].tolist() == whole["_batch"].tolist()
    assert narrow["_batch"].cat.categories.tolist() == sorted(set(whole["_batch"]))


def test_a_column_that_a_file_lacks_is_missing_in_its_rows(paths: list[Path], tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    with landing.locked():
        path = landing.land(
            "rows", rows(50, 2).drop(columns="x"), digest="f" * 64, arrived=NOON, correction=False, released=""
        )
    landed = LandedRows([*paths, path])

    for found in (landed.narrow(["x"])["x"], landed.take(np.arange(20), ["x"])["x"]):
        assert found.isna().tolist() == [False] * 18 + [True] * 2
        assert found.dtype == "float64"


def test_a_file_that_was_altered_is_refused(paths: list[Path]) -> None:
    content = bytearray(paths[0].read_bytes())
    content[40] ^= 1
    paths[0].write_bytes(bytes(content))

    with pytest.raises((RefusedError, BadInputError), match="altered"):
        LandedRows(paths)


def test_pieces_make_one_file(tmp_path: Path) -> None:
    path, frame = tmp_path / "t.parquet", rows(0, 9)
    with adding(path) as add:
        add(frame.iloc[:4].astype({"word": "category"}))
        add(frame.iloc[4:])

    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
    pd.testing.assert_frame_equal(read_frame(path, ["word", "x"], coded=[]), frame[["word", "x"]])
    assert read_frame(path, coded=["word"])["word"].dtype == "category"
    for places in ([0, 3, 4, 8], [5], []):
        found = read_rows_at(path, np.array(places, dtype="int64"))
        pd.testing.assert_frame_equal(found, frame.iloc[places].reset_index(drop=True))


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"before")
    with pytest.raises(AttributeError), adding(path) as add:
        list(map(add, [rows(0, 3), None]))

    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]
    assert path.read_bytes() == b"before"


def test_many_rows_are_read_a_few_columns_at_a_time(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landed_rows, "PIECE", 5)
    monkeypatch.setattr(landed_rows, "COLUMNS", 2)
    whole, lazy = read_rows(paths), LandedRows(paths)
    order = np.random.default_rng(5).permutation(18)
    known = lazy.narrow(["_batch", "_key"]).take(order).reset_index(drop=True).assign(made=order)

    pd.testing.assert_frame_equal(lazy.beside(known), whole.take(order).reset_index(drop=True).assign(made=order))
    assert lazy._held == {}
    some = lazy.beside(known, ["word"], coded=["word"])
    assert list(some) == ["_key", "_batch", "word", "made"]
    assert some["word"].astype("str").fillna("").tolist() == whole["word"].take(order).fillna("").tolist()
    assert isinstance(some["word"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize("ask", ["narrow", "take"])
def test_rows_that_cannot_be_read_name_their_file_and_the_cure(paths: list[Path], ask: str) -> None:
    landed = LandedRows(paths)
    content = bytearray(paths[0].read_bytes())
    content[4:60] = bytes(56)
    paths[0].write_bytes(content)

    with pytest.raises(BadInputError, match=rf"{paths[0].name} .*\bland it again$"):
        landed.narrow(["_key"]) if ask == "narrow" else landed.take(np.array([0]), ["_key", "_batch"])
