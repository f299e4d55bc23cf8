"""The one reader: what is typed how, and that a file which is no such table says so."""

import gzip
import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.errors import BadInputError
from retrim.reading.container import NoTableError, columns_of
from retrim.reading.raw import look_of
from retrim.reading.table import read_content, typed
from retrim.table.data import DataParams
from retrim.table.reading import PLAIN, ReadingParams
from tests.builders.landed import read_table

GOOD = b"at,order,weight,items,country,price\n2024-01-01T10:00:00Z,1,0.5,2,NL,9.5\n2024-01-01T11:00:00Z,2,,,,8\n"
STORED = {
    "at": pa.array([1704103200, 1704106800], pa.timestamp("s", "UTC")),
    "order": pa.array([1, 2], pa.int64()),
    "weight": pa.array([0.5, None], pa.float32()),
    "items": pa.array([2, None], pa.int8()),
    "country": pa.array(["NL", None]).dictionary_encode(),
    "price": pa.array([9.5, 8.0]),
}
BERLIN = PLAIN.model_copy(update={"zone": "Europe/Berlin"})


def parquet(**changes: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({**STORED, **changes}), file)
    return file.getvalue()


def frame_of(content: bytes, data: DataParams, *, labels: bool = False, reading: ReadingParams = PLAIN) -> pd.DataFrame:
    read = read_content(content, data, labels=labels, reading=reading)
    assert read.faults == ()
    assert read.frame is not None
    return read.frame


@pytest.mark.parametrize("coded", [False, True])
def test_text_that_is_stored_as_views_is_text(shop: DataParams, *, coded: bool) -> None:
    views = pa.array(["NL", None], pa.string_view())
    kept = pa.DictionaryArray.from_arrays(pa.array([0, 1]), views) if coded else views
    file = io.BytesIO()
    with pa.ipc.new_file(file, (table := pa.table({**STORED, "country": kept})).schema) as writer:
        writer.write_table(table)

    assert frame_of(file.getvalue(), shop)["country"].fillna("").tolist() == ["NL", ""]


def test_columns_have_their_declared_types(shop: DataParams) -> None:
    types = frame_of(GOOD, shop).dtypes.astype("str").to_dict()

    assert types == {
        "at": "datetime64[us, UTC]",
        "order": "float64",
        "weight": "float64",
        "items": "float64",
        "country": "str",
        "price": "float64",
    }


@pytest.mark.parametrize(
    "same",
    [
        gzip.compress(GOOD),
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r"),
        GOOD.rstrip(),
        b"\n" + GOOD + b"\n\n",
        GOOD.replace(b"NL", b'"NL"'),
        parquet(),
        parquet(at=pa.array([1704103200, 1704106800], pa.timestamp("s"))),
        parquet(order=pa.array(["1", "2"])),
    ],
    ids=[
        "gzip",
        "byte order mark",
        "CRLF",
        "CR",
        "no last newline",
        "blank lines",
        "quotes",
        "Parquet",
        "naive",
        "as text",
    ],
)
def test_the_same_table_reads_the_same(same: bytes, shop: DataParams) -> None:
    pd.testing.assert_frame_equal(frame_of(same, shop), frame_of(GOOD, shop))


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01T12:00:00+02:00",
        "2024-01-01 10:00",
        "2024-01-01T10:00:00.000Z",
        "2024-01-01T05:00:00 -05:00",
        "2024-01-01 12:00:00+02",
        "2024-01-01T10",
        "2024-01-01 05-05",
    ],
)
def test_a_time_with_a_zone_becomes_utc_and_one_without_is_utc(text: str, shop: DataParams) -> None:
    rows = frame_of(GOOD.replace(b"2024-01-01T10:00:00Z", text.encode()), shop)

    assert rows["at"].iloc[0] == pd.Timestamp("2024-01-01T10:00:00Z")


