"""The columns of a raw table: how its text spells numbers and missing cells, what each column is, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import pandas as pd

from retrim.profile.dates import DateSpelling, spelling_of_dates, unix_format
from retrim.profile.table import Notes, personal
from retrim.table.data import ColumnType, Role
from retrim.table.reading import SAID_MISSING, SAMPLED, NumberForm, RawColumn, share_of

Decimal = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "'"]
WAYS: tuple[tuple[Decimal, Thousands], ...] = (
    (".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"),
)  # fmt: skip
"""Decimal sign and sign between thousands, the likelier first where a table fits several."""
SURE_MISSING = {"null", "nan", "#n/a", "\\n", "(null)", "<na>", "n/a", "?"}
"""Those that hardly name a category: `none` may be an answer, and `NA` a country."""
MAYBE_CLASSES = {"none", "nil", "missing"}
"""Words for a missing cell that may be a class of the target: `NA`, `-` and the like are a missing label."""
CLASS_SHARE = 0.01
"""Of the target's cells that are a word, at least, for it to be a class though it means a missing cell elsewhere."""
ODD_WORDS = 3
"""Other words in a column of numbers, at most, that are taken for missing cells."""
NUMERIC_SHARE = 0.9
"""Of a column's cells that are numbers, for the others to be words for missing ones."""
OTHER = "lists, records, bytes, durations or times of day"
"""What is neither text, number nor time, in words."""
BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"}, {"ja", "nein"}, {"oui", "non"})
ID_NAME = re.compile(
    r"(^|[ " r"_-])(id|uuid|guid|key|code|no|nr|number|zip|postcode|plz|sku|isbn|ean|index|serial)$|^(id|zip)[ _-]",
    re.IGNORECASE,
)
ROW_NAME = re.compile(r"^(unnamed: ?0|rownames?|row[ _-]?(id|no|number)?|index|)$", re.IGNORECASE)
NEARLY = 0.95
"""Share of distinct cells from which a column nearly names the rows."""
LEVELS_SHARE, LEVELS_MANY, MANY_IDS = 0.5, 50, 0.2
"""A text of more distinct cells than this share of the rows, and than this many, names rows or is prose; an id of more
distinct numbers than that many and that share is no category."""
TIME_LIKE, TIME_SHARE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}", 0.9
MIXED_SHARE = 0.5
EXACT = 2.0**53
SHOWN = 40
"""Signs of a cell that are shown."""


@dataclass(frozen=True)
class NumberSpelling:
    """Decimal sign and sign between thousands of most columns, and words for a missing cell."""

    decimal: Decimal
    thousands: Thousands
    missing: tuple[str, ...] = ()

    @property
    def form(self) -> NumberForm:
        """How a number is written, as `reading.numbers` says it."""
        return cast("NumberForm", f"1{self.thousands}234{self.decimal}5")

    def are_numbers(self, words: "pd.Series[int]") -> np.ndarray:
        """Which of a column's distinct words are numbers spelled so, shape (words,)."""
        # 0.123 is no 123 in groups.
        point, apart = re.escape(self.decimal), re.escape(self.thousands)
        pattern = rf"[+-]?([0-9]+{point}?[0-9]*|{point}[0-9]+)([eE][+-]?[0-9]+)?"
        pattern += rf"|[+-]?[1-9][0-9]{{0,2}}({apart}[0-9]{{3}})+({point}[0-9]*)?" if apart else ""
        return np.asarray(words.index.to_series().str.fullmatch(pattern).to_numpy(dtype=bool))

    def share(self, look: RawColumn) -> float:
        """The share of a column's cells, known words for missing ones aside, that are numbers spelled so."""
        return share_of(look.sampled, pd.Series(self.are_numbers(look.sampled)))

    def numbers(self, words: "pd.Series[int]") -> pd.Series:
        """The numbers of a column's distinct words, each as often as it stands there: float64, shape (cells,)."""
        text = pd.Series(words.index, dtype="str")
        if self.thousands:
            text = text.str.replace(self.thousands, "", regex=False)
        numbers = pd.to_numeric(text.str.replace(self.decimal, ".", regex=False), errors="coerce").astype("float64")
        return pd.Series(np.repeat(numbers.to_numpy(), words.to_numpy()))


