"""Selection keeps what tells of the target and drops what does not; what hangs together is seen."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.features.numbers import cramer
from retrim.profile.gaps import TIME, Missingness, gaps_of
from retrim.table.data import ColumnType
from tests.builders.one import learn, past, words

DRAW = np.random.default_rng(11)
N = 600
SIGNAL, NOISE, MORE_NOISE = DRAW.normal(size=(3, N))
KIND = words(*DRAW.choice(["a", "b", "c"], N).tolist())
TARGET = 3 * SIGNAL + 4 * (KIND == "b") + DRAW.normal(size=N) / 3


def test_of_numbers_that_go_together_the_one_that_tells_most_is_kept() -> None:
    frame = {"blurred": SIGNAL + DRAW.normal(size=N) / 3, "signal": SIGNAL, "noise": NOISE}

    learned = learn("select_uncorrelated", past(frame, TARGET), at_most=0.8)

    assert learned.drops == ("blurred",)
    assert learned.said["scores"]["signal"] > learned.said["scores"]["noise"]


def test_cramers_v_is_one_of_a_column_with_itself_and_near_nought_of_noise() -> None:
    one, other = DRAW.integers(0, 4, size=(2, 4000))

    assert cramer(one, one)[0] == pytest.approx(1)
    assert cramer(one, other)[0] < 0.05


def gone(where: np.ndarray) -> np.ndarray:
    return np.where(where, np.nan, NOISE)


KINDS: dict[str, ColumnType] = {"x": "number", "signal": "number", "kind": "category"}


def gap_of(**columns: Any) -> Missingness:
    return gaps_of(pd.DataFrame(columns), KINDS, first=list(columns))["x"]


def test_cells_missing_by_chance_are_missing_at_random() -> None:
    found = gap_of(x=gone(DRAW.random(N) < 0.2), signal=SIGNAL, kind=KIND)

    assert found.kind == "random"
    assert found.told_by is None


@pytest.mark.parametrize(
    ("where", "told_by"), [(SIGNAL > 1, "signal"), (KIND == "b", "kind"), (np.arange(N) < 100, TIME)]
)
def test_cells_missing_by_another_column_or_by_time_are_told(where: np.ndarray, told_by: str) -> None:
    found = gap_of(x=gone(where), signal=SIGNAL, kind=KIND)

    assert (found.kind, found.told_by) == ("systematic", told_by)


def test_of_few_missing_cells_nothing_is_said() -> None:
    assert gap_of(x=gone(np.arange(N) < 3), signal=SIGNAL).kind == "few"