def json_lines(*rows: dict[str, Any]) -> bytes:
    full = {"at": "2024-01-01T10:00:00Z", "order": 1, "weight": 0.5, "items": 2, "country": "NL", "price": 9.5}
    return "".join(json.dumps(full | {"order": number} | row) + "\n" for number, row in enumerate(rows)).encode()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01T12:00:00Z", "12:00"),
        ("2024-07-01T12:00:00+05:00", "07:00"),
        ("2024-07-01T12:00:00", "10:00"),
        ("2024-07-01T12", "10:00"),
        ("2024-07-01T12Z", "12:00"),
    ],
)
def test_json_lines_keep_the_zone_that_a_time_names(text: str, utc: str, shop: DataParams) -> None:
    frame = frame_of(json_lines({"at": text}), shop, reading=BERLIN)

    assert frame["at"].tolist() == [pd.Timestamp(f"2024-07-01T{utc}Z")]


@pytest.mark.parametrize(
    ("content", "column", "value"),
    [
        (json_lines({}, {"country": 7}), "country", "string and number"),
        (json_lines({}) + b"[1]\n", "", "object and array"),
        (b'{"at": 1, "price": 2, "at": 3}', "", "at"),
    ],
    ids=["types", "no object", "twice"],
)
def test_json_lines_that_are_no_table_are_not_called_damaged(
    content: bytes, column: str, value: str, shop: DataParams
) -> None:
    (fault,) = read_content(content, shop, labels=False).faults

    assert (fault.column, fault.examples[0].value) == (column, value)
    assert "send the file again" not in fault.cure


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01 12:00:00+05", "2024-07-01T07:00Z"),
        ("2024-07-01 12+05", "2024-07-01T07:00Z"),
        ("2024-07-01", "2024-06-30T22:00Z"),
    ],
)
def test_a_zone_of_whole_hours_is_told_from_a_day(text: str, utc: str, shop: DataParams) -> None:
    frame = frame_of(GOOD.replace(b"2024-01-01T10:00:00Z", text.encode()), shop, reading=BERLIN)

    assert frame["at"].iloc[0] == pd.Timestamp(utc)


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.timestamp("s")])
def test_a_stored_day_begins_in_the_zone_as_one_in_text_does(kind: pa.DataType, shop: DataParams) -> None:
    stored = parquet(at=pa.array([date(2024, 7, 1), date(2024, 12, 1)], pa.date32()).cast(kind))
    frame = frame_of(stored, shop, reading=BERLIN)

    assert frame["at"].tolist() == [pd.Timestamp("2024-06-30T22:00Z"), pd.Timestamp("2024-11-30T23:00Z")]


@pytest.mark.parametrize("kind", [pa.decimal128(38, 5), pa.decimal256(50, 20)])
def test_a_decimal_is_the_number_that_it_spells(kind: pa.DataType, shop: DataParams) -> None:
    amounts = ["4.81", "1111111.11111"]
    counts = ["111", "9007199254740991"]
    frame = frame_of(
        parquet(weight=pa.array(map(Decimal, amounts), kind), items=pa.array(map(Decimal, counts), kind)), shop
    )
    look = look_of("weight", pa.chunked_array([pa.array(map(Decimal, amounts), kind)]))

    assert frame["weight"].tolist() == look.cells.tolist() == [float(amount) for amount in amounts]
    assert frame["items"].tolist() == [float(count) for count in counts]


@pytest.mark.parametrize(
    ("form", "first"), [("unix", 1704103200.0), ("unix", 1704103200.25), ("unix_ms", 1704103200250.0)]
)
def test_unix_times_may_be_stored_as_floats(form: str, first: float, shop_later: DataParams) -> None:
    unix = PLAIN.model_copy(update={"dates": {"at": (form,), "label_time": (form,)}, "zone": "Europe/Berlin"})
    keys = {"order": ["1", "2", "3"], "price": ["1", "2", "3"]}
    stored = pa.table({**keys, "label_time": pa.array([first, None, float("nan")])})
    file = io.BytesIO()
    pq.write_table(stored, file)
    text = f"order,price,label_time\n1,1,{first!r}\n2,2,\n3,3,\n".encode()
    read, same = (frame_of(content, shop_later, labels=True, reading=unix) for content in (file.getvalue(), text))

    pd.testing.assert_frame_equal(read, same)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e300, 3e11])
