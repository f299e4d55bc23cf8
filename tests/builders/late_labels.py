"""A table whose positives are known early and whose negatives late."""

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView
from retrim.table.data import DataParams
from retrim.training.early import EarlyRows, early_rows
from retrim.training.recipe import Recipe

DAY = pd.Timedelta("1D")
START = pd.Timestamp("2026-01-01", tz="UTC")
HORIZON = 30
DATA = DataParams.model_validate(
    {
        "model": "late",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "x": {"type": "number", "role": "feature"},
            "y": {"type": "category", "role": "target"},
        },
        "task": "binary",
        "positive": "yes",
        "labels": "later",
        "label_horizon": f"{HORIZON}D",
        "batch_every": "1D",
        "suite": "suite.json",
    }
)
TREES = Recipe("gbm", "log_loss", {"learning_rate": 0.1, "num_leaves": 4, "min_data_in_leaf": 5}, 5, 7)


def late_table(rows: int = 400) -> pd.DataFrame:
    """Four rows a day; a positive is known after 2 days, a negative after 25."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=rows)
    event = START + pd.to_timedelta(np.arange(rows) // 4, unit="D")
    positive = x + draw.normal(size=rows) > 0.5
    frame = pd.DataFrame({"_key": [f"k{n}" for n in range(rows)], "at": event, "x": x})
    frame["y"] = np.where(positive, "yes", "no")
    frame["_event"], frame["_due"] = frame["at"], frame["at"] + HORIZON * DAY
    return frame.assign(came=frame["_event"] + np.where(positive, 2, 25) * DAY)


def taken_at(rows: pd.DataFrame, day: int) -> tuple[FeatureView, np.ndarray, EarlyRows]:
    moment = START + day * DAY
    past = np.flatnonzero((rows["_due"] <= moment).to_numpy())
    view = FeatureView.learn(rows.iloc[past], DATA)
    return view, past, early_rows(rows, rows["came"], view.actual(rows), past, moment=moment, classes=2)
