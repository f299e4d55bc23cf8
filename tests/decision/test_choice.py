"""The recommendation: chosen on the first part alone, told with what it did on the rest."""

import numpy as np
import pandas as pd
import pytest

from retrim.decision.policy_backtest import FitJob, FitLosses, LossMatrix, PolicyDelays, cut, equal_rows
from retrim.decision.policy_compare import (
    Policy,
    PolicyChoice,
    choose,
    compare_policies,
    part_of,
    periodic,
    phases,
    split_at,
)
from retrim.decision.policy_play import Setting, at_checks, every
from retrim.reports.policy_report import page

START = pd.Timestamp("2024-01-01", tz="UTC")
WINDOWS, ROWS = 20, 10
NEVER = Policy("never", {}, lambda _: at_checks(()), probes=False)
ALWAYS = Policy("always", {}, lambda setting: every(1, setting.matrix.windows), probes=False)

WAITING = Policy(  # starts nothing in the first 12 windows
    "waiting", {}, lambda setting: at_checks((2, 5) if setting.first_window else ()), probes=False
)


def made(totals: np.ndarray, *, late: int = 0) -> Setting:
    """A history whose model i loses `totals[i, j]` a row in window j."""
    whole = cut(equal_rows((WINDOWS + 1) * ROWS, first=ROWS, windows=WINDOWS), blocks=1, block_rows=2)
    scored = [
        FitLosses(FitJob("all", origin), totals[origin, whole.window[whole.first_cell(origin) :]] * 2.0, 10)
        for origin in range(WINDOWS)
    ]
    matrix = LossMatrix.of(("all",), whole, scored, rows_per_check=ROWS, back=0)
    moments = [START + pd.Timedelta(number, "D") for number in range(WINDOWS + 1)]
    return Setting(matrix, (0,), PolicyDelays(late, 0, 0), 1, moments, 0, None)


def aging(rate: float, *, late: int = 0) -> Setting:
    """Each window that a model ages costs `rate` more."""
    age = np.arange(WINDOWS) - np.arange(WINDOWS)[:, None]
    return made(1.0 + rate * np.maximum(age, 0), late=late)


def chosen(setting: Setting, retraining_cost: float, *, shipped: str = "never") -> PolicyChoice:
    return choose(
        setting,
        [NEVER, ALWAYS, WAITING],
        shipped=shipped,
        retraining_cost=retraining_cost,
        fits_per_retraining=1.0,
        block=2,
        draws=200,
        seed=1,
    )


def test_where_nothing_ages_it_says_do_not_retrain() -> None:
    choice = chosen(aging(0.0), retraining_cost=0.1)

    assert choice.name == "never"
    assert choice.sentence.startswith("Do not retrain")


def test_where_all_ages_and_retraining_is_cheap_it_is_switched_on() -> None:
    old = np.arange(WINDOWS) > np.arange(WINDOWS)[:, None]
    choice = chosen(made(1.0 + old), retraining_cost=0.1)

    assert (choice.name, choice.low > 0) == ("always", True)
    assert "not proven" not in choice.sentence


def test_what_saved_nothing_on_the_rest_is_not_recommended() -> None:
    # All ages in the first 12 windows, and nothing after: there always pays its price for nothing.
    age = np.minimum(np.arange(WINDOWS), 12) - np.minimum(np.arange(WINDOWS)[:, None], 12)
    choice = chosen(made(1.0 + 5.0 * np.maximum(age, 0)), retraining_cost=0.1)

    assert (choice.name, choice.recommended) == ("always", "never")
    assert choice.sentence.startswith("Do not retrain yet: always was the cheapest on the first 12 windows, and cost")


def aging_late() -> Setting:
    """Nothing ages in the first 12 windows; from there on always would be far cheaper."""
    age = np.maximum(np.arange(WINDOWS) - np.maximum(np.arange(WINDOWS)[:, None], 12), 0)
    return made(1.0 + 5.0 * age)


def test_the_rest_does_not_choose() -> None:
    assert chosen(aging_late(), retraining_cost=0.1).name == "never"


def test_where_nothing_was_cheaper_the_shipped_policy_that_waited_stays() -> None:
    choice = chosen(aging_late(), retraining_cost=0.1, shipped="waiting")

    assert (choice.name, choice.waited, choice.retrainings) == ("waiting", True, 2)
    assert choice.sentence.startswith("Keep waiting: on the first 12 windows nothing was cheaper than no retraining")


def test_its_figures_are_of_the_rest_alone() -> None:
    # By hand: 8 windows are the rest. Always costs 1 each and 7 prices; never 1 + age, so 8 + 28.
    choice = chosen(aging(1.0), retraining_cost=0.1)

    assert (choice.windows, choice.retrainings) == (8, 7)
    assert (choice.cost, choice.never) == pytest.approx((8.7, 36.0))
    assert choice.saved == pytest.approx((36.0 - 8.7) / 8)


def test_a_gain_within_its_noise_is_called_not_proven() -> None:
    noise = np.random.default_rng(5).normal(size=(WINDOWS, WINDOWS))
    choice = chosen(made(5.0 + 0.05 * np.maximum(np.arange(WINDOWS) - np.arange(WINDOWS)[:, None], 0) + noise), 0.001)

    assert choice.low <= 0 <= choice.high
    assert choice.name == "never" or "not proven" in choice.sentence


def test_a_part_begins_with_the_model_made_just_before_it() -> None:
    part = part_of(aging(1.0), split_at(WINDOWS), WINDOWS)

    assert part.matrix.totals[0, 0, 0] == pytest.approx(1.0)
    assert (part.first_window, part.moments[0]) == (12, START + pd.Timedelta(12, "D"))


def test_the_ratio_is_over_hindsight_and_the_probe_is_told_apart() -> None:
    # By hand: with a price of 0 always is what hindsight does.
    (outcome,) = compare_policies(aging(1.0), [ALWAYS], retraining_cost=0.0, fits_per_retraining=1.0)

    assert (outcome.ratio, outcome.probe_cost) == (pytest.approx(1.0), 0.0)


@pytest.mark.parametrize("count", range(1, 50))
def test_every_phase_has_as_many_retrainings_evenly_apart(count: int) -> None:
    for checks in phases(50, count):
        gaps = np.diff(checks)

        assert len(checks) == count
        assert 1 <= checks[0] <= checks[-1] <= 49
        assert count < 2 or gaps.max() - gaps.min() <= 2


def test_no_retraining_is_periodic_too() -> None:
    found = periodic(aging(1.0), 0, retraining_cost=1.0)

    assert found.median == found.best == pytest.approx(20 + 190)


def test_the_page_needs_nothing_else() -> None:
    made_page = page(
        title="A & B", sentence="Use <it>.", facts=["f"], columns=["c"], rows=[["1"]], pictures={"p": b"png"}
    ).decode()

    assert "Use &lt;it&gt;." in made_page
    assert "A &amp; B" in made_page
    assert not any(sign in made_page for sign in ("http:", "https:", "<script", 'src="/'))


def test_labels_that_come_after_most_windows_do_not_make_never_the_best() -> None:
    choice = chosen(aging(1.0, late=WINDOWS // 2), retraining_cost=0.5)

    assert choice.recommended == "always"
    assert choice.chosen_on + choice.windows == WINDOWS - WINDOWS // 2