def spelling_of(looks: Sequence[RawColumn], target: str = "") -> NumberSpelling:
    """The spelling under which most columns of text are numbers."""
    texts = [look for look in looks if look.stored == "text" and look.filled]
    # Digits alone are numbers in every way, and say nothing.
    telling = [look for look in texts if look.words.index[:SAMPLED].str.contains(r"\d[,. ']\d", regex=True).any()]
    ways = [NumberSpelling(*way) for way in WAYS]
    best = max(ways, key=lambda way: sum(way.share(look) >= NUMERIC_SHARE for look in telling))
    if best == NumberSpelling(".", ","):
        # 1,234 is one number or the other.
        words = [word for look in texts if best.share(look) >= NUMERIC_SHARE for word in look.words.index]
        if not all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", word) for word in words if "," in word):
            best = NumberSpelling(",", "")
    return replace(best, missing=_missing_words(texts, best, target))


def _missing_words(texts: Sequence[RawColumn], spelling: NumberSpelling, target: str) -> tuple[str, ...]:
    """Words that mean a missing cell: in a column of numbers any that is none, in others the sure ones.

    They hold for all columns, so a class of the target is none of them: the column of numbers is a category then.
    """
    missing: dict[str, None] = {}
    classes: set[str] = set()
    for look in texts:
        others = look.words[~spelling.are_numbers(look.words)]
        is_number = len(others) < len(look.words) and len(others) <= ODD_WORDS
        if is_number and spelling.share(look) >= NUMERIC_SHARE:
            missing |= dict.fromkeys(word for word in others.index if not any(sign.isdigit() for sign in word))
            continue
        missing |= dict.fromkeys(word for word in others.index if word.lower() in SURE_MISSING)
        if look.name == target:
            often = others.index[others >= CLASS_SHARE * look.filled]
            classes = {word for word in often if word.lower() not in SAID_MISSING - MAYBE_CLASSES}
    return tuple(sorted(missing.keys() - classes))


@dataclass
class InitColumn:
    """A column of a raw table.

    Args:
        role: feature or forbidden, until target and times are chosen.
        skip: Whether it is not kept at all.
        dates: How it spells times; None for the rest.
        unix: `unix` or `unix_ms` where its numbers may be times; else empty.
        values: Its cells typed as landing will, shape (n,); None before that, and where it is skipped.
    """

    look: RawColumn
    type: ColumnType = "category"
    role: Role = "feature"
    skip: bool = False
    dates: DateSpelling | None = None
    unix: str = ""
    values: pd.Series | None = None

    @property
    def name(self) -> str:
        return self.look.name

    @property
    def unique(self) -> bool:
        """Whether no two rows have the same cell, and none is blank."""
        return self.look.filled == self.look.rows == self.look.distinct and self.look.rows > 1


def plan_columns(looks: Sequence[RawColumn], spelling: NumberSpelling, notes: Notes) -> dict[str, InitColumn]:
    """What each column is to be, by its name; notes are added."""
    columns = {look.name: InitColumn(look) for look in looks}
    for column in columns.values():
        _settle(column, spelling, notes)
        whose = personal(column.look)
        if whose and not column.skip:
            column.skip = True
            done = "left out of models, records and reports (--keep to use it)"
            notes.warn("personal", column.name, f"looks like {whose}", done)
        if column.skip:
            column.role = "forbidden"
    return columns


