"""Both distributions of a column at a check, from the bundle and the landing zone."""

import re

import pandas as pd
import pytest

from retrim.decision.check_record import StoredCheck
from retrim.drift.profile import SCORE, TARGET
from retrim.errors import BadInputError
from retrim.reports.distributions import find_distributions
from tests.builders.desk import START, Desk, make_desk

pytestmark = pytest.mark.slow  # makes a champion with the stages

SHIFT = {"kind": "shift", "size": 3.0, "since": START + pd.Timedelta(12, "D")}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A version, a check before rows shift and one after; and rows that landed since."""
    made = make_desk(
        tmp_path_factory.mktemp("windows") / "workspace", drift=SHIFT, changes={"gain": {"cost": 1000.0}}, version_at=10
    )
    for day in (12, 14):
        made.pass_days(day - 2, day)
    made.land(made.rows(14, 20), 20)
    return made


def checks(desk: Desk) -> list[str]:
    return [row.id for row in desk.workspace.store.decisions(desk.workspace.model, source="check")]


def middle(desk: Desk, check: str, column: str) -> tuple[float, float]:
    """Mean number of the bar, of either window."""
    bars = find_distributions(desk.workspace, check, column).bars
    return sum(n * bar.reference for n, bar in enumerate(bars)), sum(n * bar.current for n, bar in enumerate(bars))


def test_the_rows_are_those_that_the_check_tested(desk: Desk) -> None:
    for row in desk.workspace.store.decisions(desk.workspace.model, source="check"):
        counted = StoredCheck.of(row).record.counted
        found = [find_distributions(desk.workspace, row.id, column) for column in ("level", SCORE, TARGET)]

        assert [each.current_rows for each in found] == [counted["tested"], counted["tested"], counted["target"]]
        assert [sum(bar.current for bar in each.bars) for each in found] == pytest.approx([1, 1, 1])


def test_a_shift_is_seen_at_the_check_that_found_it_and_not_before(desk: Desk) -> None:
    before, after = (middle(desk, check, "level") for check in checks(desk))

    assert abs(before[1] - before[0]) < 3
    assert after[1] - after[0] > 6


def test_the_findings_of_the_column_stand_beside_it(desk: Desk) -> None:
    found = find_distributions(desk.workspace, checks(desk)[1], "level")

    assert {each.column for each in found.findings} == {"level"}
    assert found.findings[0].reference.rows == found.reference_rows
    assert found.findings[0].current.rows == found.current_rows


@pytest.mark.parametrize("column", ["no such", "", "all columns together", "at"])
def test_a_column_that_was_not_looked_at_is_refused(desk: Desk, column: str) -> None:
    with pytest.raises(BadInputError, match=f"{checks(desk)[0]} .* {re.escape(repr(column))};"):
        find_distributions(desk.workspace, checks(desk)[0], column)


def test_a_check_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="no check"):
        find_distributions(desk.workspace, "generated-20990101T000000Z", "level")
