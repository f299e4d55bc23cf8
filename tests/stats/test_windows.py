"""Cuts in time: the embargo, what fits, stops, scores and judges apart, folds in order."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.stats.windows import folds, keep_back, part_of, past_of, spans

START = pd.Timestamp("2024-01-01", tz="UTC")


def days(numbers: list[int] | np.ndarray) -> pd.Series:
    return pd.Series([START + pd.Timedelta(int(number), "D") for number in numbers])


@st.composite
def histories(draw: st.DrawFn, *, least: int = 8) -> tuple[pd.Series, pd.Series]:
    """Event times in order, with ties, and due times each 0 to 12 days after its event."""
    n = draw(st.integers(least, 40))
    event = np.cumsum(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    delay = np.array(draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    return days(event), days(event + delay)


# --- the embargo


def test_a_row_whose_label_was_due_later_is_not_past() -> None:
    event, due = days([0, 1, 2, 3]), days([1, 4, 3, 4])

    assert past_of(event, due, 3).tolist() == [0, 2]


def test_a_label_due_at_the_very_moment_is_past() -> None:
    assert past_of(days([0, 1]), days([1, 2]), 1).tolist() == [0]


def test_a_row_of_the_same_moment_is_not_its_own_past() -> None:
    # A horizon of 0: the label of the row itself is due at its event.
    event = days([0, 0, 0])

    assert past_of(event, event, 1).tolist() == [0]


class TestEveryHistory:
    @settings(max_examples=50, deadline=None)
    @given(history=histories(), data=st.data())
    def test_fits_no_row_whose_label_was_due_after_the_first_scored_event(
        self, history: tuple[pd.Series, pd.Series], data: st.DataObject
    ) -> None:
        event, due = history
        start = data.draw(st.integers(1, len(event) - 1))
        past = past_of(event, due, start)

        assert (due.iloc[past] <= event.iloc[start]).all()
        assert (past < start).all()

    @settings(max_examples=50, deadline=None)
    @given(history=histories(), data=st.data())
    def test_leaves_out_no_row_that_could_be_fitted(
        self, history: tuple[pd.Series, pd.Series], data: st.DataObject
    ) -> None:
        event, due = history
        start = data.draw(st.integers(1, len(event) - 1))
        out = np.setdiff1d(np.arange(start), past_of(event, due, start))

        assert (due.iloc[out] > event.iloc[start]).all()

    @settings(max_examples=50, deadline=None)
    @given(history=histories(), count=st.integers(1, 3), rows=st.integers(2, 20), share=st.floats(0.05, 0.45))
    def test_keeps_fit_stop_score_and_judge_apart_and_what_is_judged_later(
        self, history: tuple[pd.Series, pd.Series], count: int, rows: int, share: float
    ) -> None:
        event, due = history
        judged_from = len(event) - 3
        train = past_of(event, due, judged_from)
        seen, was_due = event.iloc[train], due.iloc[train]
        try:
            cut = folds(seen, was_due, count=count, rows=rows)
            parts = [(*keep_back(fold.fit, share=share), fold.score) for fold in cut]
        except ValueError:
            return  # too few rows are refused, see below

        for fit, stop, score in parts:
            past = np.concatenate([fit, stop])
            assert len(np.unique(past)) == len(past)
            assert past.max() < score.min()
            assert was_due.iloc[past].max() <= seen.iloc[score[0]]
        assert was_due.max() <= event.iloc[judged_from]
        assert train.max() < judged_from

    @settings(max_examples=50, deadline=None)
    @given(history=histories(least=1), count=st.integers(1, 5), rows=st.integers(2, 20))
    def test_has_folds_of_equal_size_up_to_its_end_or_too_few_rows(
        self, history: tuple[pd.Series, pd.Series], count: int, rows: int
    ) -> None:
        event, due = history
        try:
            cut = folds(event, due, count=count, rows=rows)
        except ValueError:
            return  # too few rows are refused, see below
        scored = np.concatenate([fold.score for fold in cut])

        assert scored.tolist() == list(range(len(event) - len(scored), len(event)))
        assert len({len(fold.score) for fold in cut}) == 1
        assert len(cut) == count


# --- folds


def test_folds_of_a_worked_example() -> None:
    event = days(np.arange(12))

    assert [(fold.fit.tolist(), fold.score.tolist()) for fold in folds(event, event, count=2, rows=3)] == [
        (list(range(6)), [6, 7, 8]),
        (list(range(9)), [9, 10, 11]),
    ]


def test_a_short_table_has_shorter_folds() -> None:
    event = days(np.arange(12))

    assert [len(fold.score) for fold in folds(event, event, count=2, rows=100)] == [3, 3]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 11])
def test_too_few_rows_for_the_folds_are_said(n: int) -> None:
    event = days(np.arange(n))

    with pytest.raises(ValueError, match=rf"\b{n} rows .*\b3 folds"):
        folds(event, event, count=3, rows=10)


def test_labels_due_too_late_leave_no_folds() -> None:
    event = days(np.arange(40))

    with pytest.raises(ValueError, match="too few"):
        folds(event, event + pd.Timedelta("60D"), count=2, rows=5)


# --- rows to stop on


def test_rows_to_stop_on_are_the_newest_of_spans_all_over_the_past() -> None:
    fit, stop = keep_back(np.arange(100, 200), share=0.1)

    assert stop.tolist() == [118, 119, 138, 139, 158, 159, 178, 179, 198, 199]
    assert fit.tolist() == [row for row in range(100, 200) if row not in stop]


@pytest.mark.parametrize(("n", "share", "stops"), [(5, 0.01, [4]), (20, 0.1, [9, 19]), (7, 0.5, [1, 3, 6])])
def test_few_rows_stop_where_few_are_asked_for(n: int, share: float, stops: list[int]) -> None:
    assert keep_back(np.arange(n), share=share)[1].tolist() == stops


@given(n=st.integers(3, 300), share=st.floats(0.01, 0.6))
def test_as_many_rows_stop_as_are_asked_for(n: int, share: float) -> None:
    fit, stop = keep_back(np.arange(n), share=share)

    assert len(stop) == max(int(n * share), 1)
    assert sorted([*fit, *stop]) == list(range(n))
    assert stop[-1] == n - 1


def test_too_few_rows_to_fit_on_are_said() -> None:
    with pytest.raises(ValueError, match=r"^(?=.*\b3 rows\b)(?=.*\b1\b)(?=.*\b2\b)"):
        keep_back(np.arange(3), share=0.7)


def test_a_part_of_a_stored_view_is_numbered_anew() -> None:
    view = pd.DataFrame({"x": [1, 2, 3, 4], "_part": ["train", "embargo", "train", "judge"]})

    assert part_of(view, "train").to_dict("list") == {"x": [1, 3], "_part": ["train", "train"]}
    assert part_of(view, "train").index.tolist() == [0, 1]


# --- spans


def test_spans_cover_every_row_once_in_order() -> None:
    assert [part.tolist() for part in spans(7, 3)] == [[0, 1, 2], [3, 4], [5, 6]]


def test_more_spans_than_rows_leave_out_the_empty_ones() -> None:
    assert [part.tolist() for part in spans(2, 5)] == [[0], [1]]
