"""The gate: challengers and champion on the same rows. Closed unless every check passes.

`judge_models` makes every check, from rows, predictions and losses; `judge` makes those that losses alone allow.
"""

from retrim.core.gate.evidence import Judged, Scored, Stated, score
from retrim.core.gate.losses import confidence_of, harm_confidence_of, judge, recency
from retrim.core.gate.models import judge_models
from retrim.core.gate.params import CalibrationParams, GateParams, GateSliceParams
from retrim.core.gate.relative import SAYABLE
from retrim.core.gate.reuse import Used, uses
from retrim.core.gate.size import Size, rows_holding, size_for
from retrim.core.gate.support import NO_SUPPORT, Shown, Support, support_of
from retrim.core.gate.verdict import Check, Verdict

__all__ = [
    "NO_SUPPORT",
    "SAYABLE",
    "CalibrationParams",
    "Check",
    "GateParams",
    "GateSliceParams",
    "Judged",
    "Scored",
    "Shown",
    "Size",
    "Stated",
    "Support",
    "Used",
    "Verdict",
    "confidence_of",
    "harm_confidence_of",
    "judge",
    "judge_models",
    "recency",
    "rows_holding",
    "score",
    "size_for",
    "support_of",
    "uses",
]
