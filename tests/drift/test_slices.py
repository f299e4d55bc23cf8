"""The change of the loss by slice, on losses whose change is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.drift.slices import LEAST_ROWS, LossChange, Slice, SlicedRows, loss_change

COLUMNS = {"size": "number", "kind": "category"}


def part(kinds: str, losses: dict[str, float], *, rows: int = 400, seed: int = 1, sizes: float = 0.0) -> SlicedRows:
    """Rows whose kinds take turns, with the loss of their kind and a little noise."""
    rng = np.random.default_rng(seed)
    kind = [kinds[place % len(kinds)] for place in range(rows)]
    frame = pd.DataFrame({"size": rng.normal(sizes, 1, rows), "kind": kind})
    return SlicedRows(frame, np.array([losses[each] for each in kind]) + rng.normal(0, 0.1, rows))


def change(before: SlicedRows, now: SlicedRows) -> LossChange:
    return loss_change(before, now, COLUMNS, block_rows=4)  # type: ignore[arg-type]


def clear(found: LossChange) -> list[Slice]:
    return [each for each in found.slices if each.clear]


SAME = {"a": 1.0, "b": 3.0}


def test_without_a_change_no_slice_is_clear_and_no_column_has_shifted() -> None:
    found = change(part("aab", SAME), part("aab", SAME, seed=2))

    assert clear(found) == []
    assert found.shifted == {"size": 0.0, "kind": 0.0}


def test_the_slice_that_loses_more_is_the_first_with_what_it_adds() -> None:
    found = change(part("aab", SAME), part("aab", {"a": 1.0, "b": 6.0}, seed=2))
    first = found.slices[0]

    assert (first.column, first.name, first.clear) == ("kind", "b", True)
    assert first.before == pytest.approx(3, abs=0.05)
    assert first.loss == pytest.approx(6, abs=0.05)
    assert first.added == pytest.approx(1, abs=0.05)  # a third of the rows, 3 more each


def test_a_move_to_where_it_always_lost_more_is_the_columns_and_no_slices() -> None:
    found = change(part("aab", SAME), part("abb", SAME, seed=2))

    assert found.shifted["kind"] == pytest.approx(2 / 3, abs=0.05)
    assert [each.name for each in clear(found) if each.column == "kind"] == []


def test_losing_more_in_a_slice_is_no_shift_of_its_column() -> None:
    found = change(part("aab", SAME), part("aab", {"a": 1.0, "b": 6.0}, seed=2))

    assert found.shifted["kind"] == 0


def test_a_category_that_was_not_there_is_held_against_all_rows() -> None:
    found = change(part("aab", SAME), part("aac", {"a": 1.0, "c": 9.0}, seed=2))
    first = found.slices[0]

    assert (first.name, first.rows_before) == ("not seen before", 0)
    assert first.before == pytest.approx(5 / 3, abs=0.05)


def test_missing_values_are_a_slice() -> None:
    now = part("aab", SAME, seed=2)
    now.rows.loc[:99, "size"] = np.nan
    names = {each.name for each in change(part("aab", SAME), now).slices if each.column == "size"}

    assert "missing" in names


def test_cells_of_numbers_are_named_by_their_ends() -> None:
    whole = pd.DataFrame({"size": np.arange(400.0), "kind": "a"})
    beyond = pd.DataFrame({"size": np.arange(400.0) + 200, "kind": "a"})
    found = change(SlicedRows(whole, np.ones(400)), SlicedRows(beyond, np.ones(400)))

    assert {each.name for each in found.slices if each.column == "size"} == {"199 to 299", "299 to 399", "above 399"}


def test_a_value_that_fills_a_cell_is_named_alone() -> None:
    flags = pd.DataFrame({"size": [0.0, 1.0] * 200, "kind": "a"})
    found = change(SlicedRows(flags, np.ones(400)), SlicedRows(flags, np.ones(400)))

    assert {each.name for each in found.slices if each.column == "size"} == {"0", "1"}


def test_values_where_there_were_none_have_a_slice_of_their_own() -> None:
    blank = pd.DataFrame({"size": [np.nan] * 400, "kind": "a"})
    half = pd.DataFrame({"size": [np.nan, 1.0] * 200, "kind": "a"})
    found = change(SlicedRows(blank, np.ones(400)), SlicedRows(half, np.ones(400)))

    assert {each.name for each in found.slices if each.column == "size"} == {"missing", "any value"}


def test_a_slice_of_nearly_all_rows_is_left_out() -> None:
    found = change(part("aab", SAME), part("aab", {"a": 5.0, "b": 3.0}, seed=2))

    assert [each.name for each in found.slices if each.column == "kind"] == ["b"]


def test_nothing_is_said_of_few_rows() -> None:
    assert change(part("a", SAME, rows=LEAST_ROWS - 1), part("a", SAME)) == LossChange({}, ())
    assert change(part("a", SAME), part("a", SAME, rows=LEAST_ROWS - 1)) == LossChange({}, ())


def test_a_column_of_too_many_categories_is_left_out() -> None:
    many = part("abcdefghijklmnopqrstuvwxy", dict.fromkeys("abcdefghijklmnopqrstuvwxy", 1.0))

    assert "kind" not in change(many, part("a", SAME)).shifted


@pytest.mark.slow
@given(factor=st.floats(0.5, 20))
def test_losses_in_another_unit_change_the_figures_by_that_factor(factor: float) -> None:
    before, now = part("aab", SAME), part("abb", {"a": 1.0, "b": 6.0}, seed=2)
    plain = change(before, now)
    scaled = change(SlicedRows(before.rows, before.losses * factor), SlicedRows(now.rows, now.losses * factor))

    assert [each.name for each in clear(scaled)] == [each.name for each in clear(plain)]
    assert scaled.shifted["kind"] == pytest.approx(plain.shifted["kind"] * factor)
