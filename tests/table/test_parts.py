"""Times that a file holds in parts: put together when it is read, whatever holds it and however months are written."""

import io
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from retrim.reading.table import FileContent, read_content
from retrim.table.data import DataParams
from retrim.table.derived_columns import faults_of
from retrim.table.reading import PLAIN, ReadingParams

PARTS = {"at": {"year": "yr", "month": "mon", "day": "day", "hour": "hr"}}


def shop() -> DataParams:
    return DataParams.model_validate(
        {
            "model": "own",
            "columns": {
                "at": {"type": "time", "role": "time"},
                "shop": {"type": "category", "role": "feature"},
                "price": {"type": "number", "role": "target"},
            },
            "key": ["shop", "at"],
            "task": "regression",
            "positive": None,
            "labels": "with_rows",
            "label_horizon": "1h",
            "batch_every": "1D",
            "batch_grace": "1h",
            "times_ahead": "1h",
            "suite": "expectations/own.json",
            "rows": {"where": [], "resample": None},
            "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
        }
    )


def read(content: bytes, *, labels: bool = False, **changes: object) -> FileContent:
    spelt = ReadingParams.model_validate({**PLAIN.model_dump(), "parts": PARTS, **changes})
    return read_content(content, shop(), labels=labels, reading=spelt)


def rows(*times: str) -> bytes:
    return ("yr,mon,day,hr,shop,price\n" + "".join(f"{time},a,1.5\n" for time in times)).encode()


def times_of(reading: FileContent) -> list[str]:
    assert reading.faults == ()
    assert reading.frame is not None
    return [f"{time:%Y-%m-%dT%H:%M}" for time in reading.frame["at"]]


@pytest.mark.parametrize("month", ["3", "03", "March", "march", "Mar", "mar."])
def test_months_may_be_numbers_or_words(month: str) -> None:
    assert times_of(read(rows(f"2024,{month},9,5"))) == ["2024-03-09T05:00"]


def test_a_year_and_a_month_alone_are_its_first_day() -> None:
    parts = {"at": {"year": "yr", "month": "mon"}}

    assert times_of(read(b"yr,mon,shop,price\n2024,Feb,a,1.5\n2024,12,a,2\n", parts=parts)) == [
        "2024-02-01T00:00",
        "2024-12-01T00:00",
    ]


def test_stored_parts_read_as_those_of_text() -> None:
    stored = pa.table(
        {
            "yr": pa.array([2024, 1650], pa.int16()),
            "mon": pa.array(["July", "May"]).dictionary_encode(),
            "day": pa.array([31, 1], pa.int64()),
            "hr": pa.array([23.0, 0.0]),
            "shop": ["a", "b"],
            "price": [1.0, 2.0],
        }
    )
    file = io.BytesIO()
    pq.write_table(stored, file)

    assert times_of(read(file.getvalue())) == ["2024-07-31T23:00", "1650-05-01T00:00"]


def test_hour_24_ends_the_day() -> None:
    assert times_of(read(rows("2023,12,31,24"))) == ["2024-01-01T00:00"]


def test_the_zone_is_that_of_any_time() -> None:
    assert times_of(read(rows("2024,7,1,12"), zone="Europe/Berlin")) == ["2024-07-01T10:00"]


def test_the_hour_that_comes_twice_is_told_by_the_order_of_rows() -> None:
    twice = rows("2024,10,27,1", "2024,10,27,2", "2024,10,27,2", "2024,10,27,3")

    assert times_of(read(twice, zone="Europe/Berlin")) == [
        "2024-10-26T23:00", "2024-10-27T00:00", "2024-10-27T01:00", "2024-10-27T02:00",
    ]  # fmt: skip


@pytest.mark.parametrize("time", ["2023,2,29,0", "2024,13,1,0", "2024,1,1,25", "24,1,1,0", "2024,1,1,-1"])
def test_what_is_no_day_is_a_fault_that_names_the_parts(time: str) -> None:
    (fault,) = read(rows("2024,1,1,0", time)).faults

    assert (fault.column, fault.count, fault.examples[0].row) == ("at", 1, 1)
    assert set(re.findall(r"\w+", fault.rule)) >= {"yr", "mon", "day", "hr"}


@pytest.mark.parametrize("time", ["2024,Brumaire,1,0", "2024,1,1.5,0"])
def test_a_part_that_is_no_number_is_a_fault(time: str) -> None:
    (fault,) = read(rows("2024,1,1,0", time)).faults

    assert fault.column in ("mon", "day")


