"""A table of which nothing is declared yet: what kind of file it is, and its columns as they stand in it."""

from pathlib import Path

import pyarrow as pa
import pytest

from retrim.errors import BadInputError
from retrim.reading.raw import open_raw, read_raw

WIDE, LONG = 9000, "a column with a name that is rather long and number "
"""Columns, and what their names begin with: a header of 450 kB."""


def test_all_columns_of_a_very_wide_text_are_text() -> None:
    header = ",".join(f"{LONG}{number}" for number in range(WIDE))
    raw = read_raw(f"{header}\n{','.join(['007'] * WIDE)}\n".encode(), "table")

    assert set(raw.columns.schema.types) == {pa.string()}
    assert {column[0].as_py() for column in raw.columns.columns} == {"007"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"a": 1, "b": 2},\n {"a": 3, "b": 4}]', "JSON array; write JSON lines"),
        (b"# made on Monday\na,b\n1,2\n", "2 lines after the first, but none with the 1 cells of the first"),
        (b"a,b\n1,2,\n3,4,\n", "2 lines after the first, but none with the 2 cells of the first"),
        (b"a,b\n", "a header but no rows"),
    ],
    ids=["JSON array", "comment", "separator at the end of lines", "header alone"],
)
def test_what_has_no_rows_says_why(content: bytes, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read_raw(content, "table")


@pytest.mark.parametrize("cities", [("Köln", "Bonn"), ("Bonn", "Köln"), ("Bonn", "Köln", "Ulm")])
def test_files_of_one_encoding_may_hold_ascii_alone(tmp_path: Path, cities: tuple[str, ...]) -> None:
    for city in cities:
        (tmp_path / f"{cities.index(city)}.csv").write_bytes(f"city;x\n{city};1\n".encode("cp1252"))
    raw = open_raw(str(tmp_path))

    assert raw.encoding == "cp1252"
    assert raw.columns["city"].to_pylist() == list(cities)


def test_files_of_two_encodings_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("city\nKöln\n".encode())
    (tmp_path / "b.csv").write_bytes("city\nKöln\n".encode("cp1252"))

    with pytest.raises(BadInputError, match=r"a\.csv .*csv, utf-8.* does not have the same format as .*b\.csv"):
        open_raw(str(tmp_path))


@pytest.mark.parametrize("protocol", ["", "file://"], ids=["path", "address"])
def test_a_folder_that_a_tool_keeps_for_itself_is_not_read(tmp_path: Path, protocol: str) -> None:
    for folder in (tmp_path, tmp_path / ".ipynb_checkpoints", tmp_path / "_delta_log"):
        folder.mkdir(exist_ok=True)
        (folder / "trips.csv").write_bytes(b"a,b\n1,2\n")

    assert open_raw(f"{protocol}{tmp_path}").rows == 1