def test_a_stored_float_that_is_no_unix_time_is_a_fault(value: float, shop: DataParams) -> None:
    unix = PLAIN.model_copy(update={"dates": {"at": ("unix",)}})
    (fault,) = read_content(parquet(at=pa.array([1704103200.0, value])), shop, labels=False, reading=unix).faults

    assert (fault.column, fault.examples[0].row, fault.examples[0].value) == ("at", 1, str(value))


def test_far_times_may_have_more_digits_than_microseconds(shop: DataParams) -> None:
    far = GOOD.replace(b"T10:00:00Z", b"T10:00:00.1234567Z").replace(
        b"2024-01-01T11:00:00Z", b"9999-12-31T00:00:00.0000000"
    )

    assert frame_of(far, shop)["at"].tolist() == [
        pd.Timestamp("2024-01-01T10:00:00.123456Z"),
        pd.Timestamp("9999-12-31", tz="UTC"),
    ]


def test_zones_may_differ_from_row_to_row(shop: DataParams) -> None:
    mixed = GOOD.replace(b"T11:00:00Z", b"T11:00:00+05:30")

    assert frame_of(mixed, shop)["at"].iloc[1] == pd.Timestamp("2024-01-01T05:30:00Z")


@pytest.mark.parametrize(
    ("column", "old", "value"),
    [
        *[
            ("weight", b"0.5", text)
            for text in ("heavy", "NaN", "nan", "NA", "null", "inf", "-inf", "1e999", "1,5", "0x1")
        ],
        *[("items", b",2,", text) for text in ("2.5", "two", "nan", "9007199254740993", "True")],
        *[("at", b"2024-01-01T10:00:00Z", text) for text in ("yesterday", "01/02/2024", "2024-02-30", "1704103200")],
    ],
)
def test_a_cell_of_another_type_is_a_fault(column: str, old: bytes, value: str, shop: DataParams) -> None:
    quoted = f'"{value}"'.encode()
    new = b"," + quoted + b"," if old.startswith(b",") else quoted
    (fault,) = read_content(GOOD.replace(old, new, 1), shop, labels=False).faults

    assert (fault.column, fault.count, fault.releasable) == (column, 1, False)
    assert (fault.examples[0].row, fault.examples[0].value) == (0, value)


@pytest.mark.parametrize(
    ("column", "values", "value"),
    [
        ("weight", pa.array([True, False]), "stored as bool"),
        ("weight", pa.array([np.inf, 1.0]), "inf"),
        ("items", pa.array([2.5, 1.0]), "2.5"),
        ("country", pa.array([1.5, 2.5]), "stored as double"),
        ("at", pa.array([1, 2]), "stored as int64"),
        ("price", pa.array([[1.0], [2.0]]), "stored as list<element: double>"),
    ],
)
def test_a_column_stored_as_another_type_is_a_fault(
    column: str, values: pa.Array, value: str, shop: DataParams
) -> None:
    (fault,) = read_content(parquet(**{column: values}), shop, labels=False).faults

    assert (fault.column, fault.examples[0].value) == (column, value)


