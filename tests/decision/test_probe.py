"""The probe: trains on what was due before each block it judges, sees a real change and no other."""

import numpy as np
import pandas as pd
import pytest

from retrim.decision.probe import (
    ProbeParams,
    ProbeReading,
    apart_in_time,
    judged_blocks,
    reading_of,
    refit_losses,
)
from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.stats.codec import to_record
from retrim.stats.metrics import row_losses
from retrim.stats.plugins import Plugin
from retrim.table.data import DataParams
from retrim.training.estimators import MODELS, FitTask, FittedModel
from retrim.training.recipe import Recipe, WindowKind, fit_recipe

START = pd.Timestamp("2024-01-01", tz="UTC")
TREES = Recipe("gbm", "mse", {"num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.2}, 25, 7)


def data() -> DataParams:
    return DataParams.model_validate(
        {
            "model": "stream",
            "columns": {
                "at": {"type": "time", "role": "time"},
                "number": {"type": "integer", "role": "feature"},
                "x": {"type": "number", "role": "feature"},
                "y": {"type": "number", "role": "target"},
            },
            "key": ["at"],
            "task": "regression",
            "label_horizon": "0h",
            "batch_every": "7d",
            "suite": "expectations/stream.json",
        }
    )


def stream(n: int, *, horizon: int = 0, changed_from: int | None = None, same_moment: int = 1) -> pd.DataFrame:
    """One row an hour (or `same_moment` rows): the target is 3 x, and -3 x from a row on."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=n)
    weight = np.where(np.arange(n) < (n if changed_from is None else changed_from), 3.0, -3.0)
    event = START + pd.to_timedelta(np.arange(n) // same_moment, unit="h")
    return pd.DataFrame(
        {
            "_event": event,
            "_due": event + pd.Timedelta(horizon, "h"),
            "number": np.arange(n),
            "x": x,
            "y": weight * x + draw.normal(scale=0.5, size=n),
        }
    )


class Memory:
    """A model that has right what it was fitted on, and is far off elsewhere."""

    def __init__(self, known: dict[float, float]) -> None:
        self.known = known

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.array([self.known.get(number, 1e6) for number in matrix[:, 0]])

    def files(self) -> dict[str, bytes]:
        return {}

    def gains(self) -> np.ndarray:
        return np.zeros(2)


class Remembering:
    """Fits a `Memory` and notes which rows it was given."""

    def __init__(self) -> None:
        self.fitted: list[list[int]] = []

    def fit(self, view: FeatureView, matrix: np.ndarray, actual: np.ndarray, task: FitTask) -> FittedModel:
        self.fitted.append([int(number) for number in matrix[:, 0]])
        return FittedModel(Memory(dict(zip(matrix[:, 0], actual, strict=True))), 1)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Memory:
        return Memory({})


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> Remembering:
    kind = Remembering()
    monkeypatch.setitem(MODELS._entries, "memory", Plugin("memory", kind, {}))
    return kind


def read(
    table: pd.DataFrame,
    newest: np.ndarray,
    recipe: Recipe,
    *,
    champion_losses: np.ndarray | None = None,
    blocks: int = 2,
    window: WindowKind = "all",
    sliding_rows: int = 10,
    cores: int = 1,
) -> ProbeReading:
    params = ProbeParams(blocks=blocks, min_rows=2, when="every")
    losses = refit_losses(table, newest, recipe, data(), params, window=window, sliding_rows=sliding_rows, cores=cores)
    champion = np.zeros(len(newest)) if champion_losses is None else champion_losses
    places = np.concatenate(judged_blocks(newest, blocks=blocks))
    return reading_of(champion[places], losses, apart=np.delete(champion, places), block_rows=10)


MEMORY = Recipe("memory", "mae", {}, 1, 7)


# --- what it trains on


def test_each_block_is_judged_by_a_fit_on_all_before_it(remembering: Remembering) -> None:
    read(stream(40), np.arange(30, 40), MEMORY)

    assert sorted(remembering.fitted, key=len) == [list(range(30)), list(range(35))]


def test_no_row_is_fitted_whose_label_was_due_after_the_block_began(remembering: Remembering) -> None:
    read(stream(40, horizon=3), np.arange(30, 40), MEMORY)

    assert sorted(remembering.fitted, key=len) == [list(range(28)), list(range(33))]


@pytest.mark.parametrize("same_moment", [1, 4, 40])
def test_no_row_is_judged_by_a_model_that_was_fitted_on_it(remembering: Remembering, same_moment: int) -> None:
    # A label due at its own event, rows of one moment: the planted leak is a memory, which has right what it saw.
    reading = read(stream(40, same_moment=same_moment), np.arange(30, 40), MEMORY)

    assert reading.probe_loss == pytest.approx(1e6, rel=1e-3)


def test_a_sliding_champion_is_probed_on_a_sliding_window(remembering: Remembering) -> None:
    read(stream(40), np.arange(30, 40), MEMORY, window="sliding", blocks=1)

    assert remembering.fitted == [list(range(20, 30))]


def test_rows_between_the_newest_are_trained_on_too(remembering: Remembering) -> None:
    # Rows that matured earlier lie among the newest where the delay differs.
    read(stream(40), np.array([30, 32, 34]), MEMORY, blocks=3)

    assert sorted(map(len, remembering.fitted)) == [30, 32, 34]


def test_features_are_prepared_as_a_retraining_would() -> None:
    # Of x hardly more than its sign is left: the probe then loses what a fit on that loses.
    steps = [
        StepParams.model_validate({"step": "clip", "columns": ["x"], "by": "zscore", "reach": 0.1, "at_most": 1.0})
    ]
    table, newest = stream(300), np.arange(260, 300)
    params = ProbeParams(blocks=1, min_rows=2, when="every")
    past, judged = table.iloc[:260], table.iloc[newest]
    view = FeatureView.learn(past, data(), steps)
    model = fit_recipe(TREES, view, past, threads=1)
    losses = refit_losses(table, newest, TREES, data(), params, steps, window="all", sliding_rows=9, cores=1)

    assert losses == pytest.approx(row_losses("mse", view.actual(judged), model.predict(view.matrix(judged))))


# --- what it finds


def champion_losses(table: pd.DataFrame, newest: np.ndarray, *, trained_until: int) -> np.ndarray:
    past, judged = table.iloc[:trained_until], table.iloc[newest]
    view = FeatureView.learn(past, data())
    return row_losses("mse", view.actual(judged), fit_recipe(TREES, view, past, threads=1).predict(view.matrix(judged)))


def test_a_real_change_gives_a_gain_well_above_its_error() -> None:
    table, newest = stream(900, changed_from=600), np.arange(800, 900)
    losses = champion_losses(table, newest, trained_until=600)

    reading = read(table, newest, TREES, champion_losses=losses, window="sliding", sliding_rows=200)

    assert reading.gain > 0.8 * reading.champion_loss
    assert reading.gain > 3 * reading.error


def test_no_change_gives_a_gain_within_its_error() -> None:
    table, newest = stream(900), np.arange(800, 900)
    losses = champion_losses(table, newest, trained_until=800)

    reading = read(table, newest, TREES, champion_losses=losses)

    assert abs(reading.gain) < 3 * reading.error
    assert abs(reading.gain) < 0.1 * reading.champion_loss


def test_its_figures_are_means_over_all_judged_rows(remembering: Remembering) -> None:
    reading = read(stream(40), np.arange(33, 40), MEMORY, champion_losses=np.arange(7.0))

    assert reading.rows == 7
    assert reading.champion_loss == 3.0
    assert reading.gain == reading.champion_loss - reading.probe_loss


def test_its_record_holds_gain_and_error() -> None:
    result = ProbeReading.of_newest(rows=7, apart=2, weight=0.5, champion_loss=3.0, probe_loss=2.0, error=0.5)

    assert to_record(result) == {
        "rows": 7,
        "apart": 2,
        "weight": 0.5,
        "champion_loss": 3.0,
        "probe_loss": 2.0,
        "gain": 0.5,
        "error": 0.5,
        "waited": 0,
        "earlier": 0.0,
        "after_change": 0,
    }


def test_the_number_of_cores_changes_nothing() -> None:
    table, newest = stream(300), np.arange(250, 300)

    assert read(table, newest, TREES, cores=2) == read(table, newest, TREES, cores=1)


# --- a sample, and when it is asked


def test_rows_that_waited_gained_half_of_what_the_probes_before_and_after_them_found() -> None:
    newest = ProbeReading.of_newest(rows=10, apart=0, weight=1.0, champion_loss=3.0, probe_loss=2.0, error=0.4)
    all_of_them = newest.with_waiting(30, earlier=0.2)

    assert (newest.gain, newest.error) == (1.0, 0.4)
    assert all_of_them.rows == 40
    assert all_of_them.gain == pytest.approx((10 * 1.0 + 30 * 0.6) / 40)
    assert all_of_them.error == pytest.approx(0.4 * (10 + 15) / 40)


@pytest.mark.parametrize(("rows", "waiting"), [(10, 0), (13, 0), (14, 4), (20, 10), (35, 25)])
def test_where_rows_of_several_checks_have_come_the_newest_alone_are_judged(rows: int, waiting: int) -> None:
    before, newest = apart_in_time(np.arange(100, 100 + rows), rows=10, least=4)

    assert (len(before), [*before, *newest]) == (waiting, [*range(100, 100 + rows)])
