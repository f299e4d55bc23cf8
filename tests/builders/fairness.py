"""Fairness for tests: the section of params.yaml with other values, so that a new key needs no word here."""

from typing import Any

from retrim.training.groups import FairnessParams
from tests.builders.shipped import whole

SHIPPED: dict[str, Any] = whole()["fairness"]


def make_fairness(**changed: Any) -> FairnessParams:
    """The shipped section with other values; `at_most` needs only what differs."""
    return FairnessParams.model_validate(settings(**changed))


def settings(**changed: Any) -> dict[str, Any]:
    """The same as a section of params.yaml."""
    at_most = changed.pop("at_most", None)
    return {**SHIPPED, **changed, "at_most": at_most}
