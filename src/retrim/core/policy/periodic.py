"""Schedules by the calendar alone, at the same number of retrainings: what any policy has to beat."""

from dataclasses import dataclass

import numpy as np

from retrim.core.policy.asks import at_checks
from retrim.core.policy.play import play
from retrim.core.policy.played import Setting


@dataclass(frozen=True)
class Periodic:
    """Costs of the periodic schedules of one number of retrainings, over their phases.

    Args:
        median: Of the phases.
        best: The luckiest phase, which nobody knows beforehand.
    """

    median: float
    best: float


def phases(windows: int, count: int) -> list[tuple[int, ...]]:
    """Every schedule of `count` checks evenly apart, one a phase; each check stands before a window after the first.

    Args:
        windows: Windows of the history, 2 or more.
        count: Retrainings, 1 to windows - 1.
    """
    period = windows / count
    found = set()
    for shift in np.arange(0.0, period, 0.5):
        checks = tuple(sorted({round(shift + number * period) for number in range(count)}))
        if len(checks) == count and checks[0] >= 1 and checks[-1] < windows:
            found.add(checks)
    return sorted(found) or [tuple(range(windows - count, windows))]


def periodic(setting: Setting, count: int, *, price: float) -> Periodic:
    """What the periodic policy of `count` retrainings costs, at its median and at its best phase."""
    if count == 0:
        cost = play(setting, at_checks(()), probes=False).cost(price)
        return Periodic(cost, cost)
    counted = setting.matrix.windows - setting.begin
    costs = [
        play(setting, at_checks([setting.begin + check for check in checks]), probes=False).cost(price)
        for checks in phases(counted, count)
    ]
    return Periodic(float(np.median(costs)), float(min(costs)))
