"""Customers who leave: who does is known soon, who stays only when the term ends."""

import numpy as np
import pandas as pd

TERM = pd.Timedelta("60D")


def churn(rows: int, *, seed: int, every: str = "3h") -> pd.DataFrame:
    """Contracts one after another, with when the answer of each became known.

    Args:
        rows: How many.
        seed: Same seed, same table.
        every: Between two of them.

    Returns:
        `number`, `at`, `months`, `plan`, `closed at`, `left` (yes or no, a third yes); shape (rows, 6), times UTC. Who
        leaves does so within the term, on average after a tenth of it.
    """
    rng = np.random.default_rng(seed)
    months, plan = rng.integers(1, 49, rows), rng.choice(["basic", "plus"], rows)
    left = rng.random(rows) < 1 / (1 + np.exp(-(0.4 - 0.06 * months + np.where(plan == "basic", 0.7, -0.7))))
    days = np.where(left, np.minimum(rng.exponential(6.0, rows), 59.0), TERM / pd.Timedelta("1D"))
    at = pd.Series(pd.date_range("2024-01-01", periods=rows, freq=every, tz="UTC"))
    return pd.DataFrame(
        {
            "number": np.arange(rows) + 70_000,
            "at": at,
            "months": months,
            "plan": plan,
            "closed at": (at + pd.to_timedelta(days, unit="D")).dt.floor("min"),
            "left": np.where(left, "yes", "no"),
        }
    )
