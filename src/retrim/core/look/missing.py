"""Missing values: whether they come at random, as `core.prepare.missingness` tells it, on so many rows and columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.prepare.missingness import Missingness, missingness
from retrim.core.table import ColumnType

ROWS, COLUMNS = 10_000, 60
"""Rows, and columns beside those that tell most, that are held against one another."""
CONFIDENCE = 0.999


def gaps_of(sample: pd.DataFrame, kinds: Mapping[str, ColumnType], *, first: Sequence[str]) -> dict[str, Missingness]:
    """How the gaps of each column come, of those that have some.

    Args:
        sample: Rows drawn at random, in order of time.
        kinds: Features and target, and their types.
        first: The same, those first that are looked at where there are very many.
    """
    step = max(-(-len(sample) // ROWS), 1)
    rows = sample.iloc[::step]
    gaps = [name for name in first if rows[name].isna().any()][:COLUMNS]
    asked = list(dict.fromkeys([*gaps, *first[:COLUMNS]]))
    if not gaps:
        return {}
    columns = {name: _values(rows[name], kinds[name]) for name in asked}
    return {one.column: one for one in missingness(columns, confidence=CONFIDENCE) if one.missing}


def _values(values: pd.Series, kind: ColumnType) -> np.ndarray:
    if kind != "category":
        return as_floats(values)
    text = values.astype("object")
    return text.where(text.notna(), None).to_numpy()
