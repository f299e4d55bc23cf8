"""Times spread over several columns, found by what the columns are called."""

import re
from collections.abc import Iterable

from retrim.core.reading import WHOLE_DAY, TimePart

CALLED: dict[TimePart, tuple[str, ...]] = {
    "year": ("year", "yr", "yyyy", "jahr", "annee", "ano"),
    "month": ("month", "mon", "mnth", "mm", "monat", "mois", "mes"),
    "day": ("day", "dayofmonth", "dom", "mday", "dd", "tag", "jour", "dia"),
    "hour": ("hour", "hr", "hh", "stunde", "heure", "hora"),
    "minute": ("minute", "min", "minutes"),
    "second": ("second", "sec", "seconds"),
}
PART_OF = {word: part for part, words in CALLED.items() for word in words}
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
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
        found = list(WORDS.finditer(name))
        for count in range(min(MOST_WORDS, len(found)), 0, -1):
            part = PART_OF.get("".join(word[0] for word in found[-count:]).lower())
            if part is not None:
                whose = name[: found[-count].start()].strip(" _.-")
                groups.setdefault(whose, {}).setdefault(part, name)
                break
    whole = {whose: parts for whose, parts in groups.items() if set(WHOLE_DAY) <= set(parts)}
    return {_free(whose or NO_NAME, names): in_order(parts) for whose, parts in whole.items()}


def in_order(parts: dict[TimePart, str]) -> dict[TimePart, str]:
    """The parts from the longest, without those below one that is not there."""
    kept: dict[TimePart, str] = {}
    for part in CALLED:
        if part not in parts:
            break
        kept[part] = parts[part]
    return kept


def _free(name: str, names: list[str]) -> str:
    while name in names or name.startswith("_"):
        name = f"time of {name.strip('_')}"
    return name
