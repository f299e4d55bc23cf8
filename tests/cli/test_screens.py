"""What a terminal shows while a command runs."""

import logging
from typing import Any, ClassVar

import pytest
from rich.progress import Progress

from retrim.cli import render
from retrim.cli.screens import FIRST_STEPS, first_steps
from retrim.lineage.workspace import ProgressStep


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


class TestTheFirstSteps:
    nothing: ClassVar[dict[str, Any]] = {
        "champion": None,
        "waiting": [],
        "running": [],
        "unpushed": [],
        "last_decision": None,
    }
    refused: ClassVar[dict[str, Any]] = {**nothing, "last_decision": {"outcome": "retrain"}}

    def test_are_to_land_rows_and_make_a_version(self) -> None:
        assert first_steps(self.nothing) == FIRST_STEPS

    def test_are_not_said_again_where_a_first_version_was_refused(self) -> None:
        assert "was not made" in str(first_steps(self.refused))
        assert "land rows" not in str(first_steps(self.refused))

    @pytest.mark.parametrize("there", ["champion", "waiting", "running", "unpushed"])
    def test_are_none_while_one_is_there_or_under_way(self, there: str) -> None:
        assert first_steps({**self.refused, there: ["something"]}) is None
