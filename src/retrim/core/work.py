"""The work of fits, in rows times rounds: what a probe costs beside a retraining, the same on every machine.

Seconds would differ from run to run, and a check's record has to be the same bytes when
it is replayed. On one table the time of a fit grows with rows times rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrim.core.backtest import BacktestParams
from retrim.core.modes import Mode
from retrim.core.training import RecipeKind, WindowKind
from retrim.core.tuning import TuneParams


@dataclass(frozen=True)
class ProbeCost:
    """What a check's probe cost.

    Args:
        work: Rows times rounds of its fits.
        retraining: Those of the retraining it asks about.
        price: Of that retraining, in units of the loss.
    """

    work: int
    retraining: int
    price: float

    @property
    def cost(self) -> float:
        """The probe's share of a retraining's work, at the retraining's price."""
        return self.price * self.work / self.retraining if self.retraining else 0.0

    def as_record(self) -> dict[str, Any]:
        return {"work": self.work, "retraining": self.retraining, "cost": self.cost}


def retraining_work(
    rows: int,
    rounds: int,
    *,
    mode: Mode,
    windows: Sequence[WindowKind],
    recipes: Sequence[RecipeKind],
    sliding_rows: int,
    backtest: BacktestParams,
    tune: TuneParams,
) -> int:
    """Rows times rounds of all fits of a retraining: challengers, the backtest's origins, the trials of its mode.

    Args:
        rows: Rows a model trains on when all the past is taken.
        rounds: Boosting rounds of a fit.
        mode: A refit makes no trial.
        windows: Training windows that compete.
        recipes: Recipes that compete where there are trials; a refit has one.
        sliding_rows: Rows of the sliding one.
        backtest: Origins.
        tune: Trials and folds.
    """
    pasts = [rows] + [max(rows - number * backtest.origin_rows, 0) for number in range(1, backtest.origins + 1)]
    fitted = sum(min(past, sliding_rows) if kind == "sliding" else past for past in pasts for kind in windows)
    trials = {"refit": 0, "warm": tune.warm_trials, "search": tune.trials}[mode]
    folds = sum(max(rows - number * tune.fold_rows, 0) for number in range(1, tune.folds + 1))
    return rounds * (fitted * (len(recipes) if trials else 1) + trials * folds)
