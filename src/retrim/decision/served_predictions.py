"""Skew: how far a prediction that was served is from what its version says of the same row now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from retrim.stats.codec import written
from retrim.stats.plugins import SettingsSection


class ServedParams(SettingsSection):
    """Predictions as they were served."""

    skew: float = Field(
        exclude=True,
        default=0.001,
        ge=1e-6,
        description=(
            "maximum difference between a served prediction and what its version predicts now, as a share of the "
            "mean prediction; the default is a thousand times the rounding error of single precision"
        ),
    )


@dataclass(frozen=True)
class SkewedRow:
    """A row whose served prediction is far from what the same version predicts now.

    Args:
        request: Id of the request that was answered; None if the row was predicted after it landed.
    """

    key: str
    version: int
    request: str | None = None


@dataclass(frozen=True)
class Skew:
    """Difference between served predictions and what the same versions predict now, as shares of the mean prediction.

    Args:
        rows: Rows compared, at least 1.
        mean: Mean difference.
        largest: Largest difference.
        over: Rows whose difference exceeds `bound`.
        bound: Largest difference allowed.
        worst: The row with the largest difference; None if all are equal.
    """

    rows: int
    mean: float
    largest: float
    over: int
    bound: float
    worst: SkewedRow | None

    @classmethod
    def of(
        cls,
        keys: Sequence[str],
        versions: Sequence[int],
        requests: Sequence[str | None],
        skews: np.ndarray,
        params: ServedParams,
    ) -> "Skew":
        """From the difference of each row, shape (n,), n at least 1; its key, who served, and the request."""
        worst = int(skews.argmax())
        return cls(
            rows=len(skews),
            mean=float(skews.mean()),
            largest=float(skews[worst]),
            over=int((skews > params.skew).sum()),
            bound=params.skew,
            worst=SkewedRow(str(keys[worst]), int(versions[worst]), requests[worst]) if skews[worst] else None,
        )


@dataclass(frozen=True)
class ServedPredictions:
    """Which predictions the loss was measured on.

    Args:
        by_version: Number of rows, by the version that served them: to a request with the features of the landed row,
            or after the row landed.
        predicted_again: Rows that the live version predicted at the check, because no prediction was stored in time.
        unreadable: Rows among those whose stored prediction had been altered.
        skew: Comparison of the served predictions with what their versions predict now; None if none could be compared.
    """

    by_version: dict[int, int]
    predicted_again: int
    unreadable: int
    skew: Skew | None

    @written
    def rows(self) -> int:
        """Rows with a served prediction."""
        return sum(self.by_version.values())


def skews_of(stored: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The difference of each row as a share of the mean size of a prediction; exactly 0 where both are the same.

    Of several classes the one that differs most counts. The mean is that of the predictions of now: a stored one that
    was altered does not hide itself behind its own size.

    Args:
        stored: Shape (n,) or (n, classes).

    Returns:
        Shape (n,), 0 or more.
    """
    apart = np.abs(stored - now).reshape(len(now), -1).max(axis=1)
    usual = float(np.abs(now).mean()) if now.size else 0.0
    return np.asarray(apart / (usual or 1.0))
