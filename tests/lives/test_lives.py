"""Whole lives with shipped settings, and what a user would ask of each: was it said, was it answered, what did it cost.

Each world is played once, and asked several things. `make lives` plays twenty seeds of all worlds (`bench/lives.py`).
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from retrim.decision.model_health import HealthLevel, find_model_faults
from tests.lives.life import Life, LifeCheck, begin_life
from tests.lives.outcome import beside_hindsight, find_answer, retrainings
from tests.lives.worlds import WORLDS

pytestmark = pytest.mark.slow
CHECKS = 30
# Where the last claim is of an earlier check, a life ends there.
LENGTHS = {"step": 20, "unit": 15, "shuffled": 20, "useless": 20}
Play = Callable[[str], Life]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A world that was played until its last claim; each is played when it is first asked for."""

    @cache
    def played(name: str) -> Life:
        folder: Path = tmp_path_factory.mktemp(name)
        life = begin_life(folder, WORLDS[name](1, CHECKS))
        life.play(LENGTHS.get(name, CHECKS))
        return life

    return played


def faults(check: LifeCheck) -> dict[str, HealthLevel]:
    return {each.kind: each.level for each in find_model_faults(check.outcome.record)}


def code(check: LifeCheck) -> str:
    verdict = check.outcome.record.verdict
    return "" if verdict is None else verdict.code


def after_change(life: Life, checks: int) -> list[LifeCheck]:
    """The first checks after the change."""
    changed = life.world.changed
    assert changed is not None
    return life.checks[changed - 1 : changed - 1 + checks]


class TestStep:
    def test_is_said_at_the_first_check(self, play: Play) -> None:
        (first,) = after_change(play("step"), 1)

        assert faults(first)["loss_above_expected"] is HealthLevel.CRITICAL
        assert code(first).startswith("above_expected")

    def test_is_answered_at_the_fourth_check_at_the_latest(self, play: Play) -> None:
        answer = find_answer(play("step"))

        assert answer.after is not None
        assert answer.after <= 4

    def test_loses_little_more_than_a_model_that_knew(self, play: Play) -> None:
        ratio = find_answer(play("step")).ratio

        assert ratio is not None
        assert ratio <= 1.25

    def test_is_no_fault_any_more_once_it_is_answered(self, play: Play) -> None:
        life = play("step")
        answered = find_answer(life).after
        assert answered is not None
        later = after_change(life, LENGTHS["step"])[answered:]

        assert sum(bool(faults(check)) for check in later) <= 1


def test_a_refit_without_rows_of_its_own_says_nothing(play: Play) -> None:
    first = play("nothing").checks[0].outcome.record

    assert (first.probe.reading, first.probe.cost, first.counted.get("deposited")) == (None, None, None)
    assert first.gain.now.balance == 0


def test_slow_drift_costs_little_more_than_the_best_schedule(play: Play) -> None:
    assert beside_hindsight(play("slow")).cost <= 1.15


class TestUnitChange:
    def test_is_said_with_the_column_at_the_first_check(self, play: Play) -> None:
        (first,) = after_change(play("unit"), 1)
        verdict = first.outcome.record.verdict

        assert verdict is not None
        assert verdict.code.startswith("above_expected")
        assert "km" in verdict.text

    def test_is_undone_when_the_unit_comes_back(self, play: Play) -> None:
        life = play("unit")
        back = after_change(life, 12)[4 + 3 :]  # the unit is right again from the fifth check on

        assert max(check.served_loss for check in back) < 1.5 * life.checks[0].served_loss


class TestShuffledLabels:
    def test_are_said_at_the_first_check(self, play: Play) -> None:
        (first,) = after_change(play("shuffled"), 1)

        assert HealthLevel.CRITICAL in faults(first).values()

    def test_leave_a_good_model_behind(self, play: Play) -> None:
        life = play("shuffled")
        later = after_change(life, LENGTHS["shuffled"])[6 + 5 :]

        assert max(check.served_loss for check in later) < 1.6 * life.checks[0].served_loss


class TestUselessModel:
    def test_is_said_to_lose_to_a_naive_baseline(self, play: Play) -> None:
        said = [faults(check) for check in after_change(play("useless"), 4)]

        assert any(each.get("worse_than_naive") is HealthLevel.CRITICAL for each in said)

    def test_starts_few_retrainings(self, play: Play) -> None:
        assert retrainings(play("useless")) <= 4


class TestNothing:
    def test_starts_no_retraining(self, play: Play) -> None:
        assert retrainings(play("nothing")) == 0

    def test_is_no_fault(self, play: Play) -> None:
        assert [faults(check) for check in play("nothing").checks] == [{}] * CHECKS
