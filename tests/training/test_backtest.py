"""The backtest: each origin is scored by fits on its own past alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retrim.features.fitted import StepParams, learn_steps
from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.stats.windows import folds
from retrim.training.backtest import BacktestOrigin, backtest, stated_interval
from retrim.training.recipe import Recipe, WindowKind, WindowLengths, fit_recipe

VIEW = FeatureView({"x": "number"}, {}, "y", "regression", ())
RECIPE = Recipe("gbm", "mae", {"num_leaves": 4, "min_child_samples": 5}, 8, 7)
WINDOWS: tuple[WindowKind, ...] = ("all", "sliding")


def rows(n: int = 120) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    event = pd.Series(pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC"))
    x = draw.normal(size=n)
    return pd.DataFrame({"_event": event, "_due": event + pd.Timedelta("2h"), "x": x, "y": x + draw.normal(size=n) / 9})


def run(table: pd.DataFrame, *, count: int = 2, sliding_rows: int = 40, cores: int = 1) -> list[BacktestOrigin]:
    cut = folds(table["_event"], table["_due"], count=count, rows=20)
    return backtest({"found": RECIPE}, VIEW, table, cut, WINDOWS, lengths=WindowLengths(sliding_rows), cores=cores)


def test_each_origin_is_scored_by_a_fit_on_what_was_due_before_it() -> None:
    table = rows()
    # The second origin begins at row 100; labels are due two hours later, so rows up to 98 are its past.
    model = fit_recipe(RECIPE, VIEW, table.iloc[:99], threads=1)
    scored = table.iloc[100:]
    expected = row_losses("mae", scored["y"].to_numpy(), model.predict(VIEW.matrix(scored))).mean()

    assert run(table)[1].losses["all"] == pytest.approx(expected)


def test_what_comes_after_an_origin_does_not_change_it() -> None:
    table = rows()
    changed = table.assign(y=table["y"].where(table.index < 100, 50.0))

    assert run(changed)[0] == run(table)[0]


def test_an_origin_whose_past_fits_the_sliding_window_has_one_loss() -> None:
    assert [set(origin.losses) for origin in run(rows(), sliding_rows=90)] == [{"all"}, {"all", "sliding"}]


def test_each_recipe_is_refitted_on_each_window() -> None:
    table = rows()
    cut = folds(table["_event"], table["_due"], count=1, rows=20)
    other = replace(RECIPE, rounds=3)
    both = backtest({"found": RECIPE, "champion": other}, VIEW, table, cut, WINDOWS, lengths=WindowLengths(40), cores=1)
    alone = backtest({"found": other}, VIEW, table, cut, WINDOWS, lengths=WindowLengths(40), cores=1)

    assert set(both[0].losses) == {"all", "sliding", "refit-all", "refit-sliding"}
    assert both[0].losses["refit-all"] == alone[0].losses["all"] != both[0].losses["all"]


def test_a_label_that_was_due_after_an_origin_began_does_not_reach_it() -> None:
    # Row 99 happened before the origin at row 100, and its label came two hours later.
    table = rows()
    changed = table.assign(y=table["y"].where(table.index != 99, 50.0))
    before, after = run(table)[1], run(changed)[1]

    assert after == before


def test_the_stated_interval_leaves_out_as_many_rows_above_as_below() -> None:
    origins = run(rows())
    stated = stated_interval(origins)
    pooled = np.concatenate([origin.away["all"] for origin in origins])

    assert stated is not None
    low, high = stated.residuals["all"]
    assert ((pooled < low).sum(), (pooled > high).sum()) == (4, 4)


def test_steps_of_preparation_are_learned_anew_from_the_past_of_each_origin() -> None:
    capped = {"step": "clip", "columns": ["x"], "by": "iqr", "reach": 0.1, "at_most": 1.0}
    steps = StepParams.model_validate(capped)
    table = rows()
    step, _ = learn_steps(table.iloc[:5], VIEW.features, VIEW.actual(table.iloc[:5]), (), [steps], strict=True)
    view = replace(VIEW, steps=step)
    cut = folds(table["_event"], table["_due"], count=1, rows=20)
    (origin,) = backtest({"found": RECIPE}, view, table, cut, ("all",), lengths=WindowLengths(40), cores=1)
    own = view.again(table.iloc[cut[0].fit])
    scored = table.iloc[cut[0].score]
    model = fit_recipe(RECIPE, own, table.iloc[cut[0].fit], threads=1)

    assert own.steps[0].state != view.steps[0].state
    assert origin.predicted["all"] == pytest.approx(model.predict(own.matrix(scored)), abs=0)
