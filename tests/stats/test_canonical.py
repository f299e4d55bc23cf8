"""One spelling of records, folders and frames; the tables of plug-ins; spans and faults of settings."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.errors import UnknownNameError
from retrim.stats.codec import digest_of, from_parquet, to_json, to_parquet
from retrim.stats.plugins import PluginRegistry, SettingsSection, Span, explain

FRAME = pd.DataFrame(
    {
        "n": np.arange(3),
        "x": [0.1, np.nan, 0.3],
        "s": pd.Series(["a", None, "ü"], dtype="str"),
        "t": pd.Series(pd.date_range("2024-01-01", periods=3, tz="UTC")).dt.as_unit("us"),
    }
)

# --- records and folders


def test_the_order_of_keys_does_not_change_the_bytes() -> None:
    assert to_json({"b": 1, "a": [1, 2]}) == to_json({"a": [1, 2], "b": 1})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_json_has_no_word_for_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"loss": number})


def test_the_digest_of_a_folder_does_not_depend_on_the_order_of_its_files() -> None:
    assert digest_of({"a": "1", "b": "2"}) == digest_of({"b": "2", "a": "1"})


def test_a_folder_knows_which_name_has_which_content() -> None:
    assert digest_of({"a": "1", "b": "2"}) != digest_of({"a": "2", "b": "1"})


def test_the_digest_of_an_empty_folder_is_that_of_nothing() -> None:
    assert digest_of({}) == hashlib.sha256(b"").hexdigest()


# --- frames


def test_the_same_frame_gives_the_same_bytes() -> None:
    assert to_parquet(FRAME) == to_parquet(FRAME.copy())


def test_the_index_of_a_frame_is_not_stored() -> None:
    assert to_parquet(FRAME.set_axis([5, 9, 1])) == to_parquet(FRAME)


def test_a_frame_is_read_back_as_it_was_written() -> None:
    pd.testing.assert_frame_equal(from_parquet(to_parquet(FRAME)), FRAME)


def test_a_stored_frame_does_not_tell_which_pandas_wrote_it() -> None:
    assert b"pandas" not in to_parquet(FRAME)


# --- tables of plug-ins


def test_a_name_is_taken_once() -> None:
    registry: PluginRegistry[int] = PluginRegistry("drift test")
    registry.register("ks")(1)

    with pytest.raises(ValueError, match=r"^drift test 'ks' "):
        registry.register("ks")(2)


def test_entries_come_in_the_order_of_their_names() -> None:
    registry: PluginRegistry[int] = PluginRegistry("drift test")
    for value, name in enumerate(["psi", "chi2", "ks"]):
        registry.register(name, column="numeric")(value)

    assert [(entry.name, entry.value) for entry in registry] == [("chi2", 1), ("ks", 2), ("psi", 0)]
    assert registry.entry("ks").facts == {"column": "numeric"}
    assert "ks" in registry


def test_a_near_miss_is_told_what_was_meant() -> None:
    registry: PluginRegistry[int] = PluginRegistry("drift test")
    registry.register("psi")(1)

    with pytest.raises(UnknownNameError, match=r"unknown drift test 'pis'; known: psi\. Did you mean 'psi'\?"):
        registry["pis"]


# --- settings


class Sample(SettingsSection):
    every: Span
    count: int


@pytest.mark.parametrize("span", ["14d", "1h", "2D 3h", "0h", "90min"])
def test_a_span_is_written_as_people_do(span: str) -> None:
    assert pd.Timedelta(Sample(every=span, count=1).every) >= pd.Timedelta(0)


@pytest.mark.parametrize(("span", "fault"), [("soon", "not a span of time"), ("-1h", "negative")])
def test_what_is_no_span_is_refused(span: str, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Sample(every=span, count=1)


def test_faults_of_settings_name_key_and_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({"every": "1h", "count": "many", "more": 1})

    assert re.fullmatch(r"count: .*\binteger\b.* \(got 'many'\); more: .*\bextra\b.* \(got 1\)", explain(caught.value))
