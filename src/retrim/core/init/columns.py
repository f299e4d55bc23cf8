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
LEVELS_SHARE, LEVELS_MANY, MANY_IDS = 0.5, 50, 0.2
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
    plans = [_plan(look, spelling, notes) for look in looks]
    _note_spelling(looks, plans, spelling, notes)
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
        notes.append(Note("boolean", name, f"says {' and '.join(map(repr, words.index))}", "a category of two"))
        return _Kind("category")
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
        done = "a category; left out, as hardly one comes twice" if many else "a category, not a count"
        seen = f"is called as names are, and has {look.distinct} distinct whole numbers"
        notes.append(Note("id", look.name, seen, done))
        return ("category", "forbidden") if many else ("category", "feature")
    return "integer", "feature"


def _text_role(look: Look, words: "pd.Series[int]", notes: list[Note]) -> Role:
    if len(words) > LEVELS_MANY and len(words) > LEVELS_SHARE * look.filled:
        seen = f"{len(words)} distinct texts in {look.filled} cells"
        notes.append(Note("many levels", look.name, seen, "forbidden to the model: it names rows, or is prose"))
        return "forbidden"
    return "feature"


def _note_spelling(looks: Sequence[Look], plans: Sequence[ColumnPlan], spelling: Spelling, notes: list[Note]) -> None:
    """What the table spells otherwise than landing takes by default, with the columns that show it."""
    texts = [(look, plan) for look, plan in zip(looks, plans, strict=True) if look.stored == "text"]
    numeric = [look for look, plan in texts if plan.type in ("number", "integer")]
    for about, sign, key in (
        ("decimal comma", ",", spelling.decimal),
        ("thousands separator", spelling.thousands, spelling.thousands),
    ):
        if key == sign and sign:
            shown = [look for look in numeric if look.words.index.str.contains(sign, regex=False).any()]
            for look in shown[:5]:
                seen = next(word for word in look.words.index if sign in word)
                declared = f"reading.{'decimal' if about.startswith('decimal') else 'thousands'}: {sign!r}"
                notes.append(Note(about, look.name, f"numbers such as {seen!r}", f"declared, {declared}"))
    for word in spelling.missing:
        holds = [look for look, _ in texts if word in look.words.index]
        cells = sum(int(look.words[word]) for look in holds)
        notes.append(
            Note(
                "missing",
                holds[0].name if len(holds) == 1 else "",
                f"{word!r} stands for a missing cell {cells} times",
                f"declared, reading.missing: [{word!r}]",
            )
        )
    for look, plan in texts:
        padded = look.counts.index.astype("str")
        if plan.type == "category" and not plan.skip and (padded != padded.str.strip()).any():
            cells = int(look.counts[padded != padded.str.strip()].sum())
            notes.append(
                Note("padded", look.name, f"{cells} cells have blanks around their text", "cut off, reading.trim: true")
            )
        if plan.dates is not None:
            _note_dates(look, plan.dates, notes)


def _note_dates(look: Look, dates: DateSpelling, notes: list[Note]) -> None:
    if dates.formats:
        done = f"declared, reading.dates: {list(dates.formats)}"
        if len(dates.formats) > 1:
            notes.append(Note("dates", look.name, f"times in {len(dates.formats)} formats", done, "warn"))
        else:
            notes.append(Note("dates", look.name, f"times such as {look.words.index[0]!r}", done))
    if dates.unsure:
        notes.append(
            Note(
                "dates",
                look.name,
                f"day and month could be exchanged: {dates.unsure} fits as well",
                f"read as {dates.formats[0]}; change reading.dates if that is wrong",
                "warn",
            )
        )
    if len(dates.zones) > 1 or (dates.zones and dates.naive):
        named = ", ".join(dates.zones) + (" and none" if dates.naive else "")
        notes.append(
            Note(
                "mixed zones",
                look.name,
                f"times name different zones: {named}",
                "all become UTC; those that name none are taken in reading.zone",
                "warn",
            )
        )