def _settle(column: InitColumn, spelling: NumberSpelling, notes: Notes) -> None:
    """Type and role by what the cells are, before it is asked whose they are."""
    name, look = column.name, column.look
    if not name.strip() or name.startswith("_"):
        seen = "has no name" if not name.strip() else "begins with '_', which is reserved for retrim"
        notes.warn("name", name, seen, "left out; to use it, rename it in the file")
        column.skip = True
        return
    if look.stored == "other":
        done = "left out; write each of its values as a number or text, in a column of its own"
        notes.warn("nested", name, f"contains {OTHER}", done)
        column.skip = True
        return
    words = look.words[~look.words.index.isin(spelling.missing)] if look.stored == "text" else look.counts
    if not len(words):
        notes.tell("empty", name, "has only empty cells", "left out of the features")
        column.role = "forbidden"
    elif look.stored == "time":
        column.type, column.role = "time", "forbidden"
    elif look.stored == "boolean":
        notes.tell("boolean", name, "contains true and false", "treated as a category with two values")
    elif look.stored == "text":
        _settle_text(column, words, spelling, notes)
    else:
        _settle_number(column, look.cells.dropna(), notes)
        column.unix = unix_format(look.counts.index.to_series())


def _settle_text(column: InitColumn, words: "pd.Series[int]", spelling: NumberSpelling, notes: Notes) -> None:
    name, numeric, text = column.name, spelling.are_numbers(words), words.index.to_series()
    zeros = text[text.str.fullmatch(r"0[0-9]+")]
    if numeric.all() and len(zeros):
        seen = f"has leading zeros, such as {zeros.iloc[0][:SHOWN]!r}: an identifier, not a count"
        notes.tell("id", name, seen, "treated as a category")
        _forbid_many_levels(column, words, notes)
        return
    may_be_dates = not numeric.all() or text.str.fullmatch(r"(19|20)\d{6}").all()
    column.dates = spelling_of_dates(words.index) if may_be_dates else None
    if column.dates is not None:
        column.type, column.role = "time", "forbidden"
        return
    if numeric.all():
        numbers = spelling.numbers(words)
        _settle_number(column, numbers, notes)
        column.unix = unix_format(numbers)
        return
    if set(words.index.str.lower()) in BOOLEANS:
        number = "two values" if len(words) == 2 else f"{len(words)} values; to have two, spell each in one way"
        done = f"treated as a category with {number}"
        notes.tell("boolean", name, f"contains {' and '.join(map(repr, words.index))}", done)
        return
    if share_of(words, text.str.contains(TIME_LIKE, regex=True)) >= TIME_SHARE:
        seen = f"looks like times, such as {text.iloc[0][:SHOWN]!r}, in an unknown format or in more than three formats"
        done = "treated as text; to use the times, write them as 2024-05-01T13:00:00Z"
        notes.warn("dates", name, seen, done)
    share = share_of(words, pd.Series(numeric))
    if share > MIXED_SHARE:
        seen = f"{1 - share:.1%} of its cells are not numbers, such as {text[~numeric].iloc[0][:SHOWN]!r}"
        notes.warn("mixed", name, seen, "treated as a category; if it is a number, correct these cells")
    _forbid_many_levels(column, words, notes)


def _settle_number(column: InitColumn, numbers: pd.Series, notes: Notes) -> None:
    """Some numbers only name, though they look like counts."""
    name, look = column.name, column.look
    whole = bool((numbers % 1 == 0).all())
    exact = float(numbers.abs().max()) < EXACT
    column.type = "integer" if whole and exact else "number"
    if not whole or (not exact and look.stored == "number"):
        return
    if not exact:
        seen = "has whole numbers of 2^53 and above, which a float cannot represent"
        notes.tell("id", name, seen, "treated as a category, and left out of the features")
        column.type, column.role = "category", "forbidden"
        return
    named = ROW_NAME.search(name) or ID_NAME.search(name)
    if column.unique and (named or look.cells.dropna().is_monotonic_increasing or numbers.is_monotonic_increasing):
        seen = "is a different whole number in every row"
        notes.tell("id", name, seen, "it identifies the row: forbidden to the model")
        column.role = "forbidden"
    elif ID_NAME.search(name) and look.distinct > 2:
        many = look.distinct > max(LEVELS_MANY, MANY_IDS * look.filled)
        done = "left out, as a category with too many values" if many else "treated as a category, not as a count"
        seen = f"has the name of an identifier and {look.distinct} distinct whole numbers"
        if NEARLY <= look.distinct / look.filled < 1:
            repeated = look.filled - look.distinct
            seen += f" in {look.filled} rows: it nearly identifies them, but {repeated} repeat a value"
        notes.tell("id", name, seen, done)
        column.type, column.role = "category", "forbidden" if many else "feature"


