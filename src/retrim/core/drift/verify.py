"""Verification: the rate of false alarms that calibration achieves on the reference's own history."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.drift.alarms import Promise, promise
from retrim.core.drift.calibration import calibrate
from retrim.core.drift.profile import Profile
from retrim.core.drift.watched import watch
from retrim.errors import RefusedError

LEAST_BLOCKS = 40  # a history of fewer cannot be parted in two that each show how anything strays
STRETCHES = 16  # into so many at least the history is cut, to be dealt to both sides


@dataclass(frozen=True)
class Verified:
    """What verification found.

    Args:
        asked: False alarms for each check.
        achieved: Share of the checks without drift that raised one.
        interval: Of that share, 95 %: as many checks as the history holds windows count as independent.
        checks: How many were made.
        rows: Of a check.
        promise: Whether the history can keep the rate.
        reach: The history covers 1 in this many, by its median column.
    """

    asked: float
    achieved: float
    interval: tuple[float, float]
    checks: int
    rows: int
    promise: Promise
    reach: float

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "interval": list(self.interval)}


def verify(profile: Profile, *, rows: int, rate: float, draws: int, splits: int, checks: int, seed: int) -> Verified:
    """How often windows from one part of a history raise an alarm against the other part.

    The history is cut into stretches of neighbouring blocks, at least as long as a window where there are enough of
    them, and these are dealt to two halves at random: one is the reference that thresholds are calibrated on, from
    the other come the windows, each of stretches of neighbours as long as they last. Then anew.

    Args:
        profile: Of the reference.
        rows: Of a usual check.
        rate: Of false alarms that is asked for, for each check.
        draws: Windows drawn for each calibration.
        splits: How often the history is dealt.
        checks: Windows for each.
        seed: Same seed, same answer.

    Raises:
        RefusedError: The history has too few blocks, or is no longer than two windows.
    """
    from scipy.stats import beta

    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    n, window = len(sizes), max(round(rows / sizes.mean()), 1)
    if n < LEAST_BLOCKS or 2 * window > n:
        raise RefusedError(
            f"the reference has {n} blocks ({sizes.sum():.0f} rows), a check {rows} rows; to be parted in two it "
            f"needs {LEAST_BLOCKS} blocks and the rows of two checks: train on a longer history, or see profile.block"
        )
    rng = np.random.default_rng(seed)
    length = min(max(window, round(n**0.5)), n // STRETCHES)
    alarms, reach = [], []
    for _ in range(splits):
        first = int(rng.integers(0, length))
        parts = np.split(np.roll(np.arange(n), -first), np.arange(length, n, length))
        dealt = rng.permutation(len(parts))
        half = [np.concatenate([parts[k] for k in np.sort(side)]) for side in np.array_split(dealt, 2)]
        watched = watch(profile, half[0])
        reach.append(float(np.median(watched.reach)))
        null = calibrate(watched, rows=rows, draws=draws, seed=int(rng.integers(2**31)))
        taken = _windows(parts, dealt[len(dealt) - len(dealt) // 2 :], window, rng, checks)
        sums = np.concatenate(
            [profile.columns[name].counts @ each.weights for name, each in watched.columns.items()], axis=1
        )
        means = sums[taken].sum(axis=1) / sizes[taken].sum(axis=1)[:, None]
        far = null.strayed_of(means - watched.means).max(axis=1)
        alarms.append(float(np.mean(null.null.p_value(far) <= rate)))
    achieved, known = float(np.mean(alarms)), n / window
    ends = beta.ppf([0.025, 0.975], achieved * known + 0.5, (1 - achieved) * known + 0.5)
    low = 0.0 if achieved == 0 else float(ends[0])
    covers = 2 * float(np.median(reach))
    return Verified(rate, achieved, (low, float(ends[1])), splits * checks, rows, promise(rate, covers), covers)


def _windows(parts: list[np.ndarray], mine: np.ndarray, window: int, rng: np.random.Generator, many: int) -> np.ndarray:
    """Numbers of the blocks of so many windows from these stretches, shape (many, window)."""
    found = []
    for _ in range(many):
        blocks: list[int] = []
        while len(blocks) < window:
            part = parts[int(rng.choice(mine))]
            wanted = min(window - len(blocks), len(part))
            start = int(rng.integers(0, len(part) - wanted + 1))
            blocks.extend(part[start : start + wanted].tolist())
        found.append(blocks)
    return np.array(found)
