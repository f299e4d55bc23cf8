"""What a terminal shows while a command runs."""

import logging

from rich.progress import Progress

from retrim import screens
from retrim.ops.progress import Step


def test_the_line_of_a_run_goes_when_the_next_check_begins() -> None:
    bars = Progress(disable=True)
    handler = screens._Bars(bars)

    def told(what: str, done: int, total: int) -> list[str]:
        record = logging.makeLogRecord({"step": Step(what, done, total)})
        handler.emit(record)
        return [task.description for task in bars.tasks]

    assert told("checks: 2012-01-13", 3, 41) == ["checks: 2012-01-13"]
    assert told("compare", 5, 6) == ["checks: 2012-01-13", "compare"]
    assert told("checks: 2012-01-27", 4, 41) == ["checks: 2012-01-27"]
    assert told("validate", 0, 6) == ["checks: 2012-01-27", "validate"]
