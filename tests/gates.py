"""A gate for tests: that of params.yaml with the dials that most tests want, so that a new key needs no word here."""

from pathlib import Path
from typing import Any

import yaml

from retrim.gate.verdict import GateParams

SHIPPED: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))[
    "gate"
]


def make_gate(**changed: Any) -> GateParams:
    """The shipped gate with other values."""
    return GateParams.model_validate(settings(**changed))


def settings(**changed: Any) -> dict[str, Any]:
    """The same as a section of params.yaml."""
    return {**SHIPPED, "floor": ["mean"], "season": "7D", "season_cells": 7, **changed}
