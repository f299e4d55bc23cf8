"""A new champion on probation: what the rows of each check add up to, and what that ends."""

import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from retrim.decision.probation import ProbationParams, ProbationState, ProbationVerdict, in_words, roll_back_instead
from retrim.decision.rules import Decision
from retrim.stats.codec import from_record, to_record

PARAMS = ProbationParams(checks=26, block_share=0.5, alpha_rollback=0.05, alpha_confirm=0.05, min_effect=0.02)
NONE = Decision("none", "nothing", (), "", (), ("drift",))
RETRAIN = Decision("retrain", "the account", (), "", ("gain",), ())
losses = st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=120)


def watch(new: np.ndarray, previous: np.ndarray, *, every: int, block_rows: int = 24) -> ProbationState:
    """A probation whose rows come in checks of that many."""
    found = ProbationState.begin(2, 1)
    for start in range(0, len(new), every):
        part = slice(start, start + every)
        found = found.after(new[part], previous[part], PARAMS, block_rows=block_rows)
    return found


def pair(seed: int, rows: int, *, worse: float, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Losses of a new champion that is worse by a share of the loss of the one before, on the same rows."""
    rng = np.random.default_rng(seed)
    previous = rng.gamma(2.0, 0.5, size=rows)
    return previous + rng.normal(worse, spread, size=rows), previous


@settings(deadline=None)
@given(losses, st.integers(1, 40), st.integers(1, 40))
def test_how_rows_are_dealt_into_checks_changes_no_evidence(
    pairs: list[tuple[float, float]], one: int, other: int
) -> None:
    new, previous = np.array(pairs).T
    first, second = (watch(new, previous, every=every, block_rows=7) for every in (one, other))

    assert (first.rows, first.worse.count) == (second.rows, second.worse.count) == (len(pairs), len(pairs) // 7)
    assert first.worse.total == pytest.approx(second.worse.total, abs=1e-9)
    assert first.fine.squares == pytest.approx(second.fine.squares, abs=1e-6)


@settings(deadline=None)
@given(losses)
def test_a_probation_comes_back_from_json_as_it_was(pairs: list[tuple[float, float]]) -> None:
    new, previous = np.array(pairs).T
    found = watch(new, previous, every=10)

    assert from_record(ProbationState, json.loads(json.dumps(to_record(found)))) == found


def test_rows_that_fill_no_block_wait_for_the_next_check() -> None:
    new, previous = pair(1, 60, worse=0.0)
    found = watch(new, previous, every=60)

    assert (found.worse.count, found.waiting[0]) == (2, 12)


def test_one_that_is_worse_by_a_tenth_is_found_worse() -> None:
    judged = watch(*pair(1, 2000, worse=0.1), every=336, block_rows=168).judge(PARAMS)

    assert judged.outcome == "worse"
    assert judged.effect == pytest.approx(0.1, abs=0.02)
    assert 0 < judged.margin < 0.1


def test_one_that_is_better_by_a_tenth_is_confirmed() -> None:
    assert watch(*pair(1, 2000, worse=-0.1), every=336, block_rows=168).judge(PARAMS).outcome == "confirmed"


def test_one_that_is_worse_by_less_than_counts_is_not_rolled_back_however_sure_that_is() -> None:
    new, previous = pair(1, 8000, worse=0.015, spread=0.01)
    judged = watch(new, previous, every=336, block_rows=168).judge(PARAMS)

    assert judged.evidence_worse > 1e3
    assert judged.outcome == "confirmed"


def test_the_same_model_twice_is_confirmed_and_never_worse() -> None:
    previous = pair(1, 2000, worse=0.0)[1]

    assert watch(previous, previous, every=336, block_rows=168).judge(PARAMS).outcome == "confirmed"


def test_losses_of_nothing_but_zeros_end_in_no_error() -> None:
    zeros = np.zeros(500)

    assert watch(zeros, zeros, every=100).judge(PARAMS).outcome == "going on"


def test_a_probation_is_over_after_its_longest_length() -> None:
    new, previous = pair(4, 26 * 24, worse=0.02, spread=3.0)

    assert watch(new[:-24], previous[:-24], every=24).judge(PARAMS).outcome == "going on"
    assert watch(new, previous, every=24).judge(PARAMS).outcome == "over"


def test_a_probation_without_rows_says_so() -> None:
    begun = ProbationState.begin(2, 1)

    assert "no row" in in_words(begun, begun.judge(PARAMS), PARAMS)


def test_a_rollback_goes_before_a_retraining_and_keeps_what_waits_for_a_person() -> None:
    worse = ProbationVerdict("worse", 0.1, 50.0, 0.0, 0.01)
    decision = roll_back_instead(RETRAIN, worse, text="figures")

    assert (decision.outcome, decision.fired) == ("rollback", ())
    assert roll_back_instead(NONE, worse, text="").held == ("drift",)


@pytest.mark.parametrize("outcome", ["going on", "confirmed", "over", "replaced"])
def test_any_other_end_leaves_the_decision_alone(outcome: str) -> None:
    judged = ProbationVerdict(outcome, 0.0, 1.0, 1.0, 0.0)  # type: ignore[arg-type]

    assert roll_back_instead(RETRAIN, judged, text="") is RETRAIN


def test_one_that_errs_where_the_former_never_did_is_found_worse() -> None:
    new = (np.random.default_rng(6).random(4000) < 0.2).astype(float)
    found = watch(new, np.zeros(len(new)), every=336, block_rows=168)
    judged = found.judge(PARAMS)

    assert judged.outcome == "worse"
    assert np.isfinite(judged.effect)
    assert "beyond +100000% in 23 blocks" in in_words(found, judged, PARAMS)
