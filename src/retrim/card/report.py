"""What a screen, a page or a card shows, as a tree without a look; and how a value is spelt on all of them."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

UNITS = ("B", "kB", "MB", "GB")
MOST_ROWS = 15  # of a table that stands among others
MOST_CHARACTERS = 60  # of a value in a cell


@dataclass(frozen=True)
class Facts:
    """Names and values, one a line; None is left out. A card names the source of its figures."""

    pairs: tuple[tuple[str, Any], ...]
    title: str = ""
    source: str = ""

    @property
    def known(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.pairs if value is not None]


@dataclass(frozen=True)
class Table:
    """A table under its title, and a line below it.

    Args:
        nothing: What stands for a table without rows.
        brief_last: Whether the last column is cut to the terminal's width, so that a row is a line.
        anchor: On a page of many tables: the address of this one; each row has its first value as its own.
        address: Where a server shows a row by itself, before its first value; empty: nowhere.
        others: On a page: names and addresses of the parts before and after.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    nothing: str = ""
    source: str = ""
    brief_last: bool = False
    anchor: str = ""
    address: str = ""
    others: tuple[tuple[str, str], ...] = ()


Report = tuple[str | Facts | Table, ...]
"""Sentences, facts and tables, in their order."""


def section(title: str, heads: tuple[str, ...], rows: Sequence[tuple[Any, ...]], *, nothing: str) -> Table:
    """A table cut to the rows that fit among other tables."""
    more = f"... and {len(rows) - MOST_ROWS} more; --json has all" if len(rows) > MOST_ROWS else ""
    return Table(title, heads, tuple(rows[:MOST_ROWS]), more, nothing)


def figure(value: float) -> str:
    """A loss, a gain or another measured number, to four digits."""
    return f"{value:.4g}"


def span(low: float, high: float) -> str:
    """An interval."""
    return f"{figure(low)} to {figure(high)}"


def counted(count: int, noun: str, several: str = "") -> str:
    """A number with its noun: 1 check, 2 checks; `several` is a plural that has more than an s at its end."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"


def first_few(texts: Sequence[str], most: int, *, apart: str = ", ") -> str:
    """The first texts, and how many more there are."""
    more = [f"{len(texts) - most} more"] if len(texts) > most else []
    return apart.join([*texts[:most], *more])


def moment(at: str | datetime | None) -> str | None:
    """A time as people read it, in UTC: to the minute, and without the hour at midnight."""
    if at is None:
        return None
    time = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    return f"{time:%Y-%m-%d}" if (time.hour, time.minute) == (0, 0) else f"{time:%Y-%m-%d %H:%M}"


def size(count: float) -> str:
    """Bytes in the unit that fits."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {UNITS[unit]}" if unit else f"{count:.0f} {UNITS[0]}"


def brief(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text cut at a word, with three dots where something is left out; the whole stands in the record."""
    return textwrap.shorten(text, most, placeholder=" ...")


def shown(value: Any) -> str:
    """Any value of a record."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return figure(value)
        case list() | tuple():
            return ", ".join(map(shown, value)) or "none"
        case Mapping():
            return ", ".join(f"{name} {shown(part)}" for name, part in sorted(value.items())) or "none"
    text = str(value)
    is_time = len(text) == len("2024-01-01T00:00:00+00:00") and text[10] == "T" and text.endswith("+00:00")
    return text.removesuffix("+00:00").removesuffix(":00").replace("T", " ") if is_time else text
