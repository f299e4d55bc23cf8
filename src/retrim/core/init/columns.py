"""What each column of a raw table is: its type, its role, and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from retrim.core.init.dates import DateSpelling, spelling_of_dates, unix_format
from retrim.core.init.looks import Look, share_of
from retrim.core.init.notes import Note
from retrim.core.init.personal import personal
from retrim.core.init.spelling import Spelling, number_pattern, plain_numbers
from retrim.core.table import ColumnType, Role

BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"}, {"ja", "nein"}, {"oui", "non"})
ID_NAME = re.compile(
    r"(^|[ " r"_-])(id|uuid|guid|key|code|no|nr|number|zip|postcode|plz|sku|isbn|ean|index|serial)$|^(id|zip)[ _-]",
    re.IGNORECASE,
)
ROW_NAME = re.compile(r"^(unnamed: ?0|rownames?|row[ _-]?(id|no|number)?|index|)$", re.IGNORECASE)
NEARLY = 0.95
"""Share of distinct cells from which a column nearly names the rows."""
LEVELS_SHARE, LEVELS_MANY, MANY_IDS = 0.5, 50, 0.2
TIME_LIKE, TIME_SHARE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}", 0.9
MIXED_SHARE = 0.5
"""A text of more distinct cells than this share of the rows, and than this many, names rows or is prose."""
EXACT = 2.0**53


@dataclass(frozen=True)
class ColumnPlan:
    """What a column is to be.

    Args:
        name: Its name.
        type: As params.yaml has it.
        role: feature or forbidden, until target and times are chosen.
        skip: Whether it is not kept at all.
        dates: How it spells times; None for the rest.
        unix: `unix` or `unix_ms` where its numbers may be times; else empty.
        unique: Whether no two rows have the same cell, and none is blank.
        personal: What personal thing it seems to hold; empty: none.
    """

    name: str
    type: ColumnType
    role: Role
    skip: bool
    dates: DateSpelling | None
    unix: str
    unique: bool
    personal: str


def plan_columns(looks: Sequence[Look], spelling: Spelling) -> tuple[list[ColumnPlan], list[Note]]:
    """A plan a column, and what was noticed on the way."""
    notes: list[Note] = []
    plans = [_plan(look, spelling.of(look.name), notes) for look in looks]
    return plans, notes


@dataclass(frozen=True)
class _Kind:
    """What a column's cells are, before it is asked whose they are."""

    type: ColumnType
    role: Role = "feature"
    skip: bool = False
    dates: DateSpelling | None = None
    unix: str = ""


def _plan(look: Look, spelling: Spelling, notes: list[Note]) -> ColumnPlan:
    unique = look.filled == look.rows == look.distinct and look.rows > 1
    kind = _kind(look, spelling, notes, unique=unique)
    whose = personal(look)
    skip = kind.skip or bool(whose)
    if whose and not kind.skip:
        done = "left out: no model, record or report sees it (--keep if it has to stay)"
        notes.append(Note("personal", look.name, f"looks like {whose}", done, "warn"))
    role: Role = "forbidden" if skip else kind.role
    return ColumnPlan(look.name, kind.type, role, skip, kind.dates, kind.unix, unique, whose)


def _kind(look: Look, spelling: Spelling, notes: list[Note], *, unique: bool) -> _Kind:
    name = look.name
    if not name.strip() or name.startswith("_"):
        seen = "has no name" if not name.strip() else "begins with '_', which is kept for retrim's own columns"
        notes.append(Note("name", name, seen, "left out; rename it in the file if it matters", "warn"))
        return _Kind("category", skip=True)
    if look.stored == "other":
        done = "left out; give its parts columns of their own"
        notes.append(Note("nested", name, "holds lists, records or bytes", done, "warn"))
        return _Kind("category", skip=True)
    words = look.words[~look.words.index.isin(spelling.missing)] if look.stored == "text" else look.counts
    if not len(words):
        notes.append(Note("empty", name, "has no cell with anything in it", "left out of the features"))
        return _Kind("category", "forbidden")
    if look.stored == "time":
        return _Kind("time", "forbidden")
    if look.stored == "boolean":
        notes.append(Note("boolean", name, "holds true and false", "a category of two"))
        return _Kind("category")
    if look.stored in ("number", "integer"):
        kind, role = _number(look, look.cells.dropna(), notes, unique=unique)
        return _Kind(kind, role, unix=unix_format(look.counts.index.to_series()))
    return _text(look, words, spelling, notes, unique=unique)


