"""`retrim up --only schedule` killed across several due times: none is lost, none doubled; and a drift starts a run.

Prefect's records are gone when it starts again, as after a restore: schedules and due times do not need them.
"""

import pandas as pd
import pytest

from tests.flows.killed_schedule import Story, tell

pytestmark = [pytest.mark.e2e(minutes=5), pytest.mark.server, pytest.mark.slow]
EVERY = "20s"
MISSED = 3


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    gap = pd.Timedelta(EVERY) * MISSED
    return tell(tmp_path_factory.mktemp("caught-up"), every=EVERY, gap=gap, span=EVERY, forget=True)


def test_each_due_time_has_one_check_also_those_at_which_no_schedule_ran(story: Story) -> None:
    made = pd.DatetimeIndex([row.as_of for row in story.checks])
    missed = made[(made > story.killed) & (made < story.started)]

    assert list(made) == list(pd.date_range(made[0], made[-1], freq=story.every))
    assert len(missed) >= MISSED - 1


def test_another_flow_was_run_once_for_all_that_it_missed(story: Story) -> None:
    after = [at for at in story.landed_at if at > story.killed]

    assert min(after) > story.started - story.every  # the newest of the missed times, for all of them
    assert len(after) == len(set(after))


def test_missed_checks_saw_the_table_as_of_their_time_and_rows_counted_once(story: Story) -> None:
    looked = [row for row in story.checks if row.record["drift"]["findings"]]

    assert story.landed == 2
    assert len([row for row in looked if row.record["drift"]["drifted"]]) == 1
    assert pd.Timestamp(looked[-1].as_of) >= story.started - story.every


def test_a_drift_on_the_schedule_crosses_its_threshold_and_starts_a_run(story: Story) -> None:
    by_drift = [row for row in story.checks if "drift" in row.record["decision"]["fired"]]
    runs = [run for run in story.runs if run.decision == by_drift[0].id]

    assert [row.outcome for row in by_drift] == ["retrain"]
    assert len(runs) == 1


@pytest.mark.parametrize("what", ["checked: none", "checked: retrain", "missed: check", "landed: 240 rows, batch "])
def test_the_schedule_tells_in_a_line_what_it_did(story: Story, what: str) -> None:
    assert f"  {what}" in story.output
