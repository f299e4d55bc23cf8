"""Verification of the joint tests: how often windows of a reference's sample raise an alarm against the others."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from retrim.core.drift import multivariate as _multivariate  # noqa: F401 - enters its tests in their table
from retrim.core.drift.alarms import Promise, promise
from retrim.core.drift.joint import JOINT_TESTS, LEAST_WINDOWS, JointParams, code, distance, thinned_rows, usual_strays
from retrim.core.drift.profile import Profile

MOST_WINDOWS = 60  # each is a fit or more
DRAWN = 20  # choices of the windows that each is held against


@dataclass(frozen=True)
class VerifiedTest:
    """What verification found of one joint test.

    Args:
        test: Its name.
        asked: False alarms for each check that it may have.
        achieved: Share of the windows that raised one.
        interval: Of that share, 95 %.
        windows: Of the sample, each looked at in turn.
        promise: Whether as many windows as a check holds against can keep the rate.
    """

    test: str
    asked: float
    achieved: float
    interval: tuple[float, float]
    windows: int
    promise: Promise

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "interval": list(self.interval)}


def verify_together(
    profile: Profile, columns: tuple[str, ...], joint: JointParams, *, rows: int, rate: float, cores: int
) -> list[VerifiedTest]:
    """How often a joint test would have raised an alarm on windows of its own reference.

    The sample is cut into windows of usual length. Each is held against as many of the others as a check is, drawn anew
    several times.

    Args:
        profile: Of the reference.
        columns: Those that are looked at together.
        joint: The tests.
        rows: Of a usual check.
        rate: Of false alarms for each check, of all joint tests together.
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
    """What a rate lies between with 95 % confidence, after so many independent checks.

    Its low end is 0 where no check raised an alarm, and its high end 1 where each did. It need not hold a rate close
    to either: one alarm in very many checks lies below its low end.

    Source:
        Jeffreys's interval: Brown, Cai and DasGupta (2001), Statistical Science 16(2), 101-133.
    """
    from scipy.special import betaincinv

    ends = betaincinv(achieved * checks + 0.5, (1 - achieved) * checks + 0.5, [0.025, 0.975])
    return 0.0 if achieved == 0 else float(ends[0]), 1.0 if achieved == 1 else float(ends[1])
