"""Skew: how far a prediction that was served is from what its version says of the same row now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from retrim.core.section import Section


class ServedParams(Section):
    """Predictions as they were served."""

    skew: float = Field(
        ge=1e-6,
        description="how far a served prediction may be from its version's now, as a share of the mean prediction",
    )


@dataclass(frozen=True)
class Skew:
    """Served predictions beside what their versions say now.

    Args:
        rows: Rows compared, at least 1.
        mean: Mean of their differences, as shares of the mean prediction.
        largest: The largest of them.
        over: Rows beyond the bound.
        bound: What was allowed.
        worst: Key and version of the largest.
    """

    rows: int
    mean: float
    largest: float
    over: int
    bound: float
    worst: tuple[str, int]

    @classmethod
    def of(cls, keys: Sequence[str], versions: Sequence[int], skews: np.ndarray, params: ServedParams) -> "Skew":
        """From the difference of each row, shape (n,), n at least 1; its key, and the version that was serving."""
        place = int(skews.argmax())
        return cls(
            rows=len(skews),
            mean=float(skews.mean()),
            largest=float(skews[place]),
            over=int((skews > params.skew).sum()),
            bound=params.skew,
            worst=(str(keys[place]), int(versions[place])),
        )

    def as_record(self) -> dict[str, Any]:
        key, version = self.worst
        plain = {name: getattr(self, name) for name in ("rows", "mean", "largest", "over", "bound")}
        return {**plain, "worst": {"key": key, "version": version} if self.largest else None}


def skews_of(stored: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The difference of each row as a share of the mean size of a prediction; exactly 0 where both are the same.

    Of several classes the one that differs most counts. The mean is that of the predictions of now: a stored one that
    was altered does not hide itself behind its own size.

    Args:
        stored: Shape (n,) or (n, classes).
        now: Likewise.

    Returns:
        Shape (n,), 0 or more.
    """
    apart = np.abs(stored - now).reshape(len(now), -1).max(axis=1)
    usual = float(np.abs(now).mean()) if now.size else 0.0
    return np.asarray(apart / (usual or 1.0))
