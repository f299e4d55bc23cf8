"""Every setting of the demo, defaults among them, as a params.yaml that states all of it."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from retrim.settings import load_params

ROOT = Path(__file__).resolve().parents[2]
_ALL: dict[str, Any] = load_params(ROOT / "params.yaml").model_dump(mode="json")


def whole() -> dict[str, Any]:
    """A copy of it."""
    return deepcopy(_ALL)