def _forbid_many_levels(column: InitColumn, words: "pd.Series[int]", notes: Notes) -> None:
    filled = column.look.filled
    if len(words) > LEVELS_MANY and len(words) > LEVELS_SHARE * filled:
        seen = f"{len(words)} distinct texts in {filled} cells"
        done = "forbidden to the model: it identifies rows, or is free text; if it is a number, write it without a unit"
        notes.tell("many levels", column.name, seen, done)
        column.role = "forbidden"


def note_spelling(columns: Mapping[str, InitColumn], spelling: NumberSpelling, notes: Notes) -> None:
    """Notes what the table spells otherwise than landing takes by default, with the columns that show it."""
    texts = [column for column in columns.values() if column.look.stored == "text"]
    numeric = [column.look for column in texts if column.type in ("number", "integer")]
    decimal = "," if spelling.decimal == "," else ""
    done = f"declared, reading.numbers: {spelling.form!r}"
    for about, sign in (("decimal comma", decimal), ("thousands separator", spelling.thousands)):
        shown = [look for look in numeric if sign and look.words.index.str.contains(sign, regex=False).any()]
        for look in shown[:5]:
            example = next(word for word in look.words.index if sign in word)
            notes.tell(about, look.name, f"numbers such as {example!r}", done)
    for word in spelling.missing:
        holding = [column for column in texts if word in column.look.words.index]
        cells = sum(int(column.look.words[word]) for column in holding)
        name = holding[0].name if len(holding) == 1 else ""
        seen, done = f"{word!r} stands for a missing cell {cells} times", f"declared, reading.missing: [{word!r}]"
        if word.lower() not in SURE_MISSING and any(column.type == "category" for column in holding):
            notes.warn("missing", name, seen, f"{done}, also in text columns")
        else:
            notes.tell("missing", name, seen, done)
    for column in texts:
        if column.dates is not None:
            _note_dates(column.look, column.dates, notes)


def _note_dates(look: RawColumn, dates: DateSpelling, notes: Notes) -> None:
    done = f"declared, reading.dates: {list(dates.formats)}"
    if len(dates.formats) > 1:
        notes.warn("dates", look.name, f"times in {len(dates.formats)} formats", done)
    elif dates.formats:
        notes.tell("dates", look.name, f"times such as {look.words.index[0]!r}", done)
    if dates.unsure:
        seen = f"day and month could be swapped: {dates.unsure} fits as well"
        notes.warn("dates", look.name, seen, f"read as {dates.formats[0]}; if this is wrong, change reading.dates")
    if len(dates.zones) > 1 or (dates.zones and dates.naive):
        seen = f"times have different zones: {', '.join(dates.zones)}{' and none' if dates.naive else ''}"
        done = "all are converted to UTC; times without a zone are read in reading.zone"
        notes.warn("mixed zones", look.name, seen, done)


def target_cells(
    column: InitColumn, spelling: NumberSpelling
) -> "tuple[ColumnType, pd.Series[int], np.ndarray | None]":
    """Type, distinct cells and numbers of a target, which is no id whatever it is called."""
    look = column.look
    words = look.words[~look.words.index.isin(spelling.missing)]
    if look.stored in ("number", "integer"):
        values = look.cells.dropna()
    elif look.stored == "text" and len(words) and spelling.are_numbers(words).all():
        values = spelling.numbers(words)
    else:
        return "category" if column.type in ("number", "integer") else column.type, words, None
    values = values[np.isfinite(values)]
    whole = bool((values % 1 == 0).all()) and float(values.abs().max() if len(values) else 0) < EXACT
    if look.stored != "text":
        words = values.map(lambda value: str(int(value)) if whole else repr(float(value))).value_counts()
    return ("integer" if whole else "number"), words, values.to_numpy()
