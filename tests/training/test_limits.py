"""How long a stage may take: what a person set, else what it took before with room to spare."""

import pytest

from retrim.stats.plugins import explain
from retrim.training.mode import AUTO, StageLimits, limits_of_stage

HOUR = 3600.0


@pytest.mark.parametrize(
    ("limit", "earlier", "longest"),
    [
        ("2h", [], 2 * HOUR),
        ("2h", [5 * HOUR], 2 * HOUR),  # what a person says counts
        (AUTO, [], 72 * HOUR),  # nothing is known yet
        (AUTO, [1.0, 20.0], 6 * HOUR),  # the floor
        (AUTO, [1.0, 2 * HOUR, 60.0], 20 * HOUR),  # ten times the longest
    ],
)
def test_the_limit_is_that_of_the_settings_or_of_earlier_runs(limit: str, earlier: list[float], longest: float) -> None:
    assert limits_of_stage(limit, "30min", earlier=earlier) == StageLimits(longest, silent=1800.0)


def test_stages_together_may_take_as_long_as_all_of_them_and_be_silent_as_long_as_one() -> None:
    assert StageLimits(60, 5).together(StageLimits(30, 10)) == StageLimits(90, 10)


@pytest.mark.parametrize("wrong", ["soon", "0s", "-1h", "7"])
def test_a_limit_that_is_no_span_is_refused(wrong: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from retrim.decision.rules import StageLimit

    with pytest.raises(ValidationError) as refused:
        TypeAdapter(StageLimit).validate_python(wrong)
    assert "span" in explain(refused.value) or "no time" in explain(refused.value)
