"""Workbooks are read sheet by sheet: cells as Excel has them, one sheet with the table."""

from datetime import date

import pytest

from retrim.errors import BadInputError
from retrim.reading.container import NoTableError, columns_of
from retrim.reading.excel import is_workbook
from retrim.reading.raw import read_raw
from tests.builders.workbooks import workbook

HEAD = ["day", "city", "count", "km", "late", "mixed"]
ROWS = [
    [date(2024, 5, 1), "Rome & Bern", 3, 1.5, True, 1],
    [date(2024, 5, 2), None, None, 2, False, "1b"],
    [None, None, None, None, None, None],
]


def test_each_column_has_the_type_of_its_cells_and_blank_rows_are_left_out() -> None:
    table = read_raw(workbook(Sheet1=[HEAD, *ROWS]), "orders.xlsx").columns

    assert table.num_rows == 2
    assert [str(kind) for kind in table.schema.types] == ["date32[day]", "string", "int64", "double", "bool", "string"]
    assert table.column("mixed").to_pylist() == ["1", "1b"]
    assert table.column("city").to_pylist() == ["Rome & Bern", None]


def test_of_several_sheets_the_one_with_the_columns_is_read() -> None:
    content = workbook(notes=[["what", "who"], ["sent", "me"]], orders=[HEAD, *ROWS])

    assert columns_of(content, required=HEAD, optional=()).num_rows == 2
    with pytest.raises(BadInputError, match=r"several: 'notes', 'orders'.*keep the sheet with the table"):
        read_raw(content, "orders.xlsx")


def test_a_damaged_one_is_a_fault_and_any_other_archive_is_none() -> None:
    content = workbook(Sheet1=[HEAD, *ROWS])

    with pytest.raises(NoTableError, match="a workbook with a table"):
        columns_of(content.replace(b"sheet1.xml", b"sheet9.xml"), required=HEAD, optional=())
    assert not is_workbook(content[:600])
    assert not is_workbook(b"PK\x03\x04 something else")
