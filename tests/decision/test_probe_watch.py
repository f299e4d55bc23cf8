"""When a check probes: while something is up that no refit has answered, while a refit gains, else seldom."""

import numpy as np
import pandas as pd
import pytest

from retrim.decision.probe import chosen_losses
from retrim.decision.probe_watch import SELDOM, ProbeWatch, Signs
from retrim.stats.codec import from_record, to_record

START = pd.Timestamp("2024-01-01", tz="UTC")
QUIET, HIGH = 1.0, 5.0


def signs(week: int, *, loss: float = QUIET, is_drifting: bool | None = False) -> Signs:
    """A check whose band ends at twice the expected loss of 1."""
    start = START + pd.Timedelta(week, "W")
    return Signs(start, loss, is_high=loss > 2.0, excess=loss - QUIET, ceiling=2.0, is_drifting=is_drifting)


def after_weeks(*losses: float) -> ProbeWatch:
    """The watch of a champion that has lived long."""
    watch = ProbeWatch(lived=SELDOM)
    for week, loss in enumerate(losses):
        watch = watch.after_rows(signs(week, loss=loss))
    return watch


def answered(
    watch: ProbeWatch, *, gain: float = 0.0, error: float = 0.0, is_learned: bool = True, short: float = 0.0
) -> ProbeWatch:
    return watch.after_probe(gain, error, errors=2.0, loss=HIGH, is_learned=is_learned, short=short)


def test_a_quiet_check_does_not_probe() -> None:
    assert not after_weeks(QUIET).asks


def test_a_high_loss_is_probed_at_once() -> None:
    assert after_weeks(QUIET, HIGH).asks


def test_drift_of_target_or_predictions_is_probed_at_once() -> None:
    assert ProbeWatch().after_rows(signs(0, is_drifting=True)).asks


def test_a_new_champion_is_probed_after_two_four_and_eight_checks() -> None:
    watch, probed = ProbeWatch(), []
    for check in range(1, 33):
        watch = watch.after_rows(signs(check))
        if watch.asks and check > 1:  # at the first, a refit has no rows that the champion does not know
            watch, probed = answered(watch), [*probed, check]

    assert probed == [2, 4, 8, 16, 24, 32]


def test_every_eighth_quiet_check_probes() -> None:
    assert not after_weeks(*[QUIET] * (SELDOM - 1)).asks
    assert after_weeks(*[QUIET] * SELDOM).asks


def test_a_refit_that_could_not_learn_blocks_no_later_probe() -> None:
    watches = [answered(after_weeks(QUIET, HIGH, HIGH, HIGH), is_learned=learned) for learned in (False, True)]

    assert [watch.after_rows(signs(4, loss=HIGH)).asks for watch in watches] == [True, False]


def test_a_refit_with_enough_rows_and_no_gain_answers_the_change() -> None:
    assert not answered(after_weeks(QUIET, HIGH, HIGH)).after_rows(signs(3, loss=HIGH)).asks


def test_a_refit_that_may_help_or_not_answers_nothing() -> None:
    half = (HIGH - QUIET) / 2
    watches = [answered(after_weeks(QUIET, HIGH, HIGH), gain=0.1, error=error) for error in (half / 3, half)]

    assert [watch.after_rows(signs(3, loss=HIGH)).asks for watch in watches] == [False, True]


def test_an_answer_is_asked_again_while_rows_from_after_the_change_are_few() -> None:
    watch, probed = after_weeks(QUIET), []
    for week in range(1, 25):
        watch = watch.after_rows(signs(week, loss=HIGH))
        if watch.asks:
            watch, probed = answered(watch, is_learned=week > 1), [*probed, week]

    assert probed == [1, 2, 4, 8, 16, 24]


def test_a_refit_that_gains_answers_nothing() -> None:
    watch = answered(after_weeks(QUIET, HIGH, HIGH), gain=2.0)

    assert watch.after_rows(signs(3, loss=HIGH)).asks


def test_a_loss_above_the_answered_one_is_a_new_change() -> None:
    watch = answered(after_weeks(QUIET, HIGH, HIGH)).after_rows(signs(3, loss=3 * HIGH))

    assert watch.asks
    assert watch.changed == START + pd.Timedelta(3, "W")


def test_a_loss_that_was_back_and_rises_again_is_probed_again() -> None:
    watch = answered(after_weeks(QUIET, HIGH, HIGH))

    assert watch.after_rows(signs(3)).after_rows(signs(4, loss=HIGH)).asks


def test_a_sure_gain_is_probed_until_it_is_gone() -> None:
    watch = answered(after_weeks(*[QUIET] * SELDOM), gain=0.1).after_rows(signs(9))

    assert watch.asks
    assert not answered(watch).after_rows(signs(10)).asks


def test_a_gain_that_does_not_pay_yet_is_probed_again_when_it_would() -> None:
    watch = answered(after_weeks(*[QUIET] * SELDOM), gain=0.1, short=0.25)
    later = [watch := watch.after_rows(signs(9 + week)) for week in range(3)]

    assert [each.asks for each in later] == [False, False, True]


def test_a_gain_that_would_hardly_pay_waits_no_longer_than_no_gain() -> None:
    watch = answered(after_weeks(*[QUIET] * SELDOM), gain=1e-6, short=5.0)

    assert watch.pays_after == SELDOM


def test_rows_count_as_changed_from_the_first_high_check_on() -> None:
    assert after_weeks(QUIET, HIGH, HIGH).changed == START + pd.Timedelta(1, "W")
    assert after_weeks(QUIET, HIGH, QUIET).changed is None


def test_drift_that_could_not_be_tested_goes_on() -> None:
    watch = ProbeWatch().after_rows(signs(0, is_drifting=True)).after_rows(signs(1, is_drifting=None))

    assert watch.is_drifting


def test_a_stored_watch_reads_back() -> None:
    watch = answered(after_weeks(QUIET, HIGH, HIGH))

    assert from_record(ProbeWatch, to_record(watch)) == watch


def test_the_window_that_counts_is_chosen_on_other_rows() -> None:
    generator = np.random.default_rng(3)
    gains = []
    for _ in range(200):
        refits = {name: generator.normal(size=168) ** 2 for name in ("all", "sliding", "recent")}
        gains.append(1.0 - chosen_losses(refits, block_rows=6).mean())

    # Three refits that are equally good: the best of them by its own rows would gain about 0.09.
    assert np.mean(gains) == pytest.approx(0.0, abs=3 * np.std(gains) / 200**0.5)


def test_a_window_that_is_clearly_best_counts_alone() -> None:
    refits = {"all": np.full(40, 2.0), "recent": np.full(40, 1.0)}

    assert chosen_losses(refits, block_rows=5).tolist() == [1.0] * 40
