"""The advice of a backtest: from the whole history, each stretch judged by what was chosen on the others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retrim.decision.policy_backtest import FitLosses, LossMatrix, PolicyDelays, WindowCuts, cut, equal_rows
from retrim.decision.policy_compare import (
    PolicyChoice,
    PolicyOutcome,
    best_in_hindsight,
    choose,
    compare_policies,
    periodic_costs,
    phases,
    stretch_edges,
)
from retrim.decision.policy_gate import Setting
from retrim.decision.policy_play import PlayedRules
from retrim.decision.policy_rules import RULE, Policy, policies
from tests.decision.test_play import START, TRIGGERS

WINDOWS, ROWS, BLOCKS = 20, 20, 2
DAY = pd.Timedelta("1D")


def history(law: np.ndarray, *, late: int = 0, seed: int = 1) -> Setting:
    """A history in which a model loses 1 a row, and the square of how far the law moved since its newest row.

    Args:
        law: The law in each window; the first model knows that of the first.
        late: Windows until labels are known.
        seed: Of the noise, of 3% on a row.
    """
    whole, draw = make_cut(len(law)), np.random.default_rng(seed)
    scored = []
    for origin in range(len(whole.starts)):
        cells = slice(whole.first_cell(origin), None)
        learned = law[max(origin - 1, 0) // BLOCKS]
        losses = (1 + (law[whole.window[cells]] - learned) ** 2) * draw.normal(1.0, 0.03, len(whole.window[cells]))
        scored.append(FitLosses("all", origin, 10 * (origin + 1), losses * whole.rows[cells]))
    return make_setting(scored, len(law), late=late)


def aging(rate: float, *, late: int = 0) -> Setting:
    """A history without noise in which each window that a model ages costs `rate` more."""
    whole = make_cut(WINDOWS)
    scored = []
    for origin in range(len(whole.starts)):
        cells = slice(whole.first_cell(origin), None)
        losses = 1 + rate * (whole.window[cells] - origin // BLOCKS)
        scored.append(FitLosses("all", origin, 10, losses * whole.rows[cells]))
    return make_setting(scored, WINDOWS, late=late)


def make_cut(windows: int) -> WindowCuts:
    return cut(equal_rows((windows + 1) * ROWS, first=ROWS, windows=windows), blocks=BLOCKS, block_rows=2)


def make_setting(scored: list[FitLosses], windows: int, *, late: int) -> Setting:
    matrix = LossMatrix.of(("all",), make_cut(windows), scored, rows_per_check=ROWS, back=0)
    moments = [START + number * DAY for number in range(windows + 1)]
    return Setting(matrix, (0,), PolicyDelays(late, 0), BLOCKS, moments, None)


def compared(setting: Setting) -> list[PolicyOutcome]:
    """Never, the rule and the calendars, at a retraining cost of 1."""
    rules = PlayedRules(TRIGGERS, 1.0, errors=1.0, seed=7)
    tried = policies(setting, rules, lambda live, window: (), window_span=DAY)
    return priced(setting, [policy for policy in tried if policy.name not in ("drift", "performance")], 1.0)


def priced(setting: Setting, tried: list[Policy], retraining_cost: float) -> list[PolicyOutcome]:
    hindsight = best_in_hindsight(setting.totals, setting.delays, retraining_cost=retraining_cost)
    return compare_policies(setting, tried, hindsight, retraining_cost=retraining_cost, fits_per_retraining=1.0)


def advice(setting: Setting) -> PolicyChoice:
    return choose(setting, compared(setting))


def violent_then_quiet() -> np.ndarray:
    """30 windows in which the law jumps every third, and 20 in which it stands still, shape (50,)."""
    jumps = np.repeat(np.random.default_rng(5).normal(scale=2.0, size=10), 3)
    return np.concatenate([jumps, np.full(20, jumps[-1])])


@pytest.mark.parametrize("seed", range(2))
def test_a_quiet_present_does_not_hide_a_violent_past(seed: int) -> None:
    choice = advice(history(violent_then_quiet(), seed=seed))
    ratios = {outcome.name: outcome.ratio_to_hindsight for outcome in choice.outcomes}

    assert (ratios["never"] > 4, ratios[RULE] < 1.2) == (True, True)
    assert (choice.recommended, choice.low > 1) == (RULE, True)
    assert choice.sentence.startswith(f"Use {RULE}: over all 50 windows never retraining cost ")


@pytest.mark.parametrize("seed", range(2))
def test_where_nothing_ever_changed_it_says_do_not_retrain(seed: int) -> None:
    choice = advice(history(np.zeros(50), seed=seed))

    assert choice.recommended == "never"
    assert choice.sentence.startswith("Do not retrain: ")


@pytest.mark.parametrize("seed", range(2))
def test_where_the_law_drifts_it_says_retrain_by_the_rule(seed: int) -> None:
    drift = np.cumsum(np.random.default_rng(seed + 10).choice([0.2, 0.8], size=50, p=[0.8, 0.2]))
    choice = advice(history(drift, seed=seed))

    assert (choice.recommended, choice.low > 1) == (RULE, True)


def test_few_windows_cannot_tell() -> None:
    choice = advice(history(violent_then_quiet()[:12]))

    assert choice.recommended is None
    assert choice.sentence.startswith("12 windows are too few to tell whether retraining pays: 20 are needed")
    assert f"{RULE} 1." in choice.sentence


def test_what_one_stretch_alone_shows_is_called_not_proven() -> None:
    choice = advice(history(np.concatenate([np.zeros(45), np.full(5, 3.0)])))

    assert (choice.recommended, choice.dearer, choice.low < 1) == (RULE, 1, True)
    assert "so it is not proven that retraining pays" in choice.sentence


def told(never: list[float], rule: list[float], **calendars: list[float]) -> PolicyChoice:
    """The advice on given costs of five stretches, by policy."""
    setting = history(np.zeros(25))
    outcomes = {outcome.name.replace("-", "_"): outcome for outcome in compared(setting)}
    costs = {"never": never, RULE.replace("-", "_"): rule, **calendars}
    changed = [replace(outcomes[name], costs=np.array(values)) for name, values in costs.items()]
    return choose(setting, changed)


def test_a_calendar_that_is_the_cheapest_on_the_other_stretches_is_advised() -> None:
    choice = told([9, 9, 9, 9, 9], [8, 8, 8, 8, 8], every_4=[4, 5, 6, 5, 4], every_8=[7, 7, 7, 7, 7])

    # By hand: 45 over 24.
    assert (choice.recommended, choice.chosen, choice.dearer) == ("every-4", ("every-4",) * 5, 5)
    assert choice.ratio == pytest.approx(45 / 24)


def test_a_stretch_does_not_choose_its_own_calendar() -> None:
    # Each calendar is the cheapest for one lucky stretch. Chosen on the others it costs 9 there, the rule 6.
    choice = told([7, 7, 7, 7, 7], [6, 6, 6, 6, 6], every_4=[0, 9, 6, 6, 6], every_8=[9, 0, 6, 6, 6])

    assert (choice.recommended, choice.chosen) == (RULE, (RULE,) * 5)
    assert choice.ratio == pytest.approx(35 / 30)


def test_where_never_retraining_cost_less_than_the_rule_it_is_advised() -> None:
    choice = told([6, 6, 6, 6, 6], [7, 7, 6, 7, 7], every_4=[9, 9, 9, 9, 9])

    assert (choice.recommended, choice.ratio < 1) == ("never", True)


def test_stretches_are_of_about_ten_windows_and_at_least_five() -> None:
    lengths = {windows: np.diff(stretch_edges(history(np.zeros(windows)))).tolist() for windows in (3, 22, 50, 73)}

    assert lengths == {3: [1, 1, 1], 22: [4, 5, 4, 5, 4], 50: [10] * 5, 73: [10, 11, 10, 11, 10, 11, 10]}


@pytest.mark.parametrize("late", [0, 3])
def test_costs_of_the_stretches_add_up(late: int) -> None:
    for outcome in compared(history(violent_then_quiet(), late=late)):
        assert outcome.costs.sum() == pytest.approx(outcome.cost)
        assert outcome.ratio_low <= outcome.ratio_to_hindsight <= outcome.ratio_high


def test_the_ratio_is_over_hindsight_and_a_calendar_asks_no_probe() -> None:
    # By hand: with a price of 0 always is what hindsight does.
    always = TRIGGERS.model_copy(update={"rules": ("schedule",), "every": "1h", "cooldown_checks": 0})
    rules = PlayedRules(always, 0.0, errors=1.0, seed=7)
    (outcome,) = priced(aging(1.0), [Policy("always", {}, rules)], 0.0)

    assert (outcome.ratio_to_hindsight, outcome.probe_cost) == (pytest.approx(1.0), 0.0)


@pytest.mark.parametrize("count", range(1, 50))
def test_every_phase_has_as_many_retrainings_evenly_apart(count: int) -> None:
    for checks in phases(50, count):
        gaps = np.diff(checks)

        assert len(checks) == count
        assert 1 <= checks[0] <= checks[-1] <= 49
        assert count < 2 or gaps.max() - gaps.min() <= 2


def test_no_retraining_is_periodic_too() -> None:
    assert periodic_costs(aging(1.0), 0, retraining_cost=1.0) == pytest.approx((20 + 190, 20 + 190))


def test_labels_that_come_after_most_windows_leave_the_others_to_tell() -> None:
    choice = advice(aging(1.0, late=WINDOWS // 2))

    assert (choice.windows, choice.recommended) == (WINDOWS - WINDOWS // 2, None)
    assert choice.ratio > 1
