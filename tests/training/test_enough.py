"""Enough rows for a first version: what the stages could not cut is missing rows, and the number named would do."""

import pandas as pd
import pytest

from retrim.stats.windows import SplitParams
from retrim.training.enough import FAR, cut_first, enough_at, rows_missing
from retrim.training.recipe import BacktestParams
from retrim.training.tuning import TuneParams

SPLIT = SplitParams(judge_rows=48, sliding_rows=200)
BACKTEST = BacktestParams(origins=2, origin_rows=48)
TUNE = TuneParams.model_validate(
    {
        "trials": 1, "batch": 1, "folds": 2, "fold_rows": 48,
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

    with pytest.raises(ValueError, match=r"113 rows .*2 folds"):
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


# --- when there will be enough

AS_OF = pd.Timestamp("2024-02-01", tz="UTC")


def at(*hours_from_as_of: float, lag: str = "1h", known: bool = False) -> dict[str, pd.Series]:
    """Events at these hours, whose labels are due a while later, and are known if they are due."""
    event = pd.Series(AS_OF + pd.to_timedelta(sorted(hours_from_as_of), unit="h")).astype("datetime64[us, UTC]")
    due = event + pd.Timedelta(lag)
    return {"event": event, "due": due, "matured": due.where(due <= AS_OF) if known else due.where(due.isna())}


def enough(rows: dict[str, pd.Series], missing: int) -> float | None:
    """In how many hours there will be that many more."""
    until = enough_at(**rows, missing=missing, as_of=AS_OF)
    return None if until is None else (until - AS_OF) / pd.Timedelta("1h")


HOURLY = tuple(range(-100, 1))


def test_rows_that_are_due_soon_are_counted() -> None:
    assert enough(at(*HOURLY, lag="48h", known=True), 10) == 10


def test_the_rest_comes_as_rows_came() -> None:
    assert enough(at(*HOURLY, lag="1h", known=True), 30) == 1 + 29


@pytest.mark.parametrize("old", [1, 5, 30])
def test_old_rows_do_not_put_the_model_to_sleep(old: int) -> None:
    years_ago = [-24 * 365 * (12 + number) for number in range(old)]

    assert enough(at(*years_ago, *HOURLY, known=True), 30) == 1 + 29


@pytest.mark.parametrize("rows", [at(-24 * 4000, -1), at(-1), at(*[-1] * 50), at(-24 * 36500, *[-1] * 9)])
def test_too_few_rows_to_tell_how_fast_they_come_give_no_date(rows: dict[str, pd.Series]) -> None:
    assert enough(rows, 100) is None
