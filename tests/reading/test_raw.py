"""A table of which nothing is declared yet: what kind of file it is, and its columns as they stand in it."""

import pyarrow as pa

from retrim.reading.raw import read_raw

WIDE, LONG = 9000, "a column with a name that is rather long and number "
"""Columns, and what their names begin with: a header of 450 kB."""


def test_all_columns_of_a_very_wide_text_are_text() -> None:
    header = ",".join(f"{LONG}{number}" for number in range(WIDE))
    raw = read_raw(f"{header}\n{','.join(['007'] * WIDE)}\n".encode(), "table")

    assert set(raw.columns.schema.types) == {pa.string()}
    assert {column[0].as_py() for column in raw.columns.columns} == {"007"}
