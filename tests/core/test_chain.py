"""The chain of seals: whatever is changed, added or taken away breaks it where that happened."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.core.chain import FIRST, first_broken, seal


def chained(count: int) -> tuple[list[dict[str, Any]], dict[int, str]]:
    entries = [{"sequence": number, "version": number * 2, "reason": f"why {number}"} for number in range(1, count + 1)]
    seals, before = {}, FIRST
    for entry in entries:
        before = seals[entry["sequence"]] = seal(before, entry)
    return entries, seals


def test_a_log_as_it_was_sealed_holds() -> None:
    assert first_broken(*chained(5)) is None


def test_an_empty_log_holds() -> None:
    assert first_broken([], {}) is None


@given(count=st.integers(1, 6), data=st.data())
def test_a_changed_field_breaks_its_own_entry(count: int, data: st.DataObject) -> None:
    entries, seals = chained(count)
    place = data.draw(st.integers(0, count - 1))
    name = data.draw(st.sampled_from(["version", "reason"]))
    entries[place][name] = "other"

    assert first_broken(entries, seals) == place + 1


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_an_entry_that_is_gone_breaks_at_its_number(gone: int) -> None:
    entries, seals = chained(4)
    del entries[gone - 1]

    assert first_broken(entries, seals) == gone


def test_seals_that_are_gone_from_the_beginning_do_not_hide_a_change_after_them() -> None:
    entries, seals = chained(3)
    del seals[1]

    assert first_broken(entries, seals) == 2


def test_an_entry_that_was_added_without_a_seal_breaks_at_its_number() -> None:
    entries, seals = chained(2)

    assert first_broken([*entries, {"sequence": 3, "version": 9, "reason": "slipped in"}], seals) == 3


def test_an_entry_resealed_alone_breaks_the_one_after() -> None:
    entries, seals = chained(3)
    entries[1]["version"] = 99
    seals[2] = seal(seals[1], entries[1])

    assert first_broken(entries, seals) == 3


def test_entries_before_the_first_seal_are_older_than_the_seals() -> None:
    entries, _ = chained(3)
    seals = {3: seal(FIRST, entries[2])}

    assert first_broken(entries, seals) is None
    assert first_broken([*entries[:2], {**entries[2], "version": 99}], seals) == 3
