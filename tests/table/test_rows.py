"""Which rows the table has: filters, and rows put together into coarser ones."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.table.data import DataParams, assemble, mature
from retrim.table.granularity import ResampleParams, RowFilter, RowParams, kept, left_out, put_together
from tests.conftest import SHOP

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta("1h")
NUMBERS = pd.Series([1.0, 2.0, 3.0, None], dtype="float64")
HOW = {"weight": "mean", "items": "sum", "price": "sum"}


def where(**said: Any) -> RowFilter:
    return RowFilter.model_validate({"column": "x", **said})


def shop(*filters: dict[str, Any], resample: dict[str, Any] | None = None, **more: Any) -> DataParams:
    return DataParams.model_validate(SHOP | {"rows": {"where": filters, "resample": resample}} | more)


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


@pytest.mark.parametrize("dtype", ["str", "category", "object"])
def test_a_category_is_compared_as_text(dtype: str) -> None:
    assert where(among=[1, "a"]).keeps(pd.Series(["1", "a", "b", None], dtype=dtype)).tolist() == [
        True,
        True,
        False,
        False,
    ]


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
    rows = RowParams(where=(where(at_least=2), where(at_most=2)), resample=None)
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
    ("filters", "resample", "said"),
    [
        ([{"column": "price", "at_least": 0}], None, "rows.where: 'price' is the target, which is not known"),
        ([{"column": "wieght", "at_least": 0}], None, "rows.where: 'wieght' is not a column; name one of: at, order"),
        ([{"column": "country", "at_least": 0}], None, "'country' is a category, which has no order"),
        ([{"column": "at", "among": ["x"]}], None, "'at' is a time, which allows only not_missing"),
        (
            [{"column": "items", "among": ["1"]}],
            None,
            "'items' has the type integer, so it is never '1'; write, for example,",
        ),
        ([{"column": "items", "among": [1, 1.5]}], None, "'items' has the type integer, so it is never 1.5"),
        ([{"column": "weight", "among": ["a"]}], None, "'weight' has the type number, so it is never 'a'"),
        (
            [],
            {"every": "1h", "by": ["zone"], "how": HOW},
            "resample.by: 'zone' has the role 'forbidden', and grouping rows by it would reveal it",
        ),
        (
            [],
            {"every": "1h", "by": ["weight"], "how": HOW},
            "resample.by: 'weight' is a number with the role 'feature'",
        ),
        (
            [],
            {"every": "1h", "by": ["country"], "how": {"price": "sum"}},
            "the aggregation of 'weight', 'items' is not set",
        ),
        (
            [],
            {"every": "1h", "by": [], "how": HOW | {"country": "sum"}},
            "'country' is a category, which has no",
        ),
        (
            [],
            {"every": "1h", "by": ["country"], "how": HOW | {"at": "max"}},
            "'at' is the event time, the due time or",
        ),
    ],
)
def test_what_the_table_cannot_give_is_refused(filters: list[Any], resample: Any, said: str) -> None:
    zone = {"zone": {"type": "category", "role": "forbidden"}}

    with pytest.raises(ValidationError) as refused:
        shop(*filters, resample=resample, columns=SHOP["columns"] | zone)

    assert said in str(refused.value)


class TestRowsPutTogether:
    data = shop(resample={"every": "1h", "by": ["country"], "how": HOW})

    def table(self, rows: pd.DataFrame, *, days: float = 9) -> pd.DataFrame:
        return assemble(rows, None, self.data, as_of=START + pd.Timedelta(days, "D"))

    def test_are_one_a_span_and_combination(self) -> None:
        rows = pd.concat([landed([0, 30, 60]), landed([10], country="de").assign(_key="x")])
        table = self.table(rows)

        assert table["_key"].tolist() == ["at|2024-01-01T00:00:00", "de|2024-01-01T00:00:00", "at|2024-01-01T01:00:00"]
        assert table[["items", "weight", "price"]].to_numpy().tolist() == [[2, 0.5, 2], [1, 0, 1], [1, 2, 1]]

    def test_are_due_when_the_span_is_over_and_every_label_is(self) -> None:
        # The label of a row is due a day after its event: here the later row's, half an hour into the span.
        assert self.table(landed([0, 30]))["_due"].tolist() == [START + pd.Timedelta("1D30min")]

    def test_have_no_label_while_one_of_them_has_none(self) -> None:
        table = self.table(landed([0, 30], price=[1.0, None]))

        assert table["price"].isna().tolist() == [True]
        assert len(mature(table)) == 0

    def test_are_not_there_while_the_span_goes_on(self) -> None:
        late = landed([0, 2 * 24 * 60 + 30])

        assert len(self.table(late, days=2 + 0.75 / 24)) == 1

    def test_are_not_there_while_rows_of_the_span_may_be_on_their_way(self) -> None:
        # The batch came half an hour into the last span: nothing says that its other half was empty.
        came = START + pd.Timedelta("3h30min")
        table = self.table(landed([0, 3 * 60 + 10]).assign(_arrived=came))

        assert table["_event"].tolist() == [START]

    def test_are_not_due_while_nothing_says_when_one_of_them_is(self) -> None:
        columns = SHOP["columns"] | {"due": {"type": "time", "role": "due"}}
        grain = {"every": "1h", "by": [], "how": HOW | {"country": "last"}}
        data = shop(resample=grain, columns=columns, label_horizon=None)
        rows = landed([0, 30])
        rows["due"] = rows["at"].where(rows["at"] == START)
        table = assemble(rows, None, data, as_of=START + pd.Timedelta("9D"))

        assert table["_due"].isna().tolist() == [True]
        assert len(mature(table)) == 0

    def test_keep_the_types_of_the_table(self) -> None:
        table = self.table(landed([0, 30]))

        assert table["at"].dtype == table["_due"].dtype == table["_matured"].dtype == landed([0])["at"].dtype

    def test_of_no_rows_are_none(self) -> None:
        assert len(self.table(landed([0]), days=1)) == 0


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(minutes=st.lists(st.integers(0, 600), max_size=20), hours=st.integers(1, 5))
def test_nothing_is_lost_or_counted_twice(minutes: list[int], hours: int) -> None:
    data = shop(resample={"every": f"{hours}h", "by": ["country"], "how": HOW})
    table = assemble(landed(minutes), None, data, as_of=START + pd.Timedelta("9D"))

    assert table["items"].sum() == len(minutes)
    assert not table["_key"].duplicated().any()


def test_a_sum_of_nothing_is_missing() -> None:
    params = ResampleParams(every="1h", by=(), how={"weight": "sum", "price": "sum", "items": "sum"})
    data = shop(resample=None)
    table = assemble(landed([0]).assign(weight=np.nan), None, data, as_of=START + pd.Timedelta("9D"))
    made = put_together(table, params, time="at", target="price", landed=START + pd.Timedelta("9D"))

    assert made["weight"].isna().tolist() == [True]
