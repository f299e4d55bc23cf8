"""The codec of records: a field is a key, both ways; old records open, and damaged ones are named."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError

from retrim.errors import RetrimError
from retrim.stats.codec import Absent, Moment, from_record, read_record, to_record, written

NOON = pd.Timestamp("2024-03-01T13:00", tz="Europe/Berlin")


@dataclass(frozen=True)
class Part:
    loss: float
    at: Moment
    names: tuple[str, ...] = ()
    note: Absent[str] = None


@dataclass(frozen=True)
class Whole:
    rows: int
    parts: tuple[Part, ...]
    best: Part | None = None
    shares: dict[str, float] = field(default_factory=dict)

    @written
    def is_empty(self) -> bool:
        return not self.rows


def test_a_field_is_a_key_in_its_order() -> None:
    record = to_record(Whole(0, (Part(0.5, NOON, ("a",)),)))
    assert list(record) == ["rows", "parts", "best", "shares", "is_empty"]
    assert record["parts"] == [{"loss": 0.5, "at": "2024-03-01T12:00:00+00:00", "names": ["a"]}]


def test_a_property_that_is_written_is_not_read() -> None:
    assert from_record(Whole, {**to_record(Whole(0, ())), "is_empty": False}).is_empty


def test_what_is_absent_has_no_key() -> None:
    assert "note" not in to_record(Part(1.0, NOON))
    assert to_record(Part(1.0, NOON, note="late"))["note"] == "late"


@given(st.floats(allow_nan=False), st.integers(), st.lists(st.text()), st.none() | st.text(min_size=1))
def test_a_record_is_read_back_as_it_was_written(loss: float, rows: int, names: list[str], note: str | None) -> None:
    part = Part(loss, NOON.tz_convert("UTC"), tuple(names), note)
    whole = Whole(rows, (part,), part, dict.fromkeys(names, loss))
    assert from_record(Whole, to_record(whole)) == whole


@pytest.mark.parametrize("name", ["plain", "ö 漢", "a \ud800 lone surrogate"])
def test_its_json_is_read_as_what_pythons_json_makes_of_it(name: str) -> None:
    whole = Whole(3, (Part(float("inf"), NOON, (name,)),), shares={name: 0.1})
    text = json.dumps({**to_record(whole), "newer": {name: [1, None]}})

    assert to_record(read_record(Whole, text)) == to_record(from_record(Whole, json.loads(text)))


def test_numbers_of_numpy_are_plain_numbers() -> None:
    assert type(to_record(Part(np.float64(0.5), NOON))["loss"]) is float


def test_a_key_that_an_older_record_lacks_takes_its_default() -> None:
    assert from_record(Whole, {"rows": 1, "parts": []}) == Whole(1, ())


def test_a_key_that_no_field_has_is_left_out() -> None:
    assert from_record(Whole, {"rows": 1, "parts": [], "added_later": 3}) == Whole(1, ())


@pytest.mark.parametrize("record", [{"parts": []}, {"rows": "many", "parts": []}, {"rows": 1, "parts": [{"loss": 1}]}])
def test_a_damaged_record_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(RetrimError, match=r"Whole .*: (rows|parts\.0\.at): "):
        from_record(Whole, record)


def test_a_field_of_another_type_is_not_written() -> None:
    with pytest.raises(PydanticSerializationError):
        to_record(Part("much", NOON))  # type: ignore[arg-type]
