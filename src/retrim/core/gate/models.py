"""The gate on models: every check there is."""

from retrim.core.gate.evidence import Judged
from retrim.core.gate.losses import judge
from retrim.core.gate.params import GateParams
from retrim.core.gate.verdict import Verdict


def judge_models(judged: Judged, gate: GateParams, *, draws: int, block_rows: int) -> Verdict:
    """The verdict on the best challenger, with every check; all run, also after one has failed.

    Args:
        judged: The rows and all models on them.
        gate: Thresholds.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
    """
    champion = None if judged.champion is None else judged.champion.losses
    losses = {name: scored.losses for name, scored in judged.challengers.items()}
    return judge(losses, champion, judged.floors, gate, draws=draws, block_rows=block_rows)
