"""Categories: figures by hand; a target code that knows no label before it was due."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.features.step import STEPS, TrainingRows
from tests.builders.one import learn, made, past, words

SEEN = words("dry", "dry", "rain", "storm", None)


@pytest.mark.parametrize(("unseen", "hail"), [("merge", "other"), ("missing", None)])
def test_rare_levels_become_one_and_an_unseen_one_as_declared(unseen: str, hail: str | None) -> None:
    asked = {"w": words("dry", "storm", "hail", None)}

    assert made("rare", past({"w": SEEN}), asked, under=0.3, into="other", unseen=unseen)["w"] == [
        "dry",
        "other",
        hail,
        None,
    ]


LATE = past({"w": words("dry", "dry", "rain", "dry", "dry")}, [4.0, 8.0, 1.0, 3.0, 9.0])


def test_a_later_row_is_coded_by_all_training_rows_drawn_to_their_mean() -> None:
    # dry: 24 in 4 rows, all: 25 in 5. With a weight of 2: (24 + 2 * 5) / 6, (1 + 2 * 5) / 3, and the mean.
    asked = {"w": words("dry", "rain", "hail")}

    assert made("target_code", LATE, asked, smoothing=2.0)["w:target"] == pytest.approx([34 / 6, 11 / 3, 5.0])


def test_a_training_row_is_coded_by_labels_that_were_due_by_its_event() -> None:
    # Labels are due an hour after the event, when the next row happens: each row knows those before it.
    state = learn("target_code", LATE, smoothing=1.0).state
    found = STEPS["target_code"].train(LATE, state)["w:target"]

    # dry: -, 4, ., 4 + 8, 4 + 8 + 3; of all: -, 4, 6, 13/3, 4.
    assert found == pytest.approx([np.nan, (4 + 4) / 2, 6.0, (12 + 13 / 3) / 3, (15 + 4) / 4], nan_ok=True)


def test_a_code_keeps_to_the_size_of_its_own_rows() -> None:
    # Of sums over all levels one after the other, b's would be 1e18 + 1 - 1e18, which is 0.
    told = past({"w": words("a", "b", "a", "b")}, [1e18, 1.0, 1e18, 1.0])
    found = STEPS["target_code"].train(told, learn("target_code", told, smoothing=0.0).state)["w:target"]

    assert found.tolist()[1:] == [1e18, 1e18, 1.0]


def test_of_several_classes_each_has_a_code() -> None:
    rows = past({"w": words("dry", "dry", "rain", "rain")}, [0, 1, 2, 2], classes=("a", "b", "c"))
    found = made("target_code", rows, {"w": words("dry", "rain")}, smoothing=0.0)

    assert found == {"w:target=a": [0.5, 0], "w:target=b": [0.5, 0], "w:target=c": [0, 1]}


def test_a_code_of_noise_tells_nothing_of_the_rows_it_is_trained_on() -> None:
    # A level a row and a half: coded by its own label each row would be told; by earlier ones none is.
    draw = np.random.default_rng(2)
    level = words(*[f"k{number}" for number in draw.integers(0, 1500, 2000)])
    rows = past({"w": level}, draw.normal(size=2000))
    state = learn("target_code", rows, smoothing=1.0).state
    naive = STEPS["target_code"].apply(rows.frame, state)["w:target"]
    ordered = STEPS["target_code"].train(rows, state)["w:target"]

    assert np.corrcoef(naive, rows.target)[0, 1] > 0.7
    assert abs(np.corrcoef(ordered[50:], rows.target[50:])[0, 1]) < 0.07


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 6), st.integers(-2, 4), st.sampled_from("abc"), st.integers(-3, 3)),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=60, deadline=None)
def test_each_code_is_that_of_the_rows_that_were_known(rows: list[tuple[int, int, str, int]]) -> None:
    # Any order of events, ties, labels due before their event: against the sentence, taken literally, row by row.
    rows = sorted(rows, key=lambda row: row[0])
    event, wait, level, target = (list(each) for each in zip(*rows, strict=True))
    when = np.array(event, dtype="datetime64[us]")
    due = when + np.array(wait, dtype="timedelta64[us]")
    told = TrainingRows({"w": words(*level)}, np.array(target, dtype="float64"), (), when, due)
    state = learn("target_code", told, smoothing=1.5).state

    def by_hand(row: int) -> float:
        seen = [
            each for each in range(len(rows)) if event[each] < event[row] and event[each] + wait[each] <= event[row]
        ]
        if not seen:
            return np.nan
        own = [target[each] for each in seen if level[each] == level[row]]
        return (sum(own) + 1.5 * float(np.mean([target[each] for each in seen]))) / (len(own) + 1.5)

    assert STEPS["target_code"].train(told, state)["w:target"] == pytest.approx(
        [by_hand(row) for row in range(len(rows))], nan_ok=True
    )
