"""The price of a retraining: what it costs in money, as a gain in mean loss that pays for it."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from retrim.core.section import Section


class MoneyParams(Section):
    """What a retraining costs, and what loss costs."""

    cost: float = Field(gt=0, description="of one retraining: compute, review, churn, in `currency`")
    per_unit: float = Field(gt=0, description="what one unit of mean loss over one usual check's rows costs")
    currency: str = Field(min_length=1, description="such as EUR")

    @property
    def price(self) -> float:
        """The gain in mean loss that, held for one usual check, is worth one retraining."""
        return self.cost / self.per_unit

    def worth(self, loss: float) -> float:
        """What an amount in mean loss times checks, such as the account, is worth."""
        return loss * self.per_unit


@dataclass(frozen=True)
class Price:
    """A price in money and in the loss.

    Args:
        money: What it was worked out from.
        loss: Name of the loss.
        first_loss: Version 1's mean loss on the rows it was judged on; None before it.
    """

    money: MoneyParams
    loss: str
    first_loss: float | None

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines for `params.yaml`, under `account`."""
        money = self.money
        return (
            f"price: {figure(money.price)}",
            "price_unit: loss",
            f"money: {{cost: {figure(money.cost)}, per_unit: {figure(money.per_unit)}, currency: {money.currency}}}",
        )

    @property
    def sentence(self) -> str:
        """The price said aloud."""
        money, price = self.money, self.money.price
        said = (
            f"A retraining at {money.cost:.6g} {money.currency} pays once mean {self.loss} is smaller by {price:.4g} "
            f"for one usual check, or by {price / 10:.4g} for ten of them"
        )
        if self.first_loss is None:
            return f"{said}."
        return f"{said}; version 1 was judged with {self.first_loss:.4g}, so that is {self.first_losses:.4g} times it."

    @property
    def first_losses(self) -> float | None:
        """The price as a multiple of version 1's loss; None before it, or where that is 0."""
        return self.money.price / self.first_loss if self.first_loss else None

    def as_record(self) -> dict[str, Any]:
        return {
            "price": self.money.price,
            "loss": self.loss,
            "first_losses": self.first_losses,
            "cost": self.money.cost,
            "per_unit": self.money.per_unit,
            "currency": self.money.currency,
            "sentence": self.sentence,
            "lines": list(self.lines),
        }


def figure(value: float) -> str:
    """A number as params.yaml has it: the digits it needs to be read back near enough, at most 6."""
    text = f"{value:.6g}"
    if "e" not in text:
        return text
    if value >= 1:
        return f"{float(text):.0f}"
    digits, power = text.split("e")
    return f"{digits if '.' in digits else digits + '.0'}e{power}"  # without the point YAML reads text
