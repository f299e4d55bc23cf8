"""The gate on models: every check there is."""

from collections.abc import Mapping

from retrim.core.gate.calibration import calibration
from retrim.core.gate.churn import churn
from retrim.core.gate.evidence import Judged
from retrim.core.gate.losses import confidence_of, judge, recency
from retrim.core.gate.params import GateParams
from retrim.core.gate.relative import Resampling
from retrim.core.gate.reuse import reuse
from retrim.core.gate.slices import worst_slice
from retrim.core.gate.support import Support
from retrim.core.gate.verdict import Check, Verdict
from retrim.core.slices import SliceParams


def judge_models(
    judged: Judged,
    gate: GateParams,
    slices: SliceParams,
    *,
    draws: int,
    block_rows: int,
    uses: float,
    rivals: int = 0,
    support: Mapping[str, Support] | None = None,
) -> Verdict:
    """The verdict on the best challenger, with every check; all run, also after one has failed.

    Args:
        judged: The rows and all models on them.
        gate: Thresholds.
        slices: How columns are cut into slices.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
        uses: How often these rows have judged before.
        rivals: Others that compete on the same rows and are not among the challengers.
        support: What earlier checks showed of challengers, by name; None where no check started the run.
    """
    champion = judged.champion
    verdict = judge(
        {name: scored.losses for name, scored in judged.challengers.items()},
        None if champion is None else champion.losses,
        judged.floors,
        gate,
        draws=draws,
        block_rows=block_rows,
        uses=uses,
        weights=recency(judged.rows["_event"], gate.half_life),
        rivals=rivals,
        support=support,
    )
    if not len(judged.rows):
        return verdict
    winner, resampling = judged.challengers[verdict.winner], Resampling(draws, block_rows, gate.seed)
    found: list[Check | None] = []
    if champion is not None:
        losses = winner.losses, champion.losses
        found += [
            reuse(uses, confidence=confidence_of(gate, len(judged.challengers) + rivals, uses=uses)),
            worst_slice(judged.rows, judged.features, *losses, gate.slices, slices, resampling),
            churn(winner, champion, most=gate.churn, confidence=gate.confidence, resampling=resampling),
        ]
    found += calibration(winner, champion, gate.calibration, resampling)
    return verdict.with_checks([check for check in found if check is not None])
