"""Seals: one a field, so that what was changed can be named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.stats.canonical import SEALS, broken_seals, bytes_to_sign, seals_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab.é"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.sampled_from(["kind", "version", "outputs", "bundle", "at"]), VALUES, min_size=1)


def sealed(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, SEALS: seals_of(fields)}


@given(FIELDS)
def test_what_was_sealed_holds(fields: dict[str, Any]) -> None:
    assert broken_seals(sealed(fields)) == []


@given(FIELDS, VALUES, st.data())
def test_a_changed_field_is_named_and_no_other(fields: dict[str, Any], value: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    changed = sealed(fields) | {name: [value, fields[name]]}

    assert broken_seals(changed) == [name]


@given(FIELDS)
def test_other_seals_are_other_bytes_to_sign(fields: dict[str, Any]) -> None:
    assert bytes_to_sign(seals_of(fields)) != bytes_to_sign(seals_of({**fields, "more": 1}))


def test_a_field_that_was_added_or_taken_away_is_named() -> None:
    record = sealed({"kind": "a", "version": 1})
    added, less = {**record, "extra": True}, {name: value for name, value in record.items() if name != "version"}

    assert (broken_seals(added), broken_seals(less)) == (["extra"], ["version"])


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), ("1", 1), ([], {}), (None, ""), (0.0, -0.0)])
def test_values_that_python_takes_for_equal_have_seals_of_their_own(one: Any, other: Any) -> None:
    assert seals_of({"x": one}) != seals_of({"x": other})
