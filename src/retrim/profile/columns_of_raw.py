"""How numbers and missing cells are spelled in a table of text.

What each column of a raw table is: its type, its role, and why.

Several series in one table: what tells them apart, and whether they lie one after another.

What is to be predicted: the task, its positive class, and the loss by which everything is judged.

What a table spells otherwise than landing takes by default, in sentences.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from retrim.profile.dates import DateSpelling, spelling_of_dates, unix_format
from retrim.profile.table import TableNote, personal
from retrim.table.data import ColumnType, Role
from retrim.table.reading import SAID_MISSING, SAMPLED, RawColumn, share_of

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
    """How a table spells numbers and missing cells.

    Args:
        decimal: Sign of most columns.
        thousands: Sign between thousands, of most columns.
        missing: Words for a missing cell.
    """

    decimal: Decimal
    thousands: Thousands
    missing: tuple[str, ...]


def number_pattern(decimal: Decimal, thousands: Thousands) -> str:
    """What a number looks like that is spelled so; 0.123 is no 123 in groups."""
    point, apart = re.escape(decimal), re.escape(thousands)
    plain = rf"[+-]?([0-9]+{point}?[0-9]*|{point}[0-9]+)([eE][+-]?[0-9]+)?"
    return plain if not thousands else rf"{plain}|[+-]?[1-9][0-9]{{0,2}}({apart}[0-9]{{3}})+({point}[0-9]*)?"


def plain_numbers(words: "pd.Series[int]", spelling: "NumberSpelling") -> pd.Series:
    """The numbers of a column's distinct words, each as often as it stands there: float64, shape (cells,)."""
    text = pd.Series(words.index, dtype="str")
    if spelling.thousands:
        text = text.str.replace(spelling.thousands, "", regex=False)
    numbers = pd.to_numeric(text.str.replace(spelling.decimal, ".", regex=False), errors="coerce").astype("float64")
    return pd.Series(np.repeat(numbers.to_numpy(), words.to_numpy()))


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
    return NumberSpelling(*best, missing_words(texts, best, target))


