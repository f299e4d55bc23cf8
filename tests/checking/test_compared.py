"""The comparison of a check: the champion beside its expected loss and the naive baselines on the same rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.checking.comparison import LIKELY, _find_jump, find_unit
from tests.builders.desk import START, Desk, make_desk

pytestmark = pytest.mark.slow  # half a second each: every test makes a champion with the stages

Make = Callable[..., Desk]
WEEKLY: dict[str, dict[str, Any]] = {
    "judge": {"block_rows": 12},
    "split": {"judge_rows": 168, "sliding_rows": 400},
    "gain": {"rows_per_check": 168, "cost": 100.0},
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A desk with thirty days of rows and a version of them."""

    def made(**dials: Any) -> Desk:
        return make_desk(tmp_path / "workspace", changes=WEEKLY, **dials, version_at=30)

    return made


def checked_week(desk: Desk, number: int, *, shuffled: bool = False) -> dict[str, Any]:
    """The comparison of the check after a week of rows."""
    since = 30 + 7 * (number - 1)
    rows = desk.rows(since, since + 7)
    if shuffled:
        rows = rows.assign(outcome=rows["outcome"].sample(frac=1, random_state=1).to_numpy())
    desk.land(rows, since + 7)
    found = desk.check(since + 7).record["performance"]["comparison"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("task", "baselines"),
    [("regression", {"last_value", "mean", "seasonal_mean"}), ("binary", {"mean", "seasonal_mean"})],
)
def test_every_baseline_of_the_task_stands_beside_the_champion(make: Make, task: str, baselines: set[str]) -> None:
    found = checked_week(make(task=task), 1)

    assert set(found["naive"]) == baselines
    assert found["loss"] < found["naive"][found["best_naive"]]["loss"]
    assert (found["rows"], found["estimated"], found["above_expected"]) == (168, False, False)


def test_shuffled_labels_are_above_what_was_expected(make: Make) -> None:
    desk = make()
    checked_week(desk, 1)
    found = checked_week(desk, 2, shuffled=True)

    assert found["above_expected"]
    assert found["times_expected"] > 3


def test_a_changed_law_is_above_what_was_expected(make: Make) -> None:
    desk = make(drift={"kind": "concept", "size": 3.0, "since": START + pd.Timedelta(30, "D")})

    assert checked_week(desk, 1)["above_expected"]


def test_labels_that_are_late_leave_the_estimate_in_its_place(make: Make) -> None:
    desk = make(labels="later")
    desk.pass_days(30, 33)
    desk.land(desk.rows(33, 40).assign(outcome=float("nan")), 40)
    record = desk.check(40).record

    assert record["performance"]["measured"] is None
    assert record["performance"]["comparison"]["estimated"]
    assert record["performance"]["comparison"]["loss"] == record["estimate"]["newest"]["loss"]


@pytest.mark.parametrize(("weeks", "unit"), [(0, "times 1.61, as kilometres for miles"), (3, None)])
def test_a_column_that_came_there_by_and_by_is_in_no_other_unit(weeks: int, unit: str | None) -> None:
    rows = np.arange(2168)
    risen = np.clip((rows - 2000 + 168 * weeks) / (168 * weeks), 0.0, 1.0) if weeks else (rows >= 2000).astype(float)
    column = pd.Series(np.random.default_rng(3).gamma(4.0, 2.0, len(rows)) * (1 + 0.609344 * risen))
    found = _find_jump(column[:2000], column[2000:])

    assert find_unit(column[:2000], column[2000:], undone=LIKELY) is not None
    assert (None if found is None else found.name) == unit
