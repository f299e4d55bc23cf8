"""How a run makes its version, and how long its stages may take or be silent before they count as hung."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Mode = Literal["search", "refit", "baseline"]
TIMES_LONGEST = 10  # times the longest of the earlier runs of a stage in the same mode ...
LEAST = pd.Timedelta("6h")  # ... and never less: rows and machines change
FIRST = pd.Timedelta("3D")  # nothing is known of a stage that never ran


@dataclass(frozen=True)
class ChosenMode:
    """The mode of a run, and why it was chosen."""

    mode: Mode
    reason: str


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


def limits_of_stage(heartbeat: str, *, earlier: Sequence[float]) -> StageLimits:
    """The limits of a stage."""
    silent = pd.Timedelta(heartbeat).total_seconds()
    if not earlier:
        return StageLimits(FIRST.total_seconds(), silent)
    return StageLimits(max(TIMES_LONGEST * max(earlier), LEAST.total_seconds()), silent)
