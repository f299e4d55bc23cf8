"""Made tables with a known truth: what changes, when, and by how much.

A table has about 170 rows a week, one an hour. The target is a linear and a seasonal part of the features plus noise;
a constant loses about five times what a model does. The history that `init` reads has no change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

START = pd.Timestamp("2024-01-01", tz="UTC")
WEEK = 168  # rows
HISTORY = 12  # weeks that `init` reads
NOISE = 2.0
USUAL_LOSS = 2.3  # mean absolute error of a first model on such a table
CITIES = np.array(["Bonn", "Cologne", "Essen", "Ulm"])
EFFECT = np.array([0.0, 5.0, -4.0, 8.0])


@dataclass(frozen=True)
class World:
    """A made table and what is true of it.

    Args:
        name: What happens.
        frame: Rows with `order`, `at`, features and `minutes`, in order of time.
        changed: Number of the first check after which something is different; None: nothing ever is.
        factor: By how much the change multiplies the loss of a model that does not know of it; 1 without one.
        late_weeks: Weeks until a label is known.
    """

    name: str
    frame: pd.DataFrame
    changed: int | None
    factor: float = 1.0
    late_weeks: int = 0

    @property
    def history(self) -> pd.DataFrame:
        """What `init` reads; labels that are late are not in it yet."""
        rows = self.frame.iloc[: HISTORY * WEEK]
        is_known = np.arange(len(rows)) < (HISTORY - self.late_weeks) * WEEK
        return rows.assign(minutes=rows["minutes"].where(is_known))

    def week(self, number: int) -> pd.DataFrame:
        """The rows that land before check `number`, counted from 1."""
        first = (HISTORY + number - 1) * WEEK
        return self.frame.iloc[first : first + WEEK]


def _features(generator: np.random.Generator, rows: int) -> dict[str, Any]:
    return {
        "km": generator.gamma(2.0, 5.0, rows).round(2),
        "stops": generator.poisson(4, rows),
        "load": generator.normal(10.0, 3.0, rows).round(2),
        "city": generator.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1]),
    }


def _law(features: dict[str, Any], hour: np.ndarray) -> np.ndarray:
    season = 4 * np.sin(hour / 24 * 2 * np.pi)
    return np.asarray(
        10 + 2.0 * features["km"] + 3 * features["stops"] + 0.3 * features["load"] + EFFECT[features["city"]] + season
    )


def _other(features: dict[str, Any]) -> np.ndarray:
    """What the changed law adds, with mean 0 and standard deviation 1."""
    city = np.array([0.6, -0.6, 0.3, -0.9])[features["city"]]
    raw = 0.7 * (features["load"] - 10) / 3 + 0.5 * (features["stops"] - 4) / 2 + 0.8 * city
    return np.asarray((raw - raw.mean()) / raw.std())


def _made(
    name: str,
    seed: int,
    checks: int,
    change: Callable[[dict[str, Any], np.ndarray, np.ndarray, np.random.Generator], None] | None = None,
    *,
    changed: int | None = None,
    factor: float = 1.0,
    late_weeks: int = 0,
) -> World:
    rows = (HISTORY + checks) * WEEK
    generator = np.random.default_rng([seed, 11])
    features = _features(generator, rows)
    number = np.arange(rows)
    target = _law(features, number % 24) + generator.normal(0.0, NOISE, rows)
    weeks = (number - HISTORY * WEEK) / WEEK - ((changed or 1) - 1)  # since the change
    if change is not None:
        change(features, target, weeks, generator)
    frame = pd.DataFrame(
        {
            "order": number,
            "at": START + pd.to_timedelta(number, unit="h"),
            **{name: features[name] for name in ("km", "stops", "load")},
            "city": CITIES[features["city"]],
            "minutes": target.round(2),
        }
    )
    return World(name, frame, changed, factor, late_weeks)


def _amount(factor: float) -> float:
    """Standard deviation of what has to come on top, so that a model that does not know of it loses so much more."""
    return float(USUAL_LOSS / 0.8 * np.sqrt(factor**2 - 1))


def step(seed: int, checks: int, *, late_weeks: int = 0) -> World:
    """The law of the target changes with the batch of check 4, and multiplies the loss by 2 to 6."""
    factor = float(np.random.default_rng([seed, 5]).uniform(2, 6))

    def change(features: dict[str, Any], target: np.ndarray, weeks: np.ndarray, generator: np.random.Generator) -> None:
        target += np.where(weeks >= 0, _amount(factor) * _other(features), 0.0)

    return _made("step", seed, checks, change, changed=4, factor=factor, late_weeks=late_weeks)


def late(seed: int, checks: int) -> World:
    """As `step`, with labels two weeks late."""
    return step(seed, checks, late_weeks=2)


def slow(seed: int, checks: int) -> World:
    """The law of the target changes over ten weeks."""
    factor = float(np.random.default_rng([seed, 5]).uniform(2, 6))

    def change(features: dict[str, Any], target: np.ndarray, weeks: np.ndarray, generator: np.random.Generator) -> None:
        target += np.clip(weeks / 10, 0.0, 1.0) * _amount(factor) * _other(features)

    return _made("slow", seed, checks, change, changed=4, factor=factor)


def unit(seed: int, checks: int) -> World:
    """From check 4 on, for four weeks, `km` comes in miles."""

    def change(features: dict[str, Any], target: np.ndarray, weeks: np.ndarray, generator: np.random.Generator) -> None:
        features["km"] = np.where((weeks >= 0) & (weeks < 4), features["km"] * 0.6214, features["km"]).round(2)

    return _made("unit", seed, checks, change, changed=4, factor=2.5)


def shuffled(seed: int, checks: int) -> World:
    """From check 4 on, for six weeks, the labels of a week are those of other rows of that week."""

    def change(features: dict[str, Any], target: np.ndarray, weeks: np.ndarray, generator: np.random.Generator) -> None:
        for week in range(6):
            rows = np.flatnonzero((weeks >= week) & (weeks < week + 1))
            target[rows] = target[generator.permutation(rows)]

    return _made("shuffled", seed, checks, change, changed=4, factor=6.0)


def useless(seed: int, checks: int) -> World:
    """From check 4 on the features say nothing of the target, which keeps its distribution."""

    def change(features: dict[str, Any], target: np.ndarray, weeks: np.ndarray, generator: np.random.Generator) -> None:
        rows = np.flatnonzero(weeks >= 0)
        target[rows] = target[generator.permutation(rows)]

    return _made("useless", seed, checks, change, changed=4, factor=6.0)


def nothing(seed: int, checks: int) -> World:
    """Nothing changes."""
    return _made("nothing", seed, checks)


def season(seed: int, checks: int) -> World:
    """The target and two features rise and fall with the year, and the law stays."""

    def change(features: dict[str, Any], target: np.ndarray, weeks: np.ndarray, generator: np.random.Generator) -> None:
        wave = np.sin(np.arange(len(target)) / (52 * WEEK) * 2 * np.pi)
        before = 0.3 * features["load"]
        features["load"] = (features["load"] + 4 * wave).round(2)
        target += 0.3 * features["load"] - before

    return _made("season", seed, checks, change)


WORLDS: dict[str, Callable[[int, int], World]] = {
    "step": step,
    "slow": slow,
    "unit": unit,
    "shuffled": shuffled,
    "useless": useless,
    "late": late,
    "nothing": nothing,
    "season": season,
}
