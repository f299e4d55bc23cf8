"""Which rows the table has: filters."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.table.data import DataParams, assemble
from retrim.table.granularity import RowFilter, RowParams, kept, left_out
from tests.conftest import SHOP

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta("1h")
NUMBERS = pd.Series([1.0, 2.0, 3.0, None], dtype="float64")


def where(**said: Any) -> RowFilter:
    return RowFilter.model_validate({"column": "x", **said})


def shop(*filters: dict[str, Any], **more: Any) -> DataParams:
    return DataParams.model_validate(SHOP | {"rows": {"where": filters}} | more)


def landed(minutes: list[int], *, price: list[float | None] | None = None, country: str = "at") -> pd.DataFrame:
    """Rows of the shop, each that many minutes after the start, that arrive on day 2."""
    count = len(minutes)
    at = pd.Series([START + pd.Timedelta(minute, "min") for minute in minutes], dtype="datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "_key": [f"{number:03d}" for number in range(count)],
            "_batch": "b",
            "_arrived": pd.Series([START + pd.Timedelta("2D")] * count, dtype="datetime64[us, UTC]"),
            "_correction": False,
            "at": at,
            "order": np.arange(count, dtype="float64"),
            "weight": np.arange(count, dtype="float64"),
            "items": np.ones(count),
            "country": pd.Series([country] * count, dtype="str"),
            "price": pd.Series(price or [1.0] * count, dtype="float64"),
        }
    )


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        ({"at_least": 2}, [False, True, True, False]),
        ({"at_most": 2}, [True, True, False, False]),
        ({"at_least": 2, "at_most": 2}, [False, True, False, False]),
        ({"among": [1, 3]}, [True, False, True, False]),
        ({"not_missing": True}, [True, True, True, False]),
    ],
)
def test_a_filter_keeps_what_shows_it_and_nothing_that_is_missing(said: dict[str, Any], stays: list[bool]) -> None:
    assert where(**said).keeps(NUMBERS).tolist() == stays


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"at_least": 1, "among": [1]},
        {"among": []},
        {"among": [True]},
        {"not_missing": False},
        {"at_least": 2, "at_most": 1},
        {"at_least": np.nan},
        {"at_most": np.inf},
        {"among": [1.0, np.nan]},
    ],
)
def test_a_filter_of_no_form_or_two_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        where(**said)


def test_each_row_that_is_left_out_counts_once() -> None:
    rows = RowParams(where=(where(at_least=2), where(at_most=2)))
    table = NUMBERS.to_frame("x")

    assert left_out(table, rows) == {"x is at least 2": 2, "x is at most 2": 1}
    assert len(kept(table, rows)) == 1


def test_a_row_that_is_left_out_is_no_row_of_the_table_nor_of_its_past() -> None:
    past = {"entity": [], "ahead": None, "known_ahead": [], "features": [{"of": "weight", "lag": 1}]}
    data = shop({"column": "weight", "at_least": 1}, history=past)
    table = assemble(landed([0, 60, 120]), None, data, as_of=START + pd.Timedelta("9D"))

    assert table["weight"].tolist() == [1.0, 2.0]
    assert table["weight lag 1"].tolist() == pytest.approx([np.nan, 1.0], nan_ok=True)


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ([{"column": "price", "at_least": 0}], "rows.where: 'price' is the target, which is not known"),
        ([{"column": "wieght", "at_least": 0}], "rows.where: 'wieght' is not a column; name one of: at, order"),
        ([{"column": "country", "at_least": 0}], "'country' is a category, which has no order"),
        ([{"column": "at", "among": ["x"]}], "'at' is a time, which allows only not_missing"),
        (
            [{"column": "items", "among": ["1"]}],
            "'items' has the type integer, so it is never '1'; write, for example,",
        ),
        ([{"column": "items", "among": [1, 1.5]}], "'items' has the type integer, so it is never 1.5"),
        ([{"column": "weight", "among": ["a"]}], "'weight' has the type number, so it is never 'a'"),
    ],
)
def test_what_the_table_cannot_give_is_refused(filters: list[Any], said: str) -> None:
    zone = {"zone": {"type": "category", "role": "forbidden"}}

    with pytest.raises(ValidationError) as refused:
        shop(*filters, columns=SHOP["columns"] | zone)

    assert said in str(refused.value)
