"""A gate for tests: that of params.yaml with the dials that most tests want, so that a new key needs no word here."""

from typing import Any

from retrim.gate.verdict import GateParams
from tests.builders.shipped import whole

SHIPPED: dict[str, Any] = whole()["gate"]


def make_gate(**changed: Any) -> GateParams:
    """The shipped gate with other values."""
    return GateParams.model_validate(settings(**changed))


def settings(**changed: Any) -> dict[str, Any]:
    """The same as a section of params.yaml."""
    return {**SHIPPED, "baselines": ["mean"], "season": "7D", "season_cells": 7, **changed}
