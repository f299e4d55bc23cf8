"""The release checks: each fails for its own reason, all are made, and what was live before is not held to budgets."""

from dataclasses import replace

import pytest

from retrim.decision.release_checks import FreshAnswers, Latency, hold_to

GOOD = FreshAnswers(None, 8, 1e-12, 0.5, ((1, Latency(1, 2, 50)), (1000, Latency(9, 12, 10))))


def failed(answers: FreshAnswers, size: int = 100_000_000, *, again: bool = False) -> list[str]:
    return [check.name for check in hold_to(answers, size, again=again).checks if not check.passed]


def test_what_is_within_everything_passes() -> None:
    found = hold_to(GOOD, 100_000_000, again=False)

    assert (found.passed, len(found.checks)) == (True, 5)
    assert " 5 " in found.reason


@pytest.mark.parametrize(
    ("answers", "size", "names"),
    [
        (FreshAnswers("no such file"), 1, ["loads", "reference rows"]),
        (replace(GOOD, farthest=2e-9), 1, ["reference rows"]),
        (replace(GOOD, farthest=float("inf")), 1, ["reference rows"]),
        (replace(GOOD, rows=0), 1, ["reference rows"]),
        (replace(GOOD, seconds=60.1), 1, ["loads"]),
        (GOOD, 200_000_001, ["size"]),
        (replace(GOOD, latency=((1, Latency(501, 502, 50)), (1000, Latency(9, 12, 10)))), 1, ["latency: one row"]),
        (replace(GOOD, latency=((1, Latency(1, 2, 50)), (1000, Latency(2001, 2002, 10)))), 1, ["latency: 1,000 rows"]),
        (replace(GOOD, farthest=1.0), 300_000_000, ["reference rows", "size"]),
    ],
)
def test_each_fails_for_its_own_reason(answers: FreshAnswers, size: int, names: list[str]) -> None:
    assert failed(answers, size) == names


def test_slow_tries_among_quick_ones_refuse_nothing() -> None:
    disturbed = replace(GOOD, latency=((1, Latency(1, 9000, 50)), (1000, Latency(9, 9000, 10))))

    assert failed(disturbed) == []


def test_all_are_made_after_the_first_has_failed() -> None:
    found = hold_to(FreshAnswers("no such file"), 300_000_000, again=False)

    refused = [check for check in found.checks if not check.passed]
    assert [check.name for check in refused] == ["loads", "reference rows", "size"]
    assert (refused[2].figure, refused[2].threshold) == (300, 200)
    assert refused[0].text.endswith(": no such file")
    assert found.reason == "; ".join(check.text for check in refused)


def test_what_was_live_before_is_held_to_its_answers_alone() -> None:
    slow = replace(GOOD, latency=((1, Latency(1e6, 1e6, 50)),))

    assert failed(slow, 900_000_000, again=True) == []
    assert failed(replace(slow, farthest=1.0), again=True) == ["reference rows"]
    assert failed(replace(slow, rows=0), again=True) == []
