"""What the live model makes of the table: the features it sees, the levels it knows, what weighs in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Champion:
    """The live version's view.

    Args:
        version: Its number.
        levels: Categories that it knows, of each category feature.
        weights: What each feature weighs in its predictions, 0 or more; empty where its bundle does not say.
    """

    version: int
    levels: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """The same as shares of the whole, the weightiest first."""
        whole = sum(self.weights.values())
        ranked = sorted(self.weights.items(), key=lambda pair: (-pair[1], pair[0]))
        return {name: weight / whole if whole > 0 else 0.0 for name, weight in ranked}

    def as_record(self) -> dict[str, Any]:
        return {"version": self.version, "importance": self.shares}
