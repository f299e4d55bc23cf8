"""History cut for a policy backtest: a first part, then windows, each in blocks for the probe and in cells of rows.

A *cell* is the finest part whose losses are kept: the blocks that a probe judges one by
one, and the parts whose means give a reading its standard error, are both unions of cells.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.core.resample import error_parts
from retrim.errors import RefusedError


@dataclass(frozen=True)
class Cut:
    """Where windows, blocks and cells begin, as row numbers of a table in total order.

    Args:
        blocks: Blocks of each window.
        starts: First row of every block, shape (windows * blocks,). The first is the end of the first part.
        cells: First row of every cell, and the end of the table, shape (cells + 1,).
        window: Window of each cell, shape (cells,).
        block: Block of each cell within its window, shape (cells,).
        part: Part of each cell within its window, as the standard error takes rows together, shape (cells,).
    """

    blocks: int
    starts: np.ndarray
    cells: np.ndarray
    window: np.ndarray
    block: np.ndarray
    part: np.ndarray

    @property
    def windows(self) -> int:
        return len(self.starts) // self.blocks

    @property
    def rows(self) -> np.ndarray:
        """Rows of each cell, shape (cells,)."""
        return np.diff(self.cells)

    def first_cell(self, origin: int) -> int:
        """The cell that begins where block `origin`, counted through all windows, begins."""
        return int(np.searchsorted(self.cells, self.starts[origin]))


def equal_rows(n: int, *, first: int, windows: int) -> np.ndarray:
    """Edges of `windows` windows of nearly equal rows after the first `first` rows, shape (windows + 1,)."""
    return np.asarray(first + np.round(np.arange(windows + 1) * (n - first) / windows), dtype="int64")


def equal_spans(event: pd.Series, *, first: int, windows: int) -> np.ndarray:
    """Edges of windows of equal time after the first `first` rows; a window without rows is left out.

    Args:
        event: Event time of each row in total order, shape (n,).
        first: Rows of the first part.
        windows: Windows wanted.

    Returns:
        Row numbers, ascending, shape (windows + 1,) or fewer.
    """
    start, end = event.iloc[first], event.iloc[-1]
    moments = [start + (end - start) * number / windows for number in range(1, windows)]
    inner = np.searchsorted(
        event.to_numpy(), pd.DatetimeIndex(moments, tz=start.tz).to_numpy().astype(event.to_numpy().dtype)
    )
    return np.unique(np.concatenate([[first], inner, [len(event)]])).astype("int64")


def cut(edges: np.ndarray, *, blocks: int, block_rows: int) -> Cut:
    """Windows between `edges`, each cut into blocks and cells.

    Args:
        edges: First row of each window, and the end of the table, ascending, shape (windows + 1,).
        blocks: Blocks of each window.
        block_rows: Rows that belong together when an error is computed.

    Raises:
        RefusedError: A window has fewer rows than blocks.
    """
    starts: list[int] = []
    cells: list[int] = []
    labels: list[tuple[int, int, int]] = []
    for number, (begin, end) in enumerate(pairwise(edges)):
        n = int(end - begin)
        if n < blocks:
            raise RefusedError(
                f"window {number + 1} has {n} rows, fewer than its {blocks} blocks; ask for fewer windows"
            )
        by_block = _starts(np.array_split(np.arange(n), blocks))
        by_part = _starts(error_parts(n, block_rows=block_rows))
        fine = np.union1d(by_block, by_part)
        starts.extend(int(begin + at) for at in by_block)
        cells.extend(int(begin + at) for at in fine)
        block = np.searchsorted(by_block, fine, side="right") - 1
        part = np.searchsorted(by_part, fine, side="right") - 1
        labels.extend((number, int(b), int(p)) for b, p in zip(block, part, strict=True))
    window, block, part = np.array(labels, dtype="int64").T
    return Cut(blocks, np.array(starts), np.array([*cells, int(edges[-1])]), window, block, part)


def _starts(parts: list[np.ndarray]) -> np.ndarray:
    return np.array([part[0] for part in parts])
