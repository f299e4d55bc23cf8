"""Every setting of the demo, defaults among them, as a params.yaml that states all of it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from retrim.drift.joint import JOINT_TESTS
from retrim.drift.params import SHIPPED
from retrim.settings import Params, load_params, nested_sections

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = [name for name, field in Params.model_fields.items() if nested_sections(field.annotation)]
_ALL: dict[str, Any] = {name: {} for name in SECTIONS} | load_params(ROOT / "params.yaml").as_stated()


def whole() -> dict[str, Any]:
    """A copy of it; a section whose values are all fixed is empty."""
    return deepcopy(_ALL)


def drift_tests(*, joint: bool = False, **thresholds: float) -> dict[str, dict[str, Any]]:
    """The shipped drift tests with other thresholds, those of all features together if asked for."""
    named = {name: own for name, own in SHIPPED.items() if joint or name not in JOINT_TESTS}
    return {name: {**own, "threshold": thresholds.get(name, own["threshold"])} for name, own in named.items()}
