"""Which of several columns of times says when a row's event happened."""

from collections.abc import Mapping

import pandas as pd

NAMES = ("event_time", "timestamp", "datetime", "date_time", "time", "date", "day", "ts", "created_at", "at")
"""Of event times, the surest first."""
NEARLY = 0.99
"""Share of rows, or of neighbours in the file, of which something holds that holds of a column."""


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
        return ordered[0], "by which the file is sorted"
    near = {
        name: values
        for name, values in times.items()
        if not any(_is_far_back(values, other) for other in times.values() if other is not values)
    }
    for name, values in near.items():
        others = {other: known for other, known in near.items() if other != name}
        if others and all(_comes_before(values, known) for known in others.values()):
            return name, f"before {' and '.join(others)} in nearly every row"
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
