"""A generated stream with drift dialled in: which kind, how large, since when."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pandas as pd

from retrim.stats.plugins import PluginRegistry

Features = dict[str, np.ndarray]
Drift = Callable[[Features, np.ndarray, float], None]
"""Changes features in place on the drifted rows (a mask), by a size in standard deviations."""

FEATURES = ("level", "slope", "noise")
GROUPS = ("a", "b", "c")
DRIFTS: PluginRegistry[Drift] = PluginRegistry("kind of drift")


@DRIFTS.register("none")
def none(features: Features, after: np.ndarray, size: float) -> None:
    """Nothing changes."""


@DRIFTS.register("shift")
def shift(features: Features, after: np.ndarray, size: float) -> None:
    """The mean of `level` moves; what the target makes of it stays."""
    features["level"][after] += size


@DRIFTS.register("concept")
def concept(features: Features, after: np.ndarray, size: float) -> None:
    """The features stay; the target's weight on `level` falls by `size`."""
    features["_weight"][after] -= size


def generate(
    *,
    task: Literal["regression", "binary"],
    kind: str,
    size: float,
    since: pd.Timestamp,
    start: pd.Timestamp,
    every: str,
    rows: int,
    seed: int,
) -> pd.DataFrame:
    """Rows of a generated stream, in order of time; equal arguments give equal rows.

    The target is `2 level + level²/2 + slope + effect of group` plus noise of standard
    deviation 0.5: as it is (regression), or as the log odds of "yes" (binary).

    Args:
        task: What the target is.
        kind: Kind of drift, one of `DRIFTS`.
        size: How large, in standard deviations of `level` (shift) or units of its weight (concept).
        since: First event time that drifts.
        start: Event time of the first row, UTC.
        every: Span between rows.
        rows: How many.
        seed: Of the generator.

    Returns:
        Columns `at`, `number`, `level`, `slope`, `noise`, `group`, `outcome`, shape (rows, 7).

    Raises:
        UnknownNameError: No such kind of drift.
    """
    drift = DRIFTS[kind]
    generator = np.random.default_rng(seed)
    at = pd.Series(start.as_unit("us") + np.arange(rows) * pd.Timedelta(every)).dt.as_unit("us")
    features: Features = {name: generator.normal(size=rows) for name in FEATURES}
    group = generator.integers(len(GROUPS), size=rows)
    error = generator.normal(scale=0.5, size=rows)
    chance = generator.uniform(size=rows)
    features["_weight"] = np.full(rows, 2.0)
    drift(features, (at >= since).to_numpy(), size)
    level = features["level"]
    signal = features["_weight"] * level + level**2 / 2 + features["slope"] + (group - 1.0) + error
    outcome: Any = signal if task == "regression" else np.where(chance < 1 / (1 + np.exp(-signal)), "yes", "no")
    frame = pd.DataFrame({"at": at, "number": np.arange(rows, dtype="float64")})
    for name in FEATURES:
        frame[name] = features[name]
    frame["group"] = pd.Series(np.asarray(GROUPS)[group], dtype="str")
    frame["outcome"] = pd.Series(outcome, dtype="float64" if task == "regression" else "str")
    return frame


def data_section(task: Literal["regression", "binary"], *, labels: str, horizon: str) -> dict[str, Any]:
    """The `data` section of params.yaml for a generated stream; one row a key, `number`."""
    return {
        "model": "generated",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "number": {"type": "integer", "role": "forbidden"},
            **{name: {"type": "number", "role": "feature"} for name in FEATURES},
            "group": {"type": "category", "role": "feature"},
            "outcome": {"type": "number" if task == "regression" else "category", "role": "target"},
        },
        "key": ["number"],
        "task": task,
        "positive": "yes" if task == "binary" else None,
        "labels": labels,
        "label_horizon": horizon,
        "batch_every": "7d",
        "times_ahead": "1h",
        "suite": "expectations/generated.json",
        "rows": {"where": []},
        "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
    }


def suite() -> dict[str, Any]:
    """The suite of a generated stream: keys alone, as its numbers have no physical bound."""
    return {
        "name": "generated",
        "expectations": [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "_key"}},
            {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "_key"}},
        ],
    }
