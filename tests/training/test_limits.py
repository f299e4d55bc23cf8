"""How long a stage may take: what it took before with room to spare."""

import pytest

from retrim.training.mode import StageLimits, limits_of_stage

HOUR = 3600.0


@pytest.mark.parametrize(
    ("earlier", "longest"),
    [
        ([], 72 * HOUR),  # nothing is known yet
        ([1.0, 20.0], 6 * HOUR),  # the floor
        ([1.0, 2 * HOUR, 60.0], 20 * HOUR),  # ten times the longest
    ],
)
def test_the_limit_is_that_of_earlier_runs(earlier: list[float], longest: float) -> None:
    assert limits_of_stage("30min", earlier=earlier) == StageLimits(longest, silent=1800.0)


def test_stages_together_may_take_as_long_as_all_of_them_and_be_silent_as_long_as_one() -> None:
    assert StageLimits(60, 5).together(StageLimits(30, 10)) == StageLimits(90, 10)
