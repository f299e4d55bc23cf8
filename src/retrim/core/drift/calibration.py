"""Calibration: how far a window without drift strays, by the reference's own history, so that alarms keep a rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retrim.core.drift.alarms import Alarm, promise
from retrim.core.drift.contrasts import MISSING
from retrim.core.drift.watched import Noise, Watched, noise_of, shift_of, strayed

TAIL = 0.1  # share of the drawn windows that the tail is fitted to
LEAST_RUNS = 4  # a drawn window is made of so many runs at least, so that there are many different ones
AT_ONCE = 100  # windows drawn together ...
EACH = 5  # ... so many of them for each reference
SEEN = 0.8  # probability with which the smallest shift is seen


@dataclass(frozen=True)
class Null:
    """How far windows without drift stray, each by its furthest contrast.

    Args:
        strayed: Of the drawn windows, ascending, in the units of `watched.strayed`, shape (draws,).
    """

    strayed: np.ndarray

    @property
    def start(self) -> float:
        """Where the tail starts."""
        return float(np.quantile(self.strayed, 1 - TAIL))

    @property
    def slope(self) -> float:
        """How fast the tail falls: 1 where p-values of contrasts are what they say, less where they are too small."""
        beyond = self.strayed[self.strayed > self.start] - self.start
        return 1 / max(float(beyond.mean()), 1e-9) if len(beyond) else 1.0

    def p_value(self, far: np.ndarray | float) -> np.ndarray:
        """How often a window without drift strays at least so far: counted, and in the tail by an exponential fit."""
        far = np.asarray(far, dtype="float64")
        n = len(self.strayed)
        counted = (n - np.searchsorted(self.strayed, far, side="left") + 1) / (n + 1)
        fitted = TAIL * np.exp(-self.slope * np.maximum(far - self.start, 0))
        return np.where(far > self.start, fitted, np.minimum(counted, 1.0))

    def threshold(self, rate: float) -> float:
        """How far a window strays with this probability."""
        if rate >= TAIL:
            return float(np.quantile(self.strayed, 1 - rate))
        return self.start + float(np.log(TAIL / rate)) / self.slope


@dataclass(frozen=True)
class Calibration:
    """What is needed to judge windows of so many rows.

    Args:
        watched: The reference.
        noise: Of windows of so many rows.
        null: How far they stray while nothing drifts.
        rows: Of the window.
    """

    watched: Watched
    noise: Noise
    null: Null
    rows: int

    def strayed(self, window: Mapping[str, np.ndarray]) -> np.ndarray:
        """How far each contrast of one window, or of many, strayed, shape (..., J).

        Args:
            window: Rows in each cell by column, shape (..., cells + 1), of `rows` rows.
        """
        return self.strayed_of(self.watched.means_of(window, self.rows) - self.watched.means)

    def strayed_of(self, shift: np.ndarray) -> np.ndarray:
        """The same, of contrasts that shifted by so much, shape (..., J)."""
        return strayed(self.watched, shift, self.noise, self.rows)

    def judge(self, window: Mapping[str, np.ndarray], *, rate: float) -> list[Alarm]:
        """What the values of each column of a window say, and its missing ones, by the contrast that strayed furthest.

        Args:
            window: Rows in each cell by column, shape (cells + 1,).
            rate: Of false alarms, for the check and all columns together.
        """
        watched = self.watched
        far = self.strayed(window)
        shift = watched.means_of(window, self.rows) - watched.means
        smallest = self.smallest(rate)
        columns = list(watched.columns)
        alarms = []
        kinds: tuple[tuple[Literal["values", "missing"], np.ndarray], ...] = (
            ("values", watched.name != MISSING),
            ("missing", watched.name == MISSING),
        )
        for number, name in enumerate(columns):
            for of, kind in kinds:
                mine = np.flatnonzero((watched.column == number) & kind)
                if not len(mine):
                    continue
                j = int(mine[np.argmax(far[mine])])
                p, reach = float(self.null.p_value(far[j])), float(watched.reach[j])
                alarms.append(
                    Alarm(
                        column=name,
                        of=of,
                        contrast=str(watched.name[j]),
                        unit=str(watched.unit[j]),
                        shift=float(shift[j]),
                        smallest=float(smallest[j]),
                        p_value=p,
                        alarmed=p <= rate,
                        promise=promise(rate, reach),
                        reach=reach,
                    )
                )
        return alarms

    def smallest(self, rate: float) -> np.ndarray:
        """The shift of each contrast that is seen with probability 0.8, in its unit, shape (J,)."""
        from scipy.special import ndtri

        p = np.exp(-self.null.threshold(rate)) * self.watched.budget
        free = self.noise.freedom
        normal = -ndtri(np.minimum(p / 2, 0.5)) * (8 * free + 3) / (8 * free + 1)
        t = np.sqrt(free * np.expm1(np.minimum(normal**2 / free, 50)))
        return shift_of(self.watched, t + float(ndtri(SEEN)), self.noise, self.rows)


def calibrate(watched: Watched, *, rows: int, draws: int, seed: int) -> Calibration:
    """How far windows of `rows` rows stray from the reference while nothing drifts.

    Windows are put together from runs of neighbouring blocks of the reference, all columns alike, so that columns which
    move together count once; each contrast is scaled to the long-run variance of whole windows, which runs shorter
    than a window fall short of. They are held against a reference with another error of its mean and of its measured
    noise, as a reference is a sample too.

    Args:
        watched: The reference.
        rows: Of the current window, 1 or more.
        draws: Windows drawn.
        seed: Same seed, same thresholds.

    Source:
        Politis and Romano (1992), circular blocks; Westfall and Young (1993), Resampling-Based Multiple Testing, the
        maximum over all tests.
    """
    noise = noise_of(watched, rows)
    n, wide = watched.strays.shape
    blocks = max(round(rows / watched.block_rows), 1)
    run = max(min(round(n ** (1 / 3)), blocks // LEAST_RUNS), 1)
    around = np.concatenate([watched.strays, watched.strays[:run]])
    sums = np.concatenate([np.zeros((1, wide)), np.cumsum(around, axis=0)])
    spread = np.sqrt(np.mean((sums[run:] - sums[:-run])[:n] ** 2, axis=0) / run)
    scale = np.sqrt(noise.variance / rows / blocks) / np.where(spread > 0, spread, 1)
    error = np.sqrt(noise.variance / watched.rows)
    of_mean, of_noise = _unit(watched.strays), _unit(watched.strays**2 - np.mean(watched.strays**2, axis=0))
    rng = np.random.default_rng(seed)
    whole, rest = divmod(blocks, run)
    furthest = []
    for _ in range(-(-draws // AT_ONCE)):
        starts = rng.integers(0, n, size=(AT_ONCE, whole))
        window = (sums[starts + run] - sums[starts]).sum(axis=1)
        if rest:
            starts = rng.integers(0, n, size=AT_ONCE)
            window += sums[starts + rest] - sums[starts]
        references = rng.standard_normal((2, AT_ONCE // EACH, n))
        moved = np.repeat(references[0] @ of_mean * error, EACH, axis=0)
        again = noise.again(np.repeat(references[1] @ of_noise, EACH, axis=0))
        far = strayed(watched, window * scale - moved, again, rows, watched.means + moved)
        furthest.append(far.max(axis=-1))
    return Calibration(watched, noise, Null(np.sort(np.concatenate(furthest))), rows)


def _unit(values: np.ndarray) -> np.ndarray:
    """Columns of length 1: standard normal weights of rows give standard normal numbers, correlated as columns are."""
    length = np.linalg.norm(values, axis=0)
    return np.asarray(values / np.where(length > 0, length, 1))
