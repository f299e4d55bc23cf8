"""Schedules that are due together begin one after the other."""

import pandas as pd
import pytest

from retrim.stats.timetable import SPREAD_SECONDS, start_offset

MODELS = [f"model-{number}" for number in range(100)]


@pytest.mark.parametrize("timetable", ["15 0 * * *", "6h", "20s", "1s"])
def test_a_run_begins_within_a_minute_and_before_the_next_is_due(timetable: str) -> None:
    span = pd.Timedelta(timetable).total_seconds() if " " not in timetable else SPREAD_SECONDS
    found = {start_offset(model, timetable) for model in MODELS}

    assert min(found) >= 0
    assert max(found) < min(span, SPREAD_SECONDS)


def test_a_hundred_models_do_not_begin_in_the_same_second() -> None:
    found = [start_offset(model, "15 0 * * *") for model in MODELS]

    assert len(set(found)) > SPREAD_SECONDS / 2
    assert max(found.count(offset) for offset in found) < 10


def test_the_same_model_begins_at_the_same_second() -> None:
    assert (
        start_offset("bike", "15 0 * * *") == start_offset("bike", "15 0 * * *") == start_offset("bike", "45 0 * * *")
    )
