"""Columns that fix one class, and columns that can be no leak: they say when the event is, or what the target was."""

from itertools import product

import numpy as np
import pandas as pd

from retrim.profile.leak_pairs import BLOCKS, LEAST_BLOCK
from retrim.profile.leaks import AHEAD, MOVES, SAME
from retrim.profile.table import Leak
from retrim.table.data import DataParams

CHANCE = 1e-3
"""Chance that any of the values of a column that are tried has rows of one class alone."""
PART = 0.1
"""Share of a class that such a value has, at least: one hour of the night may have one class without a leak."""
CYCLES = 3
"""Days, weeks or years after which a column that is the same at the same time of each says when the event is."""
MOST_VALUES = 50
"""Values of a column of which each is tried; of more, the commonest and the missing cells."""


def class_leak(name: str, rows: pd.DataFrame, data: DataParams) -> Leak | None:
    """A column that fixes one class: with one of its values, or without it, no row has another class.

    Args:
        rows: Labelled rows in order of time, with the target.
    """
    if data.task == "regression" or len(rows) < LEAST_BLOCK:
        return None
    kinds, names = pd.factorize(rows[data.target].astype("str"))
    # What chance would give is expected within blocks of time: a class that ends when a value begins is none.
    block = np.arange(len(rows)) * min(BLOCKS, len(rows) // LEAST_BLOCK) // len(rows)
    shares = pd.crosstab(block, kinds, normalize="index").to_numpy()[block]
    levels, values = pd.factorize(rows[name])  # -1: missing
    codes, counts = np.unique(levels, return_counts=True)
    tried = codes if len(values) <= MOST_VALUES else np.unique([-1, codes[counts.argmax()]])
    expected = np.log(2 * len(tried) / CHANCE)
    surest: Leak | None = None
    for within, code in product((True, False), tried):
        having = (levels == code) == within
        fixed, n = np.unique(kinds[having]), int(having.sum())
        others = float((1 - shares[having, fixed[0]]).sum()) if len(fixed) == 1 else 0.0
        if others <= expected or n < PART * (kinds == fixed[0]).sum():
            continue
        expected, kind = others, repr(names[fixed[0]])
        bare = (
            f" in {n} rows, and all of them are {kind}, where {others:.0f} of another class are expected: it may be a "
            f"leak of the class {kind}"
        )
        value = "missing" if code < 0 else _plain(values[code])
        seen = f"{'is' if within else 'is not'} {value}{bare}"
        surest = Leak((name,), "class", seen, f"has or lacks one value{bare}")
    return surest


def is_known_before(name: str, rows: pd.DataFrame, data: DataParams) -> bool:
    """Whether a column can be no leak: it says when the event is, or what the target was in the rows before.

    Args:
        rows: Labelled rows in order of time, with the target and `_event`.
    """
    values, event = rows[name], rows["_event"]
    codes = pd.Series(pd.factorize(values)[0], index=rows.index)
    parts = {"1D": event.dt.hour, "7D": event.dt.day_of_week, "365D": event.dt.month}
    for cycle, part in parts.items():
        repeats = event.max() - event.min() >= CYCLES * pd.Timedelta(cycle)
        if repeats and codes.max() > codes.min() and codes.groupby(part).nunique().max() == 1:
            return True
    target = rows[data.target]
    if pd.api.types.is_numeric_dtype(values) != pd.api.types.is_numeric_dtype(target):
        return False
    for behind in AHEAD:
        there = (values.notna() & target.shift(behind).notna()).to_numpy(dtype=bool)
        if there.sum() >= MOVES and float((values == target.shift(behind))[there].mean()) >= SAME:
            return True
    return False


def _plain(value: object) -> str:
    """A cell as people write it."""
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return repr(value) if isinstance(value, str) else str(value)
