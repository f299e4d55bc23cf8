"""How answers look: tables and sentences for people, JSON for programs."""

import json
import logging
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
GAP, LEAST = 2, 20  # between columns; of a column that is cut
LOG_WIDTH = 120  # where no terminal says how wide it is
OUT = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else LOG_WIDTH)
ERR = Console(stderr=True)


def show_json(record: Any) -> None:
    """The record as JSON on standard output, and nothing else."""
    print(json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True))  # noqa: T201  the answer itself


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None, brief_last: bool = False
) -> None:
    """A table; numbers are the caller's to format.

    Args:
        columns: Their names.
        rows: Their cells.
        title: Above it.
        brief_last: Whether the last column is cut to the line it has, instead of being broken.
    """
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    others: list[int] = []
    if brief_last:
        others = [max(len(row[place]) for row in (columns, *texts)) for place in range(len(columns) - 1)]
        room = max(OUT.width - sum(others) - GAP * len(others), LEAST)
        texts = [[*row[:-1], brief(row[-1], room)] for row in texts]
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for place, column in enumerate(columns):
        whole = others[0] if brief_last and place == 0 else None  # what a row is called is typed again
        table.add_column(column, overflow="fold", no_wrap=brief_last, min_width=whole)
    for row in texts:
        table.add_row(*(Text(harmless(text)) for text in row))
    if title is not None:
        OUT.print(f"\n[bold]{escape(title)}[/]", highlight=False)
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


def moment(iso: str | None) -> str | None:
    """A time as people read it, in UTC: to the minute, and without the hour at midnight."""
    if iso is None:
        return None
    time = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{time:%Y-%m-%d}" if (time.hour, time.minute) == (0, 0) else f"{time:%Y-%m-%d %H:%M}"


def brief(text: str, most: int) -> str:
    """A text cut at a word, with three dots where something is left out; the whole stands in the record."""
    return textwrap.shorten(text, most, placeholder=" ...")


@contextmanager
def progress() -> Iterator[None]:
    """Draws what the use cases tell: a live line on a terminal, plain lines elsewhere."""
    logger = logging.getLogger("retrim.progress")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if ERR.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=ERR,
            transient=True,
        ) as bars:
            handler: logging.Handler = _Bars(bars)
            logger.addHandler(handler)
            try:
                yield
            finally:
                logger.removeHandler(handler)
                logger.setLevel(level)
        return
    handler = _Lines()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Bars(logging.Handler):
    """One bar for what lasts (named `name: detail`), one for what is going on."""

    def __init__(self, bars: Progress) -> None:
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
    """A line for each step but the trials of a search."""

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if step is not None and "loss" not in step.what:
            ERR.print(f"{step.what} ({step.done}/{step.total})" if step.total else step.what, highlight=False)
