"""How long a stage may take, and how long it may be silent before it counts as one that hangs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

AUTO = "auto"
TIMES_LONGEST = 10  # times the longest of the earlier runs of a stage in the same mode ...
LEAST = pd.Timedelta("6h")  # ... and never less: rows and machines change
FIRST = pd.Timedelta("3D")  # nothing is known of a stage that never ran


@dataclass(frozen=True)
class StageLimits:
    """Limits of a stage, in seconds.

    Args:
        longest: It takes at most this long.
        silent: It prints, or uses the processor, at least this often.
    """

    longest: float
    silent: float

    def together(self, other: "StageLimits") -> "StageLimits":
        """The limits of both, one after the other."""
        return StageLimits(self.longest + other.longest, max(self.silent, other.silent))


def limits_of_stage(limit: str, heartbeat: str, *, earlier: Sequence[float]) -> StageLimits:
    """The limits of a stage.

    Args:
        limit: A span, or "auto": derived from earlier runs.
        heartbeat: A span.
        earlier: Seconds that the stage took in earlier runs.
    """
    silent = pd.Timedelta(heartbeat).total_seconds()
    if limit != AUTO:
        return StageLimits(pd.Timedelta(limit).total_seconds(), silent)
    if not earlier:
        return StageLimits(FIRST.total_seconds(), silent)
    return StageLimits(max(TIMES_LONGEST * max(earlier), LEAST.total_seconds()), silent)
