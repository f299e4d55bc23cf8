"""Blocks of judged rows that are drawn, or flipped, together: for figures that are no plain mean."""

import numpy as np

MOST = 1000  # blocks, at most: more of them cost time and tell nothing


def block_of(n: int, *, block_rows: int) -> np.ndarray:
    """The block of each of `n` rows in time order, shape (n,): numbers from 0, at least 2 blocks where n allows it.

    Args:
        n: Rows.
        block_rows: Rows of a block, at least; at most half of the rows.
    """
    block = max(min(block_rows, n // 2), 1, -(-n // MOST))
    count = max(n // block, 1)
    return np.arange(n) * count // max(n, 1)


def block_sums(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Sum of each column in each block: (n, k) and (n,) to (blocks, k)."""
    starts = np.flatnonzero(np.diff(blocks, prepend=-1))
    return np.asarray(np.add.reduceat(values, starts, axis=0))


def cell_sums(values: np.ndarray, cells: np.ndarray, size: int, blocks: np.ndarray) -> np.ndarray:
    """Sum of a value in each cell of each block.

    Args:
        values: Shape (n,).
        cells: The cell of each row, from 0, below `size`, shape (n,).
        size: Cells.
        blocks: The block of each row, shape (n,).

    Returns:
        Shape (blocks, size).
    """
    count = int(blocks[-1]) + 1
    return np.bincount(blocks * size + cells, weights=values, minlength=count * size).reshape(count, size)


def resampled(sums: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """The sums of `draws` series put together from blocks drawn with replacement.

    Args:
        sums: A row a block, shape (blocks, k).
        draws: Series drawn.
        seed: Same seed, same draws.

    Returns:
        Shape (draws, k).
    """
    count = len(sums)
    taken = np.random.default_rng(seed).integers(0, count, size=(draws, count)) + np.arange(draws)[:, None] * count
    times = np.bincount(taken.ravel(), minlength=draws * count).reshape(draws, count)
    return np.asarray(times.astype("float64") @ sums)


def flips(count: int, *, draws: int, seed: int) -> np.ndarray:
    """Random signs, 1 or -1, of `count` blocks: shape (draws, count)."""
    return np.asarray(np.random.default_rng(seed).integers(0, 2, size=(draws, count)) * 2.0 - 1.0)
