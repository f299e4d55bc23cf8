"""What a fit takes of rows that are not due."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retrim.stats.codec import to_record
from retrim.training.early import class_chances, early_rows, is_taken, shares_left, soft_rows
from retrim.training.recipe import Recipe, fit_recipe
from tests.builders.late_labels import DAY, START, TREES, late_table, taken_at


@given(
    predicted=arrays(float, st.integers(1, 20), elements=st.floats(0, 1)),
    delays=arrays(float, 12, elements=st.floats(0, 100)),
    codes=arrays(int, 12, elements=st.integers(0, 1)),
    age=st.floats(0, 200),
)
def test_chances_of_a_row_sum_to_one(predicted: np.ndarray, delays: np.ndarray, codes: np.ndarray, age: float) -> None:
    left = shares_left(delays, codes, np.full(len(predicted), age), classes=2)
    chances = class_chances(predicted, left)
    assert (left > 0).all()
    assert (left <= 1).all()
    assert (chances > 0).all()
    assert chances.sum(axis=1) == pytest.approx(1.0)


def test_a_class_known_by_now_is_unlikely() -> None:
    left = shares_left(
        np.r_[np.full(99, 2.0), np.full(99, 25.0)],
        np.r_[np.ones(99, int), np.zeros(99, int)],
        np.array([1.0, 10.0]),
        classes=2,
    )
    assert left.tolist() == [[1.0, 1.0], [1.0, 0.01]]
    assert class_chances(np.array([0.5]), left[1:])[0, 1] == pytest.approx(0.01 / 1.01)


def test_delays_tell_nothing_of_a_class_without_any() -> None:
    left = shares_left(np.array([1.0, 2.0]), np.array([0, 0]), np.array([50.0]), classes=2)
    assert class_chances(np.array([0.3]), left)[0].tolist() == pytest.approx([0.7, 0.3])


def test_several_classes_each_have_a_chance() -> None:
    left = shares_left(np.array([1.0, 9.0, 9.0]), np.array([0, 1, 2]), np.array([5.0]), classes=3)
    chances = class_chances(np.array([[0.5, 0.25, 0.25]]), left)
    assert chances[0].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_a_row_without_label_counts_once_in_all() -> None:
    chances = np.array([[0.25, 0.75], [0.9, 0.1]])
    rows = soft_rows(np.array([-1, 1, -1]), np.array([False, True, False]), chances)
    assert rows.places.tolist() == [0, 0, 1, 2, 2]
    assert rows.actual.tolist() == [0, 1, 1, 0, 1]
    assert rows.weights.tolist() == [0.25, 0.75, 1.0, 0.9, 0.1]


def test_a_row_past_its_horizon_without_label_is_left_out() -> None:
    rows = late_table()
    rows.loc[5, "came"] = pd.NaT
    moment = START + 60 * DAY
    past = np.flatnonzero((rows["_due"] <= moment).to_numpy() & rows["came"].notna().to_numpy())
    found = early_rows(rows, rows["came"], np.zeros(len(rows), int), past, moment=moment, classes=2)
    assert rows["_key"][5] not in set(found.rows["_key"])
    assert (found.rows["_due"] > moment).all()


def test_nothing_after_the_moment_is_known() -> None:
    rows, moment = late_table(), START + 60 * DAY
    view, past, found = taken_at(rows, 60)
    assert (found.rows["_event"] < moment).all()
    later = rows.assign(came=rows["came"].where(rows["came"] <= moment))
    later.loc[rows["came"] > moment, "y"] = "no"
    later.loc[rows["_event"] >= moment, "x"] = 0.0
    assert taken_at(later, 60)[2].known.tolist() == found.known.tolist()
    fits = [fit_recipe(TREES, view, each, take=past, threads=1, early=taken_at(each, 60)[2]) for each in (rows, later)]
    assert fits[0].files() == fits[1].files()


def test_half_of_the_rows_by_key_alone() -> None:
    keys = late_table(4000)["_key"]
    taken = is_taken(keys)
    assert 0.45 < taken.mean() < 0.55
    assert (is_taken(keys[::-1])[::-1] == taken).all()
    assert is_taken(taken_at(late_table(), 60)[2].rows["_key"]).all()


def test_without_rows_to_come_a_fit_is_as_it_was() -> None:
    rows = late_table()
    view, past, found = taken_at(rows, 200)
    assert not len(found.rows)
    plain, early = (fit_recipe(TREES, view, rows, take=past, threads=1, early=each) for each in (None, found))
    assert plain.files() == early.files()


def test_rows_that_wait_change_the_fit_the_same_way_each_time() -> None:
    rows = late_table()
    view, past, found = taken_at(rows, 60)
    plain, *early = (
        fit_recipe(TREES, view, rows, take=past, threads=threads, early=each)
        for threads, each in ((1, None), (1, found), (2, found))
    )
    assert early[0].files() == early[1].files() != plain.files()


def test_rows_of_a_class_that_comes_early_do_not_raise_its_chance() -> None:
    """Positives are known at 2 days, negatives at 25: of the labels there are nearly all are positive."""
    rows = late_table(4000)
    view, past, found = taken_at(rows, 900)
    known = found.rows[found.known]
    assert (known["y"] == "yes").mean() > 0.6
    model = fit_recipe(TREES, view, rows, take=past, threads=1, early=found)
    assert model.predict(view.matrix(found.rows)).mean() == pytest.approx((found.rows["y"] == "yes").mean(), abs=0.05)


@pytest.mark.parametrize("more", [{"balance": "weights"}, {"model": "stack"}, {"model": "own:mine.py"}])
def test_a_recipe_that_cannot_weigh_them_waits(more: dict[str, str]) -> None:
    assert TREES.takes_early
    assert not Recipe(**{**to_record(TREES), **more}).takes_early