def test_a_blank_part_is_a_row_without_a_time() -> None:
    assert [(fault.column, fault.rule) for fault in read(rows("2024,1,,0")).faults] == [("at", "is not blank")]


CLOCKED = {"at": {"date": "day", "clock": "hr"}}


def clocked(*times: str, **changes: object) -> FileContent:
    return read(
        ("day,hr,shop,price\n" + "".join(f"{time},a,1.5\n" for time in times)).encode(), parts=CLOCKED, **changes
    )


@pytest.mark.parametrize(
    ("clock", "told"),
    [
        ("7", "07:00"), ("07", "07:00"), ("13:45", "13:45"), ("13:45:59", "13:45"), ("18.00.00", "18:00"),
        ("9h30", "09:30"), ("1:45 PM", "13:45"), ("12:05 am", "00:05"), ("12 p.m.", "12:00"), ("0", "00:00"),
    ],
)  # fmt: skip
def test_a_day_and_its_clock_in_two_columns_are_one_time(clock: str, told: str) -> None:
    assert times_of(clocked(f"2024-03-09,{clock}")) == [f"2024-03-09T{told}"]


def test_a_day_is_spelt_as_its_column_and_placed_with_its_clock() -> None:
    dates = {"day": ["%d/%m/%Y"]}

    assert times_of(clocked("01/07/2024,24", dates=dates, zone="Europe/Berlin")) == ["2024-07-01T22:00"]


def test_stored_days_and_clocks_read_as_those_of_text() -> None:
    day, clock = pd.Timestamp("2024-03-09"), pd.Timestamp("2024-03-09 13:45:10")
    stored = pa.table({"day": [day.date()], "hr": [clock.time()], "shop": ["a"], "price": [1.0]})
    file = io.BytesIO()
    pq.write_table(stored, file)

    assert times_of(read(file.getvalue(), parts=CLOCKED)) == ["2024-03-09T13:45"]


@pytest.mark.parametrize("time", ["2024-03-09,25", "2024-03-09,noon", "2024-03-09,13:61", "2024-03-09T05:00:00,7"])
def test_what_is_no_clock_is_a_fault_that_names_the_parts(time: str) -> None:
    (fault,) = clocked("2024-03-09,1", time).faults

    assert (fault.column, fault.count, fault.examples[0].row) == ("at", 1, 1)
    assert "day, hr" in fault.rule


def test_a_blank_clock_is_a_row_without_a_time() -> None:
    assert [(fault.column, fault.rule) for fault in clocked("2024-03-09,").faults] == [("at", "is not blank")]


def test_a_file_needs_each_part_and_not_the_time() -> None:
    (fault,) = read(b"at,shop,price\n2024-01-01,a,1\n").faults

    assert {example.value for example in fault.examples} == {
        "missing: yr", "missing: mon", "missing: day", "missing: hr", "not declared: at",
    }  # fmt: skip


def test_labels_name_their_rows_by_the_parts_of_a_key() -> None:
    content = b"shop,yr,mon,day,hr,price\na,2024,5,6,7,9\n"

    assert times_of(read(content, labels=True)) == ["2024-05-06T07:00"]


@pytest.mark.parametrize(
    "parts",
    [
        {"at": {"year": "yr", "day": "day"}},
        {"at": {"year": "yr", "month": "mon", "hour": "hr"}},
        {"at": {"year": "yr", "month": "mon", "day": "mon"}},
        {"at": {"year": "at", "month": "mon", "day": "day"}},
        {"at": {"clock": "hr"}},
        {"at": {"date": "day", "month": "mon"}},
        {"at": {"date": "day", "clock": "hr", "hour": "mon"}},
    ],
)
def test_parts_of_no_whole_day_are_refused_in_the_settings(parts: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ValidationError, match="parts of 'at'"):
        ReadingParams.model_validate({**PLAIN.model_dump(), "parts": parts})


def test_the_time_of_parts_is_a_time_of_the_table() -> None:
    spelt = ReadingParams.model_validate({**PLAIN.model_dump(), "parts": {"when": PARTS["at"]}})

    assert "reading.parts: 'when'" in "; ".join(faults_of(shop(), spelt))


def test_many_rows_are_read_as_pandas_reads_them() -> None:
    hours = pd.date_range("1999-12-01", periods=5000, freq="7h")
    frame = pd.DataFrame({"yr": hours.year, "mon": hours.month, "day": hours.day, "hr": hours.hour})
    content = frame.assign(shop="a", price=1).to_csv(index=False).encode()
    reading = read(content)

    assert reading.frame is not None
    assert reading.frame["at"].dt.tz_localize(None).to_list() == hours.to_list()
