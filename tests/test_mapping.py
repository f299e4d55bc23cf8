"""YAML mappings: each key once, and errors that say where."""

from pathlib import Path

import pytest

from retrim.errors import BadInputError
from retrim.yaml_files import dump_yaml, load_yaml, read_yaml


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is already set in line 1"),
        ("gain:\n  cost: 1\n  errors: 2\n  cost: 3\n", "line 4: the key 'cost' is already set in line 2"),
        ("a: {x: 1, x: 2}\n", "line 1: the key 'x' is already set in line 1"),
        ("- {x: 1, x: 2}\n", "line 1: the key 'x' is already set in line 1"),
        ("1: a\n1: b\n", "line 2: the key 1 is already set in line 1"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read_yaml(written(tmp_path, text))


def test_the_same_key_in_two_mappings_is_no_second_one(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "a: {x: 1}\nb: {x: 2}\n")) == {"a": {"x": 1}, "b": {"x": 2}}


def test_a_key_that_overrides_what_is_merged_in_is_no_second_one(tmp_path: Path) -> None:
    text = "base: &base {x: 1, y: 2}\nmine: {<<: *base, x: 3}\n"

    assert read_yaml(written(tmp_path, text))["mine"] == {"x": 3, "y": 2}


def test_what_is_merged_in_may_have_merged_the_same_keys_itself(tmp_path: Path) -> None:
    text = "base: &base {rate: 1}\ns: {inner: &a {<<: *base, rate: 2}}\nb: {<<: *a, rows: 3}\n"

    assert read_yaml(written(tmp_path, text)) == {
        "base": {"rate": 1},
        "s": {"inner": {"rate": 2}},
        "b": {"rate": 2, "rows": 3},
    }


def test_a_key_that_stands_twice_beside_a_merge_is_refused(tmp_path: Path) -> None:
    text = "base: &base {x: 1}\ns: {inner: &a {<<: *base, y: 2, y: 3}}\nb: {<<: *a}\n"

    with pytest.raises(BadInputError, match=r"line 2: the key 'y' .*line 2"):
        read_yaml(written(tmp_path, text))


@pytest.mark.parametrize("value", ["2012-13-45", "2012-02-30 10:00:00", "!!int x", "!!bool perhaps", "!!timestamp x"])
def test_a_value_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path, value: str) -> None:
    said = r"params\.yaml, line 2, column 6: this is not valid YAML: ('.* not a valid |failed to construct timestamp )"
    with pytest.raises(BadInputError, match=said):
        read_yaml(written(tmp_path, f"a:\n  b: {value}\n"))


@pytest.mark.parametrize(("text", "means"), [("yes", "yes"), ("012", 12), ("1:30", "1:30"), ("1e3", 1000.0)])
def test_a_value_means_what_yaml_1_2_says(tmp_path: Path, text: str, means: object) -> None:
    assert read_yaml(written(tmp_path, f"a: {text}\n")) == {"a": means}


def test_what_is_dumped_is_read_as_it_was_in_its_order() -> None:
    document = {"b": "yes", "a": [1, {"x": None}], "t": ["1e3", "012", "1:30", "2012-01-02", "é"], "s": 1e-7}

    assert list(load_yaml(dump_yaml(document)).items()) == list(document.items())


def test_what_is_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"params\.yaml .*\blist;.*\bmapping\b"):
        read_yaml(written(tmp_path, "- 1\n"))


def test_what_is_no_yaml_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"params\.yaml, line 2, column 1: .*\bYAML\b"):
        read_yaml(written(tmp_path, "a: {b\n"))
