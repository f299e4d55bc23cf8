"""The retraining cost: what it costs in money, as a gain in mean loss that pays for it.

The accumulated gain: what retraining would have saved so far, in mean loss times checks, never below zero.

What a model has cost up to a check: loss, retrainings, and probes, in mean loss times checks.

The reference band: what the champion's mean loss over a window does while nothing has changed.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from retrim.stats.codec import written
from retrim.stats.plugins import FOLLOWS, SettingsSection


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
        budget: What all of them may cost.
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


WORTH_FLOOR = 0.25
"""Least worth of a model, as a share of its judged loss.

A model that is no better than a naive baseline is worth nothing, but its retraining is not free: at a fifth of this, a
gain of 5 % over one usual check pays for it. The error of a judged loss on a few hundred rows is of this size, so a
smaller worth is not told from nothing.
"""
LOWER = 0.1
"""Share of the loss in the sentence on when a retraining pays for itself."""
YEAR_DAYS = 365.25


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
    ahead: float = Field(
        exclude=True,
        default=0.0,
        ge=0,
        description=(
            "number of future checks whose expected gain is added before the accumulated gain is compared with the "
            "retraining cost; their gain is assumed to be like that of the newest checks; the default is 0, so "
            "that only measured gains count"
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

    @property
    def error(self) -> float:
        """Standard error of the balance."""
        return float(self.variance**0.5)

    def deposit(self, gain: float, *, error: float, share: float) -> "AccumulatedGain":
        """The accumulated gain after a window."""
        balance = self.balance + gain * share
        if balance <= 0:
            return EMPTY
        recent = (*self.recent, gain * min(share, 1.0))[-NEWEST:]  # of one check, also where rows of several came in
        return AccumulatedGain(balance, self.variance + (error * share) ** 2, recent)

    def debit(self, retraining_cost: float) -> "AccumulatedGain":
        """The accumulated gain after a refusal, which costs the retraining cost and gives nothing."""
        return replace(self, balance=self.balance - retraining_cost) if self.balance > retraining_cost else EMPTY

    def expected(self, ahead: float) -> float:
        """The balance after `ahead` more checks like the newest: what waiting that long for proof would let slip."""
        usual = sum(self.recent) / len(self.recent) if self.recent else 0.0
        return self.balance + ahead * max(usual, 0.0)

    def pays(self, retraining_cost: float, *, errors: float, ahead: float) -> bool:
        """Whether what is expected exceeds the retraining cost, and the balance `errors` of its own standard errors."""
        return self.expected(ahead) > retraining_cost and self.balance > errors * self.error


EMPTY = AccumulatedGain(0.0, 0.0)


@dataclass(frozen=True)
class LifeTotals:
    """Totals since the first version went live, in mean loss times checks.

    Args:
        checks: Checks that measured a loss.
        loss: Sum over these checks of the mean loss times the window's rows over the rows of a usual check.
        retrainings: Runs that were promoted or refused after the first version.
        retrainings_cost: Cost of these retrainings and of the refits counted under `refits`.
        probes: Checks that probed.
        probes_cost: Cost of these probes.
        refits: Promoted recipes after the first version that were fitted again with the holdout rows.
    """

    checks: int
    loss: float
    retrainings: int
    retrainings_cost: float
    probes: int
    probes_cost: float
    refits: int = 0

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
        refits: int = 0,
        refit_share: float = 0.0,
    ) -> "LifeTotals":
        """The sums after one more check.

        Args:
            loss: Mean loss it measured; None if it measured none.
            probe_cost: What its probe cost; None if it did not probe.
            refit_share: What each that is new costs, as a share of the retraining cost.
        """
        return LifeTotals(
            checks=self.checks + (loss is not None),
            loss=self.loss + (0.0 if loss is None else loss * share),
            retrainings=retrainings,
            retrainings_cost=self.retrainings_cost
            + retraining_cost * (retrainings - self.retrainings + refit_share * (refits - self.refits)),
            probes=self.probes + (probe_cost is not None),
            probes_cost=self.probes_cost + (probe_cost or 0.0),
            refits=refits,
        )


NOTHING = LifeTotals(0, 0.0, 0, 0.0, 0, 0.0)

LEAST_BLOCKS = 4  # of the reference: with fewer its spread is not known


class BandParams(SettingsSection):
    """How far above the reference band a loss has to be."""

    unit: Literal["iqr", "sd"] = Field(
        exclude=True,
        default="iqr",
        description="unit of reach: the band's interquartile range (iqr), which is robust to outliers, or its "
        "standard deviation (sd)",
    )
    reach: float = Field(
        exclude=True,
        default=3.0,
        gt=0,
        description=(
            "number of units from the middle of the band to its top; the default is about four standard deviations"
        ),
    )


@dataclass(frozen=True)
class Band:
    """Mean loss to expect of a window drawn from the rows that evaluated the champion.

    Args:
        centre: Mean loss on those rows.
        iqr: Interquartile range of the mean loss of a window as long as the current one, including the noise of the
            centre.
        sd: Standard deviation of the same mean loss.
    """

    centre: float
    iqr: float
    sd: float

    def top(self, params: BandParams) -> float:
        """The loss above which a window lies outside."""
        return self.centre + params.reach * (self.iqr if params.unit == "iqr" else self.sd)


def reference_band(losses: np.ndarray, *, rows: int, block_rows: int, draws: int, seed: int) -> Band | None:
    """The band for a window of `rows` rows, from the champion's losses on the rows that judged it.

    Both means are drawn: that of the window, and that of the reference, which is a sample too.

    Args:
        losses: One a row, in time order, shape (n,).
        rows: Of the current window, 1 or more.

    Returns:
        None where the reference has fewer than 4 blocks.

    Source:
        Politis and Romano (1992), A circular block-resampling procedure for stationary data.
    """
    n = len(losses)
    if n < LEAST_BLOCKS * block_rows:
        return None
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([losses, losses[:block_rows]]))])
    drawn = np.random.default_rng(seed)

    def means(length: int) -> np.ndarray:
        blocks = np.diff([*range(0, length, block_rows), length])  # the last one may be shorter
        starts = drawn.integers(0, n, size=(draws, len(blocks)))
        return np.asarray((sums[starts + blocks] - sums[starts]).sum(axis=1) / length)

    apart = means(rows) - means(n)
    low, high = np.quantile(apart, [0.25, 0.75])
    return Band(centre=float(losses.mean()), iqr=float(high - low), sd=float(apart.std(ddof=1)))