def _text(look: Look, words: "pd.Series[int]", spelling: Spelling, notes: list[Note], *, unique: bool) -> _Kind:
    name = look.name
    numeric = words.index.to_series().str.fullmatch(number_pattern(spelling.decimal, spelling.thousands))
    if numeric.all():
        return _numeric_text(look, words, spelling, notes, unique=unique)
    dates = spelling_of_dates(words.index)
    if dates is not None:
        return _Kind("time", "forbidden", dates=dates)
    if set(words.index.str.lower()) in BOOLEANS:
        done = "a category of two" if len(words) == 2 else f"{len(words)} categories; spell each one way to have two"
        notes.append(Note("boolean", name, f"says {' and '.join(map(repr, words.index))}", done))
        return _Kind("category")
    like = share_of(words, words.index.to_series().str.contains(TIME_LIKE, regex=True))
    if like >= TIME_SHARE:
        seen = f"looks like times, such as {words.index[0][:40]!r}, in no format that is known or in more than three"
        notes.append(Note("dates", name, seen, "text; write times such as 2024-05-01T13:00:00Z to use them", "warn"))
    share = share_of(words, numeric)
    if share > MIXED_SHARE:
        odd = words[~numeric.to_numpy(dtype=bool)]
        seen = f"{1 - share:.1%} of its cells are no numbers, such as {odd.index[0][:40]!r}"
        notes.append(Note("mixed", name, seen, "a category; correct the cells if it is a number", "warn"))
    return _Kind("category", _text_role(look, words, notes))


def _numeric_text(look: Look, words: "pd.Series[int]", spelling: Spelling, notes: list[Note], *, unique: bool) -> _Kind:
    text = words.index.to_series()
    zeros = text[text.str.fullmatch(r"0[0-9]+")]
    if len(zeros):
        seen = f"has leading zeros, such as {zeros.iloc[0][:40]!r}: it names, and does not count"
        notes.append(Note("id", look.name, seen, "a category"))
        return _Kind("category", _text_role(look, words, notes))
    dates = spelling_of_dates(words.index) if text.str.fullmatch(r"(19|20)\d{6}").all() else None
    if dates is not None:
        return _Kind("time", "forbidden", dates=dates)
    numbers = plain_numbers(words, spelling)
    kind, role = _number(look, numbers, notes, unique=unique)
    return _Kind(kind, role, unix=unix_format(numbers))


def _number(look: Look, numbers: pd.Series, notes: list[Note], *, unique: bool) -> tuple[ColumnType, Role]:
    """Type and role of a column of numbers: some only name, though they look like counts."""
    if not bool((numbers % 1 == 0).all()):
        return "number", "feature"
    if float(numbers.abs().max()) >= EXACT:
        if look.stored == "number":
            return "number", "feature"
        seen = "has whole numbers of 2^53 and above, which no float holds"
        notes.append(Note("id", look.name, seen, "a category; left out of the features"))
        return "category", "forbidden"
    named = ROW_NAME.search(look.name) or ID_NAME.search(look.name)
    if unique and (named or look.cells.dropna().is_monotonic_increasing or numbers.is_monotonic_increasing):
        seen = "is another whole number in every row"
        notes.append(Note("id", look.name, seen, "it names the row: forbidden to the model"))
        return "integer", "forbidden"
    if ID_NAME.search(look.name) and look.distinct > 2:
        many = look.distinct > max(LEVELS_MANY, MANY_IDS * look.filled)
        done = "a category; left out, as it has so many" if many else "a category, not a count"
        seen = f"is called as names are, and has {look.distinct} distinct whole numbers"
        if NEARLY <= look.distinct / look.filled < 1:
            seen += f" in {look.filled} rows: it nearly names them, {look.filled - look.distinct} come more than once"
        notes.append(Note("id", look.name, seen, done))
        return ("category", "forbidden") if many else ("category", "feature")
    return "integer", "feature"


def _text_role(look: Look, words: "pd.Series[int]", notes: list[Note]) -> Role:
    if len(words) > LEVELS_MANY and len(words) > LEVELS_SHARE * look.filled:
        seen = f"{len(words)} distinct texts in {look.filled} cells"
        notes.append(Note("many levels", look.name, seen, "forbidden to the model: it names rows, or is prose"))
        return "forbidden"
    return "feature"
