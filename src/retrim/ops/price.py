"""The price of a retraining of this house, from what it costs in money."""

from pydantic import ValidationError

from retrim.core.price import MoneyParams, Price
from retrim.core.section import explain
from retrim.errors import BadInputError
from retrim.ops.house import House


def price_of(house: House, *, cost: float, per_unit: float, currency: str) -> Price:
    """The price in the house's own loss.

    Args:
        house: The house.
        cost: Of one retraining.
        per_unit: What one unit of mean loss over one usual check's rows costs.
        currency: Of both.

    Raises:
        BadInputError: An amount is not above zero.
    """
    try:
        money = MoneyParams(cost=cost, per_unit=per_unit, currency=currency)
    except ValidationError as wrong:
        raise BadInputError(f"the price cannot be worked out: {explain(wrong)}; give amounts above 0") from wrong
    versions = house.store.versions(house.model)
    first = versions[0].verdict["losses"][versions[0].verdict["winner"]] if versions else None
    return Price(money, house.params.judge.loss, first)
