"""A suite asked of pieces says what it says of the whole table."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.great_expectations import BY_ROW, ChunkedSuite, by_row, validate
from retrim.table.fault import Expectation, Suite

pytestmark = pytest.mark.slow  # Great Expectations takes seconds to import


def asked(*expectations: tuple[str, dict[str, Any]]) -> Suite:
    made = tuple(Expectation(f"expect_{kind}", kwargs) for kind, kwargs in expectations)
    return Suite("pieces", expectations=made)


TABLE = pd.DataFrame(
    {
        "_key": pd.Series([f"k{number}" for number in range(90)] + ["k3"], dtype="str"),
        "x": [*np.linspace(0, 9, 90), 99.0],
        "k": pd.Series(["a", "b", None] * 30 + ["z"], dtype="str"),
    }
)
SUITE = asked(
    ("column_values_to_be_between", {"column": "x", "min_value": 2, "max_value": 90}),
    ("column_values_to_be_unique", {"column": "_key"}),
    ("column_values_to_be_in_set", {"column": "k", "value_set": ["a", "b"]}),
    ("column_values_to_not_be_null", {"column": "k"}),
    ("column_values_to_be_of_type", {"column": "k", "type_": "float64"}),
    ("column_values_to_not_be_null", {"column": "k", "mostly": 0.5}),
    ("column_values_to_be_between", {"column": "x", "min_value": 0}),
    ("compound_columns_to_be_unique", {"column_list": ["_key", "k"]}),
)


@pytest.mark.parametrize("rows", [7, 40, 91])
def test_pieces_say_what_the_whole_says(rows: int) -> None:
    suite = ChunkedSuite(SUITE)
    for start in range(0, len(TABLE), rows):
        suite.look(TABLE.iloc[start : start + rows])
    suite.look_whole(TABLE[suite.whole_columns(list(TABLE.columns))])

    assert suite.faults() == validate(TABLE, SUITE)
    assert [fault.count for fault in suite.faults()] == [21, 2, 1, 30, 1]


def test_a_share_of_all_rows_is_asked_of_all_rows() -> None:
    kinds = {one.type: by_row(one) for one in SUITE.expectations if "mostly" not in one.kwargs}

    assert [name for name, each in kinds.items() if not each] == [
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
    ]
    assert not by_row(Expectation(next(iter(BY_ROW)), {"mostly": 0.9}))


def test_what_has_a_condition_on_rows_is_given_every_column() -> None:
    condition = {"column": "_key", "row_condition": "x > 1", "condition_parser": "pandas"}
    suite = ChunkedSuite(asked(("column_values_to_be_unique", condition)))

    assert suite.whole_columns(["_key", "x", "k"]) == ["_key", "x", "k"]
