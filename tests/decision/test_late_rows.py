"""Rows that come late: the probe judges no row by what was due after it, and lets no late row age the fit of others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.decision.probe import ProbeParams, ProbeReading, fitted_rows, judged_blocks, reading_of, refit_losses
from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.training.recipe import Recipe, fit_recipe
from tests.decision.test_probe import data, stream

ROWS, FROM, TRAINED = 600, 520, 300
ONE_FIT = ProbeParams(blocks=1, min_rows=2, when="every")
TREES = Recipe("gbm", "mse", {"num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.3}, 15, 7)


@st.composite
def lateness(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Row numbers among 600 mature ones that a check finds new, ascending; and how many of them came late."""
    first, end = FROM, draw(st.integers(FROM + 5, ROWS))
    late = draw(st.sets(st.integers(0, first - 1), max_size=40))
    return np.array(sorted({*late, *range(first, end)})), len(late)


@pytest.mark.slow
@settings(max_examples=200)
@given(found=lateness(), horizon=st.integers(0, 30), blocks=st.integers(1, 4))
def test_no_row_is_judged_by_a_fit_on_what_was_due_after_its_event(
    found: tuple[np.ndarray, int], horizon: int, blocks: int
) -> None:
    table, newest = stream(ROWS, horizon=horizon), found[0]
    params = ONE_FIT.model_copy(update={"blocks": blocks})
    parts = judged_blocks(newest, blocks=blocks)
    fitted = fitted_rows(table, newest, params, window="all", sliding_rows=9)

    assert len(parts) == len(fitted)
    for part, past in zip(parts, fitted, strict=True):
        assert (table["_due"].iloc[past] <= table["_event"].iloc[newest[part]].min()).all()
        assert not set(past) & set(newest[part])


@settings(max_examples=200)
@given(found=lateness(), blocks=st.integers(1, 4))
def test_at_least_two_thirds_of_the_rows_are_judged_and_none_twice(found: tuple[np.ndarray, int], blocks: int) -> None:
    newest = found[0]
    places = np.concatenate(judged_blocks(newest, blocks=blocks))

    assert (np.diff(places) > 0).all()
    assert len(places) >= 2 * len(newest) / 3


@pytest.mark.slow
@settings(max_examples=200)
@given(straggler=st.integers(0, FROM - 3), end=st.integers(FROM + 3, ROWS), blocks=st.integers(1, 4))
def test_a_single_straggler_changes_the_past_of_no_other_row(straggler: int, end: int, blocks: int) -> None:
    # One that is late by a single row is judged like the others: it costs them that row, and to set it apart costs one.
    table, params = stream(ROWS), ONE_FIT.model_copy(update={"blocks": blocks})
    others = np.arange(FROM, end)
    pasts = [
        fitted_rows(table, newest, params, window="all", sliding_rows=9)
        for newest in (others, np.concatenate([[straggler], others]))
    ]

    assert [each.tolist() for each in pasts[0]] == [each.tolist() for each in pasts[1]]


@settings(max_examples=200)
@given(found=lateness())
def test_a_fit_is_at_most_twice_as_old_as_without_late_rows(found: tuple[np.ndarray, int]) -> None:
    newest, late = found
    if late > len(newest) // 3:
        return
    counted = np.setdiff1d(np.arange(ROWS), newest)
    (part,) = judged_blocks(newest, blocks=1)
    for rank, row in enumerate(newest[part]):
        lacks = ((counted >= newest[part[0]]) & (counted < row)).sum()

        assert lacks <= rank


def test_a_batch_that_is_late_as_a_whole_is_a_block_of_its_own() -> None:
    newest = np.concatenate([[3], np.arange(100, 200), np.arange(500, 590)])
    late, current = judged_blocks(newest, blocks=1)

    assert newest[late].tolist() == list(range(100, 200))
    assert newest[current].tolist() == list(range(500, 590))


def test_rows_in_one_run_are_judged_as_they_come() -> None:
    parts = judged_blocks(np.arange(50, 60), blocks=2)

    assert [part.tolist() for part in parts] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


# --- the estimate of the gain


def reading(newest: np.ndarray, recipe: Recipe = TREES) -> ProbeReading:
    """Of a champion that was made before the world changed at row 300."""
    table = stream(ROWS, changed_from=TRAINED)
    view = FeatureView.learn(table.iloc[:TRAINED], data())
    champion = fit_recipe(recipe, view, table.iloc[:TRAINED], threads=1)
    places = np.concatenate(judged_blocks(newest, blocks=1))
    losses = refit_losses(table, newest, recipe, data(), ONE_FIT, window="sliding", sliding_rows=150, cores=1)
    rows = table.iloc[newest]
    lost = row_losses(recipe.loss, view.actual(rows), champion.predict(view.matrix(rows)))
    return reading_of(lost[places], losses, apart=np.delete(lost, places), block_rows=10)


@settings(max_examples=15)
@given(late=st.sets(st.integers(TRAINED, FROM - 1), max_size=30))
def test_the_gain_stays_within_three_standard_errors_whatever_rows_are_late(late: set[int]) -> None:
    window = np.arange(FROM, ROWS)
    plain, found = reading(window), reading(np.array([*sorted(late), *window]))

    assert plain.gain > 10
    assert found.rows == len(window) + len(late)
    assert abs(found.gain - plain.gain) <= 3 * plain.error


@pytest.mark.parametrize("straggler", [TRAINED, TRAINED + 100])
def test_one_late_row_does_not_silence_the_account(straggler: int) -> None:
    window = np.arange(FROM, ROWS)
    plain, found = reading(window), reading(np.array([straggler, *window]))

    assert plain.gain >= found.gain > 0.98 * plain.gain
    assert (found.rows, found.apart) == (len(window) + 1, 1)


@pytest.mark.parametrize(("late", "weight"), [(1.0, 0.75), (2.0, 1.0), (1000.0, 1.0)])
def test_a_late_row_counts_less_where_the_champion_loses_less_and_never_more(late: float, weight: float) -> None:
    found = reading_of(np.array([2.0, 2.0]), np.array([1.0, 1.5]), apart=np.array([late, late]), block_rows=1)

    assert (found.rows, found.apart, found.weight) == (4, 2, weight)
    assert found.gain == weight * 0.75
