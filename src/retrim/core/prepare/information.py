"""Information in nats: of cells, of two columns about one another; what is lost when a column is cut into bins."""

import numpy as np

from retrim.core.prepare.step import Past, counts_of, known

FINE = 64
TARGET_CELLS = 8


def cells_of(values: np.ndarray, *, most: int) -> np.ndarray:
    """The cell of each value: `most` quantile cells of numbers, or most frequent levels; the missing are one more."""
    if values.dtype == object:
        levels = list(counts_of(values))
        places = {level: min(place, most - 1) for place, level in enumerate(levels)}
        return np.array([most if value is None else places[value] for value in values], dtype="int64")
    there = known(values)
    found = np.full(len(values), most, dtype="int64")
    if there.any():
        ordered = np.sort(values[there])
        cuts = np.unique(ordered[(np.arange(1, most) * len(ordered)) // most])
        found[there] = np.searchsorted(cuts, values[there], side="right")
    return found


def target_cells(past: Past) -> np.ndarray:
    """The target in cells: its class, or one of `TARGET_CELLS` quantile cells; int64, shape (n,)."""
    return past.target.astype("int64") if past.classes else cells_of(past.target.astype("float64"), most=TARGET_CELLS)


def entropy(codes: np.ndarray) -> float:
    """Of the shares of each code; 0 of none."""
    shares = np.unique(codes, return_counts=True)[1] / max(len(codes), 1)
    return float(-(shares * np.log(shares)).sum()) if len(codes) else 0.0


def mutual(one: np.ndarray, other: np.ndarray, *, corrected: bool) -> float:
    """Information of two columns of codes about one another, 0 or more.

    Args:
        one: Codes, int64, shape (n,).
        other: Likewise.
        corrected: Whether what chance gives on so few rows is taken off.

    Source:
        Miller (1955), Note on the bias of information estimates: (cells - 1) / 2n of each entropy.
    """
    if not len(one):
        return 0.0
    first, second = (np.unique(each, return_inverse=True)[1] for each in (one, other))
    both = first * (int(second.max()) + 1) + second
    found = entropy(first) + entropy(second) - entropy(both)
    if corrected:
        cells = [len(np.unique(each)) for each in (first, second, both)]
        found += (cells[0] + cells[1] - cells[2] - 1) / (2 * len(one))
    return max(found, 0.0)


def lost(values: np.ndarray, bins: np.ndarray, target: np.ndarray) -> dict[str, float | None]:
    """What a column loses when it is cut into bins, as shares; None where there was nothing to lose.

    Args:
        values: Numbers, shape (n,).
        bins: The bin of each, NaN for the missing, shape (n,).
        target: The target in cells, shape (n,).

    Returns:
        `entropy`: of the values themselves; `target`: of what they tell of the target, against `FINE` cells of equal
        rows cut at the bins too.
    """
    there = ~np.isnan(values)
    plain, coarse, aim = np.unique(values[there], return_inverse=True)[1], bins[there].astype("int64"), target[there]
    fine = cells_of(values[there], most=FINE) * (int(coarse.max(initial=0)) + 1) + coarse
    whole, told = entropy(plain), mutual(fine, aim, corrected=True)
    return {
        "entropy": 1 - entropy(coarse) / whole if whole > 0 else None,
        "target": min(max(1 - mutual(coarse, aim, corrected=True) / told, 0.0), 1.0) if told > 0 else None,
    }
