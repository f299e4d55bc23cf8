"""Verification: the rate of false alarms that calibration achieves on the reference's own history."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.drift.alarms import Promise, promise
from retrim.core.drift.calibration import calibrate
from retrim.core.drift.profile import Profile
from retrim.core.drift.season import block_waves, years_of
from retrim.core.drift.verify_together import interval_of
from retrim.core.drift.watched import Watched, watch
from retrim.errors import RefusedError

LEAST_BLOCKS = 40  # a part of a history of fewer does not show how anything strays
HELD_OUT = 5  # one part in so many is held out
DRAWN_ONLY = ("p_values", "known")  # what a picture needs, and a record does not


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
        columns: Share of the checks in which each column strayed so far that it alone raised an alarm; most first.
        p_values: Of the column that strayed furthest, one a check.
        known: Windows that the history holds.
        years: That it covers.
        season: Whether what a year brings back was taken out, as parts of the history showed it often enough.
    """

    asked: float
    achieved: float
    interval: tuple[float, float]
    checks: int
    rows: int
    promise: Promise
    reach: float
    columns: Mapping[str, float]
    p_values: tuple[float, ...]
    known: float
    years: float
    season: bool

    def achieved_at(self, rate: float) -> tuple[float, tuple[float, float]]:
        """The share of the checks that would have raised an alarm at another rate, and its 95 % interval."""
        share = float(np.mean(np.asarray(self.p_values) <= rate))
        return share, interval_of(share, self.known)

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in DRAWN_ONLY}
        return {**shown, "interval": list(self.interval), "columns": dict(self.columns)}


def verify(profile: Profile, *, rows: int, rate: float, draws: int, splits: int, checks: int, seed: int) -> Verified:
    """How often windows from one part of a history raise an alarm against the rest of it.

    A stretch of neighbouring blocks is held out at a random place, as long as a fifth of the history or as two windows;
    thresholds are calibrated on the rest, and windows of neighbouring blocks are drawn from the stretch. Then anew. The
    history is taken as a circle, so that every block is held out as often.

    Args:
        profile: Of the reference.
        rows: Of a usual check.
        rate: Of false alarms that is asked for, for each check.
        draws: Windows drawn for each calibration.
        splits: How often a stretch is held out.
        checks: Windows for each.
        seed: Same seed, same answer.

    Raises:
        RefusedError: The history has too few blocks, or is shorter than four windows.
    """
    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    n, window = len(sizes), max(round(rows / sizes.mean()), 1)
    if n < LEAST_BLOCKS:
        raise RefusedError(
            f"the reference has {n} blocks ({sizes.sum():.0f} rows); to be parted it needs {LEAST_BLOCKS}: train on a "
            "longer history, or make a version with smaller blocks (profile.block_rows) or more (profile.most_blocks)"
        )
    if 4 * window > n:
        raise RefusedError(
            f"the reference has {sizes.sum():.0f} rows, a check {rows} (account.usual_rows); to be parted it needs the "
            "rows of four checks: train on a longer history, or look at windows of fewer rows"
        )
    rng = np.random.default_rng(seed)
    held = max(n // HELD_OUT, 2 * window)
    seen: list[np.ndarray] = []
    alone: dict[str, list[float]] = {name: [] for name in profile.columns}
    reach, waves, removed = [], block_waves(profile.blocks), True
    for _ in range(splits):
        circle = np.roll(np.arange(n), -int(rng.integers(0, n)))
        watched = watch(profile, circle[held:])
        reach.append(float(np.median(watched.reach)))
        null = calibrate(watched, rows=rows, draws=draws, seed=int(rng.integers(2**31)))
        starts = rng.integers(0, held - window + 1, size=checks)
        taken = circle[starts[:, None] + np.arange(window)]
        sums = np.concatenate(
            [profile.columns[name].counts @ each.weights for name, each in watched.columns.items()], axis=1
        )
        means = sums[taken].sum(axis=1) / sizes[taken].sum(axis=1)[:, None]
        over = (waves * sizes[:, None])[taken].sum(axis=1) / sizes[taken].sum(axis=1)[:, None]
        far = null.strayed_of(means - watched.expected(over))
        removed &= watched.season is not None
        seen.append(null.null.p_value(far.max(axis=1)))
        for name, p_values in _by_column(watched, far, null.null.p_value).items():
            alone[name].append(float(np.mean(p_values <= rate)))
    p_values, known = np.concatenate(seen), n / window
    achieved = float(np.mean(p_values <= rate))
    covers = float(np.median(reach)) * n / (n - held)
    shares = {name: float(np.mean(each)) for name, each in alone.items() if each}
    return Verified(
        asked=rate,
        achieved=achieved,
        interval=interval_of(achieved, known),
        checks=splits * checks,
        rows=rows,
        promise=promise(rate, covers),
        reach=covers,
        columns=dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
        p_values=tuple(p_values.tolist()),
        known=known,
        years=years_of(profile.blocks),
        season=removed,
    )


def _by_column(watched: Watched, far: np.ndarray, p_value: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """The p-value of each column in each window, as one of all that are looked at: shape (windows,) each."""
    found, begin = {}, 0
    for name, column in watched.columns.items():
        end = begin + column.weights.shape[1]
        found[name] = p_value(far[:, begin:end].max(axis=1))
        begin = end
    return found
