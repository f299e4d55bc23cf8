"""Columns of times: how text spells them, whose clock changes they show, and which says when a row's event happened."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from retrim.table.reading import FINER

ISO = r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?"
DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y",
    "%B %d, %Y", "%d-%b-%Y", "%d%b%Y", "%Y%m%d", "%Y-%m-%d", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
)  # fmt: skip
CLOCKS = (
    "", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", "T%H:%M", " %H:%M:%S.%f", " %H:%M:%S%z",
    " %H:%M:%S %z", " %H:%M%z", " %H:%M %z",
)  # fmt: skip
MOST_FORMATS = 3
TRIED = 2000
"""Distinct cells on which formats are tried first."""
EPOCH = (315_532_800, 4_102_444_800)
"""Seconds since 1970 of the years 1980 to 2100: numbers between may be times."""
NAMES = ("event_time", "timestamp", "datetime", "date_time", "time", "date", "day", "ts", "created_at", "at")
"""Of event times, the surest first."""
NEARLY = 0.99
"""Share of rows, or of neighbours in the file, of which something holds that holds of a column."""
CALLED_DUE = frozenset(
    {"due", "deadline", "maturity", "matures", "expiry", "expires", "expiration", "arrival", "arrives", "expected"}
    | {"promised", "end", "ends", "until", "checkout", "return", "faellig", "echeance", "vencimiento"}
)
WORDS_OF_DUE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True)
class DateSpelling:
    """How a column spells times.

    Args:
        formats: strptime formats, tried in turn; empty: ISO 8601.
        zones: Distinct offsets that its cells name, such as `+01:00`; empty: none names one.
        naive: Whether some cell names no zone.
        unsure: The other reading that fits as well, day and month exchanged; empty: none does.
    """

    formats: tuple[str, ...]
    zones: tuple[str, ...]
    naive: bool
    unsure: str


def spelling_of_dates(words: pd.Index) -> DateSpelling | None:
    """How the distinct cells of a column spell times, in the order of the file; None if they are no times.

    A column may mix formats, up to three, but never day before month with month before day.
    """
    text = pd.Series(words, dtype="str").str.strip()
    if not len(text) or text.str.len().max() > 40 or text.str.len().min() < 6:
        return None
    if not text.iloc[:TRIED].str.contains(r"\d", regex=True).all():
        return None
    if text.str.fullmatch(ISO).all():
        offsets = text.str.extract(r"[T ].*?(Z|[+-]\d\d(?::?\d\d)?)$", expand=False)
        zones = tuple(sorted(offsets.dropna().unique()))
        coarse = text.str.replace(FINER, r"\1", regex=True)
        if pd.to_datetime(coarse, format="ISO8601", utc=True, errors="coerce").notna().all():
            return DateSpelling((), zones, bool(offsets.isna().any()), "")
    formats: list[str] = []
    left = text
    while len(left) and len(formats) < MOST_FORMATS:
        best = _best(left.iloc[:TRIED], formats)
        if best is None:
            return None
        form, left = best, left[pd.to_datetime(left, format=best, errors="coerce", utc=True).isna()]
        formats.append(form)
    if len(left):
        return None
    zoned = any("%z" in form for form in formats)
    zones = tuple(sorted(text.str.extract(r"([+-]\d\d:?\d\d|Z)$", expand=False).dropna().unique())) if zoned else ()
    other = _exchanged(formats[0])
    unsure = other if len(formats) == 1 and other and _fits(text, other).all() else ""
    if unsure and _steps(text, unsure) > _steps(text, formats[0]):
        formats, unsure = [unsure], formats[0]
    return DateSpelling(tuple(formats), zones, not all("%z" in form for form in formats), unsure)


def _has(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)  # noqa: DTZ007  only whether it can be read
    except ValueError:
        return False
    return True


def _fits(text: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(text, format=form, errors="coerce", utc=True).notna()


def _best(text: pd.Series, formats: Sequence[str]) -> str | None:
    """The format that most of these cells have, and which does not read day and month the other way round."""
    day_first = any(
        "%d" in form and form.index("%d") < form.index("%m") for form in formats if "%m" in form and "%Y%m" not in form
    )
    month_first = any(form.startswith("%m") for form in formats)
    counted: dict[str, int] = {}
    for day in DAYS:
        if (day.startswith("%m") and day_first) or (day.startswith("%d") and "%m" in day and month_first):
            continue
        for clock in CLOCKS:
            form = day + clock
            if _has(str(text.iloc[0]), form):  # one of the formats is that of the first cell
                counted[form] = int(_fits(text, form).sum())
    # A two-digit year fits no four-digit one, and the reverse; of equals the first named.
    return max(counted, key=lambda form: counted[form], default=None)


def _exchanged(form: str) -> str:
    """The format with day and month exchanged, where both are digits."""
    if "%d" not in form or "%m" not in form or form.startswith("%Y"):
        return ""
    return form.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")


def _steps(text: pd.Series, form: str) -> float:
    """The share of neighbours in the file that go forward by a short step: files are mostly in order of time."""
    times = pd.to_datetime(text, format=form, errors="coerce", utc=True)
    ahead = times.diff().dropna()
    return float(((ahead >= pd.Timedelta(0)) & (ahead <= pd.Timedelta("20D"))).mean()) if len(ahead) else 0.0


def unix_format(values: pd.Series) -> str:
    """`unix` or `unix_ms` where whole numbers may be times since 1970; else empty."""
    numbers = values.dropna()
    if not len(numbers) or (numbers % 1 != 0).any():
        return ""
    if numbers.between(*EPOCH).all():
        return "unix"
    return "unix_ms" if numbers.between(EPOCH[0] * 1000, EPOCH[1] * 1000).all() else ""


def likeliest(times: Mapping[str, pd.Series]) -> tuple[str, str]:
    """The column that is likeliest that of the event, and why.

    By its name; else the one by which the file is sorted, if it is one; else the earliest of each row: what comes of an
    event comes after it. What lies further back than the others' whole history is long, as a birthday does, is none.

    Args:
        times: Times of each column in the order of the file, shape (n,) each, UTC; one at least.
    """
    named = sorted((name for name in times if name.lower() in NAMES), key=lambda name: NAMES.index(name.lower()))
    if named:
        return named[0], "by its name"
    ordered = [name for name, values in times.items() if _is_sorted(values)]
    if len(ordered) == 1:
        return ordered[0], "the file is sorted by it"
    near = {
        name: values
        for name, values in times.items()
        if not any(_is_far_back(values, other) for other in times.values() if other is not values)
    }
    for name, values in near.items():
        others = {other: known for other, known in near.items() if other != name}
        if others and all(_comes_before(values, known) for known in others.values()):
            return name, f"earlier than {' and '.join(others)} in nearly every row"
    return next(iter(near or times)), "the first of them"


def _is_sorted(values: pd.Series) -> bool:
    steps, zero = values.dropna().diff().dropna(), pd.Timedelta(0)
    return bool((steps >= zero).mean() >= NEARLY and (steps > zero).any())


def _comes_before(values: pd.Series, later: pd.Series) -> bool:
    between = (later - values).dropna()
    zero = pd.Timedelta(0)
    return bool(len(between) and (between >= zero).mean() >= NEARLY and (between > zero).any())


def _is_far_back(values: pd.Series, later: pd.Series) -> bool:
    return bool((later - values).median() > later.max() - later.min())


def is_called_due(name: str) -> bool:
    """Whether a column is called as due times are."""
    return any(word.lower() in CALLED_DUE for word in WORDS_OF_DUE.findall(name))


def daylight_saving(walls: pd.Series, zones: Sequence[str]) -> str:
    """The first zone whose clock changes show in regular wall times: an hour skipped in spring, one twice in autumn.

    Args:
        walls: Wall times taken as UTC, shape (n,).

    Returns:
        The zone; empty where no change shows, as for times in UTC.
    """
    seen = pd.DatetimeIndex(walls.dt.tz_localize(None).unique()).sort_values()
    if len(seen) < 2 or seen[-1] - seen[0] < pd.Timedelta("180D"):
        return ""
    if pd.Series(seen).diff().median() > pd.Timedelta("2h"):
        return ""
    hour = pd.Timedelta("1h")
    counts = walls.dt.tz_localize(None).dt.floor("h").value_counts().sort_index()
    hours = pd.DatetimeIndex(counts.index)
    between = hours.union(hours + hour)
    between = between[(between - hour).isin(hours) & (between + hour).isin(hours)]
    is_doubled = (counts >= 1.9 * float(counts.median())).to_numpy()
    # Where hours without rows are common, a missing one says nothing.
    has_gaps = len(hours) < 0.98 * ((hours[-1] - hours[0]) / hour + 1)
    best, most = "", 1
    for zone in zones:
        first = np.ones(len(between), dtype=bool)  # of two hours that are called alike
        skipped = between[between.tz_localize(zone, ambiguous=first, nonexistent="NaT").isna()]
        twice = hours.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna()
        empty, doubled = int((~skipped.isin(hours)).sum()), int((twice & is_doubled).sum())
        if empty == len(skipped) and empty + doubled > most and (doubled or not has_gaps):
            best, most = zone, empty + doubled
    return best
