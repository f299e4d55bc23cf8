"""Profiles of tables without drift, made from counts, for the tests of calibration."""

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import ndtri

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.drift.profile import ColumnProfile, Profile

SHARES = np.array([0.5, 0.3, 0.15, 0.05])
NORMAL = ndtri(np.linspace(0.0005, 0.9995, 1000))


def latent(rho: float, rows: int, rng: np.random.Generator) -> np.ndarray:
    """An AR(1) of variance 1."""
    noise = rng.standard_normal(rows) * (1 - rho**2) ** 0.5
    noise[0] /= (1 - rho**2) ** 0.5
    return np.asarray(lfilter([1.0], [1.0, -rho], noise))


def world(
    *, rho: float, rows: int, windows: int, later: int, numeric: int, categorical: int, seed: int
) -> tuple[Profile, dict[str, np.ndarray]]:
    """A reference of `windows` windows of `rows` rows, in eight blocks each, and `later` windows that follow it."""
    rng = np.random.default_rng(seed)
    columns, current = {}, {}
    for number in range(numeric + categorical):
        values = latent(rho, (windows + later) * rows, rng)
        if number < numeric:
            name = f"x{number}"
            cells = NumericCells.cut(pd.Series(NORMAL), cells=20)
            cuts = cells.cuts
        else:
            name, cuts = f"c{number}", ndtri(np.cumsum(SHARES)[:-1])
            cells = CategoryCells(("a", "b", "c", "d"), 0)
        place = np.searchsorted(cuts, values)
        counts = count(place[: windows * rows], windows * 8, cells.size + 1)
        columns[name] = ColumnProfile("numeric" if number < numeric else "categorical", cells, counts)
        current[name] = count(place[windows * rows :], later, cells.size + 1)
    edges = block_edges(windows * rows, windows * 8)
    times = pd.date_range("2024-01-01", periods=windows * rows, freq="1h", tz="UTC")
    blocks = pd.DataFrame({"first": times[edges[:-1]], "last": times[edges[1:] - 1], "rows": np.diff(edges)})
    return Profile(columns, blocks, pd.DataFrame()), current


def block_edges(rows: int, blocks: int) -> np.ndarray:
    return np.linspace(0, rows, blocks + 1).astype(int)


def count(place: np.ndarray, blocks: int, wide: int) -> np.ndarray:
    """Rows of each block in each cell, shape (blocks, wide)."""
    block = np.repeat(np.arange(blocks), np.diff(block_edges(len(place), blocks)))
    return np.bincount(block * wide + place, minlength=blocks * wide).reshape(blocks, wide)
