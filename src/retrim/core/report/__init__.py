"""Pictures as PNG bytes: the same figures give the same bytes."""

from retrim.core.report.bars import hyperparameter_importance, importance, importance_by_contributions
from retrim.core.report.calibration import calibration
from retrim.core.report.over_time import loss_over_blocks, loss_over_folds, loss_over_time
from retrim.core.report.predicted import confusion, predicted_against_actual
from retrim.core.report.residuals import residuals
from retrim.core.report.sliced import slices
from retrim.core.report.style import COLOURS, GRID, INK, MUTED, STYLE, drawn, drawn_side_by_side, naive, plain

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "MUTED",
    "STYLE",
    "calibration",
    "confusion",
    "drawn",
    "drawn_side_by_side",
    "hyperparameter_importance",
    "importance",
    "importance_by_contributions",
    "loss_over_blocks",
    "loss_over_folds",
    "loss_over_time",
    "naive",
    "plain",
    "predicted_against_actual",
    "residuals",
    "slices",
]
