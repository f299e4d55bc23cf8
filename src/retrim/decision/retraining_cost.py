"""What a retraining costs: in money, in the loss, and when it pays for itself."""

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from retrim.stats.codec import written
from retrim.stats.plugins import SettingsSection

WORTH_FLOOR = 0.25
"""Least worth of a model, as a share of its judged loss.

A model that is no better than a naive baseline is worth nothing, but its retraining is not free: at a fifth of this, a
gain of 5 % over one usual check pays for it. The error of a judged loss on a few hundred rows is of this size, so a
smaller worth is not told from nothing.
"""


LOWER = 0.1
"""Share of the loss in the sentence on when a retraining pays for itself."""


YEAR_DAYS = 365.25


class MoneyParams(SettingsSection):
    """What a retraining costs, and what loss costs."""

    cost: float = Field(gt=0, description="cost of one retraining (compute, review, churn), in `currency`")
    per_unit: float = Field(
        gt=0, description="cost, in `currency`, of one unit of mean loss over as many rows as a check usually has"
    )
    currency: str = Field(min_length=1, description="name of the currency, such as EUR")
    gb_month: float | None = Field(
        default=None,
        ge=0,
        description="cost of storing 1 GB on disk for a month, in `currency`; null: storage is not counted",
    )
    budget: float | None = Field(
        default=None,
        gt=0,
        description="maximum cost of retrainings per calendar month (UTC), in `currency`; null: no limit",
    )

    @property
    def retraining_cost(self) -> float:
        """The gain in mean loss that, held for one usual check, is worth one retraining."""
        return self.cost / self.per_unit

    def worth(self, loss: float) -> float:
        """What an amount in mean loss times checks, such as the accumulated gain, is worth."""
        return loss * self.per_unit


@dataclass(frozen=True)
class MonthSpent:
    """What the retrainings of a calendar month cost, in UTC.

    Args:
        month: Such as 2026-11.
        runs: Retrainings that were paid for.
        money: What one costs, and the currency.
        budget: What all of them may cost; `gain.money.budget`.
    """

    month: str
    runs: int
    money: MoneyParams
    budget: float

    @property
    def spent(self) -> float:
        return self.runs * self.money.cost

    @property
    def affordable(self) -> int:
        """Retrainings that the budget pays for. As binary fractions three times 1.1 are a little more than 3.3."""
        return int(self.budget / self.money.cost * (1 + 1e-9))

    @property
    def is_used_up(self) -> bool:
        """Whether one more would cost more than there is."""
        return self.runs >= self.affordable

    @property
    def is_nearly_used_up(self) -> bool:
        """Whether one more fits, and none after it."""
        return self.runs + 1 == self.affordable

    @property
    def text(self) -> str:
        """Such as `retrainings of 2026-11 cost 80 of 100 EUR`."""
        return f"retrainings of {self.month} cost {self.spent:.6g} of {self.budget:.6g} {self.money.currency}"


@dataclass(frozen=True)
class ModelWorth:
    """What a model is worth over one usual check, from the rows that judged it.

    Args:
        loss: Its mean loss on its holdout rows.
        naive_loss: Lowest mean loss of a naive baseline on the same rows; None if none was judged.
    """

    loss: float
    naive_loss: float | None

    @property
    def worth(self) -> float:
        """What the naive baseline loses more, at least a quarter of the model's loss; its loss without a baseline."""
        if self.naive_loss is None:
            return self.loss
        return max(self.naive_loss - self.loss, WORTH_FLOOR * self.loss)

    @property
    def is_above_floor(self) -> bool:
        """Whether it is worth more than the least that is counted."""
        return self.worth > WORTH_FLOOR * self.loss


