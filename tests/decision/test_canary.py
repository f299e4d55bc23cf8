"""Which rows are a canary's, and when its requests end it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.decision.canary import TIMED, Canary, judge_failures, judge_seconds

CANARY = Canary(3, 2, 0.1, "a test", "a test", "2024-01-01T00:00:00Z")


def test_the_share_of_the_keys_is_the_one_that_was_asked_for() -> None:
    held = sum(CANARY.holds(str(key)) for key in range(20_000))

    assert held == pytest.approx(2000, abs=150)


@given(st.text(), st.floats(0.01, 0.5))
def test_a_key_keeps_its_version_and_a_larger_share_holds_those_of_a_smaller(key: str, share: float) -> None:
    canary = replace(CANARY, share=share)

    assert canary.holds(key) == canary.holds(key)
    assert not canary.holds(key) or replace(canary, share=0.5).holds(key)


def test_one_that_begins_later_chooses_other_keys() -> None:
    other = replace(CANARY, began="2024-01-02T00:00:00Z")
    both = sum(CANARY.holds(str(key)) and other.holds(str(key)) for key in range(20_000))

    assert both == pytest.approx(200, abs=60)


@pytest.mark.parametrize(
    ("failed", "answered", "ends"), [(0, 0, False), (2, 0, False), (3, 0, True), (3, 296, True), (3, 297, False)]
)
def test_more_than_one_failure_in_a_hundred_ends_it(failed: int, answered: int, ends: bool) -> None:  # noqa: FBT001
    assert (judge_failures(failed, answered) is not None) is ends


@pytest.mark.parametrize(
    ("own", "live", "ends"),
    [(0.010, 0.004, True), (0.007, 0.004, False), (0.0009, 0.0001, False), (0.0012, 0.0001, True), (0.1, 0.1, False)],
)
def test_twice_the_time_and_a_millisecond_end_it(own: float, live: float, ends: bool) -> None:  # noqa: FBT001
    assert (judge_seconds([own] * TIMED, [live] * TIMED) is not None) is ends
    assert judge_seconds([own] * (TIMED - 1), [live] * (TIMED - 1)) is None


def test_one_long_pause_ends_nothing() -> None:
    assert judge_seconds([0.001] * (TIMED - 1) + [60.0], [0.001] * TIMED) is None
