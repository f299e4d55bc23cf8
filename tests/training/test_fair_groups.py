"""Groups of rows by declared columns, and whether a section fits the table."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.table.data import DataParams
from retrim.training.groups import GROUP, FairnessParams, GroupParams, group_of, require_fit, with_groups
from tests.builders.fairness import make_fairness
from tests.conftest import SHOP

AGE = GroupParams(column="age", cuts=(30, 60), least_rows=2)
SEX = GroupParams(column="sex", cuts=(), least_rows=2)


def test_a_number_is_cut_so_that_a_row_at_a_cut_belongs_above_it() -> None:
    rows = pd.DataFrame({"age": [29.9, 30, 59, 60, np.nan]})

    assert group_of(rows, AGE).tolist() == ["below 30", "30 to 60", "30 to 60", "60 and above", "missing"]


def test_a_category_is_its_own_group_and_a_missing_one_is_named() -> None:
    rows = pd.DataFrame({"sex": pd.Series(["f", None, "m"], dtype="str")})

    assert group_of(rows, SEX).tolist() == ["f", "missing", "m"]


def test_groups_of_two_columns_are_crossed() -> None:
    rows = pd.DataFrame({"age": [20.0, 70.0], "sex": pd.Series(["f", "m"], dtype="str")})

    assert with_groups(rows, (AGE, SEX))[GROUP].tolist() == ["age below 30, sex f", "age 60 and above, sex m"]


def test_cuts_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match=r"60.*30.* is not in ascending order"):
        GroupParams(column="age", cuts=(60, 30), least_rows=2)


@pytest.fixture
def shop() -> DataParams:
    return DataParams.model_validate(SHOP)


def fairness(**changed: Any) -> FairnessParams:
    return make_fairness(**changed)


def group(column: str, *cuts: float) -> dict[str, Any]:
    return {"column": column, "cuts": list(cuts), "least_rows": 5}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"groups": [group("sex")]}, "groups: 'sex' is not a column"),
        ({"groups": [group("price", 1)]}, "groups: 'price' is the target or a time"),
        ({"groups": [group("at")]}, "groups: 'at' is the target or a time"),
        ({"groups": [group("weight")]}, "groups: 'weight' is a number; set the values at which it is split"),
        ({"groups": [group("country", 3)]}, "groups: 'country' is a category"),
        ({"groups": [group("country"), group("country")]}, "groups: 'country' is listed twice"),
        ({"at_most": {"selection_rate": 0.1}}, "at_most.selection_rate: not available for a regression task"),
        ({"mitigate": "reweight"}, "groups: train.balance is 'groups', but none are listed"),
    ],
)
def test_a_section_that_does_not_fit_the_table_is_refused(shop: DataParams, changed: Any, said: str) -> None:
    with pytest.raises(BadInputError, match=r"fairness\.") as refused:
        require_fit(fairness(**changed), shop)

    assert said in str(refused.value)


def test_groups_may_come_from_a_column_that_is_no_feature() -> None:
    columns = SHOP["columns"] | {"sex": {"type": "category", "role": "forbidden"}}

    require_fit(fairness(groups=[group("sex")]), DataParams.model_validate(SHOP | {"columns": columns}))
