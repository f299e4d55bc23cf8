"""Verification: the rate of false alarms that calibration achieves on the reference's own history.

Columns are tested on stretches that calibration has not seen, joint tests on windows of the reference's sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from retrim.drift.alarms import Promise, promise
from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.joint import JOINT_TESTS, LEAST_WINDOWS, JointParams, code, distance, thinned_rows, usual_strays
from retrim.drift.profile import Profile
from retrim.drift.season import block_waves, years_of
from retrim.drift.watched import ContrastReference, watch
from retrim.errors import RefusedError

MOST_WINDOWS = 60  # each is a fit or more
DRAWN = 20  # choices of the windows that each is held against


@dataclass(frozen=True)
class VerifiedTest:
    """Measured rate of false alarms of one joint test.

    Args:
        test: Name of the test.
        asked: Allowed false alarms per check.
        achieved: Share of the windows that raised an alarm.
        interval: 95% interval of that share.
        windows: Windows in the sample, each tested in turn.
        promise: Whether the number of windows that a check compares with is large enough to keep the rate.
    """

    test: str
    asked: float
    achieved: float
    interval: tuple[float, float]
    windows: int
    promise: Promise


def verify_together(
    profile: Profile, columns: tuple[str, ...], joint: JointParams, *, rows: int, rate: float, cores: int
) -> list[VerifiedTest]:
    """How often a joint test would have raised an alarm on windows of its own reference.

    The sample is cut into windows of usual length. Each is held against as many of the others as a check is, drawn anew
    several times.

    Args:
        cores: Cores to use; changes no result.

    Returns:
        One a test; none where the sample has 8 windows or fewer, or there are fewer than two columns.
    """
    thinned = thinned_rows(profile, rows)
    if thinned is None or len(profile.sample) // thinned <= LEAST_WINDOWS or len(columns) < 2:
        return []
    sample, found = code(profile, profile.sample, columns), []
    for name, arguments in joint.tests.items():
        test = partial(JOINT_TESTS[name], **arguments, seed=joint.seed)
        strayed = usual_strays(test, sample, rows=thinned, windows=MOST_WINDOWS, cores=cores)
        n, asked = len(strayed), rate / len(joint.tests)
        held = min(joint.windows, n - 1)
        rng = np.random.default_rng(joint.seed)
        alarms = []
        for place in range(n):
            others = np.delete(strayed, place)
            for _ in range(DRAWN):
                p_value = distance(strayed[place], others[np.sort(rng.permutation(n - 1)[:held])])[1]
                alarms.append(p_value is not None and p_value <= asked)
        achieved = float(np.mean(alarms))
        found.append(VerifiedTest(name, asked, achieved, interval_of(achieved, n), n, promise(asked, held)))
    return found


def interval_of(achieved: float, checks: float) -> tuple[float, float]:
    """What a rate lies between with 95% confidence, after that many independent checks.

    Its low end is 0 where no check raised an alarm, and its high end 1 where each did. It need not hold a rate close
    to either: one alarm in very many checks lies below its low end.

    Source:
        Jeffreys's interval: Brown, Cai and DasGupta (2001), Statistical Science 16(2), 101-133.
    """
    from scipy.special import betaincinv

    ends = betaincinv(achieved * checks + 0.5, (1 - achieved) * checks + 0.5, [0.025, 0.975])
    return 0.0 if achieved == 0 else float(ends[0]), 1.0 if achieved == 1 else float(ends[1])


LEAST_BLOCKS = 40  # a part of a history of fewer does not show how anything strays
HELD_OUT = 5  # one part in that many is held out


@dataclass(frozen=True)
class VerifiedRates:
    """Measured rate of false alarms.

    Args:
        asked: Requested false alarms per check.
        achieved: Share of the checks without drift that raised an alarm.
        interval: 95% interval of that share; only as many checks as the history has windows count as independent.
        checks: Checks that were simulated.
        rows: Rows of a check.
        promise: Whether the history is long enough to keep the requested rate.
        reach: The rarest rate that the history shows: 1 in this many checks, for the median column.
        columns: Share of the checks in which the column alone raised an alarm, by column, highest first.
        years: Years that the history covers.
        season: Whether a yearly season was removed, because enough parts of the history showed it.
    """

    asked: float
    achieved: float
    interval: tuple[float, float]
    checks: int
    rows: int
    promise: Promise
    reach: float
    columns: Mapping[str, float]
    years: float
    season: bool


def verify(
    profile: Profile, *, rows: int, rate: float, draws: int, splits: int, checks: int, seed: int
) -> VerifiedRates:
    """How often windows from one part of a history raise an alarm against the rest of it.

    A stretch of neighbouring blocks is held out at a random place, as long as a fifth of the history or as two windows;
    thresholds are calibrated on the rest, and windows of neighbouring blocks are drawn from the stretch. Then anew. The
    history is taken as a circle, so that every block is held out as often.

    Raises:
        RefusedError: The history has too few blocks, or is shorter than four windows.
    """
    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    n, window = len(sizes), max(round(rows / sizes.mean()), 1)
    if n < LEAST_BLOCKS:
        raise RefusedError(
            f"the reference has {n} blocks ({sizes.sum():.0f} rows), but verifying alarms needs {LEAST_BLOCKS} "
            "blocks; train on a longer history"
        )
    if 4 * window > n:
        raise RefusedError(
            f"the reference has {sizes.sum():.0f} rows, and a check uses {rows} (gain.rows_per_check), but "
            "verifying alarms needs the rows of four checks; train on a longer history, or lower "
            "gain.rows_per_check"
        )
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
    achieved = float(np.mean(np.concatenate(seen) <= rate))
    covers = float(np.median(reach)) * n / (n - held)
    shares = {name: float(np.mean(each)) for name, each in alone.items() if each}
    return VerifiedRates(
        asked=rate,
        achieved=achieved,
        interval=interval_of(achieved, n / window),
        checks=splits * checks,
        rows=rows,
        promise=promise(rate, covers),
        reach=covers,
        columns=dict(sorted(shares.items(), key=lambda item: (-item[1], item[0]))),
        years=years_of(profile.blocks),
        season=removed,
    )


def _deviations(profile: Profile, watched: ContrastReference, null: WindowCalibration, taken: np.ndarray) -> np.ndarray:
    """How far windows lie from the reference, by contrast: shape (windows, contrasts); `taken` holds their blocks."""
    sizes = profile.blocks["rows"].to_numpy(dtype="float64")
    rows = sizes[taken].sum(axis=1)[:, None]
    sums = np.concatenate(
        [profile.columns[name].counts @ each.weights for name, each in watched.columns.items()], axis=1
    )
    over = (block_waves(profile.blocks) * sizes[:, None])[taken].sum(axis=1) / rows
    return null.strayed(sums[taken].sum(axis=1) / rows - watched.expected(over))


def _by_column(
    watched: ContrastReference, far: np.ndarray, p_value: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """The p-value of each column in each window, as one of all that are looked at: shape (windows,) each."""
    found, begin = {}, 0
    for name, column in watched.columns.items():
        end = begin + column.weights.shape[1]
        found[name] = p_value(far[:, begin:end].max(axis=1))
        begin = end
    return found
