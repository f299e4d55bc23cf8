"""How answers look: tables and sentences for people, JSON for programs."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

OUT = Console()
ERR = Console(stderr=True)


def show_json(record: Any) -> None:
    """The record as JSON on standard output, and nothing else."""
    print(json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True))  # noqa: T201  the answer itself


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """A table; numbers are the caller's to format."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*["" if cell is None else str(cell) for cell in row])
    OUT.print(table)


def show_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    show_table(("", ""), [(f"[bold]{name}[/]", value) for name, value in facts if value is not None])


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
        if lane not in self.tasks:
            self.tasks[lane] = self.bars.add_task(step.what, total=step.total or None)
        self.bars.update(self.tasks[lane], description=step.what, completed=step.done, total=step.total or None)


class _Lines(logging.Handler):
    """A line for each step but the trials of a search."""

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if step is not None and "loss" not in step.what:
            ERR.print(f"{step.what} ({step.done}/{step.total})" if step.total else step.what, highlight=False)
