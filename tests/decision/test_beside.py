"""Versions that answered side by side: the test of a probation, on pairs and on shares of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.decision.probation import ProbationParams, ServedBeside, blocks_side_by_side, compare_beside

PARAMS = ProbationParams()


def compared(new: np.ndarray, previous: np.ndarray, params: ProbationParams = PARAMS) -> ServedBeside:
    return compare_beside(new, previous, params, role="shadow", version=2, against=1, rows_per_check=40)


def pair(seed: int, rows: int, *, worse: float) -> tuple[np.ndarray, np.ndarray]:
    """Losses of two versions on the same rows, the newer one worse by that share in the mean."""
    random = np.random.default_rng(seed)
    previous = random.gamma(2.0, 1.0, rows)
    return previous * (1 + worse) + random.normal(0, 0.2, rows), previous


def shares(seed: int, rows: int, *, worse: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Who answered each row, and its loss."""
    random = np.random.default_rng(seed)
    is_new, losses = random.random(rows) < share, random.gamma(2.0, 1.0, rows)
    return is_new, np.where(is_new, losses * (1 + worse), losses)


@pytest.mark.parametrize(("worse", "outcome"), [(0.2, "worse"), (-0.2, "confirmed")])
def test_what_is_worse_or_better_on_the_same_requests_is_found(worse: float, outcome: str) -> None:
    assert compared(*pair(0, 2000, worse=worse)).outcome == outcome


def test_without_a_row_nothing_is_found_and_it_says_so() -> None:
    found = compared(np.empty(0), np.empty(0))

    assert (found.outcome, found.rows) == ("going on", 0)
    assert "no rows yet whose label has arrived" in found.said


def test_it_is_over_after_the_rows_of_its_longest_length() -> None:
    rows = 40 * PARAMS.checks
    random = np.random.default_rng(4)
    new, previous = (1 + random.normal(0, 3.0, rows + 400) for _ in range(2))

    assert compared(new[: rows - 40], previous[: rows - 40]).outcome == "going on"
    assert (compared(new, previous).outcome, compared(new, previous).rows) == ("over", rows)


def test_it_runs_where_probations_are_off() -> None:
    off = ProbationParams(checks=0)

    assert compared(*pair(0, 40, worse=0.0), off).outcome == "going on"


@given(seed=st.integers(0, 50), rows=st.integers(0, 1500), more=st.integers(0, 500))
def test_more_rows_never_take_back_what_was_found(seed: int, rows: int, more: int) -> None:
    new, previous = pair(seed, rows + more, worse=0.08)
    before, after = compared(new[:rows], previous[:rows]), compared(new, previous)

    assert before.outcome == "going on" or after == before


@given(seed=st.integers(0, 50), rows=st.integers(1, 600), more=st.integers(0, 200), share=st.floats(0.05, 0.95))
def test_more_rows_leave_the_blocks_before_as_they_were(seed: int, rows: int, more: int, share: float) -> None:
    is_new, losses = shares(seed, rows + more, worse=0.0, share=share)
    before = blocks_side_by_side(is_new[:rows], losses[:rows], block_rows=20)
    after = blocks_side_by_side(is_new, losses, block_rows=20)
    if rows + more > rows and is_new[:rows].sum() % 20 == 0:
        return  # the last block is full, and rows of the older one may still join the next
    whole = len(before[0]) // 20 * 20

    assert np.array_equal(before[0][:whole], after[0][:whole])
    assert np.array_equal(before[1][:whole], after[1][:whole])


def test_beside_each_row_stands_the_mean_of_the_others_rows_of_its_block() -> None:
    is_new = np.array([False, True, False, True, False, True, True, True, True])
    losses = np.array([1.0, 10.0, 3.0, 11.0, 8.0, 12.0, 13.0, 14.0, 15.0])
    new, previous = blocks_side_by_side(is_new, losses, block_rows=2)

    assert new.tolist() == [10.0, 11.0, 12.0, 13.0]  # beside the last two no row of the older version came
    assert previous.tolist() == [2.0, 2.0, 8.0, 8.0]


def test_two_versions_that_are_alike_are_seldom_told_apart_by_shares() -> None:
    found = []
    for seed in range(60):
        is_new, losses = shares(seed, 4000, worse=0.0, share=0.2)
        found.append(compared(*blocks_side_by_side(is_new, losses, block_rows=20)).outcome)

    assert found.count("worse") / len(found) <= PARAMS.alpha_rollback


def test_one_that_is_worse_is_told_apart_by_shares() -> None:
    found = []
    for seed in range(20):
        is_new, losses = shares(seed, 8000, worse=0.5, share=0.2)
        found.append(compared(*blocks_side_by_side(is_new, losses, block_rows=20)).outcome)

    assert found.count("worse") > 15
