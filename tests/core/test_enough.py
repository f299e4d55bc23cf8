"""Enough rows for a first version: what the stages could not cut is missing rows, and the number named would do."""

import pandas as pd
import pytest

from retrim.core.backtest import BacktestParams
from retrim.core.enough import FAR, cut_first, rows_missing
from retrim.core.tuning import TuneParams
from retrim.core.windows import SplitParams

SPLIT = SplitParams(judge_rows=48, sliding_rows=200)
BACKTEST = BacktestParams(origins=2, origin_rows=48, interval=0.8)
TUNE = TuneParams.model_validate(
    {
        "sampler": "tpe", "options": {}, "trials": 1, "warm_trials": 1, "batch": 1, "folds": 2, "fold_rows": 48,
        "stop_share": 0.1, "max_rounds": 5, "patience": 2, "seed": 1, "space": {"num_leaves": {"low": 2, "high": 4}},
    }
)  # fmt: skip


def hours(count: int, *, horizon: str) -> tuple[pd.Series, pd.Series]:
    """Events an hour apart, and when their labels are due."""
    event = pd.Series(pd.date_range("2024-01-01", periods=count, freq="1h", tz="UTC", unit="us"))
    return event, event + pd.Timedelta(horizon)


def test_rows_whose_labels_are_due_at_once_suffice() -> None:
    assert rows_missing(*hours(192, horizon="1h"), SPLIT, TUNE, BACKTEST) == 0


def test_a_long_horizon_leaves_too_few_and_the_number_named_would_do() -> None:
    missing = rows_missing(*hours(400, horizon="10D"), SPLIT, TUNE, BACKTEST)

    with pytest.raises(ValueError, match="113 rows are too few for 2 folds"):
        cut_first(*hours(400, horizon="10D"), SPLIT, TUNE, BACKTEST)
    cut_first(*hours(400 + missing, horizon="10D"), SPLIT, TUNE, BACKTEST)
    with pytest.raises(ValueError, match="rows"):
        cut_first(*hours(400 + missing * 3 // 4, horizon="10D"), SPLIT, TUNE, BACKTEST)


@pytest.mark.parametrize("count", [2, 47, 48, 49])
def test_few_rows_are_missing_rows_and_no_error(count: int) -> None:
    assert 0 < rows_missing(*hours(count, horizon="1h"), SPLIT, TUNE, BACKTEST) < 192


def test_events_of_one_moment_need_rows_that_come_later() -> None:
    event = pd.Series(pd.Timestamp("2024-01-01", tz="UTC").as_unit("us"), index=range(300))

    assert 0 < rows_missing(event, event + pd.Timedelta("1h"), SPLIT, TUNE, BACKTEST) < FAR
