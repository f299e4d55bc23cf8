"""The smallest gain that the gate could have seen: what a refusal means, and when a smaller one will show."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.gate.losses import confidence_of, non_inferiority_confidence_of
from retrim.gate.relative_loss import SAYABLE
from retrim.gate.support import Support
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import mean_bound
from retrim.stats.codec import Instant, written

POWER = 0.8  # "seen" is: four times in five
MORE = 4  # times as many rows halve the noise


@dataclass(frozen=True)
class Detectable:
    """What a block of judged rows can tell apart.

    Args:
        rows: Judged rows.
        gain: The smallest relative gain over the champion that would pass four times in five.
        more_rows: Four times as many.
        more_gain: The smallest that those would see.
        by: When that many rows will have come, at the pace of these; None where they have no span.
    """

    rows: int
    gain: float
    more_rows: int
    more_gain: float
    by: Instant | None

    @written
    def text(self) -> str:
        """The sentence for a person."""
        when = "" if self.by is None else f", by {self.by:%Y-%m-%d}"
        return (
            f"{self.rows} rows show a gain of {self.gain:.1%} or more; "
            f"{self.more_rows} rows{when}, would show {self.more_gain:.1%}"
        )


def detectable(
    losses: np.ndarray,
    champion: np.ndarray,
    events: "pd.Series[pd.Timestamp]",
    gate: GateParams,
    *,
    challengers: int,
    uses: float,
    draws: int,
    block_rows: int,
    support: Support | None = None,
) -> Detectable | None:
    """The smallest gain that the gate sees four times in five on rows as noisy as these.

    A gain passes when it is at least `gate.min_gain`, its lower bound is above zero, and its surer lower bound above
    minus `gate.non_inferiority.most`. A bound lies a margin below the gain; the noise of the gain is that margin over
    the quantile it was made with.

    Args:
        losses: The judged challenger's loss of each judged row, shape (n,), in time order; weighed, if rows are.
        champion: The champion's.
        events: Event times of these rows.
        gate: Thresholds.
        challengers: How many there were to choose from.
        uses: How often these rows have judged before.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
        support: What earlier checks showed of it; None where no check started the run.

    Returns:
        None below 2 rows, or where the champion's loss is so near 0 that a share of it says nothing.
    """
    from scipy.special import ndtri, stdtrit

    n, base = len(champion), float(champion.mean()) if len(champion) else 0.0
    if n < 2 or base <= 0:
        return None
    saved = champion - losses
    blocks = max(n // max(min(block_rows, n // 2), 1), 2)
    low = mean_bound(saved, confidence=gate.confidence, block_rows=block_rows, draws=draws, seed=gate.seed)
    noise = (float(saved.mean()) - low) / base / float(stdtrit(blocks - 1, gate.confidence))
    sure = confidence_of(gate, challengers, uses=uses, eased=1.0 if support is None else support.gain * support.part)
    safe = non_inferiority_confidence_of(
        gate, challengers, uses=uses, eased=1.0 if support is None else support.non_inferiority * support.part
    )
    lost = 0.0 if gate.non_inferiority is None else gate.non_inferiority.most
    margin, harmless = (noise * float(stdtrit(blocks - 1, each)) for each in (sure, safe))
    smallest, smaller = (
        max(margin * part, harmless * part - lost, gate.min_gain) + float(ndtri(POWER)) * noise * part
        for part in (1, MORE**-0.5)
    )
    if not smallest <= SAYABLE:
        return None
    span = events.iloc[-1] - events.iloc[0]
    by = events.iloc[-1] + span * (MORE - 1) if span > pd.Timedelta(0) else None
    return Detectable(n, smallest, n * MORE, smaller, by)
