"""A schedule by a cron expression, killed across two minutes: a check for each of them, and landing once for both."""

from pathlib import Path

import pandas as pd
import pytest

from tests.flows.killed_schedule import tell


@pytest.mark.drill
@pytest.mark.server
def test_a_cron_schedule_that_was_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    story = tell(tmp_path, every="* * * * *", gap=pd.Timedelta("150s"), span="1min")
    made = pd.DatetimeIndex([row.as_of for row in story.checks])
    after = [at for at in story.landed_at if at > story.killed]

    assert list(made) == list(pd.date_range(made[0], made[-1], freq="1min"))
    assert ((made > story.killed) & (made < story.started)).sum() >= 2
    assert min(after) > story.started - story.every
    assert len(after) == len(set(after))
    assert len([row for row in story.checks if "drift" in row.record["decision"]["fired"]]) == 1
