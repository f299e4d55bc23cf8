"""How a run makes its version, and how long that may take.

- Mode: a search where its expected gain covers its extra cost, else a refit.
- Limits: how long a stage may take, and how long it may be silent before it counts as hung.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Mode = Literal["search", "refit", "baseline"]
MODES: tuple[Mode, ...] = ("refit", "search")  # that make a model; a baseline is asked for by name
TRY_AFTER = 5  # versions made by refitting, one after the other, after which a search is tried
TIMES_LONGEST = 10  # times the longest of the earlier runs of a stage in the same mode ...
LEAST = pd.Timedelta("6h")  # ... and never less: rows and machines change
FIRST = pd.Timedelta("3D")  # nothing is known of a stage that never ran


@dataclass(frozen=True)
class PastMode:
    """A run that was judged against a champion: how it was made, and its gain in mean loss."""

    mode: Mode
    gain: float


@dataclass(frozen=True)
class ChosenMode:
    """The mode of a run, and why it was chosen."""

    mode: Mode
    reason: str


def choose_mode(
    runs: Sequence[PastMode], works: Mapping[Mode, int], *, retraining_cost: float, checks: float
) -> ChosenMode:
    """A search where it is worth its extra cost over a refit; a refit where it is not, or where little is known.

    A search gains over a refit what searches gained over a champion on average, beyond what refits did, at each check
    that a version lives. It costs the retraining cost times its extra work. Where no search is known, one is tried
    after five refits running, or nothing would ever be known of it.
    """
    refits, searches = ([run.gain for run in runs if run.mode == mode] for mode in ("refit", "search"))
    if not refits:
        return ChosenMode("refit", "there is no earlier refit to compare with")
    if not searches:
        if [run.mode for run in runs[-TRY_AFTER:]] == ["refit"] * TRY_AFTER:
            why = f"the last {TRY_AFTER} runs were refits and the gain of search is unknown, so it is tried once"
            return ChosenMode("search", why)
        return ChosenMode("refit", "no search is known to gain more than a refit")
    gain = (sum(searches) / len(searches) - sum(refits) / len(refits)) * checks
    extra = retraining_cost * max(works["search"] / works["refit"] - 1, 0.0) if works["refit"] else 0.0
    if gain > extra:
        why = f"over the life of a version, search gains {gain:.4g} more than a refit and costs {extra:.4g} more"
        return ChosenMode("search", why)
    return ChosenMode("refit", f"search would gain {gain:.4g} more than a refit but cost {extra:.4g} more")


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
