"""A table of any columns can be kept as Parquet."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrim.parquet import writable
from retrim.reading.raw import read_raw

ONE_OF_TWO = pa.UnionArray.from_dense(
    pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["\u00e9"])]
)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([{}, None]), ["{}", None]),
        (pa.array([[{}], []]), ["[{}]", "[]"]),
        (pa.array([{"a": {}}, {"a": None}]), ['{"a": {}}', '{"a": null}']),
        (ONE_OF_TWO, ["1", '"\u00e9"']),
    ],
    ids=["records", "lists", "within records", "one of two"],
)
def test_what_parquet_cannot_hold_is_kept_as_json(column: pa.Array, text: list[str | None]) -> None:
    sink = io.BytesIO()
    pq.write_table(writable(pa.table({"a b": column, "n": [1, 2]})), sink)

    assert pq.read_table(sink).to_pydict() == {"a b": text, "n": [1, 2]}


def test_what_parquet_can_hold_stays_as_it_is() -> None:
    table = pa.table({"n": [1, 2], "r": [{"a": 1}, None], "l": [[1], []], "none": pa.nulls(2), "b": [b"\xff", b""]})

    assert writable(table).equals(table)


def test_a_piece_of_a_table_with_empty_records_is_a_file() -> None:
    piece = read_raw(b'{"x": 1, "meta": {}}\n{"x": 2, "meta": {}}\n', "table").piece([1])

    assert pq.read_table(io.BytesIO(piece)).to_pylist() == [{"x": 2, "meta": "{}"}]
