"""The table as the world knew it: corrections, late labels, maturity, replay, total order."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.table.data import DataParams, assemble, mature, overdue_labels
from retrim.table.keys import row_keys

START = pd.Timestamp("2024-01-01", tz="UTC")


def day(number: float) -> pd.Timestamp:
    return START + pd.Timedelta(number, "D")


def landed(*rows: tuple[str, float, float, float], batch: str = "b") -> pd.DataFrame:
    """Landed rows from (key, day of the event, day of arrival, price)."""
    keys, events, arrivals, prices = zip(*rows, strict=True)
    times = {"at": events, "_arrived": arrivals}
    frame = pd.DataFrame({name: pd.Series([day(d) for d in days]).dt.as_unit("us") for name, days in times.items()})
    return frame.assign(_key=pd.Series(keys, dtype="str"), _batch=batch, _correction=False, price=prices)


def labels(*rows: tuple[str, float, float], batch: str = "l") -> pd.DataFrame:
    """Landed labels from (key, day of arrival, price)."""
    keys, arrivals, prices = zip(*rows, strict=True)
    arrived = pd.Series([day(d) for d in arrivals]).dt.as_unit("us")
    return pd.DataFrame({"_key": pd.Series(keys, dtype="str"), "_arrived": arrived, "_batch": batch, "price": prices})


def test_the_later_arrival_of_a_key_wins(shop: DataParams) -> None:
    rows = pd.concat([landed(("a", 0, 1, 5.0)), landed(("a", 0, 2, 6.0), batch="c")])

    assert assemble(rows, None, shop, as_of=day(3))["price"].tolist() == [6.0]


def test_a_correction_that_has_not_arrived_changes_nothing(shop: DataParams) -> None:
    rows = pd.concat([landed(("a", 0, 1, 5.0)), landed(("a", 0, 9, 6.0), batch="c")])

    assert assemble(rows, None, shop, as_of=day(3))["price"].tolist() == [5.0]


def test_a_late_label_fills_the_row_it_names(shop_later: DataParams) -> None:
    rows = landed(("a", 0, 1, np.nan), ("b", 0, 1, np.nan))

    table = assemble(rows, labels(("b", 2, 7.0)), shop_later, as_of=day(3))

    assert table.set_index("_key")["price"].dropna().to_dict() == {"b": 7.0}


def test_of_two_labels_the_later_wins(shop_later: DataParams) -> None:
    late = pd.concat([labels(("a", 2, 7.0)), labels(("a", 3, 8.0), batch="m")])

    assert assemble(landed(("a", 0, 1, np.nan)), late, shop_later, as_of=day(4))["price"].tolist() == [8.0]


def test_a_label_of_no_row_waits(shop_later: DataParams) -> None:
    table = assemble(landed(("a", 0, 1, np.nan)), labels(("z", 2, 7.0)), shop_later, as_of=day(3))

    assert table["_key"].tolist() == ["a"]


def test_a_label_that_came_early_is_not_mature_before_it_was_due(shop_later: DataParams) -> None:
    data = shop_later.model_copy(update={"label_horizon": "10D"})
    rows, early = landed(("a", 0, 1, np.nan)), labels(("a", 2, 7.0))

    table = assemble(rows, early, data, as_of=day(9))

    assert table["_known"].notna().all()
    assert mature(table).empty
    assert mature(assemble(rows, early, data, as_of=day(10)))["_matured"].tolist() == [day(10)]


def test_a_label_that_came_late_is_mature_when_it_came(shop_later: DataParams) -> None:
    table = assemble(landed(("a", 0, 1, np.nan)), labels(("a", 6, 7.0)), shop_later, as_of=day(8))

    assert table["_matured"].tolist() == [day(6)]


def test_a_label_that_came_before_its_row_is_mature_when_the_row_came(shop_later: DataParams) -> None:
    rows, early = landed(("a", 0, 6, np.nan)), labels(("a", 2, 7.0))

    assert assemble(rows, early, shop_later, as_of=day(8))["_matured"].tolist() == [day(6)]


def test_a_corrected_row_with_a_label_matured_when_both_were_first_there(shop_later: DataParams) -> None:
    rows = pd.concat([landed(("a", 0, 1, np.nan)), landed(("a", 0, 7, np.nan), batch="c")])

    assert assemble(rows, labels(("a", 3, 7.0)), shop_later, as_of=day(8))["_matured"].tolist() == [day(3)]


def test_a_corrected_label_matured_when_it_was_first_known(shop_later: DataParams) -> None:
    late = pd.concat([labels(("a", 3, 7.0)), labels(("a", 6, 8.0), batch="m")])

    table = assemble(landed(("a", 0, 1, np.nan)), late, shop_later, as_of=day(8))

    assert table["price"].tolist() == [8.0]
    assert table["_matured"].tolist() == [day(3)]


def test_a_due_column_says_when(shop: DataParams) -> None:
    columns = {**shop.model_dump()["columns"], "until": {"type": "time", "role": "due"}}
    data = DataParams.model_validate({**shop.model_dump(), "columns": columns, "label_horizon": None})
    rows = landed(("a", 0, 1, 5.0)).assign(until=day(4))

    assert assemble(rows, None, data, as_of=day(5))["_matured"].tolist() == [day(4)]


def test_labels_due_and_missing_are_counted(shop_later: DataParams) -> None:
    rows = landed(("due", 0, 1, np.nan), ("known", 0, 1, 5.0), ("not yet", 1.5, 2, np.nan))

    assert overdue_labels(assemble(rows, None, shop_later, as_of=day(2)), shop_later, as_of=day(2)) == 1


# --- laws -----------------------------------------------------------------------------------------

days = st.integers(0, 12)
prices = st.one_of(st.just(float("nan")), st.integers(0, 9).map(float))
keys = st.sampled_from("abcde")
row_batches = st.lists(st.tuples(days, st.lists(st.tuples(keys, days, prices), min_size=1, unique_by=lambda r: r[0])))
label_batches = st.lists(
    st.tuples(days, st.lists(st.tuples(keys, st.integers(0, 9).map(float)), min_size=1, unique_by=lambda r: r[0]))
)
history = st.tuples(row_batches.filter(len), label_batches)


def world(drawn: Any) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    rows = [
        landed(*[(key, event, arrival, price) for key, event, price in batch], batch=f"r{number:02}")
        for number, (arrival, batch) in enumerate(drawn[0])
    ]
    late = [
        labels(*[(key, arrival, price) for key, price in batch], batch=f"l{number:02}")
        for number, (arrival, batch) in enumerate(drawn[1])
    ]
    return pd.concat(rows, ignore_index=True), pd.concat(late, ignore_index=True) if late else None


SHOP_LATER = {
    "model": "shop",
    "columns": {
        "at": {"type": "time", "role": "time"},
        "weight": {"type": "number", "role": "feature"},
        "price": {"type": "number", "role": "target"},
    },
    "task": "regression",
    "labels": "later",
    "label_horizon": "2d",
    "batch_every": "1d",
    "suite": "none",
}


def test_features_from_the_past_are_made_of_all_rows_that_had_landed() -> None:
    told = {"entity": [], "ahead": None, "known_ahead": [], "features": [{"of": "price", "lag": 1}]}
    data = DataParams.model_validate(SHOP_LATER | {"history": told})
    rows = landed(("a", 0, 1, 5.0), ("b", 1, 1, 6.0), ("c", 3, 4, np.nan))

    # Due two days after its event: c sees b, although c itself is not mature.
    assert assemble(rows, None, data, as_of=day(9)).set_index("_key")["price lag 1"]["c"] == 6.0


PAST: dict[str, Any] = {
    "entity": [],
    "ahead": None,
    "known_ahead": [],
    "features": [{"of": "price", "lag": 1}, {"of": "at", "over": "2d", "stat": "count"}],
}


class TestEveryHistory:
    data = DataParams.model_validate(SHOP_LATER | {"history": PAST})

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(history, days)
    def test_replayed_as_of_a_date_is_what_was_known_then(self, drawn: Any, when: int) -> None:
        rows, late = world(drawn)
        then = day(when)
        had_rows = rows[rows["_arrived"] <= then]
        had_labels = None if late is None else late[late["_arrived"] <= then]

        pd.testing.assert_frame_equal(
            assemble(rows, late, self.data, as_of=then), assemble(had_rows, had_labels, self.data, as_of=then)
        )

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(history, days, st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order_of_landed_rows(self, drawn: Any, when: int, shuffler: Any) -> None:
        rows, late = world(drawn)
        order = list(range(len(rows)))
        shuffler.shuffle(order)

        pd.testing.assert_frame_equal(
            assemble(rows, late, self.data, as_of=day(when)),
            assemble(rows.iloc[order], late, self.data, as_of=day(when)),
            check_like=False,
        )

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(history, days)
    def test_has_a_row_a_key_in_total_order(self, drawn: Any, when: int) -> None:
        table = assemble(*world(drawn), self.data, as_of=day(when))
        place = list(zip(table["_event"], table["_key"], strict=True))

        assert place == sorted(set(place))
        assert table["_key"].is_unique

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(history, days)
    def test_mature_means_due_and_known_by_then(self, drawn: Any, when: int) -> None:
        table = assemble(*world(drawn), self.data, as_of=day(when))
        ripe = (table["_due"] <= day(when)) & (table["_known"] <= day(when)) & table["price"].notna()

        assert ripe.tolist() == table["_matured"].notna().tolist()

    @pytest.mark.slow
    @settings(max_examples=30, deadline=None)
    @given(history, days, days)
    def test_a_row_once_mature_stays_known(self, drawn: Any, when: int, more: int) -> None:
        rows, late = world(drawn)
        rows = rows[rows["price"].notna()]
        before = mature(assemble(rows, late, self.data, as_of=day(when)))["_key"]
        after = assemble(rows, late, self.data, as_of=day(when + more)).set_index("_key")

        assert after.loc[before, "_known"].notna().all()


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_joins_its_columns() -> None:
    rows = pd.DataFrame({"shop": ["x"], "number": [7.0], "at": [day(0.5)]})

    assert row_keys(rows, ("shop", "number", "at"), "b").tolist() == ["x|7|2024-01-01T12:00:00"]


@given(st.lists(st.tuples(st.text("ab|\\", max_size=4), st.text("ab|\\", max_size=4)), min_size=1, unique=True))
def test_different_rows_have_different_keys(pairs: list[tuple[str, str]]) -> None:
    rows = pd.DataFrame(pairs, columns=["one", "two"], dtype="str")

    assert row_keys(rows, ("one", "two"), "b").is_unique


# --- what a table may be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": {}}, "0 columns have the role 'target'"),
        ({"columns": {" ": {"type": "number", "role": "feature"}}}, "a column has no name"),
        ({"columns": {"_x": {"type": "number", "role": "feature"}}}, "begins with '_'"),
        ({"columns": {"x": {"type": "time", "role": "feature"}}}, "'x' is a time"),
        ({"columns": {"weight": None}}, "no column has the role 'feature'"),
        ({"columns": {"price": {"type": "category", "role": "target"}}}, "number or integer"),
        ({"key": ["nothing"]}, "'nothing' is not a column"),
        ({"key": ["price"]}, "'price' is the target"),
        ({"key": ["weight"]}, "'weight' is a number"),
        (
            {"columns": {"price": None, "label_time": {"type": "number", "role": "target"}}},
            "'label_time' is reserved for the label time",
        ),
        (
            {"columns": {"label_time": {"type": "category", "role": "forbidden"}}, "key": ["label_time"]},
            "'label_time' is reserved for the label time",
        ),
        ({"label_horizon": None}, "set either label_horizon or"),
        ({"label_horizon": "-1d"}, "negative"),
        ({"label_horizon": "soon"}, "not a span of time"),
        ({"task": "binary"}, "positive"),
        ({"task": "binary", "positive": "yes"}, "must have the type category"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    document = {**SHOP_LATER, **change}
    if change.get("columns"):
        merged = {**SHOP_LATER["columns"], **change["columns"]}  # type: ignore[dict-item]
        document["columns"] = {name: column for name, column in merged.items() if column}

    with pytest.raises(ValidationError, match=said):
        DataParams.model_validate(document)
