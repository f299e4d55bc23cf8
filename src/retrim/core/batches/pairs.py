"""Columns that always went together and do not any more: one is in another unit, flipped, or of other rows."""

from collections.abc import Sequence

import numpy as np

from retrim.core.batches.concern import Concern

TOGETHER = 0.8  # correlation of a pair, by ranks, that every window of late but one had at least
APART = 0.3  # correlation below which the pair does not go together any more
AGAINST = -0.5  # ... and goes the other way
TIED = 0.9  # correlation from which one column says what the other has to be
OFF, OFF_OF_LATE = 4.0, 3.0  # residual spreads that it is off by on average, and times the most it was of late


def pair_concerns(batch: np.ndarray, windows: Sequence[np.ndarray], names: Sequence[str]) -> list[Concern]:
    """Pairs of numeric columns that went together in every window but one at most, and do not in the batch.

    Args:
        batch: Values, shape (n, columns), missing as NaN.
        windows: Likewise of the windows of late; 2 or more.
        names: Of the columns.
    """
    if len(names) < 2:
        return []
    before, now = np.stack([_by_ranks(window) for window in windows]), _by_ranks(batch)
    found: list[Concern] = []
    for one in range(len(names)):
        for other in range(one + 1, len(names)):
            were = before[:, one, other]
            sign = float(np.sign(np.median(were)))
            # a single window may be odd: a sensor that stood still for a day
            least, is_now = float(np.sort(were * sign)[1]), float(now[one, other] * sign)
            if np.isnan(least) or np.isnan(is_now) or least < TOGETHER:
                continue
            if is_now <= APART:
                text = (
                    f"its correlation with {names[other]} is {is_now * sign:.2f}, at least {least:.2f} in size before"
                )
                found.append(
                    Concern("broken" if is_now < AGAINST else "suspicious", "pair", names[one], text, names[other])
                )
            elif least >= TIED:
                off = _off([window[:, [one, other]] for window in windows], batch[:, [one, other]])
                if off is not None:
                    text = f"it is {off:.2g} spreads off what {names[other]} makes it: one of the two is not as before"
                    found.append(Concern("suspicious", "pair", names[one], text, names[other]))
    return found


def _off(windows: Sequence[np.ndarray], batch: np.ndarray) -> float | None:
    """How far the first column is off its line with the second on average, in residual spreads; None if not far."""
    x, y = np.concatenate([_whole(window) for window in windows]).T[::-1]
    slope, level = np.polyfit(x, y, 1)

    def residuals(rows: np.ndarray) -> np.ndarray:
        whole = _whole(rows)
        return np.asarray(whole[:, 0] - slope * whole[:, 1] - level)

    spread = float(residuals(np.concatenate(windows)).std())
    most = max(abs(float(residuals(window).mean())) for window in windows)
    mean = abs(float(residuals(batch).mean()))
    return mean / spread if spread > 0 and mean > max(OFF * spread, OFF_OF_LATE * most) else None


def _whole(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[~np.isnan(values).any(axis=1)])


def _by_ranks(values: np.ndarray) -> np.ndarray:
    """Rank correlations of the rows without a missing value: NaN where a column has one value."""
    whole = _whole(values)
    if len(whole) < 3:
        return np.full((values.shape[1], values.shape[1]), np.nan)
    ranks = whole.argsort(axis=0, kind="stable").argsort(axis=0).astype("float64")
    ranks[:, [bool((column == column[0]).all()) for column in whole.T]] = np.nan
    with np.errstate(invalid="ignore"):
        return np.atleast_2d(np.corrcoef(ranks, rowvar=False))
