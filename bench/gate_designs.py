"""Ways to count what earlier checks have shown, when the gate looks at its rows: compared in cost and in error.

Each gives a verdict on blocks of judged rows, from what the checks of the champion's life showed on rows before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr

from retrim.decision.policy_play import GateSimulation
from retrim.gate.size import Size
from retrim.gate.support import ShownEvidence, evidence_of
from retrim.gate.verdict import Verdict

Losses = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class AtCeiling(GateSimulation):
    """The newest `split.judge_rows` rows judge, whatever probes showed."""

    def sized(
        self, shown: Sequence[ShownEvidence], early: Sequence[ShownEvidence], *, tries: int, block_rows: int
    ) -> Size:
        return Size(self.rows)


@dataclass(frozen=True)
class Alone(AtCeiling):
    """A: nothing counts but the judged rows, each time at the full error."""

    def judged(self, challengers: Losses, champion: np.ndarray, shown: Sequence[ShownEvidence] | None) -> Verdict:
        return super().judged(challengers, champion, None)


@dataclass(frozen=True)
class Multiplied(AtCeiling):
    """B: one e-process over all rows of the life, the judged ones its last factor; they must not contradict it."""

    def judged(self, challengers: Losses, champion: np.ndarray, shown: Sequence[ShownEvidence] | None) -> Verdict:
        assert self.gate.non_inferiority is not None
        found = super().judged(challengers, champion, None)
        before = [each for each in shown or () if found.winner in each.refits and len(each.champion)]
        its = np.concatenate([*(each.champion for each in before), champion])
        own = np.concatenate([*(each.refits[found.winner] for each in before), challengers[found.winner]])
        starts = np.cumsum([0, *(len(each.champion) for each in before)])[: max(len(before), 1)]
        gain, non_inferiority = (
            evidence_of((1 + lost) * its - own, starts) for lost in (0.0, self.gate.non_inferiority.most)
        )
        passes = (
            gain >= len(challengers) / (1 - self.gate.confidence)
            and non_inferiority >= len(challengers) / (1 - self.gate.non_inferiority.confidence)
            and float((champion - challengers[found.winner]).mean()) >= 0
        )
        return opened(found, passes=passes)


@dataclass(frozen=True)
class Pooled(AtCeiling):
    """D: the mean of all rows of the life and the judged ones, as one t-test whose error is divided by 50."""

    def judged(self, challengers: Losses, champion: np.ndarray, shown: Sequence[ShownEvidence] | None) -> Verdict:
        assert self.gate.non_inferiority is not None
        found = super().judged(challengers, champion, None)
        before = [each for each in shown or () if found.winner in each.refits and len(each.champion)]
        its = np.concatenate([*(each.champion for each in before), champion])
        saved = its - np.concatenate([*(each.refits[found.winner] for each in before), challengers[found.winner]])
        n, tries = len(saved), len(challengers) * LIFE
        error = max(float(saved.std(ddof=1)) / n**0.5, 1e-12) if n > 1 else np.inf
        levels = ((0.0, self.gate.confidence), (self.gate.non_inferiority.most, self.gate.non_inferiority.confidence))
        passes = all(
            stdtr(n - 1, (float(saved.mean()) + lost * float(its.mean())) / error) > 1 - (1 - sure) / tries
            for lost, sure in levels
        )
        return opened(found, passes=passes and float((champion - challengers[found.winner]).mean()) >= 0)


def opened(found: Verdict, *, passes: bool) -> Verdict:
    """A verdict that passes, or does not, by another rule."""
    return replace(found, checks=tuple(replace(check, passed=passes) for check in found.checks))


LIFE = 50  # checks that D divides its error by
FIRST_DESIGN, SHIPPED = "A: judged rows alone", "shipped: evidence eases the judged rows"
CEILING = "shipped, but all of judge_rows judge"
DESIGNS: dict[str, type[GateSimulation]] = {
    FIRST_DESIGN: Alone,
    "B: e-values multiplied": Multiplied,
    "D: means pooled": Pooled,
    CEILING: AtCeiling,
    SHIPPED: GateSimulation,
}
