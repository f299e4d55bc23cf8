"""One late row or label a batch: the accumulated gain and the decisions stay what they are without delay."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest

from retrim.checking.measure import start_without_stragglers
from tests.builders.answers import PrintedCheck
from tests.builders.desk import START, Desk, make_desk

pytestmark = pytest.mark.slow

CONCEPT: dict[str, Any] = {"kind": "concept", "size": 3.0, "since": START.replace(day=11)}
Late = Literal["nothing", "a row", "a label"]
FIRST, DAYS = 10, 2.5
"""When the version was made, and how long a batch is."""


def checked(folder: Path, late: Late) -> list[PrintedCheck]:
    """Four checks of 60 rows each; in every batch the second row, or its label, comes with the next batch."""
    desk = make_desk(
        folder,
        drift=CONCEPT,
        labels="later" if late == "a label" else "with_rows",
        changes={"gain": {"cost": 5.0}},  # paid by three checks, which are evidence enough for the gate
        version_at=FIRST,
    )
    made = []
    for day in (FIRST + number * DAYS for number in range(1, 5)):
        _land(desk, day, late)
        made.append(desk.check(day))
    return made


def _land(desk: Desk, day: float, late: Late) -> None:
    rows = desk.rows(day - DAYS, day)
    waits = rows.index == (1 if late != "nothing" else -1)
    if late == "a label":
        desk.land(rows.assign(outcome=rows["outcome"].mask(waits)), day)
    else:
        desk.land(rows[~waits], day)
    if late == "nothing" or day == FIRST + DAYS:
        return
    before = desk.rows(day - 2 * DAYS, day - DAYS).iloc[[1]]
    desk.land(before, day, kind="labels" if late == "a label" else "rows")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[PrintedCheck]:
    return checked(tmp_path_factory.mktemp("plain") / "workspace", "nothing")


@pytest.mark.parametrize("late", ["a row", "a label"])
def test_one_straggler_a_batch_changes_neither_account_nor_decision(
    plain: list[PrintedCheck], tmp_path: Path, late: Late
) -> None:
    found = checked(tmp_path / "workspace", late)
    accumulated_gains = [checks[-1].made.record.gain.now for checks in (plain, found)]

    assert accumulated_gains[0].balance > 3 * accumulated_gains[0].error
    assert accumulated_gains[1].balance == pytest.approx(accumulated_gains[0].balance, abs=accumulated_gains[0].error)
    assert [each.outcome for each in found] == [each.outcome for each in plain]
    assert [each.record["probe"]["reading"]["rows"] for each in found] == [59, 60, 60, 60]
    assert [each.record["probe"]["reading"]["apart"] for each in found] == [0, 1, 1, 1]


def test_rows_begin_with_the_first_of_them() -> None:
    assert start_without_stragglers(pd.Series(pd.date_range(START, periods=48, freq="h"))) == START


def test_one_row_of_a_year_before_does_not_put_the_beginning_back() -> None:
    events = pd.Series([START - pd.Timedelta(365, "D"), *pd.date_range(START, periods=47, freq="h")])

    begin = start_without_stragglers(events)

    assert abs(begin - START) < pd.Timedelta(2, "h")
