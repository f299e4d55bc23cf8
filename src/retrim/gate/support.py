"""What earlier checks have shown of refits, and how much less a challenger has to show for it.

Each check of a champion's life holds refits against it on rows that neither had seen. Under "no refit is better" the
product of what their blocks are worth, an e-process, has a mean of 1 at most at whatever check one stops. A test that
may err in a share a may therefore err in a times that evidence, gathered on rows before its own: over all luck that
is a again. Each probe of a life is a look, and may use a fifth of the error: measured over lives of 50 checks, an equal
challenger is then promoted in about as many as the error says.

Nobody knows since when a refit is better. So the evidence is a mean over beginnings: half of it bets on the champion's
whole life, the rest on each later check, with a chance of 1 / 25 that it begins there.

Source:
    Evidence as a weight of a test: Ignatiadis, Wang and Ramdas (2024), E-values as unnormalized weights in multiple
    testing, Biometrika 111(2). A mean over beginnings: Shin, Ramdas and Rinaldo (2024), E-detectors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.gate.verdict import Check
from retrim.stats.anytime import log_evidence_since
from retrim.stats.bootstrap import error_parts
from retrim.stats.codec import Instant, Numbers

LOOK = 0.2
"""Part of the error that the look of one check may use."""
WHOLE, BEGINS = 0.5, 1 / 25
MOST_BLOCKS = 40  # of a check: what is stored of it stays small
MOST = 50.0  # e to more than this changes no verdict
EASIEST = 0.49
"""The error, at most: whatever was shown before, the judged rows must speak for the challenger."""


@dataclass(frozen=True)
class ShownEvidence:
    """Blocks of the rows of one check, with the mean losses of the champion and of the refits."""

    until: tuple[Instant, ...]  # event time of each block's last row, shape (blocks,); empty if all blocks count
    champion: Numbers  # the champion's mean loss in each block, shape (blocks,)
    refits: Mapping[str, Numbers]  # of the refits, by training window
    block_rows: float = 0.0  # average number of rows in a block; 0 if it was not stored

    def before(self, moment: pd.Timestamp) -> "ShownEvidence":
        """Its blocks that end before a moment."""
        is_before = np.array([until < moment for until in self.until], dtype=bool)
        until = tuple(ends for ends in self.until if ends < moment)
        refits = {kind: losses[is_before] for kind, losses in self.refits.items()}
        return ShownEvidence(until, self.champion[is_before], refits, self.block_rows)

    @classmethod
    def of_rows(
        cls, events: Sequence[pd.Timestamp], champion: np.ndarray, refits: Mapping[str, np.ndarray], *, block_rows: int
    ) -> "ShownEvidence":
        """From losses by row, in time order, in blocks of `block_rows` rows or more."""
        n = len(champion)
        parts = error_parts(n, block_rows=max(block_rows, -(-n // MOST_BLOCKS))) if n else []
        means = {kind: np.array([losses[part].mean() for part in parts]) for kind, losses in refits.items()}
        until = tuple(max(events[row] for row in part) for part in parts)
        return cls(until, np.array([champion[part].mean() for part in parts]), means, n / max(len(parts), 1))


@dataclass(frozen=True)
class Support:
    """How many times as likely the rows of earlier checks are as under a null, at most e to 50."""

    gain: float = 1.0  # "A refit is no better than the champion."
    non_inferiority: float = 1.0  # "It loses more than `gate.non_inferiority.most`."
    checks: int = 0  # checks that had rows for it
    blocks: int = 0  # blocks of rows


def support_of(shown: Sequence[ShownEvidence], kind: str, *, most: float) -> Support:
    """What the checks of a champion's life say of its recipe refitted on a training window.

    Half of the evidence is laid aside, so that rows of before the world changed make the gate at most twice as strict.
    A harmless refit loses at most the share `most` of the champion's loss.
    """
    checks = [check for check in shown if kind in check.refits and len(check.champion)]
    if not checks:
        return Support()
    champion = np.concatenate([check.champion for check in checks])
    refit = np.concatenate([check.refits[kind] for check in checks])
    starts = np.cumsum([0, *(len(check.champion) for check in checks[:-1])])
    gain, non_inferiority = (evidence_of((1 + lost) * champion - refit, starts) for lost in (0.0, most))
    return Support((1 + gain) / 2, (1 + non_inferiority) / 2, len(checks), len(champion))


def evidence_of(saved: np.ndarray, starts: np.ndarray) -> float:
    """How many times as likely numbers are as under "their mean is 0 or less", over all beginnings; at most e to 50.

    Args:
        saved: In order of time, 1 or more.
        starts: Where those of each check begin.
    """
    from scipy.special import logsumexp

    later = (1 - WHOLE) * BEGINS * (1 - BEGINS) ** np.arange(len(starts) - 1)
    weights = np.array([WHOLE, *later])
    logs = np.append(log_evidence_since(saved, starts), 0.0)  # what bets on beginnings to come is not laid yet
    return float(np.exp(min(float(logsumexp(logs, b=np.append(weights, max(1 - weights.sum(), 0.0)))), MOST)))


def supported(support: Support) -> Check:
    """Says what earlier checks have shown; it refuses nothing by itself."""
    if not support.checks:
        text = f"no earlier check has rows older than these; a look may use {LOOK:.0%} of the error"
        return Check("evidence", True, 1.0, None, text, None)
    checks = f"{support.checks} check{'' if support.checks == 1 else 's'}"
    text = (
        f"rows of {checks} before these are {support.gain:.3g} times as likely as if such refits were no better, and "
        f"{support.non_inferiority:.3g} times as likely as if they were worse; this look may use {LOOK:.0%} of "
        "the error"
    )
    return Check("evidence", True, support.gain, None, text, None)
