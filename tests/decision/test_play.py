"""A policy played over history: the very account and decision of the live path, and never below hindsight."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.decision import policy_play
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.history import CheckHistory, PastCheck, PastRun, summarise_checks
from retrim.decision.policy_backtest import PolicyDelays
from retrim.decision.policy_compare import best_in_hindsight
from retrim.decision.policy_gate import GateSimulation, Setting
from retrim.decision.policy_play import PlayedRules, play_policy
from retrim.decision.rules import Decision, decide
from retrim.decision.triggers import Evidence, TriggerParams
from tests.builders.gates import make_gate
from tests.builders.turning import BLOCKS, KINDS, START, USUAL, WINDOWS, live_reading, losses_of, matrix, rows_of

MOMENTS = [START + pd.Timedelta(number, "D") for number in range(WINDOWS + 1)]
TRIGGERS = TriggerParams.model_validate(
    {
        "rules": ["gain"],
        "drift_checks": [1, 1],
        "every": "2D",
        "band": {"unit": "sd", "reach": 2.0},
        "cooldown_checks": 1,
        "loop_checks": 0,
        "refusals_to_hold": 2,
        "budget": None,
        "max_wait": None,
    }
)
ERRORS = 1.0
OPEN = make_gate(min_rows=2, min_gain=0.0, confidence=0.6)


def setting(
    kinds: Sequence[int] = (0,), delays: PolicyDelays = PolicyDelays(0, 0), judging: GateSimulation | None = None
) -> Setting:
    return Setting(matrix(), tuple(kinds), delays, BLOCKS, MOMENTS, judging)


def live_path(retraining_cost: float) -> tuple[list[int], list[float]]:
    """The checks that retrain and the balances, from the rows: the probe, the account and the decision as they are."""
    accumulated_gain, model, version = AccumulatedGain.empty(), 0, 1
    runs, checks = [PastRun("1", MOMENTS[0], "promoted", (), None)], []
    retrained, balances = [], [0.0]
    for check in range(1, WINDOWS):
        reading = live_reading(losses_of(model, "all", rows_of(check - 1)), "all", check - 1)
        accumulated_gain = accumulated_gain.deposit(reading.gain, error=reading.error, share=reading.rows / USUAL)
        evidence = Evidence(
            now=MOMENTS[check],
            champion=version,
            accumulated_gain=accumulated_gain,
            deposited=None,
            retraining_cost=retraining_cost,
            errors=ERRORS,
            pending=0.0,
            preview=None,
            loss=reading.champion_loss,
            estimate=None,
            band=None,
            labels_until=MOMENTS[check],
            **vars(summarise_checks(CheckHistory(runs, checks, ()), champion=version, drifted=None)),
        )
        decision = decide(evidence, TRIGGERS)
        checks.append(PastCheck(MOMENTS[check], version, None, decision.held))
        if decision.outcome == "retrain":
            accumulated_gain, model, version = AccumulatedGain.empty(), check, version + 1
            runs.append(PastRun(str(version), MOMENTS[check], "promoted", decision.fired, None))
            retrained.append(check)
        balances.append(accumulated_gain.balance)
    return retrained, balances


@pytest.mark.parametrize(("until", "checks"), [(None, ()), ([MOMENTS[0]] * (WINDOWS + 1), (4, 6))])
def test_while_labels_stay_away_the_schedule_starts_runs(
    until: list[pd.Timestamp] | None, checks: tuple[int, ...]
) -> None:
    triggers = TRIGGERS.model_copy(update={"max_wait": "3D", "cooldown_checks": 0})
    silent = replace(setting(), labels_until=until)

    assert play_policy(silent, PlayedRules(triggers, 1000.0, ERRORS, seed=7)).checks == checks


@pytest.mark.parametrize("retraining_cost", [0.05, 0.5, 2.0, 1000.0])
def test_the_account_decides_as_the_live_path_does(retraining_cost: float) -> None:
    played = play_policy(setting(), PlayedRules(TRIGGERS, retraining_cost, ERRORS, seed=7))
    retrained, balances = live_path(retraining_cost)

    assert list(played.checks) == retrained
    assert played.balances.tolist() == pytest.approx(balances, rel=1e-9)


def test_a_loss_within_a_wide_band_asks_fewer_probes() -> None:
    wide = TRIGGERS.model_copy(update={"band": TRIGGERS.band.model_copy(update={"reach": 1000.0})})
    often = PlayedRules(wide, 1.0, errors=1000.0, seed=7)
    seldom = replace(often, probes_if_needed=True)

    assert 0 < play_policy(setting(), seldom).probed < play_policy(setting(), often).probed


def test_the_account_does_retrain_where_the_slope_turns() -> None:
    # Or the test above would compare nothing: rows 150 on lie in window 3.
    assert [check for check in live_path(2.0)[0] if check >= 4] != []


@given(
    checks=st.sets(st.integers(1, WINDOWS - 1)),
    kinds=st.sampled_from([(0,), (1,), (0, 1)]),
    labels=st.integers(0, 2),
    retraining_cost=st.floats(0, 10),
    gated=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_nothing_is_cheaper_than_hindsight(
    checks: set[int],
    kinds: tuple[int, ...],
    labels: int,
    retraining_cost: float,
    gated: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    delays = PolicyDelays(labels, int(gated))
    judging = GateSimulation(OPEN, USUAL, 100) if gated else None
    played = play_policy(setting(kinds, delays, judging), checks)
    least = best_in_hindsight(setting(kinds, delays, judging).totals, delays, retraining_cost=retraining_cost).cost(
        retraining_cost
    )

    assert played.cost(retraining_cost) >= least - 1e-9


def test_a_model_is_live_at_once_and_as_old_as_its_labels() -> None:
    played = play_policy(setting(delays=PolicyDelays(1, 0)), [3])

    assert [live.model for live in played.served] == [0, 0, 0, 2, 2, 2, 2]


def test_windows_count_from_where_the_first_model_knows_no_label_that_nobody_had() -> None:
    played = play_policy(setting(delays=PolicyDelays(2, 0)), range(1, WINDOWS))

    assert played.checks[0] == 3
    assert played.losses[:2].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(played.losses[2:], [matrix().totals[0, max(at - 2, 0), at] for at in range(2, WINDOWS)])


def test_never_is_the_first_model_all_along() -> None:
    played = play_policy(setting(), ())

    np.testing.assert_allclose(played.losses, matrix().totals[0, 0])


def test_always_is_the_newest_model_everywhere() -> None:
    played = play_policy(setting(), range(1, WINDOWS))

    np.testing.assert_allclose(played.losses, np.diag(matrix().totals[0]))


def test_of_two_training_windows_the_better_on_the_newest_labelled_window_is_made() -> None:
    served = play_policy(setting((0, 1)), [6]).served[-1]
    losses = [live_reading(losses_of(0, "all", rows_of(5)), kind, 5).probe_loss for kind in KINDS]

    assert served.kind == int(np.argmin(losses))


def test_a_drift_rule_that_is_held_by_the_loop_breaker_retrains_once() -> None:
    rules = TRIGGERS.model_copy(update={"rules": ("drift",), "cooldown_checks": 0, "loop_checks": 5})
    played = play_policy(setting(), PlayedRules(rules, 1.0, errors=0.0, seed=7, drifted=lambda live, window: ("x",)))

    assert played.checks == (1,)


def test_a_performance_rule_sees_the_turn() -> None:
    rules = TRIGGERS.model_copy(update={"rules": ("performance",), "cooldown_checks": 0})
    played = play_policy(setting(), PlayedRules(rules, 1.0, errors=0.0, seed=7))

    assert 4 in played.checks


@pytest.mark.parametrize(("labels", "measured"), [(0, 5), (2, 0)])
def test_what_served_a_window_is_measured_when_its_labels_come(
    labels: int, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Evidence] = []

    def remember(evidence: Evidence, params: TriggerParams) -> Decision:
        seen.append(evidence)
        return decide(evidence, params)

    monkeypatch.setattr(policy_play, "decide", remember)
    rules = TRIGGERS.model_copy(update={"rules": ("schedule",), "every": f"{5 - labels}D"})
    played = play_policy(setting(delays=PolicyDelays(labels, 0)), PlayedRules(rules, 1.0, 0.0, seed=7))
    (check,) = played.checks
    (loss,) = (evidence.loss for evidence in seen if evidence.now == MOMENTS[check + 1])

    # The newest labelled window is that before the check, or with late labels one that the first model served.
    assert (played.served[-1].model, loss) == (check - labels, matrix().mean_loss(measured, 0, check - labels))
