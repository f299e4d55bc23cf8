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


def test_a_settled_alarm_of_another_version_is_none() -> None:
    past = CheckHistory((), [PastCheck(day(3), 2, (), (), ("drift",))], ())

    assert summarise_checks(past, champion=1, drifted=()).settled == ()


def test_a_settled_timetable_is_counted_anew_and_not_silenced() -> None:
    settled = [Acknowledgement(day(3), ("schedule",)), Acknowledgement(day(4), ("drift",))]
    found = summarise_checks(CheckHistory((), [check(2)], (), settled), champion=1, drifted=())

    assert (found.timetable_settled, found.settled) == (day(3), ("drift",))


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


HELD = check(3, held=("drift",))
REFUSED = [run(on, "refused") for on in (1, 2, 5)]
RESTORED = [run(1, "refused"), run(2, "restored"), run(3, "refused")]
SUMMARIES: dict[str, tuple[HistorySummary, dict[str, Any]]] = {
    "what a check held stays held": (stands(checks=[HELD]), {"held": ("drift",)}),
    "a person who asked before the check ends no hold": (stands(checks=[HELD], asked=[2]), {"held": ("drift",)}),
    "a person who asks at the check ends the hold": (stands(checks=[HELD], asked=[3]), {"held": ()}),
    "a person who asks later ends the hold": (stands(checks=[HELD], asked=[4]), {"held": ()}),
    "what was settled before is held": (stands(checks=[HELD], settled=[2]), {"held": ("drift",)}),
    "what a person settles is held no longer": (
        stands(checks=[HELD], settled=[3]),
        {"held": (), "settled": ("drift",)},
    ),
    "what a person settles later is held no longer": (stands(checks=[HELD], settled=[4]), {"held": ()}),
    "a settled alarm is answered while checks carry it on": (
        stands(checks=[HELD, check(4, settled=("drift",))], settled=[3]),
        {"settled": ("drift",)},
    ),
    "a settled alarm that no check carries on is gone": (stands(checks=[HELD, check(4)], settled=[3]), {"settled": ()}),
    "refusals add up": (stands(runs=REFUSED), {"refusals": 3}),
    "refusals before an answer count no longer": (stands(runs=REFUSED, settled=[3]), {"refusals": 1}),
    "refusals at an answer count no longer": (stands(runs=REFUSED, settled=[5]), {"refusals": 0}),
    "refusals are counted back to the last promotion": (
        stands(
            runs=[run(on, state) for on, state in enumerate(["refused", "promoted", "refused", "failed", "refused"])]
        ),
        {"refusals": 2},
    ),
    "a former champion that came back ends a row of refusals": (stands(runs=RESTORED), {"refusals": 1}),
    "a former champion that came back is no run that ended": (
        stands(runs=RESTORED[:2], checks=[check(3)]),
        {"checks_since_run": 2},
    ),
    "runs are as old as the checks since, and counted from the last that ended": (
        stands(runs=[run(1, "promoted"), run(3, "failed")], checks=[check(on) for on in (1, 2, 3, 4)]),
        {"spent": (4, 2), "checks_since_run": 4, "last_run": day(1)},
    ),
    "a promotion names the rules that started it": (
        stands(runs=[run(1, "promoted", rules=("drift",))]),
        {"promoted_by": ("drift",)},
    ),
    "a refusal names no rules": (stands(runs=[run(1, "refused", rules=("drift",))]), {"promoted_by": ()}),
    "a deferred run hands its rules on": (
        stands(runs=[run(1, "promoted"), run(2, "deferred", rules=("schedule",), until=5)]),
        {"deferral": Deferral(day(5), ("schedule",), changed=False)},
    ),
    "a deferral knows whether something has changed since": (
        stands(runs=[PastRun("run-2", day(2), "deferred", (), None, changed=True)]),
        {"deferral": Deferral(None, (), changed=True)},
    ),
    "a deferral is over once a later run has ended": (
        stands(runs=[run(1, "deferred", until=5), run(2, "refused")]),
        {"deferral": None},
    ),
    "a check without rows to look at is left out of the drift": (
        stands(checks=[check(1, drifted=("a",)), check(2, drifted=None), check(3)]),
        {"drifted": (("a",), (), ())},
    ),
    **{
        f"a run that {state} is paid for, a deferred one is not": (
            stands(runs=[run(1, state), run(2, "deferred", until=5)]),
            {"spent": (1,)},
        )
        for state in ("promoted", "refused", "failed", "running", "crashed")
    },
}


@pytest.mark.parametrize(("summary", "expected"), SUMMARIES.values(), ids=SUMMARIES)
def test_a_history_comes_to(summary: HistorySummary, expected: dict[str, Any]) -> None:
    assert {name: getattr(summary, name) for name in expected} == expected
