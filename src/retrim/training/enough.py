"""Whether rows are enough for a first run, how many are missing, and when they will have come."""

import numpy as np
import pandas as pd

from retrim.stats.windows import SplitParams, folds, keep_back, past_of
from retrim.training.recipe import BacktestParams
from retrim.training.tuning import TuneParams

A_SECOND = pd.Timedelta("1s")
FAR = 1_000_000  # rows; whoever needs more waits for a year in any case
FEWEST = 8  # rows that tell how fast rows come, at least
NEVER = pd.Timedelta("3650D")  # a date further ahead says nothing


def cut_first(event: pd.Series, due: pd.Series, split: SplitParams, tune: TuneParams, backtest: BacktestParams) -> None:
    """Cuts mature rows as features, tune and backtest do, or raises a ValueError that says which part is too short."""
    start = len(event) - split.judge_rows
    train = past_of(event, due, start) if start > 0 else np.empty(0, dtype="int64")
    if len(train) < 2:
        raise ValueError(f"only {len(train)} rows had a label due before the {split.judge_rows} holdout rows")
    event, due = event.iloc[train].reset_index(drop=True), due.iloc[train].reset_index(drop=True)
    for fold in folds(event, due, count=tune.folds, rows=tune.fold_rows):
        keep_back(fold.fit, share=tune.stop_share)
    folds(event, due, count=backtest.origins, rows=backtest.origin_rows)


def rows_missing(
    event: pd.Series, due: pd.Series, split: SplitParams, tune: TuneParams, backtest: BacktestParams
) -> int:
    """How many rows more would do, 0 or more, if they come as these mature ones did; within a quarter, 1e6 at most."""
    apart = max(usual_gap(event), A_SECOND)
    horizon = (due - event).median()
    more = 0
    while more < FAR:
        coming = pd.Series(event.iloc[-1] + apart * np.arange(1, more + 1), dtype=event.dtype)
        try:
            cut_first(
                pd.concat([event, coming], ignore_index=True),
                pd.concat([due, coming + horizon], ignore_index=True),
                split,
                tune,
                backtest,
            )
        except ValueError:
            more += more // 4 + 8
        else:
            return more
    return FAR


def usual_gap(event: pd.Series) -> pd.Timedelta:
    """The mean span between rows of the newer half: old rows, however old, do not change it."""
    middle = (len(event) - 1) // 2
    return pd.Timedelta((event.iloc[-1] - event.iloc[middle]) / max(len(event) - 1 - middle, 1))


def enough_at(
    event: pd.Series, due: pd.Series, matured: pd.Series, *, missing: int, as_of: pd.Timestamp
) -> pd.Timestamp | None:
    """When that many more rows will be mature, if rows go on to come as they did, and labels come when they are due.

    What is expected by a moment are the landed rows that are due by then, and those that come from now on at the pace
    of the newer half, each as long before its label as rows usually are.

    Args:
        matured: When each row was mature; missing while it is not, shape (n,).
        missing: How many more are needed, at least 1.

    Returns:
        None where the rows that have landed neither suffice nor tell how fast others come, or that is years ahead.
    """
    now = as_of.timestamp()
    waits = _seconds(due[matured.isna() & (due > as_of)]) - now
    # The moment at which the k-th of them is due, for k = 0 ... missing.
    coming = np.concatenate([[0.0], np.sort(waits)])[: missing + 1]
    by_then = coming[missing:]
    gap = usual_gap(event).total_seconds()
    if len(event) >= FEWEST and gap > 0:
        lag = float(np.median(_seconds(due) - _seconds(event)))
        rest = missing - np.arange(min(len(coming), missing))
        by_then = np.concatenate([by_then, np.maximum(coming[:missing], lag + gap * rest)])
    if not len(by_then) or by_then.min() > NEVER.total_seconds():
        return None
    return as_of + pd.Timedelta(round(float(by_then.min())), "s")


def _seconds(times: pd.Series) -> np.ndarray:
    """Times as seconds since 1970, shape (n,); years far away too."""
    return np.asarray(times.dt.as_unit("us").astype("int64").to_numpy() / 1e6)
