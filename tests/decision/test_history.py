"""What follows from the history of checks and runs."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from retrim.decision.history import (
    Acknowledgement,
    CheckHistory,
    Deferral,
    HistorySummary,
    PastCheck,
    PastRun,
    summarise_checks,
)

START = pd.Timestamp("2024-01-01", tz="UTC")


def day(number: float) -> pd.Timestamp:
    return START + pd.Timedelta(number, "D")


def run(on: float, state: str, *, rules: tuple[str, ...] = (), until: float | None = None) -> PastRun:
    return PastRun(f"run-{on}", day(on), state, rules, None if until is None else day(until))


def check(
    on: float, *, drifted: tuple[str, ...] | None = (), held: tuple[str, ...] = (), settled: tuple[str, ...] = ()
) -> PastCheck:
    return PastCheck(day(on), 1, drifted, held, settled)


def stands(*, runs: Any = (), checks: Any = (), asked: Any = (), settled: Any = ()) -> HistorySummary:
    answers = [Acknowledgement(day(each), ("drift",)) for each in settled]
    return summarise_checks(CheckHistory(runs, checks, [day(each) for each in asked], answers), champion=1, drifted=())


@pytest.mark.parametrize(("asked", "held"), [((), ("drift",)), ((2,), ("drift",)), ((3,), ()), ((4,), ())])
def test_what_a_check_held_stays_held_until_a_person_asks(asked: tuple[float, ...], held: tuple[str, ...]) -> None:
    assert stands(checks=[check(3, held=("drift",))], asked=asked).held == held


@pytest.mark.parametrize(("settled", "held"), [((2,), ("drift",)), ((3,), ()), ((4,), ())])
def test_what_a_person_settles_is_held_no_longer(settled: tuple[float, ...], held: tuple[str, ...]) -> None:
    assert stands(checks=[check(3, held=("drift",))], settled=settled).held == held


def test_a_settled_alarm_is_answered_while_checks_carry_it_on() -> None:
    settled = stands(checks=[check(3, held=("drift",))], settled=[3]).settled
    carried = stands(checks=[check(3, held=("drift",)), check(4, settled=("drift",))], settled=[3]).settled
    gone = stands(checks=[check(3, held=("drift",)), check(4)], settled=[3]).settled

    assert (settled, carried, gone) == (("drift",), ("drift",), ())


def test_a_settled_alarm_of_another_version_is_none() -> None:
    past = CheckHistory((), [PastCheck(day(3), 2, (), (), ("drift",))], ())

    assert summarise_checks(past, champion=1, drifted=()).settled == ()


def test_a_settled_timetable_is_counted_anew_and_not_silenced() -> None:
    settled = [Acknowledgement(day(3), ("schedule",)), Acknowledgement(day(4), ("drift",))]
    found = summarise_checks(CheckHistory((), [check(2)], (), settled), champion=1, drifted=())

    assert (found.timetable_settled, found.settled) == (day(3), ("drift",))


def test_refusals_that_were_settled_count_no_longer() -> None:
    runs = [run(1, "refused"), run(2, "refused"), run(5, "refused")]

    assert [stands(runs=runs, settled=each).refusals for each in ((), (3,), (5,))] == [3, 1, 0]


@pytest.mark.parametrize("state", ["promoted", "refused", "failed", "running", "crashed"])
def test_every_run_but_a_deferred_one_is_paid_for(state: str) -> None:
    assert stands(runs=[run(1, state), run(2, "deferred", until=5)]).spent == (1,)


def test_runs_are_as_old_as_the_checks_since() -> None:
    found = stands(runs=[run(1, "promoted"), run(3, "failed")], checks=[check(1), check(2), check(3), check(4)])

    assert found.spent == (4, 2)


def test_the_least_the_account_held_since_a_refusal_is_known() -> None:
    balances = {1: 9.0, 2: 7.0, 3: 6.0, 4: 8.0}
    checks = [PastCheck(day(on), 1, (), (), (), balance, 5.0) for on, balance in balances.items()]
    least = [stands(runs=[run(1, "refused")], checks=checks[:until], settled=()).lowest for until in (1, 2, 3, 4)]
    emptied = stands(runs=[run(2, "refused")], checks=[checks[0], replace(checks[1], balance=3.0)]).lowest

    assert least == [4.0, 4.0, 4.0, 4.0]
    assert stands(runs=[run(1, "refused")], checks=[checks[0], replace(checks[1], balance=0.0)]).lowest == 0.0
    assert emptied == 0.0
    assert stands(runs=[run(1, "promoted")], checks=checks).lowest is None


@pytest.mark.parametrize("late", [0.5, 2.5])
def test_a_check_dated_before_another_hides_nothing_that_the_account_held(late: float) -> None:
    checks = [PastCheck(day(on), 1, (), (), (), balance, 5.0) for on, balance in {0: 9.0, 2: 8.0, 3: 7.0}.items()]
    between = sorted([*checks, PastCheck(day(late), None, None, ())], key=lambda each: each.as_of)

    assert stands(runs=[run(1, "refused")], checks=between).lowest == 4.0


def test_a_refusal_by_a_person_is_counted_from_the_answer() -> None:
    checks = [PastCheck(day(on), 1, (), (), (), balance, 5.0) for on, balance in {1: 6.0, 2: 20.0}.items()]
    refused = replace(run(1, "refused"), answered=day(2.5))

    assert stands(runs=[refused], checks=checks).lowest == 15.0


def test_only_a_promotion_names_the_rules_that_started_it() -> None:
    promoted, refused = (stands(runs=[run(1, state, rules=("drift",))]) for state in ("promoted", "refused"))

    assert (promoted.promoted_by, refused.promoted_by) == (("drift",), ())


def test_a_deferred_run_hands_its_rules_on() -> None:
    found = stands(runs=[run(1, "promoted"), run(2, "deferred", rules=("schedule",), until=5)])

    assert found.deferral == Deferral(day(5), ("schedule",), changed=False)


def test_a_deferral_knows_whether_something_has_changed_since() -> None:
    waits = PastRun("run-2", day(2), "deferred", (), None, changed=True)

    assert stands(runs=[waits]).deferral == Deferral(None, (), changed=True)


def test_a_deferral_is_over_once_a_later_run_has_ended() -> None:
    assert stands(runs=[run(1, "deferred", until=5), run(2, "refused")]).deferral is None


def test_checks_are_counted_from_the_last_run_that_ended() -> None:
    found = stands(runs=[run(1, "promoted"), run(3, "failed")], checks=[check(1), check(2), check(4)])

    assert (found.checks_since_run, found.last_run) == (3, day(1))


def test_refusals_are_counted_back_to_the_last_promotion() -> None:
    runs = [run(1, "refused"), run(2, "promoted"), run(3, "refused"), run(4, "failed"), run(5, "refused")]

    assert stands(runs=runs).refusals == 2


def test_a_check_without_rows_to_look_at_is_left_out_of_the_drift() -> None:
    found = stands(checks=[check(1, drifted=("a",)), check(2, drifted=None), check(3)])

    assert found.drifted == (("a",), (), ())


def test_a_run_that_brought_a_former_champion_back_ends_a_row_of_refusals() -> None:
    runs = [run(1, "refused"), run(2, "restored"), run(3, "refused")]

    assert stands(runs=runs).refusals == 1
    assert stands(runs=runs[:2], checks=[check(3)]).checks_since_run == 2
