"""The worst slice: found by its name, refused only when surely worse, and however many are looked at."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.drift.slices import SliceParams
from retrim.gate.losses import Resampling
from retrim.gate.models import worst_slice
from retrim.gate.verdict import Check, GateSliceParams

ROWS = 600
CUT = SliceParams(cells=4, levels=24, least_rows=30, most_share=0.5, errors=3.0, kept=10)


def limit(**changed: Any) -> GateSliceParams:
    return GateSliceParams.model_validate({"columns": [], "found": True, "worst": 0.1, "confidence": 0.95, **changed})


def table(seed: int, *, numbers: int = 2) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    made = pd.DataFrame({f"x{place}": draw.normal(size=ROWS) for place in range(numbers)})
    return made.assign(kind=draw.choice(["a", "b", "c"], size=ROWS), region=draw.choice(["north", "south"], size=ROWS))


def looked_at(rows: pd.DataFrame, losses: np.ndarray, champion: np.ndarray, **changed: Any) -> Check:
    features = {name: "category" if name == "kind" else "number" for name in rows.columns if name != "region"}
    return worst_slice(rows, features, losses, champion, limit(**changed), CUT, Resampling(500, 10, 7))


def worse_in(rows: pd.DataFrame, inside: "pd.Series[bool]", by: float) -> Check:
    """The verdict on a challenger that is worse in a slice, by this share of the champion's loss there."""
    draw = np.random.default_rng(9)
    champion = 10 + draw.normal(size=ROWS)
    return looked_at(rows, champion + inside.to_numpy() * by * 10 + draw.normal(scale=0.5, size=ROWS) - 0.5, champion)


def test_a_slice_that_is_much_worse_is_refused_by_its_name() -> None:
    rows = table(1)
    found = worse_in(rows, rows["kind"] == "b", by=0.5)

    assert not found.passed
    assert "kind b" in found.text


def test_without_a_limit_the_worst_slice_is_reported_only() -> None:
    rows = table(1)
    inside = (rows["kind"] == "b").to_numpy()
    champion = 10 + np.random.default_rng(9).normal(size=ROWS)
    found = looked_at(rows, champion + 5.0 * inside, champion, worst=None)

    assert (found.passed, found.threshold) == (True, None)
    assert "kind b" in found.text
    assert "refused" not in found.text


def test_the_figure_is_the_share_lost_in_the_slice() -> None:
    rows = table(1)
    found = worse_in(rows, rows["kind"] == "b", by=0.5)

    assert found.figure == pytest.approx(0.45, abs=0.03)
    assert found.interval is not None
    assert found.interval[0] < 0.45 < found.interval[1]


def test_a_cell_of_a_number_is_found_too() -> None:
    rows = table(1)
    found = worse_in(rows, rows["x1"] > rows["x1"].quantile(0.75), by=0.5)

    assert not found.passed
    assert ", x1 0." in found.text


def test_a_slice_that_is_worse_within_the_limit_passes() -> None:
    rows = table(1)

    assert worse_in(rows, rows["kind"] == "b", by=0.12).passed  # minus what it gains everywhere: 7%


def test_a_figure_above_the_limit_that_may_be_chance_passes() -> None:
    rows, draw = table(1), np.random.default_rng(9)
    champion = 10 + draw.normal(size=ROWS)
    found = looked_at(rows, champion + draw.normal(scale=20, size=ROWS), champion)

    assert found.figure > 0.1
    assert found.passed


def test_a_declared_column_is_looked_at_though_it_is_no_feature() -> None:
    rows = table(1)
    champion = np.full(ROWS, 10.0)
    losses = champion + (rows["region"] == "south") * 5.0
    alone, declared = (looked_at(rows, losses.to_numpy(), champion, columns=names) for names in ([], ["region"]))

    assert "region" not in alone.text
    assert "region south" in declared.text
    assert not declared.passed


def test_a_declared_column_is_looked_at_however_many_categories_it_has() -> None:
    draw, places = np.random.default_rng(1), np.arange(ROWS)
    rows = table(1).assign(
        region=np.where(draw.random(ROWS) < 0.2, "harbour", np.char.add("shop ", (places % 40).astype(str)))
    )
    champion = np.full(ROWS, 10.0)
    losses = champion + (rows["region"] == "harbour") * 5.0
    found = looked_at(rows, losses.to_numpy(), champion, columns=["region"], found=False)

    assert "worst of 1 slices, region harbour: +50.0%" in found.text
    assert not found.passed


def test_without_found_slices_the_declared_alone_are_looked_at() -> None:
    rows = table(1)

    assert "of 2 slices" in looked_at(rows, np.ones(ROWS), np.ones(ROWS), columns=["region"], found=False).text


def test_nothing_to_look_at_passes_and_says_so() -> None:
    found = looked_at(table(1), np.ones(ROWS), np.ones(ROWS), found=False)

    assert (found.passed, found.figure, found.interval) == (True, 0, None)
    assert "30 rows" in found.text


def test_a_slice_that_lies_in_few_blocks_refuses_nothing() -> None:
    # 50 rows in a row are 5 of 60 blocks: two or three bad days, not a slice of the world.
    rows = table(1).assign(kind=np.where(np.arange(ROWS) < 50, "b", "a"))

    assert worse_in(rows, rows["kind"] == "b", by=0.3).passed


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_slices_at_the_limit_are_refused_in_one_of_twenty_tries_however_many_they_are(memory: float) -> None:
    # Every slice is worse by just the limit: 24 slices. Two standard errors of 5% in 200 tries are 3.1 points.
    from scipy.signal import lfilter

    refused, draw = 0, np.random.default_rng(3)
    for seed in range(200):
        rows, champion = table(seed, numbers=6).drop(columns=["kind", "region"]), np.full(ROWS, 10.0)
        noise = np.asarray(lfilter([1.0], [1.0, -memory], draw.normal(size=ROWS + 100)))[100:]
        refused += not looked_at(rows, champion * 1.1 + noise, champion).passed

    assert 0.01 <= refused / 200 <= 0.08
