"""What draws at random draws the same each time, so that a red test is the fault of a change."""

import hypothesis
import pytest


def test_random_tests_draw_the_same_each_time(request: pytest.FixtureRequest) -> None:
    asked_anew = request.config.getoption("--hypothesis-profile", default=None) == "anew"

    assert hypothesis.settings().derandomize is not asked_anew
