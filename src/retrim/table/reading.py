"""How files spell what their cells say: declared in params.yaml, obeyed when a file lands, never guessed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field

from retrim.stats.plugins import SettingsSection

CalendarPart = Literal["hour", "weekday", "month", "day_of_month", "day_of_year"]
NumberForm = Literal["1234.5", "1,234.5", "1234,5", "1.234,5", "1 234,5", "1 234.5", "1'234.5", "1'234,5"]
UNIX = {"unix": "s", "unix_ms": "ms"}
"""Formats that are no strptime pattern: seconds and milliseconds since 1970."""

FINER = r"(\.\d{6})\d+"
"""A fraction of more than six digits; with it, pandas counts nanoseconds, which end in the year 2262."""
Stored = Literal["text", "number", "integer", "boolean", "time", "other"]
SAID_MISSING = {
    "null",
    "none",
    "nan",
    "na",
    "n/a",
    "#n/a",
    "nil",
    "\\n",
    "-",
    "--",
    ".",
    "?",
    "missing",
    "(null)",
    "<na>",
}
"""Words for a missing cell, in small letters."""
SAMPLED = 2000
"""Distinct cells of a column, the commonest, that are tried."""


def known_zone(name: str) -> str:
    """A time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        raise ValueError(f"{name!r} is not a time zone; write one such as 'UTC' or 'Europe/Berlin'") from error
    return name


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)  # of nothing at all, no encoding is looked up
    except (LookupError, ValueError) as error:
        raise ValueError(f"{name!r} is not a text encoding; write one such as 'utf-8' or 'cp1252'") from error
    return name


def _known_separator(sign: str) -> str:
    if not sign.isascii() or sign in '"\r\n\0':
        raise ValueError(f"{sign!r} cannot separate cells; write one ASCII character such as ',', ';' or '\\t'")
    return sign


def _known_form(form: str) -> str:
    if form in UNIX:
        return form
    try:
        if "%" not in form:  # pandas has words that mean guessing
            raise ValueError("it has no %")
        pd.to_datetime(pd.Series(["x"]), format=form, errors="coerce", utc="%z" in form)
    except ValueError as error:
        raise ValueError(
            f"{form!r} is not a time format ({error}); write one such as '%d.%m.%Y %H:%M', or {' or '.join(UNIX)}"
        ) from error
    return form


class ReadingParams(SettingsSection):
    """How the cells of a file are read."""

    encoding: Annotated[str, AfterValidator(_known_encoding)] = Field(
        default="utf-8", description="encoding of CSV files"
    )
    separator: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_known_separator)] = Field(
        default=",", description="character that separates the cells of a CSV line"
    )
    # YAML reads 1234.5 without quotes as a number
    numbers: Annotated[NumberForm, BeforeValidator(str)] = Field(
        default="1234.5", description="how files write the number 1234.5: with which separators"
    )
    missing: tuple[str, ...] = Field(
        default=(), description="texts of a cell that mean a missing value, in addition to an empty cell"
    )
    dates: dict[str, tuple[Annotated[str, AfterValidator(_known_form)], ...]] = Field(
        default={}, description="strptime formats of time columns; a column without a format is in ISO 8601"
    )
    zone: Annotated[str, AfterValidator(known_zone)] = Field(
        default="UTC",
        description="time zone of times that do not name a zone, and of the features in reading.calendar; of the two "
        "equal local times when clocks go back, the order of the rows tells which is which",
    )
    skip: tuple[str, ...] = Field(default=(), description="columns that files may contain and that retrim drops")
    arrival: str | None = Field(
        default=None,
        description="name of the time column that retrim adds, in order of arrival and of the rows, if the files have "
        "no time column",
    )
    calendar: dict[str, CalendarPart] = Field(default={}, description="feature columns computed from the event time")

    @property
    def decimal(self) -> str:
        """The decimal separator."""
        return self.numbers[-2]

    @property
    def thousands(self) -> str:
        """The separator between groups of three digits; empty: there is none."""
        return self.numbers[1:-5]

    @property
    def made(self) -> tuple[str, ...]:
        """Columns of the table that no file has: they are made when a file lands."""
        return (*(() if self.arrival is None else (self.arrival,)), *self.calendar)


PLAIN = ReadingParams()
"""CSV in UTF-8, separated by commas, decimal points, ISO 8601: what a file is where nothing else is declared."""


@dataclass(frozen=True)
class RawColumn:
    """A raw column.

    Args:
        stored: How the file holds it; all of a CSV is text.
        cells: Its cells in the order of the file, missing where blank; text columns hold str, shape (n,).
    """

    name: str
    stored: Stored
    cells: pd.Series

    @cached_property
    def counts(self) -> "pd.Series[int]":
        """How often each distinct cell that is not blank stands there, text as it is, commonest first."""
        return self.cells.value_counts()

    @cached_property
    def words(self) -> "pd.Series[int]":
        """The same for text with the blanks around it cut off."""
        counts = self.counts
        index = pd.Index(counts.index.astype("str").str.strip(), dtype="str")
        return counts.set_axis(index).groupby(level=0, sort=False).sum()

    @cached_property
    def sampled(self) -> "pd.Series[int]":
        """The commonest of those words, known ones for a missing cell aside."""
        return self.words[~self.words.index.str.lower().isin(SAID_MISSING)].iloc[:SAMPLED]

    @property
    def rows(self) -> int:
        return len(self.cells)

    @property
    def filled(self) -> int:
        """Cells that are not blank."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        return len(self.counts)


def share_of(counts: "pd.Series[int]", fits: pd.Series) -> float:
    """The share of cells whose distinct value fits; 0 of no cells."""
    total = int(counts.sum())
    return float(counts[fits.to_numpy(dtype=bool)].sum() / total) if total else 0.0