@pytest.mark.parametrize(
    "text", ["0000-01-01", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00+14:00"], ids=["year 0", "after", "before"]
)
def test_a_time_beyond_the_calendar_is_a_fault(text: str, shop: DataParams) -> None:
    (fault,) = read_content(GOOD.replace(b"2024-01-01T10:00:00Z", text.encode()), shop, labels=False).faults

    assert (fault.column, fault.examples[0].value, "years 1 to 9999" in fault.cure) == ("at", text, True)


@pytest.mark.parametrize(("unit", "ticks"), [("ms", 10**17), ("ms", -(2**62)), ("us", 253_402_300_800_000_000)])
def test_a_stored_time_beyond_the_calendar_is_a_fault_and_does_not_wrap(
    unit: str, ticks: int, shop: DataParams
) -> None:
    stored = parquet(at=pa.array([ticks, 0], pa.timestamp(unit, "UTC")))
    (fault,) = read_content(stored, shop, labels=False).faults

    assert (fault.column, fault.count, fault.examples[0].value) == ("at", 1, str(ticks))


def test_a_count_of_seconds_in_text_that_would_wrap_is_a_fault() -> None:
    reading = PLAIN.model_copy(update={"dates": {"time": ("unix",)}})
    text = pa.chunked_array([pa.array(["18446744073709", "5"])])  # in microseconds it is 2^64 and half a second less
    times, faults = typed(text, "time", "time", reading)

    assert times.isna().tolist() == [True, False]
    assert [fault.count for fault in faults] == [1]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"separator": sign} for sign in ("€", '"', "\n", "\0")),
        *({"dates": {"day": [form]}} for form in ("%Q", "mixed")),
    ],
)
def test_a_spelling_that_no_file_can_be_read_by_is_refused_in_the_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="write one"):
        ReadingParams.model_validate({**PLAIN.model_dump(), **wrong})


@pytest.mark.parametrize("column", ["country", "weight"])
def test_stored_text_that_is_not_utf8_is_a_fault(column: str, shop: DataParams) -> None:
    ends = pa.py_buffer(np.array([0, 2, 4], dtype="int32").tobytes())
    text = pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(b"\xff\xfeab")])
    (fault,) = read_content(parquet(**{column: text}), shop, labels=False).faults

    assert "UTF-8" in fault.cure


@pytest.mark.parametrize("column", ["at", "order"])
def test_a_row_needs_its_time_and_its_key(column: str, shop: DataParams) -> None:
    rows = pd.read_csv(io.BytesIO(GOOD), dtype="str")
    rows.loc[1, column] = None
    (fault,) = read_content(rows.to_csv(index=False).encode(), shop, labels=False).faults

    assert (fault.column, fault.rule, fault.examples[0].row) == (column, "is not blank", 1)


def test_a_fault_shows_ten_rows_and_counts_all(shop: DataParams) -> None:
    many = GOOD + b"".join(b"2024-01-02T00:00:00Z,%d,x,1,NL,1\n" % order for order in range(10, 60))
    (fault,) = read_content(many, shop, labels=False).faults

    assert (fault.count, len(fault.examples), fault.examples[0].row) == (50, 10, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"\n \n", "only blank lines"),
        (GOOD.split(b"\n")[0], "a header but no rows"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        (b"%PDF-1.7 nothing\nhere", "missing: at"),
        (b'{"at": 1}', "missing: price"),
        (b'[{"at": 1}, {"at": 2}]', "a JSON array"),
        (b"a" * 200_000, "field larger"),
        (GOOD.replace(b",price", b""), "missing: price"),
        (GOOD.replace(b",price\n", b",price,extra\n").replace(b"9.5\n", b"9.5,1\n"), "not declared: extra"),
        (GOOD.replace(b"items", b"weight"), "weight"),
        (GOOD.replace(b"NL", "Zürich".encode("latin-1")), "byte 0xfc in line 2"),
        (GOOD.decode().encode("utf-16"), "UTF-16"),
        (GOOD.replace(b",", b";"), "missing: at"),
        (GOOD + b"2024-01-01T12:00:00Z,3,1\n", "2024-01-01T12:00:00Z,3,1"),
        (GOOD + b'2024-01-01T12:00:00Z,3,1,1,"NL,1\n', None),
        (gzip.compress(GOOD)[:-9], "Compressed file ended"),
        (gzip.compress(GOOD)[:20] + b"\0\0\0\0\0\0" + gzip.compress(GOOD)[26:], None),
        (parquet()[:-20], None),
        (parquet()[:200] + parquet()[240:], None),
        (b"PAR1", None),
    ],
    ids=[
        "empty", "blank", "no rows", "picture", "PDF", "JSON", "JSON array", "long word", "missing column",
        "extra column", "column twice", "Latin-1", "UTF-16", "semicolons", "short row", "open quote", "cut gzip",
        "damaged gzip", "cut Parquet", "damaged Parquet", "stump of Parquet",
    ],
)  # fmt: skip
def test_what_is_no_such_table_says_why(content: bytes, said: str | None, shop: DataParams) -> None:
    reading = read_content(content, shop, labels=False)
    (fault,) = reading.faults

    assert reading.frame is None
    assert not fault.releasable
    assert said is None or any(said in example.value for example in fault.examples)


