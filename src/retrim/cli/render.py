"""How answers look: reports on a terminal for people, JSON for programs."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from retrim.card.report import Facts, Report, brief, figure, moment, size
from retrim.card.report import Table as ReportTable

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["brief", "figure", "moment", "size"]  # commands spell values as `render.moment(at)`
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
GAP = 2  # between columns
LOG_WIDTH = 120  # where no terminal says how wide it is
WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else LOG_WIDTH
# No markup unless a call asks for it: columns are called `weight [kg]`, and Rich would take the unit for a style.
OUT, ERR = Console(width=WIDTH, markup=False, highlight=False), Console(stderr=True, markup=False, highlight=False)


def show_json(answer: Any) -> None:
    """A record, or JSON of records, on standard output, and nothing else."""
    print(json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True, default=as_record))  # noqa: T201  the answer itself


def as_record(answer: Any) -> Any:
    """The JSON object of a record, by its own method or else by the codec."""
    from retrim.stats.codec import to_record

    return answer.as_record() if hasattr(answer, "as_record") else to_record(answer)


def print_now(text: object) -> None:
    """A line as it is, at once: also into a pipe, and however narrow the terminal."""
    print(text, flush=True)  # noqa: T201  the answer itself


def say(text: str) -> None:
    """A sentence, or lines of them."""
    OUT.print(text, soft_wrap=True)


def show(answer: Any, report: str | Report, *, as_json: bool) -> None:
    """A record as JSON, or what it says."""
    if as_json:
        show_json(answer)
    elif isinstance(report, str):
        say(report)
    else:
        show_report(report)


def show_report(report: Report) -> None:
    """Sentences, facts and tables on a terminal."""
    for part in report:
        if isinstance(part, str):
            OUT.print(part)
        elif isinstance(part, Facts):
            _show_title(part.title)
            if part.pairs:
                show_facts(part.pairs)
        elif not part.rows and part.nothing:
            _show_title(part.title, part.nothing)
        else:
            show_table(part.heads, part.rows, title=part.title, brief_last=part.brief_last)
            if part.note:
                OUT.print(part.note)


def _show_title(title: str, nothing: str = "") -> None:
    if title:
        OUT.print(f"\n[bold]{escape(title)}[/]{escape(f': {nothing}') if nothing else ''}", markup=True)


def show_list(answer: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, none: str, as_json: bool) -> None:
    """Records as JSON, or as a table whose last column is cut to the width; `none` where there are none."""
    table = ReportTable("", tuple(columns), tuple(map(tuple, rows)), brief_last=True)
    show(answer, (table,) if rows else none, as_json=as_json)


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "", brief_last: bool = False
) -> None:
    """A table; numbers are the caller's to format."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    others: list[int] = []
    if brief_last:
        others = [max(len(row[number]) for row in (columns, *texts)) for number in range(len(columns) - 1)]
        left = max(OUT.width - sum(others) - GAP * len(others), len(columns[-1]))
        texts = [[*row[:-1], brief(row[-1], left)] for row in texts]
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for number, column in enumerate(columns):
        whole = others[0] if brief_last and number == 0 else None  # what a row is called is typed again
        table.add_column(column, overflow="fold", no_wrap=brief_last, min_width=whole)
    for row in texts:
        table.add_row(*(Text(harmless(text)) for text in row))
    _show_title(title)
    OUT.print(table)


def show_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value is not None:
            table.add_row(name, Text(harmless(str(value))))
    OUT.print(table)


def harmless(text: str) -> str:
    """The text with control signs spelled out: a cell of a file could else write anything on a terminal."""
    return CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


@contextmanager
def progress() -> Iterator[None]:
    """Draws what the use cases tell: a live line on a terminal, plain lines elsewhere."""
    logger = logging.getLogger("retrim.progress")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with ExitStack() as stack:
        handler = _Bars(stack.enter_context(_live_bars())) if ERR.is_terminal else _Lines()
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


def _live_bars() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    return Progress(
        SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=ERR, transient=True
    )


class _Bars(logging.Handler):
    """One bar for what lasts (named `name: detail`), one for what is in progress."""

    def __init__(self, bars: "Progress") -> None:
        super().__init__()
        self.bars = bars
        self.tasks: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if step is None:
            return
        lane = "checks" if step.what.startswith("checks") else "run"
        if lane == "checks" and "run" in self.tasks:  # the run has ended; the next has a line and a clock of its own
            self.bars.remove_task(self.tasks.pop("run"))
        if lane not in self.tasks:
            self.tasks[lane] = self.bars.add_task(step.what, total=step.total or None)
        self.bars.update(self.tasks[lane], description=step.what, completed=step.done, total=step.total or None)


class _Lines(logging.Handler):
    """A line for each step but the trials of a search, with the seconds since the first."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if step is not None and "loss" not in step.what:
            since = time.monotonic() - self.began
            ERR.print(f"{step.what} ({step.done}/{step.total}, after {since:.0f} s)" if step.total else step.what)