def describe_payback(
    retraining_cost: float, model: ModelWorth, *, loss: str, worst_loss: float | None, checks_of_year: float
) -> str:
    """When a retraining pays for itself, or that nothing in the history could pay for one.

    Args:
        worst_loss: Highest mean loss that a check measured; None before the first.
    """
    naive = model.naive_loss or 0.0
    if worst_loss is None or worst_loss <= naive:
        worst, whose = naive, f"of a model as bad as the best naive baseline ({loss} {naive:.4g})"
    else:
        worst, whose = worst_loss, f"as bad as the worst check ({loss} {worst_loss:.4g})"
    shown = max(worst - model.loss, 0.0)
    text = f"pays for itself after about {_batches(retraining_cost, LOWER * model.loss)} of a {LOWER:.0%} lower loss"
    if shown * checks_of_year >= retraining_cost:
        return f"{text}, or {_batches(retraining_cost, shown)} {whose}"
    return (
        f"{text}; no change that the history has shown could pay for it within a year: no naive baseline and no check "
        f"lost more than {loss} {worst:.4g}, and the model lost {model.loss:.4g} when judged"
    )


def _batches(retraining_cost: float, saved: float) -> str:
    """Number of batches whose savings reach the retraining cost."""
    if not saved:
        return "no number of batches"
    count = max(math.ceil(retraining_cost / saved * (1 - 1e-9)), 1)
    return "1 batch" if count == 1 else f"{count:,} batches"


@dataclass(frozen=True)
class RetrainingCost:
    """A retraining cost in money and in the loss.

    Args:
        money: `gain.money`, from which it is computed.
        loss: Name of the loss.
        rows_per_check: Rows of a usual check.
        checks_of_year: Usual checks of a year, as rows have landed.
        model: What the live version is worth; None before the first version.
        worst_loss: Highest mean loss that a check measured; None before the first.
    """

    money: Annotated[MoneyParams, Field(exclude=True)]
    loss: str
    rows_per_check: int
    checks_of_year: float
    model: Annotated[ModelWorth | None, Field(exclude=True)]
    worst_loss: float | None

    @written
    def retraining_cost(self) -> float:
        """Cost of a retraining, in mean loss times checks."""
        return self.money.retraining_cost

    @written
    def cost(self) -> float:
        """Cost of a retraining, in `currency`."""
        return self.money.cost

    @written
    def per_row(self) -> float:
        """Cost of one unit of loss of one row, in `currency`."""
        return self.money.per_unit / self.rows_per_check

    @written
    def per_unit(self) -> float:
        """Cost of one unit of mean loss over the rows of one usual check, in `currency`."""
        return self.money.per_unit

    @written
    def currency(self) -> str:
        """Currency, such as EUR."""
        return self.money.currency

    @written
    def lines(self) -> tuple[str, ...]:
        """Lines to put in `params.yaml`, under `gain`."""
        money = self.money
        return (
            f"cost: {cost_figure(money.retraining_cost)}",
            (
                f"money: {{cost: {cost_figure(money.cost)}, per_unit: {cost_figure(money.per_unit)}, "
                f"currency: {money.currency}}}"
            ),
        )

    @written
    def sentence(self) -> str:
        """When a retraining pays for itself, in one sentence."""
        money = self.money
        cost = f"A retraining at {money.cost:.6g} {money.currency}"
        if self.model is None:
            return (
                f"{cost} pays once mean {self.loss} is smaller by {money.retraining_cost:.4g} for one usual check, or "
                f"by {money.retraining_cost / 10:.4g} for ten of them."
            )
        payback = describe_payback(
            money.retraining_cost,
            self.model,
            loss=self.loss,
            worst_loss=self.worst_loss,
            checks_of_year=self.checks_of_year,
        )
        return f"{cost} {payback}."

    @written
    def judged_losses(self) -> float | None:
        """The retraining cost as a multiple of the live version's judged loss; None without one, or if it is 0."""
        return self.money.retraining_cost / self.model.loss if self.model is not None and self.model.loss else None

    @property
    def loss_of_year(self) -> float | None:
        """All loss of the live version in a year, as judged, in mean loss times checks; None before a version."""
        return None if self.model is None else self.model.loss * self.checks_of_year


def cost_figure(value: float) -> str:
    """A number as params.yaml has it: the digits it needs to be read back near enough, at most 6."""
    text = f"{value:.6g}"
    if "e" not in text:
        return text
    if value >= 1:
        return f"{float(text):.0f}"
    digits, power = text.split("e")
    return f"{digits if '.' in digits else digits + '.0'}e{power}"  # without the point YAML reads text
