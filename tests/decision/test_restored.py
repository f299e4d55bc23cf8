"""A previous champion comes back only through the gate, twice ahead, and where a refit would do no better."""

from typing import Any

import numpy as np
import pytest

from retrim.decision.previous_champions import PreviousChampions, judge_previous_champions, restore_instead
from retrim.decision.rules import Decision
from tests.builders.gates import make_gate

GATE = make_gate(min_rows=100)
DRAW = np.random.default_rng(7)
LIVE = DRAW.gamma(4, 1, 400)


def judged(**losses: np.ndarray) -> PreviousChampions:
    found = judge_previous_champions(
        {int(name[1:]): each for name, each in losses.items()}, LIVE, GATE, draws=500, block_rows=10
    )
    assert found is not None
    return found


BETTER, WORSE = LIVE * 0.7, LIVE * 1.2
RETURNED = judged(v1=WORSE, v2=BETTER)


def decided(outcome: Any = "none", **changed: Any) -> Decision:
    settings: dict[str, Any] = {
        "probe_loss": None,
        "led_before": True,
        "checks_since_release": 3,
        "cooldown_checks": 2,
        "manual": False,
        **changed,
    }
    previous_champions = settings.pop("previous_champions", RETURNED)
    return restore_instead(Decision(outcome, "as the rules say", (), "", ("gain",), ()), previous_champions, **settings)


def test_the_best_of_them_goes_through_the_gate() -> None:
    assert (RETURNED.best, RETURNED.verdict.promote) == (2, True)


def test_one_that_passes_comes_back_and_starts_no_run() -> None:
    decision = decided("retrain", probe_loss=float(BETTER.mean()))

    assert (decision.outcome, decision.fired) == ("restore", ())
    assert decision.reason.startswith("version 2, a previous champion, is better again")


@pytest.mark.parametrize(
    "changed",
    [
        {"previous_champions": None},
        {"previous_champions": judged(v1=WORSE)},
        {"led_before": False},
        {"checks_since_release": 2},
        {"outcome": "held"},
        {"outcome": "retrain", "probe_loss": float(BETTER.mean()) - 0.01},
    ],
    ids=["none", "worse", "ahead once", "cooldown", "held", "a refit does better"],
)
def test_otherwise_the_decision_stands(changed: dict[str, Any]) -> None:
    outcome = changed.get("outcome", "none")

    assert decided(**changed).outcome == outcome


def test_where_everything_is_a_persons_a_person_is_told() -> None:
    decision = decided(manual=True)

    assert decision.outcome == "held"
    assert "`retrim versions rollback --to 2 --reason ...`" in decision.reason


def test_without_former_champions_there_is_nothing_to_judge() -> None:
    assert judge_previous_champions({}, LIVE, GATE, draws=500, block_rows=10) is None
