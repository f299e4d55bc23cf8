"""What the gate would say of the newest refits: a run that it would refuse is not worth its price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.gate import GateParams, Support, judge


@dataclass(frozen=True)
class Preview:
    """The gate's answer on the rows that the probe judged, without the naive floors.

    Args:
        passes: Whether the best refit would be promoted.
        reason: What decides, in a sentence.
        short: Why not even all rows that may judge show the gain that was found, and which setting would; None where
            they do, or nothing tells.
    """

    passes: bool
    reason: str
    short: str | None = None

    def as_record(self) -> dict[str, Any]:
        return {"passes": self.passes, "reason": self.reason, "short": self.short}


def preview(
    refits: Mapping[str, np.ndarray],
    champion: np.ndarray,
    gate: GateParams,
    *,
    rows: int,
    draws: int,
    block_rows: int,
    support: Mapping[str, Support],
) -> Preview | None:
    """What the gate would say, had these refits been the challengers of a run.

    A run judges its challengers on the newest mature rows, as many as are chosen here; where the probe's window is as
    long, and a run refits, these are the same rows and the same models.

    Args:
        refits: Losses of the probe's refits by training window, each shape (n,), in time order.
        champion: The same of the champion.
        gate: Thresholds.
        rows: Rows behind these losses, which may be means over several.
        draws: Bootstrap draws.
        block_rows: Losses of a bootstrap block.
        support: What earlier rows showed of the refits, by training window.

    Returns:
        None where the rows are fewer than the gate judges on.
    """
    if rows < gate.min_rows:
        return None
    means = gate.model_copy(update={"min_rows": 2})
    verdict = judge(
        refits, champion, {}, means, draws=draws, block_rows=block_rows, uses=0.0, weights=None, support=support
    )
    return Preview(verdict.promote, verdict.reason)


def too_few_rows(check: Mapping[str, Any]) -> str | None:
    """Why so few rows do not show what the account holds, where it would pay for a run, from a check's record."""
    said = check.get("preview") or {}
    if not said.get("short") or said["passes"] or check["account"]["balance"] < check["price"]:
        return None
    return str(said["short"])
