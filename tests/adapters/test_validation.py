"""Great Expectations on our frames: what breaks a suite is named; a suite that cannot be used is refused."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.great_expectations import for_columns, in_words, read_suite, validate
from retrim.errors import BadInputError, UnknownNameError
from retrim.reading.shipped import DATASETS
from retrim.stats.codec import from_record, to_record
from retrim.table.data import DataParams
from retrim.table.fault import Example, Expectation, Fault, Suite
from retrim.table.keys import row_keys
from retrim.yaml_files import load_yaml
from tests.builders.landed import read_table

ROOT = Path(__file__).resolve().parents[2]
BETWEEN, NOT_NULL = "expect_column_values_to_be_between", "expect_column_values_to_not_be_null"


def suite(*expectations: tuple[str, dict[str, Any]], unit: str | None = None) -> Suite:
    meta = {"unit": unit} if unit else {}
    return Suite("test", expectations=tuple(Expectation(kind, kwargs, meta) for kind, kwargs in expectations))


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "_key": ["a", "b", "c", "d"],
            "x": [1.0, 2.0, 300.0, np.nan],
            "word": pd.Series(["one", "two", None, "four"], dtype="str"),
            "at": pd.to_datetime(["2024-01-01"] * 4, utc=True),
        }
    )


def test_what_holds_has_no_fault() -> None:
    assert validate(frame(), suite((BETWEEN, {"column": "x", "min_value": 0}))) == ()


def test_a_fault_names_column_rule_row_key_and_value() -> None:
    (fault,) = validate(frame(), suite((BETWEEN, {"column": "x", "min_value": 0, "max_value": 100}), unit="percent"))

    assert (fault.column, fault.rule, fault.count) == ("x", "is between 0 and 100 (percent)", 1)
    assert fault.examples == (Example(2, "c", "300.0"),)
    assert fault.releasable


@pytest.mark.parametrize(
    ("kind", "kwargs", "rows"),
    [
        (NOT_NULL, {"column": "word"}, [2]),
        ("expect_column_values_to_be_in_set", {"column": "word", "value_set": ["one", "two"]}, [3]),
        ("expect_column_values_to_match_regex", {"column": "word", "regex": "^t"}, [0, 3]),
        ("expect_column_values_to_be_unique", {"column": "at"}, [0, 1, 2, 3]),
        ("expect_compound_columns_to_be_unique", {"column_list": ["at", "word"]}, []),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "x", "column_B": "x"}, [0, 1, 2]),
    ],
)
def test_rows_that_break_a_rule_are_found(kind: str, kwargs: dict[str, Any], rows: list[int]) -> None:
    faults = validate(frame(), suite((kind, kwargs)))

    assert [example.row for fault in faults for example in fault.examples] == rows


@pytest.mark.parametrize(
    ("column", "stored"), [("x", "float64"), ("word", "str"), ("at", "Timestamp"), ("_key", "str")]
)
def test_types_are_called_as_our_reader_stores_them(column: str, stored: str) -> None:
    kind = "expect_column_values_to_be_of_type"

    assert validate(frame(), suite((kind, {"column": column, "type_": stored}))) == ()
    assert len(validate(frame(), suite((kind, {"column": column, "type_": "int64"})))) == 1


def test_a_type_is_one_fault_also_where_a_bound_cannot_be_computed() -> None:
    asked = suite(
        (BETWEEN, {"column": "word", "min_value": 0}),
        ("expect_column_values_to_be_of_type", {"column": "word", "type_": "float64"}),
    )

    assert [fault.rule for fault in validate(frame(), asked)] == ["is stored as float64"]


def test_faults_stand_in_the_order_of_the_suite() -> None:
    # Great Expectations answers column by column.
    asked = [
        (BETWEEN, {"column": "x", "max_value": 9}),
        (NOT_NULL, {"column": "word"}),
        (BETWEEN, {"column": "x", "max_value": 1}),
        ("expect_column_values_to_match_regex", {"column": "word", "regex": "^z"}),
        (NOT_NULL, {"column": "x"}),
    ]

    found = [(fault.column, [e.row for e in fault.examples]) for fault in validate(frame(), suite(*asked))]

    assert found == [("x", [2]), ("word", [2]), ("x", [1, 2]), ("word", [0, 1, 3]), ("x", [3])]


def test_many_bad_rows_are_counted_and_ten_shown() -> None:
    many = pd.DataFrame({"_key": [str(n) for n in range(5000)], "x": np.arange(5000.0)})
    (fault,) = validate(many, suite((BETWEEN, {"column": "x", "max_value": 99})))

    assert (fault.count, len(fault.examples), fault.examples[0].row) == (4900, 10, 100)


def test_rows_are_counted_from_zero_whatever_the_index() -> None:
    turned = frame().set_axis([9, 9, 9, 9])
    (fault,) = validate(turned, suite((NOT_NULL, {"column": "word"})))

    assert fault.examples == (Example(2, "c", ""),)


def test_a_rule_for_the_whole_table_has_its_figure() -> None:
    (fault,) = validate(frame(), suite(("expect_table_row_count_to_be_between", {"min_value": 10})))

    assert (fault.rule, fault.examples[0].value) == ("table row count to be between (min_value 10)", "4")


def test_a_column_that_is_not_there_is_an_error_and_no_fault() -> None:
    with pytest.raises(BadInputError, match='"nothing" in BatchData'):
        validate(frame(), suite((NOT_NULL, {"column": "nothing"})))


def test_a_fault_survives_its_record() -> None:
    (fault,) = validate(frame(), suite((NOT_NULL, {"column": "word"})))

    assert from_record(Fault, json.loads(json.dumps(to_record(fault)))) == fault


def test_validating_leaves_no_file_and_keeps_telemetry_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    validate(frame(), suite((NOT_NULL, {"column": "x"})))

    assert list(tmp_path.iterdir()) == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_the_part_of_a_suite_about_some_columns_is_about_no_other() -> None:
    whole = suite(
        (NOT_NULL, {"column": "x"}),
        (NOT_NULL, {"column": "word"}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["x", "word"]}),
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
    )

    assert for_columns(whole, ["x"]).expectations == whole.expectations[:1]


def write(path: Path, *expectations: object) -> Path:
    path.write_text(json.dumps({"name": "test", "expectations": expectations}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("expectation", "said"),
    [
        ({"type": BETWEEN, "kwargs": {"column": "x", "minimum": 0}}, "does not accept .*minimum"),
        ({"type": BETWEEN, "kwargs": {"column": "x", "min_value": {"$PARAMETER": "low"}}}, "not a plain value"),
        ({"type": BETWEEN, "kwargs": {"column": "x"}}, "cannot both be None"),
        ({"type": BETWEEN, "kwargs": {"min_value": 0}}, "column field required"),
        ({"type": BETWEEN}, "has no type or no kwargs"),
        ({"kwargs": {}}, "has no type or no kwargs"),
        ("word", "has no type or no kwargs"),
        ({"type": NOT_NULL, "kwargs": {"column": "x"}, "severity": "info"}, "remove the keys severity"),
        ({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x", "max_value": 1}}, "a distribution"),
        ({"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "x"}}, "a distribution"),
    ],
)
def test_a_suite_that_cannot_be_used_says_where(expectation: object, said: str, tmp_path: Path) -> None:
    good = {"type": NOT_NULL, "kwargs": {"column": "x"}}

    with pytest.raises(BadInputError, match=rf"s\.json, expectation 2.*{said}"):
        read_suite(write(tmp_path / "s.json", good, expectation))


def test_an_unknown_expectation_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"'{BETWEEN}'"):
        read_suite(write(tmp_path / "s.json", {"type": BETWEEN.replace("een", "en"), "kwargs": {}}))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "x"}', '{"expectations": []}', '{"name": 1, "expectations": 2}']
)
def test_what_is_no_suite_says_how_one_looks(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text, encoding="utf-8")

    with pytest.raises(BadInputError, match=r'use the format \{"name": '):
        read_suite(tmp_path / "s.json")


def test_a_suite_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.json"):
        read_suite(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("kind", "kwargs", "words"),
    [
        (BETWEEN, {"column": "x", "min_value": 0}, "is at least 0"),
        (NOT_NULL, {"column": "x"}, "is not blank"),
        ("expect_column_values_to_be_in_set", {"column": "x", "value_set": ["a", "b"]}, "is one of a, b"),
        ("expect_column_values_to_match_regex", {"column": "x", "regex": "^a"}, "match regex (regex ^a)"),
    ],
)
def test_a_rule_is_said_in_words(kind: str, kwargs: dict[str, Any], words: str) -> None:
    assert in_words(Expectation(kind, kwargs)) == words


@pytest.mark.parametrize("name", list(DATASETS))
class TestEveryShippedSuite:
    def test_holds_on_its_table(self, name: str) -> None:
        section = load_yaml((ROOT / DATASETS[name].data).read_text(encoding="utf-8"))["data"]
        data = DataParams.model_validate(section)
        rows = read_table(ROOT / DATASETS[name].sample, data, labels=False).frame
        assert rows is not None
        rows.insert(0, "_key", row_keys(rows, data.key, "b"))

        assert validate(rows, read_suite(ROOT / "expectations" / f"{data.model}.json")) == ()

    def test_says_where_each_bound_comes_from(self, name: str) -> None:
        for one in read_suite(ROOT / "expectations" / f"{name}.json").expectations:
            if one.type == BETWEEN:
                assert one.meta["unit"]
                assert one.meta["source"]


def test_reading_a_suite_again_and_again_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(to_record(suite((NOT_NULL, {"column": "x"})))), encoding="utf-8")
    for _ in range(3):
        read_suite(path)
    handlers = logging.getLogger("great_expectations").handlers
    assert sum(isinstance(each, logging.NullHandler) for each in handlers) <= 1
