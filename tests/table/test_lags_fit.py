"""Features from the past that a table cannot give are refused, with the column named."""

from typing import Any

import pytest
from pydantic import ValidationError

from retrim.table.data import DataParams
from tests.conftest import SHOP

LAG = {"of": "weight", "lag": 1}
COLUMNS = SHOP["columns"] | {"zone": {"type": "category", "role": "forbidden"}}


def shop(*features: dict[str, Any], **history: Any) -> DataParams:
    told = {"entity": [], "ahead": None, "known_ahead": [], "features": features} | history
    return DataParams.model_validate(SHOP | {"columns": COLUMNS, "history": told})


def test_features_from_the_past_stand_beside_the_tables_own() -> None:
    data = shop({"of": "price", "over": "7D", "stat": "mean"}, entity=["country"])

    assert data.features == {**data.own_features, "price mean 7D by country": "number"}


@pytest.mark.parametrize(
    ("features", "history", "said"),
    [
        ([{"of": "wieght", "lag": 1}], {}, "history.features: 'wieght' is not a column; name one of: at, order"),
        ([{"of": "country", "lag": 1}], {}, "'country' is a category, but a lag or statistic needs a number"),
        ([{"of": "price", "lag": "2h"}], {}, "earlier is not due yet; set a lag of at least label_horizon 1D"),
        ([{"of": "order", "lag": "2h"}], {}, "'order' of the row 2h earlier is not due yet"),
        ([LAG], {"entity": ["shop"]}, "history.entity: 'shop' is not a column"),
        ([LAG], {"entity": ["price"]}, "history.entity: 'price' has the role 'target'"),
        (
            [LAG],
            {"entity": ["zone"]},
            "history.entity: 'zone' has the role 'forbidden', and grouping rows by it would reveal it",
        ),
        ([LAG], {"entity": ["weight"]}, "history.entity: 'weight' is a number, which can be written in many ways"),
        (
            [LAG],
            {"known_ahead": ["items"]},
            "history.known_ahead: lists columns, but ahead is null",
        ),
        (
            [LAG],
            {"ahead": "1h", "known_ahead": ["items", "country"]},
            "history.ahead: known_ahead does not list 'weight'; add each feature whose value is known 1h before",
        ),
        (
            [{"of": "weight", "lag": "24h"}],
            {"ahead": "24h", "known_ahead": ["weight", "items", "country"]},
            "the lag 24h is not longer than ahead; set a lag longer than 24h",
        ),
        (
            [{"of": "price", "lag": "36h"}],
            {"ahead": "24h", "known_ahead": ["weight", "items", "country"]},
            "at least label_horizon 1D plus ahead 24h",
        ),
    ],
)
def test_what_the_table_cannot_give_is_refused(features: list[Any], history: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        shop(*features, **history)

    assert said in str(refused.value)


def test_a_column_that_has_the_name_of_a_feature_from_the_past_is_refused() -> None:
    columns = SHOP["columns"] | {"weight lag 1": {"type": "number", "role": "feature"}}
    told = {"columns": columns, "history": {"entity": [], "ahead": None, "known_ahead": [], "features": [LAG]}}

    with pytest.raises(ValidationError, match=r"features: 'weight lag 1' is also the name of a column"):
        DataParams.model_validate(SHOP | told)


def test_a_forbidden_part_of_the_key_may_say_what_rows_are_about() -> None:
    assert list(shop(LAG, entity=["order"]).history.columns) == ["weight lag 1 by order"]


def test_rows_may_be_counted_by_any_column() -> None:
    assert list(shop({"of": "at", "over": "1D", "stat": "count"}).history.columns) == ["at count 1D"]
