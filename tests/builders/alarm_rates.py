"""The rate of false alarms that calibration achieves on the reference's own history.

Columns are tested on stretches that calibration has not seen, joint tests on windows of the reference's sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.joint import JOINT_TESTS, JointParams, code, distance, thinned_rows, usual_strays
from retrim.drift.profile import Profile
from retrim.drift.season import block_waves
from retrim.drift.watched import ContrastReference, watch

MOST_WINDOWS = 60  # each is a fit or more
DRAWN = 20  # choices of the windows that each is held against
HELD_OUT = 5  # one part of a history in that many is held out


def verify_together(
    profile: Profile, columns: tuple[str, ...], joint: JointParams, *, rows: int, rate: float
) -> dict[str, float]:
    """How often each joint test would have raised an alarm on windows of its own reference, by test.

    The sample is cut into windows of usual length. Each is held against as many of the others as a check is, drawn anew
    several times.
    """
    thinned = thinned_rows(profile, rows)
    assert thinned is not None
    sample, achieved = code(profile, profile.sample, columns), {}
    for name, arguments in joint.tests.items():
        test = partial(JOINT_TESTS[name], **arguments, seed=joint.seed)
        strayed = usual_strays(test, sample, rows=thinned, windows=MOST_WINDOWS, cores=1)
        n, rng, alarms = len(strayed), np.random.default_rng(joint.seed), []
        for number in range(n):
            others = np.delete(strayed, number)
            for _ in range(DRAWN):
                held = others[np.sort(rng.permutation(n - 1)[: joint.windows])]
                p_value = distance(strayed[number], held)[1]
                alarms.append(p_value is not None and p_value <= rate / len(joint.tests))
        achieved[name] = float(np.mean(alarms))
    return achieved


@dataclass(frozen=True)
class VerifiedRates:
    """Measured rate of false alarms.

    Args:
        achieved: Share of the checks without drift that raised an alarm.
        reach: The rarest rate that the history shows: 1 in this many checks, for the median column.
        columns: Share of the checks in which the column alone raised an alarm, by column.
        season: Whether a yearly season was removed, because enough parts of the history showed it.
    """

    achieved: float
    reach: float
    columns: Mapping[str, float]
    season: bool


def verify(
    profile: Profile, *, rows: int, rate: float, draws: int, splits: int, checks: int, seed: int
) -> VerifiedRates:
    """How often windows from one part of a history raise an alarm against the rest of it.

    A stretch of neighbouring blocks is held out at a random place, as long as a fifth of the history or as two windows;
    thresholds are calibrated on the rest, and windows of neighbouring blocks are drawn from the stretch. Then anew. The
    history is taken as a circle, so that every block is held out as often.
    """
    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    n, window = len(sizes), max(round(rows / sizes.mean()), 1)
    rng = np.random.default_rng(seed)
    held = max(n // HELD_OUT, 2 * window)
    seen: list[np.ndarray] = []
    alone: dict[str, list[float]] = {name: [] for name in profile.columns}
    reach, removed = [], True
    for _ in range(splits):
        circle = np.roll(np.arange(n), -int(rng.integers(0, n)))
        watched = watch(profile, circle[held:])
        reach.append(float(np.median(watched.reach)))
        removed &= watched.season is not None
        null = calibrate(watched, rows=rows, draws=draws, seed=int(rng.integers(2**31)))
        starts = rng.integers(0, held - window + 1, size=checks)
        far = _deviations(profile, watched, null, circle[starts[:, None] + np.arange(window)])
        seen.append(null.null.p_value(far.max(axis=1)))
        for name, p_values in _by_column(watched, far, null.null.p_value).items():
            alone[name].append(float(np.mean(p_values <= rate)))
    shares = {name: float(np.mean(by_split)) for name, by_split in alone.items()}
    achieved = float(np.mean(np.concatenate(seen) <= rate))
    return VerifiedRates(achieved, float(np.median(reach)) * n / (n - held), shares, removed)


def _deviations(profile: Profile, watched: ContrastReference, null: WindowCalibration, taken: np.ndarray) -> np.ndarray:
    """How far windows lie from the reference, by contrast: shape (windows, contrasts); `taken` holds their blocks."""
    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    rows = sizes[taken].sum(axis=1)[:, None]
    sums = np.concatenate([profile.columns[name].counts @ weights for name, weights in watched.weights.items()], axis=1)
    over = (block_waves(profile.blocks) * sizes[:, None])[taken].sum(axis=1) / rows
    return null.strayed(sums[taken].sum(axis=1) / rows - watched.expected(over))


def _by_column(
    watched: ContrastReference, far: np.ndarray, p_value: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """The p-value of each column in each window, as one of all that are looked at: shape (windows,) each."""
    found, begin = {}, 0
    for name, weights in watched.weights.items():
        end = begin + weights.shape[1]
        found[name] = p_value(far[:, begin:end].max(axis=1))
        begin = end
    return found
