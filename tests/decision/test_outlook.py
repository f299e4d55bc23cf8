"""When a probe is needed: what the account may hold by now decides, and it never holds more than was expected."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retrim.decision.accumulated_gain import EMPTY, AccumulatedGain
from retrim.decision.probe import LONGEST, Outlook
from retrim.stats.codec import from_record, to_record

PROBED = Outlook().with_rows(1.0, share=1.0).probed(0.1, error=0.05, loss=1.0, share=1.0)


def needed(
    outlook: Outlook, *, retraining_cost: float = 10.0, accumulated_gain: AccumulatedGain = EMPTY, ahead: float = 0.0
) -> bool:
    return outlook.needs_probe(accumulated_gain, retraining_cost, errors=2.0, ahead=ahead)


def waited(outlook: Outlook, checks: int, *, loss: float = 1.0) -> Outlook:
    for _ in range(checks):
        outlook = outlook.with_rows(loss, share=1.0)
    return outlook


def test_nothing_is_asked_of_no_rows() -> None:
    assert not needed(Outlook())
    assert not needed(PROBED, accumulated_gain=AccumulatedGain(99.0, 0.0))


def test_the_first_rows_of_all_are_probed() -> None:
    assert needed(waited(Outlook(), 1))


def test_far_from_the_price_and_quiet_a_check_is_skipped() -> None:
    assert not needed(waited(PROBED, 1))


def test_near_the_price_every_check_probes() -> None:
    assert needed(waited(PROBED, 1), accumulated_gain=AccumulatedGain(9.9, 1.0))


def test_a_loss_that_jumps_is_probed_at_once() -> None:
    assert needed(waited(PROBED, 1, loss=25.0))


def test_no_check_with_new_rows_waits_for_more_than_so_many_others() -> None:
    assert [needed(waited(PROBED, checks), retraining_cost=1e9) for checks in (LONGEST - 1, LONGEST)] == [False, True]


def test_what_is_far_from_clear_of_noise_is_not_probed() -> None:
    assert not needed(waited(PROBED, 1), retraining_cost=0.01, accumulated_gain=AccumulatedGain(1.0, 100.0))


def test_rows_whose_labels_are_not_due_count_as_the_newest_did() -> None:
    near = AccumulatedGain(9.0, 0.0)

    assert [needed(waited(PROBED, 1), accumulated_gain=near, ahead=ahead) for ahead in (0.0, 10.0)] == [False, True]


def test_another_champion_has_lost_nothing_yet_and_its_rows_are_as_noisy() -> None:
    following = replace(PROBED, gain=5.0).of_next()

    assert (following.gain, following.error, following.checks) == (0.0, PROBED.error, 0)
    assert not needed(waited(following, 1))


def test_a_record_holds_all_of_it() -> None:
    assert from_record(Outlook, to_record(waited(PROBED, 3))) == waited(PROBED, 3)


@given(
    checks=st.lists(st.tuples(st.floats(0.1, 5), st.floats(0.1, 2), st.floats(0, 1)), min_size=1, max_size=LONGEST - 1),
    retraining_cost=st.floats(0.01, 5),
    balance=st.floats(0, 5),
    variance=st.floats(0, 4),
)
def test_what_is_skipped_could_not_have_paid_had_no_gain_been_beyond_what_was_plausible(
    checks: list[tuple[float, float, float]], retraining_cost: float, balance: float, variance: float
) -> None:
    outlook, accumulated_gain = PROBED, AccumulatedGain(balance, variance)
    had = accumulated_gain
    for loss, share, part in checks:
        before = outlook.more
        outlook = outlook.with_rows(loss, share=share)
        had = had.deposit(part * (outlook.more - before) / share, error=0.0, share=share)

    if not outlook.needs_probe(accumulated_gain, retraining_cost, errors=2.0, ahead=0.0):
        assert (
            not had.pays(retraining_cost * (1 + 1e-9), errors=2.0, ahead=0.0)
            or had.balance <= 2.0 * accumulated_gain.error + 1e-9
        )
