"""The gate: challengers and champion on the same rows. Closed unless every check passes.

`judge_models` makes every check, from rows, predictions and losses; `judge` makes those that losses alone allow.
"""

from retrim.core.gate.evidence import Judged, Scored, score
from retrim.core.gate.losses import confidence_of, judge
from retrim.core.gate.models import judge_models
from retrim.core.gate.params import GateParams
from retrim.core.gate.relative import SAYABLE
from retrim.core.gate.verdict import Check, Verdict

__all__ = [
    "SAYABLE",
    "Check",
    "GateParams",
    "Judged",
    "Scored",
    "Verdict",
    "confidence_of",
    "judge",
    "judge_models",
    "score",
]
