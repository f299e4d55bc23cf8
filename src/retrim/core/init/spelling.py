"""How numbers and missing cells are spelled in a table of text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from retrim.core.init.looks import SAMPLED, Look

Decimal = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "'"]
Signs = tuple[Decimal, Thousands]
WAYS: tuple[Signs, ...] = (
    (".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"),
)  # fmt: skip
"""Decimal sign and sign between thousands, the likelier first where a table fits several."""
SURE_MISSING = {"null", "nan", "#n/a", "\\n", "(null)", "<na>", "n/a", "?"}
"""Those that hardly name a category: `none` may be an answer, and `NA` a country."""
ODD_WORDS = 3
"""Other words in a column of numbers, at most, that are taken for missing cells."""
NUMERIC_SHARE = 0.9
"""Of a column's cells that are numbers, for the others to be words for missing ones."""


@dataclass(frozen=True)
class Spelling:
    """How a table spells numbers and missing cells.

    Args:
        decimal: Sign of most columns.
        thousands: Sign between thousands, of most columns.
        missing: Words for a missing cell.
        own: Both signs of columns that have others.
    """

    decimal: Decimal
    thousands: Thousands
    missing: tuple[str, ...]
    own: Mapping[str, Signs] = field(default_factory=dict)

    def of(self, name: str) -> "Spelling":
        """How one column spells them."""
        decimal, thousands = self.own.get(name, (self.decimal, self.thousands))
        return replace(self, decimal=decimal, thousands=thousands, own={})


def number_pattern(decimal: Decimal, thousands: Thousands) -> str:
    """What a number looks like that is spelled so; 0.123 is no 123 in groups."""
    point, apart = re.escape(decimal), re.escape(thousands)
    plain = rf"[+-]?([0-9]+{point}?[0-9]*|{point}[0-9]+)([eE][+-]?[0-9]+)?"
    return plain if not thousands else rf"{plain}|[+-]?[1-9][0-9]{{0,2}}({apart}[0-9]{{3}})+({point}[0-9]*)?"


def plain_numbers(words: "pd.Series[int]", spelling: "Spelling") -> pd.Series:
    """The numbers of a column's distinct words, each as often as it stands there: float64, shape (cells,)."""
    text = pd.Series(words.index, dtype="str")
    if spelling.thousands:
        text = text.str.replace(spelling.thousands, "", regex=False)
    numbers = pd.to_numeric(text.str.replace(spelling.decimal, ".", regex=False), errors="coerce").astype("float64")
    return pd.Series(np.repeat(numbers.to_numpy(), words.to_numpy()))


def numeric_share(look: Look, decimal: Decimal, thousands: Thousands) -> float:
    """The share of a column's cells, known words for missing ones aside, that are numbers spelled so."""
    pattern = re.compile(number_pattern(decimal, thousands))
    words = look.sampled
    total = int(words.sum())
    return float(words[[bool(pattern.fullmatch(word)) for word in words.index]].sum() / total) if total else 0.0


def spelling_of(looks: Sequence[Look]) -> Spelling:
    """The spelling under which most columns of text are numbers, and that of those that are numbers under another."""
    texts = [look for look in looks if look.stored == "text" and look.filled]
    # Digits alone are numbers in every way, and say nothing.
    telling = [look for look in texts if look.words.index[:SAMPLED].str.contains(r"\d[,. ']\d", regex=True).any()]
    shares = {way: [numeric_share(look, *way) for look in telling] for way in WAYS}
    best = max(WAYS, key=lambda way: (sum(share >= NUMERIC_SHARE for share in shares[way]), -WAYS.index(way)))
    if best == (".", ",") and not _grouped_only(texts):
        best = (",", "")
    own = {look.name: way for look in telling if (way := _own_way(look, best)) is not None}
    found = Spelling(*best, (), own)
    return replace(found, missing=missing_words(texts, found))


def _own_way(look: Look, best: Signs) -> Signs | None:
    """The signs of a column that is no number under those of the table, and is one under others; else None."""
    if numeric_share(look, *best) >= NUMERIC_SHARE:
        return None
    for decimal, thousands in WAYS:
        # Without a decimal sign, groups of three digits may be anything; commas between them are usual.
        shown = decimal if (decimal, thousands) != (".", ",") else ","
        if numeric_share(look, decimal, thousands) >= NUMERIC_SHARE and _shows(look, shown):
            grouped = (decimal, thousands) != (".", ",") or _grouped_only([look])
            return (decimal, thousands) if grouped else (",", "")
    return None


def _shows(look: Look, sign: str) -> bool:
    return bool(look.words.index[:SAMPLED].str.contains(sign, regex=False).any())


def _grouped_only(texts: Iterable[Look]) -> bool:
    """Whether what stands after a comma is always three digits: 1,234 is one number or the other."""
    with_comma = [
        word
        for look in texts
        if numeric_share(look, ".", ",") >= NUMERIC_SHARE
        for word in look.words.index
        if "," in word
    ]
    return all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", word) for word in with_comma)


def missing_words(texts: Sequence[Look], spelling: Spelling) -> tuple[str, ...]:
    """Words that mean a missing cell: in a column of numbers any that is none, in others the sure ones."""
    found: dict[str, None] = {}
    for look in texts:
        words, own = look.words, spelling.of(look.name)
        fits = words.index.to_series().str.fullmatch(number_pattern(own.decimal, own.thousands))
        numbers = fits.to_numpy(dtype=bool)
        others = words[~numbers]
        if len(others) == len(words):
            found |= dict.fromkeys(word for word in others.index if word.lower() in SURE_MISSING)
        elif numeric_share(look, own.decimal, own.thousands) >= NUMERIC_SHARE and len(others) <= ODD_WORDS:
            found |= dict.fromkeys(word for word in others.index if not any(sign.isdigit() for sign in word))
        else:
            found |= dict.fromkeys(word for word in others.index if word.lower() in SURE_MISSING)
    return tuple(sorted(found))
