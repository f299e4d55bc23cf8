"""What a life came to: when it was answered, and what it cost beside the best schedule in hindsight."""

from dataclasses import dataclass

import numpy as np

from retrim.decision.policy_backtest import PolicyDelays
from retrim.decision.policy_compare import best_in_hindsight
from retrim.release.versions import load_stored_version
from retrim.stats.metrics import row_losses
from retrim.training.recipe import fit_recipe
from tests.lives.life import Life, LifeCheck
from tests.lives.worlds import HISTORY, WEEK

SLIDING = 840  # rows of the sliding window in hindsight, five weeks


@dataclass(frozen=True)
class Answer:
    """How a change was answered.

    Args:
        after: Checks from the change to the promotion, that one among them; None: there was none.
        ratio: Loss of the four checks after it, with the price of further retrainings, over that of a model that knew:
            the same recipe fitted at the same check on the rows since the change alone.
        fresh_ratio: The same over such a model that is fitted anew at each of the four checks, at no price.
    """

    after: int | None
    ratio: float | None
    fresh_ratio: float | None


def find_answer(life: Life) -> Answer:
    """The first promotion after the change of a life."""
    changed = life.world.changed
    assert changed is not None
    promoted = [each.number for each in life.checks if each.promoted and each.number >= changed]
    if not promoted:
        return Answer(None, None, None)
    following = [each for each in life.checks if promoted[0] < each.number <= promoted[0] + 4]
    knowing = [each.knowing_loss for each in following if each.knowing_loss is not None]
    if not knowing:
        return Answer(promoted[0] - changed + 1, None, None)
    served = sum(each.served_loss for each in following) + price_of(following)
    held = knowing_losses(life, changed, promoted[0], len(following))
    return Answer(promoted[0] - changed + 1, served / float(held.sum()), served / sum(knowing))


def knowing_losses(life: Life, changed: int, fitted: int, weeks: int) -> np.ndarray:
    """Mean loss in each of some weeks of a model fitted at a check on the rows since the change, shape (weeks,)."""
    live = next(each.promoted for each in life.checks if each.number == fitted)
    assert live is not None
    predictor = load_stored_version(life.workspace, live).predictor
    frame = life.as_table(life.world.frame)
    since, known = (HISTORY + changed - 1) * WEEK, (HISTORY + fitted - life.world.late_weeks) * WEEK
    model = fit_recipe(predictor.recipe, predictor.view, frame.iloc[since:known].reset_index(drop=True), threads=1)
    until = (HISTORY + fitted) * WEEK
    later = frame.iloc[until : until + weeks * WEEK].reset_index(drop=True)
    losses = row_losses(
        life.workspace.params.judge.loss, predictor.view.actual(later), model.predict(predictor.view.matrix(later))
    )
    return np.asarray(losses.reshape(-1, WEEK).mean(axis=1))


def price_of(checks: list[LifeCheck]) -> float:
    """What the retrainings of these checks cost, promoted and refused ones."""
    return sum(each.outcome.record.gain.retraining_cost for each in checks if each.promoted or each.refused)


def retrainings(life: Life) -> int:
    return sum(bool(each.promoted) or each.refused for each in life.checks)


@dataclass(frozen=True)
class BesideHindsight:
    """A life beside the best schedule in hindsight.

    Args:
        cost: Its cost, retrainings included, over that of the schedule.
        retrainings: Of the schedule.
    """

    cost: float
    retrainings: int


def beside_hindsight(life: Life) -> BesideHindsight:
    """Holds a life against the best schedule in hindsight.

    Hindsight retrains at any check, on all rows, on the newest 840 or on those since the change, with the recipe of
    version 1 and at the mean price of the life's checks.
    """
    prices = [each.outcome.record.gain.retraining_cost for each in life.checks]
    price = float(np.mean(prices))
    own = sum(each.served_loss for each in life.checks) + price * retrainings(life)
    best = best_in_hindsight(_totals(life), PolicyDelays(0, 0), retraining_cost=price)
    return BesideHindsight(own / best.cost(price), len(best.checks))


def _totals(life: Life) -> np.ndarray:
    """Mean loss of each model on each later week, shape (windows, weeks, weeks)."""
    predictor = load_stored_version(life.workspace, 1).predictor
    weeks = len(life.checks)
    frame = life.as_table(life.world.frame)
    since = (HISTORY + (life.world.changed or 1) - 1) * WEEK
    totals = np.full((3, weeks, weeks), np.nan)
    for week in range(weeks):
        until = (HISTORY + week) * WEEK
        begins = (0, until - SLIDING, since if until - since >= 48 else 0)
        for kind, begin in enumerate(begins):
            known = frame.iloc[begin:until].reset_index(drop=True)
            model = fit_recipe(predictor.recipe, predictor.view, known, threads=1)
            later = frame.iloc[until : until + (weeks - week) * WEEK].reset_index(drop=True)
            losses = row_losses(
                life.workspace.params.judge.loss,
                predictor.view.actual(later),
                model.predict(predictor.view.matrix(later)),
            )
            totals[kind, week, week:] = losses.reshape(-1, WEEK).mean(axis=1)
    return totals
