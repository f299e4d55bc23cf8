"""Whether rows suffice for a first version, cut as the stages will cut them; and how many more would."""

import numpy as np
import pandas as pd

from retrim.core.backtest import BacktestParams
from retrim.core.tuning import TuneParams
from retrim.core.windows import SplitParams, folds, keep_back, past_of

A_SECOND = pd.Timedelta("1s")
FAR = 1_000_000  # rows; whoever needs more waits for a year in any case


def cut_first(event: pd.Series, due: pd.Series, split: SplitParams, tune: TuneParams, backtest: BacktestParams) -> None:
    """Cuts mature rows into judging block, embargo, folds and origins, as features, tune and backtest do.

    Args:
        event: Event time of each mature row in total order, shape (n,).
        due: When each row's label was due, shape (n,).
        split: Judging rows.
        tune: Folds.
        backtest: Origins.

    Raises:
        ValueError: A part would have fewer than 2 rows; the message says which.
    """
    start = len(event) - split.judge_rows
    train = past_of(event, due, start) if start > 0 else np.empty(0, dtype="int64")
    if len(train) < 2:
        raise ValueError(f"{len(train)} had a label due before the {split.judge_rows} that judge")
    event, due = event.iloc[train].reset_index(drop=True), due.iloc[train].reset_index(drop=True)
    for fold in folds(event, due, count=tune.folds, rows=tune.fold_rows):
        keep_back(event, due, fold.fit, share=tune.stop_share)
    folds(event, due, count=backtest.origins, rows=backtest.origin_rows)


def rows_missing(
    event: pd.Series, due: pd.Series, split: SplitParams, tune: TuneParams, backtest: BacktestParams
) -> int:
    """How many rows more would do, if they come as these did; within a quarter, a million at most. 0 if these do.

    Args:
        event: Event time of each mature row in total order, shape (n,), n at least 1.
        due: When each row's label was due, shape (n,).
        split: Judging rows.
        tune: Folds.
        backtest: Origins.
    """
    apart = max((event.iloc[-1] - event.iloc[0]) / max(len(event) - 1, 1), A_SECOND)
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
