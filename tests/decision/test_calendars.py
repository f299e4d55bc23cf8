"""Calendars of a backtest: played by the schedule rule that runs live, under all that holds it back there."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.history import CheckHistory, PastCheck, PastRun, summarise_checks
from retrim.decision.policy_backtest import PolicyDelays
from retrim.decision.policy_gate import GateSimulation, LiveModel, Setting
from retrim.decision.policy_play import PlayedRules, play_policy
from retrim.decision.policy_rules import CURRENT, Policy, policies
from retrim.decision.rules import decide
from retrim.decision.triggers import Evidence, TriggerParams
from retrim.gate.verdict import GateParams
from retrim.settings import with_derived
from tests.builders.turning import BLOCKS, START, USUAL, WINDOWS, matrix
from tests.decision.test_play import OPEN, TRIGGERS

DAY = pd.Timedelta("1D")
SHIPPED = TRIGGERS.model_copy(update={"cooldown_checks": 2, "loop_checks": 5})
PERIODS = {"always": 1, "every-2": 2}  # of 7 windows


def in_window_2(live: LiveModel, window: int) -> tuple[str, ...]:
    return ("x",) if window == 2 else ()


def calendar(name: str, triggers: TriggerParams = SHIPPED, *, window_span: pd.Timedelta = DAY) -> Policy:
    """A calendar over windows of a day, or of another span."""
    rules = PlayedRules(triggers, 1.0, errors=1.0, seed=7)
    tried = policies(setting(), rules, in_window_2, window_span=window_span)
    return next(policy for policy in tried if policy.name == name)


def setting(*, strayed: float = 0.0, gate: GateParams | None = None) -> Setting:
    """Windows of a day, each edge of which strays by so much of a day; with a gate or without."""
    strays = np.random.default_rng(2).uniform(-strayed, strayed, WINDOWS + 1)
    moments = [START + (number + stray) * DAY for number, stray in enumerate(strays)]
    judging = None if gate is None else GateSimulation(gate, USUAL, 100)
    return Setting(matrix(), (0,), PolicyDelays(0, int(gate is not None)), BLOCKS, moments, judging)


def live_checks(changes: dict[str, Any], moments: list[pd.Timestamp], ends: str) -> list[int]:
    """The checks that start a run with the settings switched, of which each ends alike: the decision as it is."""
    switched = {key.removeprefix("triggers."): value for key, value in changes.items()}
    document: dict[str, Any] = with_derived({"triggers": switched})
    triggers = TriggerParams.model_validate({**SHIPPED.model_dump(), **document["triggers"]})
    runs, checks, started = [PastRun("1", moments[0], "promoted", (), None)], [], []
    for check in range(1, WINDOWS):
        evidence = Evidence(
            now=moments[check],
            champion=1,
            accumulated_gain=AccumulatedGain.empty(),
            deposited=None,
            retraining_cost=1.0,
            errors=1.0,
            pending=0.0,
            preview=None,
            loss=None,
            estimate=None,
            band=None,
            labels_until=moments[check],
            **vars(summarise_checks(CheckHistory(runs, checks, ()), champion=1, drifted=None)),
        )
        decision = decide(evidence, triggers)
        checks.append(PastCheck(moments[check], 1, None, decision.held))
        if decision.outcome == "retrain":
            runs.append(PastRun(str(check + 1), moments[check], ends, decision.fired, None))
            started.append(check)
    return started


@pytest.mark.parametrize("name", PERIODS)
def test_a_calendar_retrains_every_so_many_windows(name: str) -> None:
    played = play_policy(setting(), calendar(name).rules)

    assert list(played.checks) == list(range(PERIODS[name], WINDOWS, PERIODS[name]))


@pytest.mark.parametrize("name", PERIODS)
def test_what_is_set_retrains_live_at_the_checks_that_were_priced(name: str) -> None:
    policy, history = calendar(name), setting()

    assert live_checks(dict(policy.changes), list(history.moments), "promoted") == list(
        play_policy(history, policy.rules).checks
    )


@pytest.mark.parametrize("name", ["always", "every-2"])
def test_refusals_hold_a_calendar_as_they_do_live(name: str) -> None:
    policy, history = calendar(name), setting(gate=OPEN.model_copy(update={"min_gain": 0.99}))
    played = play_policy(history, policy.rules)

    assert len(played.refused) == 2
    assert list(played.checks) == live_checks(dict(policy.changes), list(history.moments), "refused")


@pytest.mark.parametrize("name", PERIODS)
def test_windows_that_are_not_equally_long_shift_no_calendar(name: str) -> None:
    history = setting(strayed=0.2)
    played = play_policy(history, calendar(name).rules)

    assert list(played.checks) == list(range(PERIODS[name], WINDOWS, PERIODS[name]))


@pytest.mark.parametrize(
    ("window_span", "every"),
    [("100ms", "1s"), ("70s", "140s"), ("5min", "10min"), ("38min", "76min"), ("12h", "1D"), ("41h", "3D")],
)
def test_a_calendar_of_short_windows_is_set_as_it_was_priced(window_span: str, every: str) -> None:
    changes = calendar("every-2", window_span=pd.Timedelta(window_span)).changes

    assert changes["triggers.every"] == every
    assert TriggerParams(every=every).every == every


def test_a_calendar_of_every_check_asks_for_no_budget() -> None:
    changes = calendar("always").changes

    assert changes["triggers.budget"] is None
    assert "triggers.budget" not in calendar("every-2").changes


def test_the_budget_binds_a_calendar() -> None:
    triggers = TriggerParams.model_validate({**SHIPPED.model_dump(), "budget": {"runs": 2, "checks": 30}})
    played = play_policy(setting(), calendar("every-2", triggers).rules)

    assert played.checks == (2,)  # the first model was a run too


def test_several_rules_of_the_settings_are_played_together() -> None:
    triggers = SHIPPED.model_copy(
        update={"rules": ("drift", "schedule"), "every": "2D", "cooldown_checks": 0, "loop_checks": 0}
    )
    policy = calendar(CURRENT, triggers)

    assert policy.changes == {"triggers.rules": ["drift", "schedule"]}
    assert play_policy(setting(), policy.rules).checks == (2, 3, 5)  # by hand: 3 by drift, from which 5 is counted
