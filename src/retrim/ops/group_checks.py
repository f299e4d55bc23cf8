"""Fairness of a stored version that is judged anew: one that was imported, or a former champion that may return."""

from collections.abc import Sequence

import pandas as pd

from retrim.core.bundle import Predictor
from retrim.core.fairness.figures import Bootstrap
from retrim.core.fairness.look import CHALLENGER, Given, look
from retrim.core.fairness.outcomes import Outcomes
from retrim.core.gate import Check
from retrim.core.metrics import row_losses
from retrim.ops.house import House


def group_checks(house: House, predictor: Predictor, rows: pd.DataFrame) -> list[Check]:
    """The gate's checks on fairness, as `fairness` in params.yaml has them; none where it sets no limit.

    Args:
        house: The house.
        predictor: Decides by its own thresholds where its bundle has some.
        rows: Whole rows of the table that it has not seen, in time order.
    """
    fairness, judge = house.params.fairness, house.params.judge
    if not fairness.limits() or len(rows) < 2:
        return []
    actual, predicted = predictor.view.actual(rows), predictor.predict(rows)
    cut = fairness.threshold if predictor.thresholds is None else predictor.thresholds.of(rows)
    outcomes = Outcomes.of(predictor.view.task, actual, predicted, threshold=cut)
    given = Given(CHALLENGER, outcomes, row_losses(judge.loss, actual, predicted))
    how = Bootstrap(judge.block_rows, judge.draws, house.params.gate.seed)
    return look([given], rows, [], fairness, how).checks


def forbidden_in(house: House, features: Sequence[str]) -> list[str]:
    """Those of a model's features that `fairness.forbidden` names by now."""
    return sorted(set(features) & set(house.params.fairness.forbidden))
