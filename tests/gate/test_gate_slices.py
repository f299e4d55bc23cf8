"""The worst slice: found by its name, with an interval however many are looked at."""

import numpy as np
import pandas as pd
import pytest

from retrim.gate.models import worst_slice
from retrim.gate.verdict import Check
from retrim.stats.bootstrap import Resampling

ROWS = 600


def table(seed: int, *, numbers: int = 2) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    made = pd.DataFrame({f"x{place}": draw.normal(size=ROWS) for place in range(numbers)})
    return made.assign(kind=draw.choice(["a", "b", "c"], size=ROWS), region=draw.choice(["north", "south"], size=ROWS))


def looked_at(rows: pd.DataFrame, losses: np.ndarray, champion: np.ndarray) -> Check:
    features = {name: "category" if name == "kind" else "number" for name in rows.columns if name != "region"}
    return worst_slice(rows, features, losses, champion, Resampling(500, 10, 7))


def worse_in(rows: pd.DataFrame, inside: "pd.Series[bool]", by: float) -> Check:
    """The verdict on a challenger that is worse in a slice, by this share of the champion's loss there."""
    draw = np.random.default_rng(9)
    champion = 10 + draw.normal(size=ROWS)
    return looked_at(rows, champion + inside.to_numpy() * by * 10 + draw.normal(scale=0.5, size=ROWS) - 0.5, champion)


def test_the_worst_slice_is_reported_by_its_name() -> None:
    rows = table(1)
    found = worse_in(rows, rows["kind"] == "b", by=0.5)

    assert (found.passed, found.threshold) == (True, None)
    assert "kind b" in found.text


def test_the_figure_is_the_share_lost_in_the_slice() -> None:
    rows = table(1)
    found = worse_in(rows, rows["kind"] == "b", by=0.5)

    assert found.figure == pytest.approx(0.45, abs=0.03)
    assert found.interval is not None
    assert found.interval[0] < 0.45 < found.interval[1]


def test_a_cell_of_a_number_is_found_too() -> None:
    rows = table(1)
    found = worse_in(rows, rows["x1"] > rows["x1"].quantile(0.75), by=0.5)

    assert ", x1 0." in found.text


def test_nothing_to_look_at_passes_and_says_so() -> None:
    found = worst_slice(table(1), {}, np.ones(ROWS), np.ones(ROWS), Resampling(500, 10, 7))

    assert (found.passed, found.figure, found.interval) == (True, 0, None)
    assert "30 rows" in found.text


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_the_interval_leaves_out_nothing_in_one_of_twenty_tries_however_many_slices_there_are(memory: float) -> None:
    # No slice is worse, of 24. Two standard errors of 5% in 200 tries are 3.1 points.
    from scipy.signal import lfilter

    surely_worse, draw = 0, np.random.default_rng(3)
    for seed in range(200):
        rows, champion = table(seed, numbers=6).drop(columns=["kind", "region"]), np.full(ROWS, 10.0)
        noise = np.asarray(lfilter([1.0], [1.0, -memory], draw.normal(size=ROWS + 100)))[100:]
        interval = looked_at(rows, champion + noise, champion).interval
        surely_worse += interval is not None and interval[0] > 0

    assert 0.01 <= surely_worse / 200 <= 0.08