def test_rows_of_another_length_are_counted(shop: DataParams) -> None:
    (fault,) = read_content(GOOD + b"1,2\n2024-01-01,3,1,1,NL,1\n1,2,3,4,5,6,7\n", shop, labels=False).faults

    assert [(example.row, example.value) for example in fault.examples] == [(2, "1,2"), (4, "1,2,3,4,5,6,7")]


def test_semicolons_are_named_in_the_cure(shop: DataParams) -> None:
    (fault,) = read_content(GOOD.replace(b",", b";"), shop, labels=False).faults

    assert "commas" in fault.cure


def test_a_name_that_differs_in_blanks_or_capitals_is_named_in_the_cure(shop: DataParams) -> None:
    (fault,) = read_content(GOOD.replace(b"price", b" Price "), shop, labels=False).faults

    assert [example.value for example in fault.examples] == ["missing: price", "not declared: ' Price '"]
    assert fault.cure.endswith(
        "column names must match exactly, including blanks and capitals: ' Price ' is not 'price'"
    )


def test_a_column_that_is_called_otherwise_by_now_is_named_with_the_line_that_mends_it(shop: DataParams) -> None:
    (fault,) = read_content(GOOD.replace(b"weight", b"weight_kg"), shop, labels=False).faults

    assert "weight may be called weight_kg now: `weight_kg: {..., was: weight}`" in fault.cure


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda path: path.mkdir(), "is a folder"), (lambda path: None, "does not exist")],
    ids=["folder", "nothing"],
)
def test_what_is_no_file_is_bad_input(
    make: Callable[[Path], None], said: str, tmp_path: Path, shop: DataParams
) -> None:
    make(tmp_path / "batch.csv")

    with pytest.raises(BadInputError, match=said):
        read_table(tmp_path / "batch.csv", shop, labels=False)


def test_labels_have_key_and_target(shop_later: DataParams) -> None:
    frame = frame_of(b"order,price\n1,9\n", shop_later, labels=True)

    assert frame.columns.tolist() == ["order", "price", "label_time"]


def test_a_label_without_its_value_is_a_fault(shop_later: DataParams) -> None:
    (fault,) = read_content(b"order,price\n1,\n", shop_later, labels=True).faults

    assert (fault.column, fault.rule) == ("price", "is not blank")


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_every_finite_number_is_read_as_it_was_written(values: list[float | None]) -> None:
    column = pa.chunked_array([pa.array([None if value is None else repr(value) for value in values], pa.string())])
    series, faults = typed(column, "x", "number")

    assert faults == ()
    assert [None if np.isnan(value) else value for value in series] == values


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_reading(content: bytes) -> None:
    data = DataParams.model_validate(
        {
            "model": "x",
            "columns": {
                "t": {"type": "time", "role": "time"},
                "x": {"type": "number", "role": "feature"},
                "y": {"type": "number", "role": "target"},
            },
            "task": "regression",
            "label_horizon": "1D",
            "batch_every": "1D",
            "suite": "x",
        }
    )
    for head in (b"", b"t,x,y\n", b"PAR1", b"\x1f\x8b\x08\0"):
        reading = read_content(head + content, data, labels=False)

        assert (reading.frame is not None) or reading.faults


@pytest.mark.parametrize("twice", [False, True])
def test_names_of_very_many_columns_are_checked_to_the_last(*, twice: bool) -> None:
    names = [f"c{number}" for number in range(50_000)]
    header = ",".join([*names, *names[:1]] if twice else names[1:])
    with pytest.raises(NoTableError) as raised:
        columns_of(f"{header}\n".encode(), required=names, optional=())

    assert [each.value for each in raised.value.fault.examples] == ["c0" if twice else "missing: c0"]
