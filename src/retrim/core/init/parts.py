"""Times spread over several columns, found by what the columns are called."""

import re
from collections.abc import Collection, Iterable, Mapping

from retrim.core.reading import WHOLE_DAY, TimePart

CALLED: dict[TimePart, tuple[str, ...]] = {
    "year": ("year", "yr", "yyyy", "jahr", "annee", "ano"),
    "month": ("month", "mon", "mnth", "mm", "monat", "mois", "mes"),
    "day": ("day", "dayofmonth", "dom", "mday", "dd", "tag", "jour", "dia"),
    "hour": ("hour", "hr", "hh", "stunde", "heure", "hora"),
    "minute": ("minute", "min", "minutes"),
    "second": ("second", "sec", "seconds"),
}
PART_OF: dict[str, TimePart] = {word: part for part, words in CALLED.items() for word in words}
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
DATES: dict[str, TimePart] = dict.fromkeys(("date", "day", "dteday", "dt", "datum", "jour", "dia", "fecha"), "date")
CLOCKS: dict[str, TimePart] = dict.fromkeys(
    (*CALLED["hour"], "time", "clock", "hourofday", "timeofday", "uhrzeit", "zeit"), "clock"
)
MOST_WORDS = 3
"""Words of a part's name, as in `day of month`."""
NO_NAME = "event_time"
"""What a time is called whose parts are called year, month and day, and no more."""


def spread_times(names: Iterable[str]) -> dict[str, dict[TimePart, str]]:
    """Times whose parts have columns of their own, by a name for them: at least year, month and day.

    Parts belong together that are called the same before the part, as `ArrivalYear` and `ArrivalMonth`.
    """
    names = list(names)
    groups: dict[str, dict[TimePart, str]] = {}
    for name in names:
        whose, part = _split(name, PART_OF)
        if part is not None:
            groups.setdefault(whose, {}).setdefault(part, name)
    whole = {whose: parts for whose, parts in groups.items() if set(WHOLE_DAY) <= set(parts)}
    return {free_name(whose, names): in_order(parts) for whose, parts in whole.items()}


def clocks_beside(date: str, names: Iterable[str]) -> tuple[str, list[str]]:
    """Columns that may hold the clock of a date, as they are called the same before it (`start_date`, `start_time`).

    Args:
        date: A column of days.
        names: The others.

    Returns:
        What date and clock are called before; and the columns.
    """
    whose, _ = _split(date, DATES)
    found = [name for name in names if name != date and _split(name, CLOCKS) == (whose, "clock")]
    return whose, found


def _split(name: str, called: Mapping[str, TimePart]) -> tuple[str, TimePart | None]:
    """What a column is called before the last words that are among `called`, and what these mean; None: none are."""
    found = list(WORDS.finditer(name))
    for count in range(min(MOST_WORDS, len(found)), 0, -1):
        part = called.get("".join(word[0] for word in found[-count:]).lower())
        if part is not None:
            return name[: found[-count].start()].strip(" _.-"), part
    return "", None


def in_order(parts: dict[TimePart, str]) -> dict[TimePart, str]:
    """The parts from the longest, without those below one that is not there."""
    kept: dict[TimePart, str] = {}
    for part in CALLED:
        if part not in parts:
            break
        kept[part] = parts[part]
    return kept


def free_name(whose: str, names: Collection[str]) -> str:
    """A name for a time that is put together, which no column has."""
    name = whose or NO_NAME
    while name in names or name.startswith("_"):
        name = f"time of {name.strip('_')}"
    return name
