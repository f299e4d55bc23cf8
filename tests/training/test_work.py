"""Work and totals: rows times rounds worked by hand, and sums that agree with one another."""

import pytest

from retrim.decision.accumulated_gain import LifeTotals
from retrim.stats.codec import from_record, to_record
from retrim.training.recipe import BacktestParams, ProbeCost, retraining_work
from retrim.training.tuning import TuneParams
from tests.builders.shipped import whole

TUNE = TuneParams.model_validate({**whole()["tune"], "trials": 5, "folds": 2, "fold_rows": 100})
BACKTEST = BacktestParams(origins=2, origin_rows=100)


def work(mode: str, **changed: object) -> int:
    plain: dict = {
        "windows": ("all", "sliding"),
        "recipes": ("found",),
        "sliding_rows": 300,
        "backtest": BACKTEST,
        "tune": TUNE,
    }
    return retraining_work(1000, 10, mode=mode, **{**plain, **changed})


def test_a_refit_is_the_challengers_and_the_origins_of_the_backtest() -> None:
    # All past at three ends: 1000 + 900 + 800; sliding: 3 x 300; ten rounds each.
    assert work("refit") == 10 * (2700 + 900)


def test_trials_add_their_folds() -> None:
    assert work("search") - work("refit") == 10 * 5 * (900 + 800)


@pytest.mark.parametrize(("mode", "fitted"), [("refit", 3600), ("search", 7200)])
def test_a_second_recipe_is_fitted_where_there_are_trials(mode: str, fitted: int) -> None:
    trials = work(mode) - work("refit")

    assert work(mode, recipes=("found", "champion")) - trials == 10 * fitted


def test_a_probe_costs_its_share_of_the_price() -> None:
    assert ProbeCost.of(work=250, retraining=1000, retraining_cost=8.0).cost == 2.0


def test_the_sums_hold_loss_retrainings_and_probes_apart() -> None:
    first = LifeTotals.empty().after(loss=3.0, share=0.5, probe_cost=0.1, retrainings=0, retraining_cost=8.0)
    second = first.after(loss=None, share=0.0, probe_cost=None, retrainings=2, retraining_cost=8.0)

    assert second == LifeTotals(1, 1.5, 2, 16.0, 1, 0.1)
    assert (second.without_probes, second.with_probes) == (17.5, 17.6)


def test_a_retraining_is_paid_for_at_the_price_of_its_time() -> None:
    cheap = LifeTotals.empty().after(loss=1.0, share=1.0, probe_cost=None, retrainings=1, retraining_cost=2.0)

    assert cheap.after(loss=1.0, share=1.0, probe_cost=None, retrainings=1, retraining_cost=9.0).retrainings_cost == 2.0


def test_its_record_makes_it_anew() -> None:
    sums = LifeTotals.empty().after(loss=0.1, share=1 / 3, probe_cost=0.2, retrainings=3, retraining_cost=0.7)

    assert from_record(LifeTotals, to_record(sums)) == sums
