"""Several series in one table: what tells them apart, and whether they lie one after another."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

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
    moment = pd.factorize(time)[0]
    rows = len(moment)
    if rows < SHARED * (int(moment.max(initial=-1)) + 1):
        return ()
    rank = pd.Series(time).rank(method="dense").to_numpy()
    codes = {name: pd.factorize(values)[0] for name, values in columns.items() if not values.isna().any()}
    for names in [*((name,) for name in codes), *combinations(list(codes)[:TRIED], 2)]:
        whose = pd.MultiIndex.from_arrays([codes[name] for name in names]).factorize()[0]
        many = int(whose.max(initial=-1)) + 1
        if many < 2 or rows < LEAST_ROWS * many:
            continue
        if pd.Series(moment.astype("int64") * many + whose).duplicated().any():
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
