"""The loss matrix: what it reads off is what the live probe reads from the rows themselves."""

import numpy as np
import pandas as pd
import pytest

from retrim.core.metrics import row_losses
from retrim.core.policy.cut import Cut, cut, equal_rows, equal_spans
from retrim.core.policy.fitting import jobs, score_job
from retrim.core.policy.matrix import Delays, LossMatrix
from retrim.core.policy.play import Live, Setting, read
from retrim.core.probe import ProbeParams, Reading, probe
from retrim.core.table import DataParams
from retrim.core.training import Recipe, WindowKind, fit_recipe, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import past_of
from retrim.errors import RefusedError

START = pd.Timestamp("2024-01-01", tz="UTC")
TREES = Recipe("gbm", "mse", {"num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.2}, 8, 7)
KINDS: tuple[WindowKind, ...] = ("all", "sliding")
FIRST, WINDOWS, BLOCKS, BLOCK_ROWS, SLIDING = 90, 4, 2, 7, 60
DATA = DataParams.model_validate(
    {
        "model": "stream",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "x": {"type": "number", "role": "feature"},
            "y": {"type": "number", "role": "target"},
        },
        "key": ["at"],
        "task": "regression",
        "positive": None,
        "labels": "with_rows",
        "label_horizon": "3h",
        "batch_every": "7d",
        "batch_grace": "1d",
        "suite": "expectations/stream.json",
    }
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """One row an hour; the slope turns round on the way."""
    draw = np.random.default_rng(3)
    n = 230
    x = draw.normal(size=n)
    event = START + pd.to_timedelta(np.arange(n), unit="h")
    y = np.where(np.arange(n) < 150, 2.0, -2.0) * x + draw.normal(scale=0.3, size=n)
    return pd.DataFrame({"_event": event, "_due": event + pd.Timedelta("3h"), "x": x, "y": y})


@pytest.fixture(scope="module")
def whole(table: pd.DataFrame) -> Cut:
    return cut(equal_rows(len(table), first=FIRST, windows=WINDOWS), blocks=BLOCKS, block_rows=BLOCK_ROWS)


@pytest.fixture(scope="module")
def matrix(table: pd.DataFrame, whole: Cut) -> LossMatrix:
    scored = [
        score_job(job, table, whole, TREES, DATA, sliding_rows=SLIDING, threads=1)
        for job in reversed(jobs(whole, KINDS))
    ]
    return LossMatrix.of(KINDS, whole, scored, usual_rows=40)


def rows_of(whole: Cut, window: int) -> np.ndarray:
    begins = np.append(whole.starts[:: whole.blocks], whole.cells[-1])
    return np.arange(begins[window], begins[window + 1])


def losses_of(table: pd.DataFrame, whole: Cut, model: int, kind: WindowKind, rows: np.ndarray) -> np.ndarray:
    """Losses of the model made just before a window, fitted here by hand."""
    past = past_of(table["_event"], table["_due"], int(rows_of(whole, model)[0]))
    fitted = table.iloc[training_rows(past, kind, sliding_rows=SLIDING)]
    view = FeatureView.learn(fitted, DATA)
    judged = table.iloc[rows]
    predicted = fit_recipe(TREES, view, fitted, threads=1).predict(view.matrix(judged))
    return row_losses("mse", view.actual(judged), predicted)


def live_reading(table: pd.DataFrame, whole: Cut, model: int, kind: WindowKind, window: int) -> Reading:
    newest = rows_of(whole, window)
    return probe(
        table,
        newest,
        losses_of(table, whole, model, kind, newest),
        TREES,
        DATA,
        ProbeParams(blocks=BLOCKS, min_rows=2, sample_rows=None, when="every"),
        window=kind,
        sliding_rows=SLIDING,
        block_rows=BLOCK_ROWS,
        cores=1,
    )


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("model", "window"), [(0, 0), (0, 2), (1, 3), (2, 2)])
def test_it_reads_what_the_live_probe_reads(
    table: pd.DataFrame, whole: Cut, matrix: LossMatrix, kind: int, model: int, window: int
) -> None:
    setting = Setting(matrix, (0, 1), Delays(0, 0, 0), BLOCKS, [START] * (WINDOWS + 1), 0)
    found = read(setting, Live(model, kind, model, model), window, kind=kind)
    live = live_reading(table, whole, model, KINDS[kind], window)

    assert found.rows == live.rows
    assert (found.champion_loss, found.probe_loss, found.error) == pytest.approx(
        (live.champion_loss, live.probe_loss, live.error), rel=1e-9
    )


def test_its_totals_are_mean_losses_by_the_share_of_a_usual_check(
    table: pd.DataFrame, whole: Cut, matrix: LossMatrix
) -> None:
    rows = rows_of(whole, 3)
    by_hand = losses_of(table, whole, 1, "sliding", rows).mean() * len(rows) / 40

    assert matrix.totals[1, 1, 3] == pytest.approx(by_hand, rel=1e-9)


def test_a_window_before_its_model_has_no_loss(matrix: LossMatrix) -> None:
    before = np.arange(WINDOWS)[:, None] > np.arange(WINDOWS)

    assert np.array_equal(np.isnan(matrix.totals[0]), before)


def test_a_part_is_a_history_of_its_own(matrix: LossMatrix) -> None:
    part = matrix.part(1, 4)

    np.testing.assert_array_equal(part.totals, matrix.totals[:, 1:, 1:])
    np.testing.assert_array_equal(part.rows, matrix.rows[1:])
    np.testing.assert_array_equal(
        part.probe_sums(2, 0, labels=0, blocks=2), matrix.probe_sums(3, 0, labels=0, blocks=2)
    )


def test_late_labels_make_the_probe_as_old(matrix: LossMatrix) -> None:
    # With labels one window late the first block of window 3 is judged by the model made before window 2.
    late, older = matrix.probe_sums(3, 0, labels=1, blocks=1), matrix.model_sums(3, 0, 2)

    np.testing.assert_array_equal(late, older)


def test_a_missing_fit_is_noticed(table: pd.DataFrame, whole: Cut) -> None:
    with pytest.raises(ValueError, match="missing"):
        LossMatrix.of(KINDS, whole, [], usual_rows=40)


def test_windows_of_equal_time_hold_what_happened_in_it() -> None:
    event = pd.Series(START + pd.to_timedelta([0, 1, 2, 3, 4, 5, 20, 21, 22, 40], unit="h"))

    assert equal_spans(event, first=1, windows=3).tolist() == [1, 6, 9, 10]


def test_a_span_without_rows_is_no_window() -> None:
    event = pd.Series(START + pd.to_timedelta([0, 1, 2, 3, 40], unit="h"))

    assert equal_spans(event, first=1, windows=4).tolist() == [1, 4, 5]


def test_a_window_too_short_for_its_blocks_is_refused() -> None:
    with pytest.raises(RefusedError, match="fewer than its 2 blocks"):
        cut(equal_rows(93, first=90, windows=3), blocks=2, block_rows=5)
