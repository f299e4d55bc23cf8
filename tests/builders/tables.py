"""Small tables and one declared form of each step, for the tests of steps."""

from typing import Any

import numpy as np
import pandas as pd

from retrim.features.fitted import PrepareParams, StepParams
from retrim.table.data import DataParams

TASKS = ("regression", "binary", "multiclass")


def data(task: str = "regression") -> DataParams:
    return DataParams.model_validate(
        {
            "model": "shop",
            "columns": {
                "at": {"type": "time", "role": "time"},
                "km": {"type": "number", "role": "feature"},
                "fee": {"type": "number", "role": "feature"},
                "items": {"type": "integer", "role": "feature"},
                "weather": {"type": "category", "role": "feature"},
                "note": {"type": "category", "role": "feature"},
                "result": {"type": "number" if task == "regression" else "category", "role": "target"},
            },
            "task": task,
            "positive": "late" if task == "binary" else None,
            "label_horizon": "1h",
            "batch_every": "7D",
            "suite": "expectations/shop.json",
        }
    )


def rows(n: int, task: str = "regression", *, seed: int = 1) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    at = pd.Series(pd.date_range("2024-03-01", periods=n, freq="1h", tz="UTC"))
    km = draw.gamma(2.0, 3.0, n)
    weather = draw.choice(["dry", "rain", "storm"], n, p=[0.6, 0.3, 0.1])
    notes = [
        f"{first} {second}" for first, second in zip(*draw.choice(["ring", "gate", "dog", "desk"], (2, n)), strict=True)
    ]
    result = 10 + 3 * km + 5 * (weather == "storm") + draw.normal(size=n)
    said: Any = result
    if task != "regression":
        names = np.array(["early", "fair", "late"])[np.digitize(result, [20.0, 30.0])]
        said = np.where(names == "late", "late", "fair") if task == "binary" else names
    frame = pd.DataFrame(
        {
            "at": at,
            "km": np.where(draw.random(n) < 0.1, np.nan, km),
            "fee": km * 2 + draw.normal(size=n) / 10,
            "items": pd.Series(draw.integers(1, 9, n), dtype="Int64"),
            "weather": pd.Series(weather, dtype="str").where(draw.random(n) > 0.1),
            "note": pd.Series(notes, dtype="str").where(draw.random(n) > 0.1),
            "result": pd.Series(said, dtype="float64" if task == "regression" else "str"),
        }
    )
    return frame.assign(_event=at, _due=at + pd.Timedelta("1h"))


NUMBERS, WORDS = ["km", "fee", "items"], ["weather"]
DECLARED: dict[str, dict[str, Any]] = {  # a new step enters its own here
    "MinMaxScaler": {"columns": NUMBERS},
    "OneHotEncoder": {"columns": WORDS, "max_categories": 3},
    "OrdinalEncoder": {"columns": WORDS, "categories": [["dry", "rain", "storm"]]},
    "PowerTransformer": {"columns": NUMBERS},
    "QuantileTransformer": {"columns": NUMBERS, "output_distribution": "normal"},
    "RobustScaler": {"columns": NUMBERS, "quantile_range": [10.0, 90.0]},
    "SimpleImputer": {"columns": [*NUMBERS, *WORDS], "add_indicator": True},
    "StandardScaler": {"columns": NUMBERS},
    "calendar": {"columns": ["at"], "parts": ["hour", "month"], "circle": True, "zone": "Europe/Berlin"},
    "clip": {"columns": NUMBERS, "by": "iqr", "reach": 1.5, "at_most": 0.1},
    "holidays": {"columns": ["at"], "country": "DE-BY", "zone": "Europe/Berlin"},
    "rare": {"columns": WORDS, "under": 0.2, "into": "other", "unseen": "merge"},
    "select_uncorrelated": {"columns": NUMBERS, "at_most": 0.9},
    "target_code": {"columns": WORDS, "smoothing": 2.0},
}


def steps(*declared: dict[str, Any]) -> tuple[StepParams, ...]:
    return PrepareParams.model_validate({"steps": declared}).steps


def step(name: str, **changed: Any) -> tuple[StepParams, ...]:
    return steps({"step": name, **DECLARED[name], **changed})
