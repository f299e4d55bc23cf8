"""Two series as counts in the cells of the first: what drift tests take, from what tests are written with."""

import pandas as pd

from retrim.drift.cells import CategoryCells, Cells, Counts, NumericCells


def counted(
    reference: pd.Series, current: pd.Series, *, cells: int = 120, levels: int = 100, buckets: int = 64
) -> tuple[Counts, Counts]:
    """Both windows, counted in cells cut from `reference`: numeric ones for numbers, else categories."""
    cut: Cells
    if pd.api.types.is_numeric_dtype(reference.dtype):
        cut = NumericCells.cut(reference, cells=cells)
    else:
        cut = CategoryCells.cut(reference, levels=levels, buckets=buckets)
    return Counts(cut, cut.count(reference)), Counts(cut, cut.count(current))
