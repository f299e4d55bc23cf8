"""Whether missing values look random, and what a look makes of it."""

import numpy as np
import pandas as pd
import pytest

from retrim.profile.findings import findings
from retrim.profile.gaps import COLUMNS, TIME, gaps_of
from retrim.table.data import ColumnType
from tests.builders.look_tables import answers, looked

ROWS = 4000
KINDS: dict[str, ColumnType] = {"a": "number", "b": "number", "y": "category"}


def sample(gone: np.ndarray, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": draw.normal(size=ROWS), "b": draw.normal(size=ROWS)})
    frame["y"] = pd.Series(draw.choice(["yes", "no"], ROWS), dtype="str")
    frame.loc[gone, "a"] = np.nan
    return frame


@pytest.mark.parametrize("seed", range(20))
def test_what_is_missing_at_random_is_said_to_look_random(seed: int) -> None:
    gone = np.random.default_rng(100 + seed).uniform(size=ROWS) < 0.2

    assert gaps_of(sample(gone, seed), KINDS, first=list(KINDS))["a"].kind == "random"


@pytest.mark.parametrize("seed", range(5))
def test_what_another_column_tells_is_systematic(seed: int) -> None:
    # Missing in 10% of the rows below 0, in 30% above.
    frame = sample(np.zeros(ROWS, dtype=bool), seed)
    chance = np.random.default_rng(100 + seed).uniform(size=ROWS)
    frame.loc[chance < np.where(frame["b"] > 0, 0.3, 0.1), "a"] = np.nan

    assert gaps_of(frame, KINDS, first=list(KINDS))["a"].told_by == "b"


def test_what_time_tells_is_systematic() -> None:
    gone = (np.arange(ROWS) > 0.7 * ROWS) & (np.random.default_rng(5).uniform(size=ROWS) < 0.5)

    assert gaps_of(sample(gone, 1), KINDS, first=list(KINDS))["a"].told_by == TIME


def test_what_the_target_tells_is_a_warning() -> None:
    target = answers(ROWS)
    draw = np.random.default_rng(6)
    gone = draw.uniform(size=ROWS) < np.where(np.array(target) == "yes", 0.4, 0.1)
    look = looked({"a": np.where(gone, np.nan, draw.normal(size=ROWS)), "b": draw.normal(size=ROWS)}, target)
    found = [note for note in findings(look) if note.about == "missing"]

    assert [(note.column, note.weight, " y (Cramér's V " in note.seen) for note in found] == [("a", "warn", True)]


@pytest.mark.slow
def test_of_very_many_columns_a_bounded_number_is_held_against_one_another() -> None:
    frame = pd.DataFrame({f"n{number}": [1.0, np.nan] * 50 for number in range(300)})

    assert len(gaps_of(frame, dict.fromkeys(frame, "number"), first=list(frame))) <= COLUMNS
