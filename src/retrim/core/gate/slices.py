"""The check `worst slice`: a good mean does not excuse a part of the table that got much worse."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.core.gate.blocks import block_of, cell_sums, flips
from retrim.core.gate.params import GateSliceParams
from retrim.core.gate.relative import SAYABLE, Resampling, share
from retrim.core.gate.verdict import Check
from retrim.core.slices import SliceParams, cells_of, slice_name
from retrim.core.table import ColumnType

ROUNDING = 1e-9  # a statistic that all flips reach exceeds none of them


@dataclass(frozen=True)
class Slices:
    """Sums over the rows of each slice in each block, shape (blocks, slices): loss added, and the champion's loss."""

    names: Sequence[str]
    added: np.ndarray
    base: np.ndarray


def worst_slice(
    rows: pd.DataFrame,
    features: Mapping[str, ColumnType],
    losses: np.ndarray,
    champion: np.ndarray,
    limit: GateSliceParams,
    cut: SliceParams,
    resampling: Resampling,
) -> Check:
    """Whether no slice is surely worse than the champion by more than the share `limit.worst`.

    The statistic of a slice is the sum over blocks of (loss added - worst x champion's loss), over the root
    of the sum of its squares. Its largest over all slices is held against that of the same blocks with random
    signs, all slices flipped together. So with no slice worse than the limit a challenger is refused
    in at most 1 - confidence, however many slices there are and however much they overlap, where sums of
    blocks lie evenly about their mean. A slice that few blocks hold can refuse nothing: the
    statistic is at most the root of their number.

    Args:
        rows: Judged rows in time order.
        features: Feature columns and their types.
        losses: The challenger's loss of each row, shape (n,).
        champion: The champion's, shape (n,).
        limit: Which columns, how much worse, how sure; without a limit the slice is named that is worse most surely.
        cut: How columns are cut; how many rows a slice has.
        resampling: Draws, blocks, seed.

    Source:
        Largest statistic over all under one set of flips: Westfall and Young (1993), Resampling-based multiple
        testing. Sign flipping: Winkler et al. (2014), NeuroImage 92, 381-397. The interval is where the
        statistic stays within the bound, as in Fieller (1954), JRSS B 16(2), 175-185.
    """
    found = _cut(rows, features, losses - champion, champion, limit, cut, block_rows=resampling.block_rows)
    if not found.names:
        text = f"no slice has {cut.least_rows} rows, so none was looked at"
        return Check("worst slice", True, 0.0, limit.worst, text, None)
    beyond = found.added - (limit.worst or 0.0) * found.base
    scale = np.sqrt(np.square(beyond).sum(axis=0))
    scale[scale == 0] = np.inf
    signs = flips(len(beyond), draws=resampling.draws, seed=resampling.seed)
    bound = float(np.quantile((signs @ (beyond / scale)).max(axis=1), limit.confidence))
    statistic = beyond.sum(axis=0) / scale
    worst = int(statistic.argmax())
    figure = share(float(found.added[:, worst].sum()), float(found.base[:, worst].sum()))
    passed = limit.worst is None or bool(statistic[worst] <= bound + ROUNDING)
    interval = _interval(found.added[:, worst], found.base[:, worst], bound)
    shown = f"{figure:+.1%}" if abs(figure) <= SAYABLE else f"beyond {np.sign(figure) * SAYABLE:+.0%}"
    sure = "" if interval is None else f", from {interval[0]:+.1%} to {interval[1]:+.1%}"
    text = f"worst of {len(found.names)} slices, {found.names[worst]}: {shown} against the champion's loss there{sure}"
    if limit.worst is not None:
        text += f"; refused when surely above {limit.worst:+.1%}"
    return Check("worst slice", passed, figure, limit.worst, text, interval)


def _cut(
    rows: pd.DataFrame,
    features: Mapping[str, ColumnType],
    added: np.ndarray,
    base: np.ndarray,
    limit: GateSliceParams,
    cut: SliceParams,
    *,
    block_rows: int,
) -> Slices:
    blocks = block_of(len(rows), block_rows=block_rows)
    names: list[str] = []
    sums: list[tuple[np.ndarray, np.ndarray]] = []
    for column, kind, most in _columns(rows, features, limit, cut):
        cells = cells_of(rows[column], kind, cut)
        if cells is None:
            continue
        places = cells.place(rows[column])
        counts = np.bincount(places, minlength=cells.size + 1)
        kept = np.flatnonzero((counts >= cut.least_rows) & (counts <= most * len(rows)))
        names += [f"{column} {slice_name(cells, int(cell))}" for cell in kept]
        both = (cell_sums(values, places, cells.size + 1, blocks)[:, kept] for values in (added, base))
        sums.append((next(both), next(both)))
    nothing = np.empty((int(blocks[-1]) + 1 if len(blocks) else 0, 0))
    return Slices(names, *(np.hstack([nothing, *(pair[side] for pair in sums)]) for side in (0, 1)))


def _columns(
    rows: pd.DataFrame, features: Mapping[str, ColumnType], limit: GateSliceParams, cut: SliceParams
) -> Iterator[tuple[str, ColumnType, float]]:
    """Declared columns, then features where found slices are wanted: name, type, largest share of the rows."""
    for column in limit.columns:
        numeric = pd.api.types.is_numeric_dtype(rows[column]) and not pd.api.types.is_bool_dtype(rows[column])
        yield column, features.get(column, "number" if numeric else "category"), 1.0
    for column, kind in features.items():
        if limit.found and column not in limit.columns:
            yield column, kind, cut.most_share


def _interval(added: np.ndarray, base: np.ndarray, bound: float) -> tuple[float, float] | None:
    """Shares at which the statistic of one slice stays within the bound; None where that is no interval."""
    a = base.sum() ** 2 - bound**2 * np.square(base).sum()
    b = added.sum() * base.sum() - bound**2 * (added * base).sum()
    c = added.sum() ** 2 - bound**2 * np.square(added).sum()
    inside = b**2 - a * c
    if a <= 0 or inside < 0:
        return None
    return float((b - np.sqrt(inside)) / a), float((b + np.sqrt(inside)) / a)
