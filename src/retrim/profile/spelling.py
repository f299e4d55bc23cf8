"""How numbers and missing cells are spelled in a table of text, and what of it landing has to be told."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from retrim.table.reading import SAID_MISSING, SAMPLED, RawColumn

Decimal = Literal[".", ","]
Thousands = Literal["", ",", ".", " ", "'"]
Signs = tuple[Decimal, Thousands]
WAYS: tuple[Signs, ...] = (
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


@dataclass(frozen=True)
class NumberSpelling:
    """Decimal sign and sign between thousands of most columns, and words for a missing cell."""

    decimal: Decimal
    thousands: Thousands
    missing: tuple[str, ...]

    def are_numbers(self, words: "pd.Series[int]") -> np.ndarray:
        """Which of a column's distinct words are numbers spelled so, shape (words,)."""
        fits = words.index.to_series().str.fullmatch(number_pattern(self.decimal, self.thousands))
        return np.asarray(fits.to_numpy(dtype=bool))

    def numbers(self, words: "pd.Series[int]") -> pd.Series:
        """The numbers of a column's distinct words, each as often as it stands there: float64, shape (cells,)."""
        text = pd.Series(words.index, dtype="str")
        if self.thousands:
            text = text.str.replace(self.thousands, "", regex=False)
        numbers = pd.to_numeric(text.str.replace(self.decimal, ".", regex=False), errors="coerce").astype("float64")
        return pd.Series(np.repeat(numbers.to_numpy(), words.to_numpy()))


def number_pattern(decimal: Decimal, thousands: Thousands) -> str:
    """What a number looks like that is spelled so; 0.123 is no 123 in groups."""
    point, apart = re.escape(decimal), re.escape(thousands)
    plain = rf"[+-]?([0-9]+{point}?[0-9]*|{point}[0-9]+)([eE][+-]?[0-9]+)?"
    return plain if not thousands else rf"{plain}|[+-]?[1-9][0-9]{{0,2}}({apart}[0-9]{{3}})+({point}[0-9]*)?"


def numeric_share(look: RawColumn, decimal: Decimal, thousands: Thousands) -> float:
    """The share of a column's cells, known words for missing ones aside, that are numbers spelled so."""
    pattern = re.compile(number_pattern(decimal, thousands))
    words = look.sampled
    total = int(words.sum())
    return float(words[[bool(pattern.fullmatch(word)) for word in words.index]].sum() / total) if total else 0.0


def spelling_of(looks: Sequence[RawColumn], target: str = "") -> NumberSpelling:
    """The spelling under which most columns of text are numbers."""
    texts = [look for look in looks if look.stored == "text" and look.filled]
    # Digits alone are numbers in every way, and say nothing.
    telling = [look for look in texts if look.words.index[:SAMPLED].str.contains(r"\d[,. ']\d", regex=True).any()]
    shares = {way: [numeric_share(look, *way) for look in telling] for way in WAYS}
    best = max(WAYS, key=lambda way: (sum(share >= NUMERIC_SHARE for share in shares[way]), -WAYS.index(way)))
    if best == (".", ",") and not _grouped_only(texts):
        best = (",", "")
    return NumberSpelling(*best, _missing_words(texts, NumberSpelling(*best, ()), target))


def _grouped_only(texts: Iterable[RawColumn]) -> bool:
    """Whether what stands after a comma is always three digits: 1,234 is one number or the other."""
    numeric = [look for look in texts if numeric_share(look, ".", ",") >= NUMERIC_SHARE]
    with_comma = [word for look in numeric for word in look.words.index if "," in word]
    return all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", word) for word in with_comma)


def _missing_words(texts: Sequence[RawColumn], spelling: NumberSpelling, target: str) -> tuple[str, ...]:
    """Words that mean a missing cell: in a column of numbers any that is none, in others the sure ones.

    They hold for all columns, so a class of the target is none of them: the column of numbers is a category then.
    """
    missing: dict[str, None] = {}
    classes: set[str] = set()
    for look in texts:
        others = look.words[~spelling.are_numbers(look.words)]
        is_number = len(others) < len(look.words) and len(others) <= ODD_WORDS
        if is_number and numeric_share(look, spelling.decimal, spelling.thousands) >= NUMERIC_SHARE:
            missing |= dict.fromkeys(word for word in others.index if not any(sign.isdigit() for sign in word))
            continue
        missing |= dict.fromkeys(word for word in others.index if word.lower() in SURE_MISSING)
        if look.name == target:
            often = others.index[others >= CLASS_SHARE * look.filled]
            classes = {word for word in often if word.lower() not in SAID_MISSING - MAYBE_CLASSES}
    return tuple(sorted(missing.keys() - classes))
