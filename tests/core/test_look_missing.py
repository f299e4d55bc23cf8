"""Whether missing values look random."""

import numpy as np
import pandas as pd
import pytest

from retrim.core.look.missing import TIME, gaps_of
from tests.core.look_tables import answers, looked

ROWS = 4000
KINDS = {"a": "number", "b": "number", "y": "category"}


def sample(gone: np.ndarray, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": draw.normal(size=ROWS), "b": draw.normal(size=ROWS)})
    frame["y"] = pd.Series(draw.choice(["yes", "no"], ROWS), dtype="str")
    frame.loc[gone, "a"] = np.nan
    return frame


@pytest.mark.parametrize("seed", range(20))
def test_what_is_missing_at_random_is_said_to_look_random(seed: int) -> None:
    gone = np.random.default_rng(100 + seed).uniform(size=ROWS) < 0.2

    assert gaps_of(sample(gone, seed), KINDS)["a"].told_by == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_what_another_column_tells_is_systematic(seed: int) -> None:
    # Missing in 10 % of the rows below 0, in 30 % above: of a fair bit 3.1 % of the uncertainty.
    frame = sample(np.zeros(ROWS, dtype=bool), seed)
    chance = np.random.default_rng(100 + seed).uniform(size=ROWS)
    frame.loc[chance < np.where(frame["b"] > 0, 0.3, 0.1), "a"] = np.nan
    gap = gaps_of(frame, KINDS)["a"]  # type: ignore[arg-type]

    assert gap.told_by == "b"
    assert gap.share == pytest.approx(0.05, abs=0.025)


def test_what_time_tells_is_systematic() -> None:
    gone = (np.arange(ROWS) > 0.7 * ROWS) & (np.random.default_rng(5).uniform(size=ROWS) < 0.5)

    assert gaps_of(sample(gone, 1), KINDS)["a"].told_by == TIME  # type: ignore[arg-type]


def test_what_the_target_tells_is_a_warning() -> None:
    target = answers(ROWS)
    draw = np.random.default_rng(6)
    gone = draw.uniform(size=ROWS) < np.where(np.array(target) == "yes", 0.4, 0.1)
    look = looked({"a": np.where(gone, np.nan, draw.normal(size=ROWS)), "b": draw.normal(size=ROWS)}, target)

    assert look.gaps["a"].told_by == "y"


def test_a_column_called_time_is_not_taken_for_time() -> None:
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"time": draw.normal(size=ROWS), "a": draw.normal(size=ROWS)})
    frame.loc[frame["time"] > 1, "a"] = np.nan

    assert gaps_of(frame, {"time": "number", "a": "number"})["a"].least == pytest.approx(0, abs=0.01)
