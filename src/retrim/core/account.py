"""The account: what retraining would have saved so far, in mean loss times checks, never below zero."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field, model_validator

from retrim.core.price import MoneyParams, figure
from retrim.core.section import Section

NEWEST = 3  # deposits that tell what the next will be like: one alone is noise, many are the past
ROUNDED = 1e-3  # how far a written price may be from what the money says


class AccountParams(Section):
    """What retraining would have saved so far, against what it costs."""

    price: float = Field(gt=0, description="the gain in mean loss that pays for one retraining in one check")
    price_unit: Literal["loss", "first_loss"] = Field(description="units of the loss, or of version 1's judging loss")
    usual_rows: int = Field(ge=1, description="rows of a usual check")
    errors: float = Field(ge=0, description="standard errors of itself that the account must also exceed")
    ahead: float = Field(ge=0, description="checks like the newest ones that are added before it is held to the price")
    money: MoneyParams | None = Field(description="what the price was worked out from, by `retrim price`; or null")

    @model_validator(mode="after")
    def _agrees_with_money(self) -> "AccountParams":
        if self.money is None:
            return self
        wanted = self.money.price
        if self.price_unit != "loss" or abs(self.price - wanted) > ROUNDED * wanted:
            raise ValueError(
                f"price {self.price:g} in the unit {self.price_unit} is not what money says, {figure(wanted)} in the "
                f"unit loss; write `price: {figure(wanted)}` and `price_unit: loss`, or `money: null`"
            )
        return self

    def price_in_loss(self, first_loss: float) -> float:
        """The price in units of the loss.

        Args:
            first_loss: Version 1's mean loss on the rows it was judged on.
        """
        return self.price * first_loss if self.price_unit == "first_loss" else self.price


@dataclass(frozen=True)
class Account:
    """A balance in mean loss times checks, 0 or more, and its variance.

    The sum of gains since it was last empty; a sum that falls below zero starts anew.

    Args:
        balance: The sum.
        variance: Of the sum.
        recent: Its newest deposits, at most 3, oldest first; of each at most what a usual check's rows put in.

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

    def deposit(self, gain: float, *, error: float, share: float) -> "Account":
        """The account after a window.

        Args:
            gain: Mean of champion loss minus probe loss over the window's rows.
            error: Standard error of that mean.
            share: Rows of the window divided by rows of a usual check.
        """
        balance = self.balance + gain * share
        if balance <= 0:
            return EMPTY
        recent = (*self.recent, gain * min(share, 1.0))[-NEWEST:]  # of one check, also where rows of several came in
        return Account(balance, self.variance + (error * share) ** 2, recent)

    def debit(self, price: float) -> "Account":
        """The account after a refusal, which costs the price of a retraining and gives nothing."""
        return replace(self, balance=self.balance - price) if self.balance > price else EMPTY

    def expected(self, ahead: float) -> float:
        """The balance after `ahead` more checks like the newest: what waiting that long for proof would let slip."""
        usual = sum(self.recent) / len(self.recent) if self.recent else 0.0
        return self.balance + ahead * max(usual, 0.0)

    def pays(self, price: float, *, errors: float, ahead: float) -> bool:
        """Whether what is expected exceeds the price, and the balance `errors` of its own standard errors."""
        return self.expected(ahead) > price and self.balance > errors * self.error

    def as_record(self) -> dict[str, Any]:
        return {"balance": self.balance, "variance": self.variance, "recent": list(self.recent)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Account":
        return cls(record["balance"], record["variance"], tuple(record.get("recent", ())))


EMPTY = Account(0.0, 0.0)