def _grouped_only(texts: Iterable[RawColumn]) -> bool:
    """Whether what stands after a comma is always three digits: 1,234 is one number or the other."""
    with_comma = [
        word
        for look in texts
        if numeric_share(look, ".", ",") >= NUMERIC_SHARE
        for word in look.words.index
        if "," in word
    ]
    return all(re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", word) for word in with_comma)


def missing_words(texts: Sequence[RawColumn], signs: Signs, target: str) -> tuple[str, ...]:
    """Words that mean a missing cell: in a column of numbers any that is none, in others the sure ones.

    They hold for all columns, so a class of the target is none of them: the column of numbers is a category then.
    """
    found: dict[str, None] = {}
    classes: set[str] = set()
    for look in texts:
        words = look.words
        fits = words.index.to_series().str.fullmatch(number_pattern(*signs))
        numbers = fits.to_numpy(dtype=bool)
        others = words[~numbers]
        is_number = len(others) < len(words) and len(others) <= ODD_WORDS
        if is_number and numeric_share(look, *signs) >= NUMERIC_SHARE:
            found |= dict.fromkeys(word for word in others.index if not any(sign.isdigit() for sign in word))
            continue
        found |= dict.fromkeys(word for word in others.index if word.lower() in SURE_MISSING)
        if look.name == target:
            often = others.index[others >= CLASS_SHARE * look.filled]
            classes = {word for word in often if word.lower() not in SAID_MISSING - MAYBE_CLASSES}
    return tuple(sorted(found.keys() - classes))


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


def plan_columns(looks: Sequence[RawColumn], spelling: NumberSpelling) -> tuple[list[ColumnPlan], list[TableNote]]:
    """A plan a column, and what was noticed on the way."""
    notes: list[TableNote] = []
    plans = [_plan(look, spelling, notes) for look in looks]
    return plans, notes


@dataclass(frozen=True)
class _Kind:
    """What a column's cells are, before it is asked whose they are."""

    type: ColumnType
    role: Role = "feature"
    skip: bool = False
    dates: DateSpelling | None = None
    unix: str = ""


def _plan(look: RawColumn, spelling: NumberSpelling, notes: list[TableNote]) -> ColumnPlan:
    unique = look.filled == look.rows == look.distinct and look.rows > 1
    kind = _kind(look, spelling, notes, unique=unique)
    whose = personal(look)
    skip = kind.skip or bool(whose)
    if whose and not kind.skip:
        done = "left out of models, records and reports (--keep to use it)"
        notes.append(TableNote("personal", look.name, f"looks like {whose}", done, "warn"))
    role: Role = "forbidden" if skip else kind.role
    return ColumnPlan(look.name, kind.type, role, skip, kind.dates, kind.unix, unique, whose)


def _kind(look: RawColumn, spelling: NumberSpelling, notes: list[TableNote], *, unique: bool) -> _Kind:
    name = look.name
    if not name.strip() or name.startswith("_"):
        seen = "has no name" if not name.strip() else "begins with '_', which is reserved for retrim"
        notes.append(TableNote("name", name, seen, "left out; to use it, rename it in the file", "warn"))
        return _Kind("category", skip=True)
    if look.stored == "other":
        done = "left out; write each of its values as a number or text, in a column of its own"
        notes.append(TableNote("nested", name, f"contains {OTHER}", done, "warn"))
        return _Kind("category", skip=True)
    words = look.words[~look.words.index.isin(spelling.missing)] if look.stored == "text" else look.counts
    if not len(words):
        notes.append(TableNote("empty", name, "has only empty cells", "left out of the features"))
        return _Kind("category", "forbidden")
    if look.stored == "time":
        return _Kind("time", "forbidden")
    if look.stored == "boolean":
        notes.append(TableNote("boolean", name, "contains true and false", "treated as a category with two values"))
        return _Kind("category")
    if look.stored in ("number", "integer"):
        kind, role = _number(look, look.cells.dropna(), notes, unique=unique)
        return _Kind(kind, role, unix=unix_format(look.counts.index.to_series()))
    return _text(look, words, spelling, notes, unique=unique)


def _text(
    look: RawColumn, words: "pd.Series[int]", spelling: NumberSpelling, notes: list[TableNote], *, unique: bool
) -> _Kind:
    name = look.name
    numeric = words.index.to_series().str.fullmatch(number_pattern(spelling.decimal, spelling.thousands))
    if numeric.all():
        return _numeric_text(look, words, spelling, notes, unique=unique)
    dates = spelling_of_dates(words.index)
    if dates is not None:
        return _Kind("time", "forbidden", dates=dates)
    if set(words.index.str.lower()) in BOOLEANS:
        number = "two values" if len(words) == 2 else f"{len(words)} values; to have two, spell each in one way"
        done = f"treated as a category with {number}"
        notes.append(TableNote("boolean", name, f"contains {' and '.join(map(repr, words.index))}", done))
        return _Kind("category")
    like = share_of(words, words.index.to_series().str.contains(TIME_LIKE, regex=True))
    if like >= TIME_SHARE:
        seen = f"looks like times, such as {words.index[0][:40]!r}, in an unknown format or in more than three formats"
        notes.append(
            TableNote(
                "dates", name, seen, "treated as text; to use the times, write them as 2024-05-01T13:00:00Z", "warn"
            )
        )
    share = share_of(words, numeric)
    if share > MIXED_SHARE:
        odd = words[~numeric.to_numpy(dtype=bool)]
        seen = f"{1 - share:.1%} of its cells are not numbers, such as {odd.index[0][:40]!r}"
        notes.append(
            TableNote("mixed", name, seen, "treated as a category; if it is a number, correct these cells", "warn")
        )
    return _Kind("category", _text_role(look, words, notes))


def _numeric_text(
    look: RawColumn, words: "pd.Series[int]", spelling: NumberSpelling, notes: list[TableNote], *, unique: bool
) -> _Kind:
    text = words.index.to_series()
    zeros = text[text.str.fullmatch(r"0[0-9]+")]
    if len(zeros):
        seen = f"has leading zeros, such as {zeros.iloc[0][:40]!r}: an identifier, not a count"
        notes.append(TableNote("id", look.name, seen, "treated as a category"))
        return _Kind("category", _text_role(look, words, notes))
    dates = spelling_of_dates(words.index) if text.str.fullmatch(r"(19|20)\d{6}").all() else None
    if dates is not None:
        return _Kind("time", "forbidden", dates=dates)
    numbers = plain_numbers(words, spelling)
    kind, role = _number(look, numbers, notes, unique=unique)
    return _Kind(kind, role, unix=unix_format(numbers))


def _number(look: RawColumn, numbers: pd.Series, notes: list[TableNote], *, unique: bool) -> tuple[ColumnType, Role]:
    """Type and role of a column of numbers: some only name, though they look like counts."""
    if not bool((numbers % 1 == 0).all()):
        return "number", "feature"
    if float(numbers.abs().max()) >= EXACT:
        if look.stored == "number":
            return "number", "feature"
        seen = "has whole numbers of 2^53 and above, which a float cannot represent"
        notes.append(TableNote("id", look.name, seen, "treated as a category, and left out of the features"))
        return "category", "forbidden"
    named = ROW_NAME.search(look.name) or ID_NAME.search(look.name)
    if unique and (named or look.cells.dropna().is_monotonic_increasing or numbers.is_monotonic_increasing):
        seen = "is a different whole number in every row"
        notes.append(TableNote("id", look.name, seen, "it identifies the row: forbidden to the model"))
        return "integer", "forbidden"
    if ID_NAME.search(look.name) and look.distinct > 2:
        many = look.distinct > max(LEVELS_MANY, MANY_IDS * look.filled)
        done = "left out, as a category with too many values" if many else "treated as a category, not as a count"
        seen = f"has the name of an identifier and {look.distinct} distinct whole numbers"
        if NEARLY <= look.distinct / look.filled < 1:
            seen += (
                f" in {look.filled} rows: it nearly identifies them, but {look.filled - look.distinct} repeat a value"
            )
        notes.append(TableNote("id", look.name, seen, done))
        return ("category", "forbidden") if many else ("category", "feature")
    return "integer", "feature"


def _text_role(look: RawColumn, words: "pd.Series[int]", notes: list[TableNote]) -> Role:
    if len(words) > LEVELS_MANY and len(words) > LEVELS_SHARE * look.filled:
        seen = f"{len(words)} distinct texts in {look.filled} cells"
        done = "forbidden to the model: it identifies rows, or is free text; if it is a number, write it without a unit"
        notes.append(TableNote("many levels", look.name, seen, done))
        return "forbidden"
    return "feature"


LEAST_ROWS = 20
"""Rows of a series, on average, from which it is one."""
FILLED, MOST = 0.5, 0.9
"""Share of the times from its first row to its last at which a series has one, and share of the series of which that
holds, at least: the later lines of an order are there now and then."""
SHARED = 1.5
"""Rows of one time, on average, from which more than one thing is told of it."""
TRIED = 8
"""Columns that are tried in pairs."""


def series_of(time: pd.Series, columns: Mapping[str, pd.Series]) -> tuple[str, ...]:
    """The columns that tell the series of a table apart: with its time they name a row. Empty: it holds one.

    Args:
        time: Event times, none missing, shape (n,).
        columns: Those that may tell, likelier ones first, shape (n,) each.
    """
    place = pd.factorize(time)[0]
    times = int(place.max(initial=-1)) + 1
    if len(place) < SHARED * times:
        return ()
    rank = pd.Series(time).rank(method="dense").to_numpy()
    codes = {name: pd.factorize(values)[0] for name, values in columns.items() if not values.isna().any()}
    for names in [*((name,) for name in codes), *combinations(list(codes)[:TRIED], 2)]:
        whose = pd.MultiIndex.from_arrays([codes[name] for name in names]).factorize()[0]
        many = int(whose.max(initial=-1)) + 1
        if many < 2 or len(place) < LEAST_ROWS * many:
            continue
        if pd.Series(place.astype("int64") * many + whose).duplicated().any():
            continue
        spans = pd.Series(rank).groupby(whose).agg(["size", "min", "max"])
        if (spans["size"] >= FILLED * (spans["max"] - spans["min"] + 1)).mean() >= MOST:
            return names
    return ()


def one_after_another(columns: Mapping[str, pd.Series]) -> tuple[str, int]:
    """The column whose values follow one another in the file, each in one piece of many rows, and how many; else none.

    So lie series one after another, and then the order of the file is none of time.
    """
    for name, values in columns.items():
        codes = pd.factorize(values)[0]
        runs = int((np.diff(codes) != 0).sum()) + 1
        if 2 <= runs == len(np.unique(codes)) and len(codes) >= LEAST_ROWS * runs:
            return name, runs
    return "", 1


Task = Literal["regression", "binary", "multiclass"]
POSITIVE = (
    "yes",
    "true",
    "1",
    "1.0",
    "y",
    "t",
    "positive",
    "pos",
    "on",
    "ja",
    "oui",
    "default",
    "churn",
    "fraud",
    "late",
    "rain",
)
MOST_CLASSES = 50
FEW_WHOLE = 10
"""Whole numbers that a target may have, at most, to be asked about: they may be classes."""
RARE = 0.05
UNCOMMON = 0.2
"""Share of the rarest class below which the report says what is done about it."""
ZEROS = 0.5
"""Share of zeros from which the median is 0, and the mean absolute error with it."""

FEW_ON_AVERAGE = 10
"""Mean up to which whole numbers may be counts whose loss is Poisson's."""
SURE = 0.01


@dataclass(frozen=True)
class Aim:
    """What is predicted, and how it is judged.

    Args:
        task: regression, binary or multiclass.
        type: Type of the target.
        positive: Positive class of a binary task.
        loss: Per-row loss.
        metrics: Reported beside it.
        why: Why this loss.
        unsure: What else it could be; empty: nothing.
        rarest: Share of the rarer class; None for a regression.
    """

    task: Task
    type: ColumnType
    positive: str | None
    loss: str
    metrics: tuple[str, ...]
    why: str
    unsure: str
    rarest: float | None


def aim_of(
    look: RawColumn, kind: ColumnType, words: "pd.Series[int]", numbers: np.ndarray | None, wanted: Task | None
) -> Aim | str:
    """What a target asks for; a sentence where it can be none.

    Args:
        numbers: Its values where they are numbers, none missing; else None.
        wanted: The task that was asked for; None: as it looks.
    """
    distinct = len(words)
    if distinct < 2:
        have = "has only 1 distinct value" if distinct else "has no values"
        return f"the target {look.name!r} {have}, so nothing can be learned; choose a different target"
    if kind == "time":
        return f"the target {look.name!r} is a time; choose a target that is a number, a yes or no, or a class"
    task: Task = wanted or ("binary" if distinct == 2 else "regression" if numbers is not None else "multiclass")
    if task == "regression":
        if numbers is None:
            return (
                f"the target {look.name!r} is text, such as {str(words.index[0])[:40]!r}, but a "
                "regression predicts a number; choose a different task or target"
            )
        return _regression(
            kind, numbers, unsure="multiclass" if wanted is None and kind == "integer" and distinct <= FEW_WHOLE else ""
        )
    if task == "binary" and distinct != 2:
        return (
            f"the target {look.name!r} has {distinct} distinct values, but a binary task needs 2; "
            "pass --task multiclass or --task regression"
        )
    if task == "multiclass" and distinct > MOST_CLASSES:
        return (
            f"the target {look.name!r} has {distinct} distinct texts, such as {str(words.index[0])[:40]!r}, "
            f"but at most {MOST_CLASSES} classes are supported; use a different target, or write its cells as numbers"
        )
    return _classes(task, words)


def _regression(kind: ColumnType, numbers: np.ndarray, *, unsure: str) -> Aim:
    zeros = float(np.mean(numbers == 0))
    if look_like_counts(numbers):
        why = (
            f"whole numbers from 0, {numbers.mean():.2g} on average, that vary like counts: Poisson deviance is "
            "lowest at the mean and weighs errors relative to it"
        )
        return Aim("regression", kind, None, "poisson", ("poisson", "mae", "rmse"), why, unsure, None)
    if zeros > ZEROS:
        why = (
            f"{zeros:.0%} of the targets are 0, so predicting 0 for every row would have the lowest absolute error: "
            "squared error is lowest at the mean"
        )
        return Aim("regression", kind, None, "mse", ("mae", "rmse", "r2"), why, unsure, None)
    why = "in the target's own unit, and no single row dominates as it would with squared errors"
    return Aim("regression", kind, None, "mae", ("mae", "rmse", "r2"), why, unsure, None)


def look_like_counts(numbers: np.ndarray) -> bool:
    """Whether a target counts rare events: whole numbers from 0, few on average, that vary no less than Poisson counts.

    Ratings and sizes are whole and few too, and vary less than their mean. Of larger counts the mean hardly tells the
    variance, and errors weigh alike. Counts that vary more than Poisson's are counts anyway: the deviance is
    least at their mean.

    Args:
        numbers: Targets, none missing, shape (n,).

    Source:
        Cochran (1954), Biometrics 10(4), 417-451, section 3: (n - 1) variance / mean is chi-squared with n - 1 degrees
        of freedom for Poisson counts. Refused is what varies surely less.
    """
    if len(numbers) < 2 or numbers.min() != 0 or not 0 < numbers.mean() <= FEW_ON_AVERAGE:
        return False
    if not np.array_equal(numbers, np.floor(numbers)):
        return False
    from scipy.stats import chi2

    spread = float(np.sum(np.square(numbers - numbers.mean())) / numbers.mean())
    return bool(chi2.cdf(spread, len(numbers) - 1) > SURE)


def _classes(task: Task, words: "pd.Series[int]") -> Aim:
    shares = words / words.sum()
    rarest = float(shares.min())
    if task == "multiclass":
        why = (
            f"{len(words)} classes, and the most common has {shares.max():.0%} of the rows: log loss judges the "
            "probabilities, but accuracy would miss a rare class"
        )
        return Aim("multiclass", "category", None, "log_loss", ("log_loss", "accuracy", "f1"), why, "", rarest)
    known = [word for word in words.index if str(word).lower() in POSITIVE]
    positive = str(known[0] if len(known) == 1 else words.idxmin())
    share = float(shares[positive])
    naive = max(share, 1 - share)
    why = (
        f"{share:.1%} of the rows are {positive!r}: always predicting the more common class is right for {naive:.1%}, "
        "so accuracy says little; log loss judges the probabilities"
    )
    metrics = ("log_loss", "brier", "auc", "average_precision") if share < RARE else ("log_loss", "brier", "auc")
    return Aim(
        "binary",
        "category",
        positive,
        "log_loss",
        metrics,
        why,
        "" if len(known) == 1 else f"the positive class could also be {str(words.idxmax())!r}",
        rarest,
    )


def imbalance_notes(aim: Aim, target: str) -> list[TableNote]:
    """What share a rare class has, and what is done about it."""
    if aim.rarest is None or aim.rarest >= UNCOMMON:
        return []
    chosen = (
        "train.balance: null, because the loss judges probabilities. They are calibrated without balancing, and after "
        "balancing they would have to be corrected"
    )
    if aim.task == "binary":
        chosen += ". If you need a yes or no, set the cost of each error in decide.threshold"
    return [TableNote("imbalance", target, f"the rarest class has {aim.rarest:.1%} of the rows", chosen)]


def spelling_notes(
    looks: Sequence[RawColumn], plans: Sequence[ColumnPlan], spelling: NumberSpelling
) -> list[TableNote]:
    """What the table spells otherwise than landing takes by default, with the columns that show it."""
    notes: list[TableNote] = []
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
                notes.append(TableNote(about, look.name, f"numbers such as {seen!r}", f"declared, {declared}"))
    for word in spelling.missing:
        holds = [look for look, _ in texts if word in look.words.index]
        unsure = word.lower() not in SURE_MISSING and any(
            plan.type == "category" for look, plan in texts if word in look.words.index
        )
        cells = sum(int(look.words[word]) for look in holds)
        notes.append(
            TableNote(
                "missing",
                holds[0].name if len(holds) == 1 else "",
                f"{word!r} stands for a missing cell {cells} times",
                f"declared, reading.missing: [{word!r}]" + (", also in text columns" if unsure else ""),
                "warn" if unsure else "tell",
            )
        )
    for look, plan in texts:
        if plan.dates is not None:
            _note_dates(look, plan.dates, notes)
    return notes


def _note_dates(look: RawColumn, dates: DateSpelling, notes: list[TableNote]) -> None:
    if dates.formats:
        done = f"declared, reading.dates: {list(dates.formats)}"
        if len(dates.formats) > 1:
            notes.append(TableNote("dates", look.name, f"times in {len(dates.formats)} formats", done, "warn"))
        else:
            notes.append(TableNote("dates", look.name, f"times such as {look.words.index[0]!r}", done))
    if dates.unsure:
        notes.append(
            TableNote(
                "dates",
                look.name,
                f"day and month could be swapped: {dates.unsure} fits as well",
                f"read as {dates.formats[0]}; if this is wrong, change reading.dates",
                "warn",
            )
        )
    if len(dates.zones) > 1 or (dates.zones and dates.naive):
        named = ", ".join(dates.zones) + (" and none" if dates.naive else "")
        notes.append(
            TableNote(
                "mixed zones",
                look.name,
                f"times have different zones: {named}",
                "all are converted to UTC; times without a zone are read in reading.zone",
                "warn",
            )
        )
