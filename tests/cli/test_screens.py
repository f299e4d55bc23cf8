"""What a terminal shows while a command runs."""

import logging
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from retrim.cli import render
from retrim.cli.answers import RunFacts
from retrim.cli.screens.status import FIRST_STEPS, NEXT_STEP, first_steps
from retrim.cli.status_answer import LastDecision
from retrim.lineage.workspace import ProgressStep
from retrim.release.approval import WaitingVersion
from retrim.release.versions import LiveVersion


def test_the_line_of_a_run_goes_when_the_next_check_begins() -> None:
    bars = Progress(disable=True)
    handler = render._Bars(bars)

    def told(what: str, done: int, total: int) -> list[str]:
        record = logging.makeLogRecord({"step": ProgressStep(what, done, total)})
        handler.emit(record)
        return [task.description for task in bars.tasks]

    assert told("checks: 2012-01-13", 3, 41) == ["checks: 2012-01-13"]
    assert told("compare", 5, 6) == ["checks: 2012-01-13", "compare"]
    assert told("checks: 2012-01-27", 4, 41) == ["checks: 2012-01-27"]
    assert told("validate", 0, 6) == ["checks: 2012-01-27", "validate"]


@pytest.mark.parametrize("console", [render.OUT, render.ERR])
@pytest.mark.parametrize("name", ["weight [kg]", "out[b].csv", "speed [m/s] [/s]"])
def test_a_name_in_brackets_is_shown_as_it_is(console: Console, name: str) -> None:
    table = Table("column", box=None)
    table.add_row(name)
    with console.capture() as shown:
        console.print(f"version 1 lacks {name}", highlight=False)
        console.print(table)

    assert shown.get().count(name) == 2


def test_a_narrow_terminal_cuts_the_last_column_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=44)
    monkeypatch.setattr(render, "OUT", console)
    rows = [(1, "champion", "2024-01-25", "all 4 checks passed; gain over the champion 28.8%")]
    with console.capture() as shown:
        render.show_table(("version", "alias", "as of", "verdict"), rows, brief_last=True)
    row = shown.get().splitlines()[1]

    assert row.split() == ["1", "champion", "2024-01-25", "all", "4", "..."]


class TestTheFirstSteps:
    refused = LastDecision("desk-1", "2024-01-01T00:00:00+00:00", "retrain", "no version is live")
    run = RunFacts("run-1", "running", "2024-01-01T00:00:00+00:00", "search", 1, None, "")
    live = LiveVersion(1, "2024-01-01", "2024-01-01", "a test", "why", "promote", None)
    version = WaitingVersion(1, "run-1", "2024-01-01", "2024-01-08", "it passed")

    def test_are_to_land_rows_and_make_a_version(self) -> None:
        assert first_steps() == FIRST_STEPS
        assert first_steps(landed=True) == NEXT_STEP

    def test_are_not_said_again_where_a_first_version_was_refused(self) -> None:
        assert "was not trained" in str(first_steps(last=self.refused))
        assert "land rows" not in str(first_steps(last=self.refused))

    @pytest.mark.parametrize(
        "there", [{"champion": live}, {"waiting": [version]}, {"running": [run]}, {"unpushed": [run]}]
    )
    def test_are_none_while_one_is_there_or_under_way(self, there: dict[str, Any]) -> None:
        assert first_steps(last=self.refused, **there) is None
