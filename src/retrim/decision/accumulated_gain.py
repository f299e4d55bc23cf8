"""The accumulated gain, which is what retraining would have saved so far, and the totals of a model's life."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from retrim.decision.retraining_cost import ModelWorth, MoneyParams, cost_figure
from retrim.stats.codec import written
from retrim.stats.plugins import FOLLOWS, SettingsSection

NEWEST = 3  # deposits that tell what the next will be like: one alone is noise, many are the past
ROUNDED = 1e-3  # how far a written cost may be from what the money says


class GainParams(SettingsSection):
    """How much loss retraining would have saved so far, compared with what it costs."""

    cost: float = Field(
        default=0.2,
        gt=0,
        description="retraining cost: the accumulated gain that pays for one retraining, in units of what the "
        "live version is worth on a usual batch: the loss of the best naive baseline less its own on its holdout rows, "
        "at least a quarter of its own; if gain.money is set, in units of the loss",
    )
    cost_unit: Annotated[Literal["worth", "loss"], FOLLOWS] = Field(
        default="worth",
        description="unit of gain.cost: what the live version is worth on a usual batch (worth), or the loss (loss)",
    )
    rows_per_check: int = Field(default=336, ge=1, description="number of mature rows in a usual check")
    errors: float = Field(
        exclude=True,
        default=2.0,
        ge=0,
        description=(
            "the accumulated gain must also exceed this number of its own standard errors; the benchmark costs "
            "were measured with the default"
        ),
    )
    money: MoneyParams | None = Field(
        default=None,
        description="amounts of money from which `retrim settings --cost` computed gain.cost; null: not stated",
    )

    @model_validator(mode="after")
    def _agrees_with_money(self) -> "GainParams":
        if self.money is None:
            return self
        wanted = self.money.retraining_cost
        if abs(self.cost - wanted) > ROUNDED * wanted:
            raise ValueError(
                f"gain.money gives a cost of {cost_figure(wanted)}, but cost is {self.cost:g}; set "
                f"`cost: {cost_figure(wanted)}`, or `money: null`"
            )
        return self

    def cost_in_loss(self, model: ModelWorth) -> float:
        """The retraining cost in mean loss times checks."""
        return self.cost * (model.worth if self.cost_unit == "worth" else 1.0)


@dataclass(frozen=True)
class AccumulatedGain:
    """Accumulated gain, 0 or more, in mean loss times checks, and its variance.

    The sum of gains since it was last empty; a sum that falls below zero starts anew.

    Args:
        balance: Sum of the gains since it was last 0.
        variance: Variance of the balance.
        recent: The newest gains added, at most 3, oldest first. If a check added the rows of several checks, its entry
            is scaled to the rows of one usual check.

    Source:
        Page (1954), Continuous inspection schemes, Biometrika 41: the same sum, never below zero.
    """

    balance: float
    variance: float
    recent: tuple[float, ...] = ()

    @classmethod
    def empty(cls) -> "AccumulatedGain":
        return cls(0.0, 0.0)

    @property
    def error(self) -> float:
        """Standard error of the balance."""
        return float(self.variance**0.5)

    def deposit(self, gain: float, *, error: float, share: float) -> "AccumulatedGain":
        """The accumulated gain after a window."""
        balance = self.balance + gain * share
        if balance <= 0:
            return AccumulatedGain.empty()
        recent = (*self.recent, gain * min(share, 1.0))[-NEWEST:]  # of one check, also where rows of several came in
        return AccumulatedGain(balance, self.variance + (error * share) ** 2, recent)

    def debit(self, retraining_cost: float) -> "AccumulatedGain":
        """The accumulated gain after a refusal, which costs the retraining cost and gives nothing."""
        return (
            replace(self, balance=self.balance - retraining_cost)
            if self.balance > retraining_cost
            else AccumulatedGain.empty()
        )

    def expected(self, ahead: float) -> float:
        """The balance after `ahead` more checks like the newest: what waiting that long for proof would let slip."""
        usual = sum(self.recent) / len(self.recent) if self.recent else 0.0
        return self.balance + ahead * max(usual, 0.0)

    def pays(self, retraining_cost: float, *, errors: float, ahead: float) -> bool:
        """Whether what is expected exceeds the retraining cost, and the balance `errors` of its own standard errors."""
        return self.expected(ahead) > retraining_cost and self.balance > errors * self.error


@dataclass(frozen=True)
class LifeTotals:
    """Totals since the first version went live, in mean loss times checks.

    Args:
        checks: Checks that measured a loss.
        loss: Sum over these checks of the mean loss times the window's rows over the rows of a usual check.
        retrainings: Runs that were promoted or refused after the first version.
        retrainings_cost: Cost of these retrainings.
        probes: Checks that probed.
        probes_cost: Cost of these probes.
    """

    checks: int
    loss: float
    retrainings: int
    retrainings_cost: float
    probes: int
    probes_cost: float

    @classmethod
    def empty(cls) -> "LifeTotals":
        return cls(0, 0.0, 0, 0.0, 0, 0.0)

    @written
    def without_probes(self) -> float:
        """`loss` plus `retrainings_cost`."""
        return self.loss + self.retrainings_cost

    @written
    def with_probes(self) -> float:
        """`loss` plus `retrainings_cost` plus `probes_cost`."""
        return self.without_probes + self.probes_cost

    def after(
        self,
        *,
        loss: float | None,
        share: float,
        probe_cost: float | None,
        retrainings: int,
        retraining_cost: float,
    ) -> "LifeTotals":
        """The sums after one more check.

        Args:
            loss: Mean loss it measured; None if it measured none.
            probe_cost: What its probe cost; None if it did not probe.
        """
        return LifeTotals(
            checks=self.checks + (loss is not None),
            loss=self.loss + (0.0 if loss is None else loss * share),
            retrainings=retrainings,
            retrainings_cost=self.retrainings_cost + retraining_cost * (retrainings - self.retrainings),
            probes=self.probes + (probe_cost is not None),
            probes_cost=self.probes_cost + (probe_cost or 0.0),
        )
