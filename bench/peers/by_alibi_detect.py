"""alibi-detect: TabularDrift, which divides its p-value by the columns; 0.05 by default, and the rate asked."""

import numpy as np
import pandas as pd
from alibi_detect.cd import TabularDrift
from windows import Alarms, Asked, Windows, low, run


def alarms(given: Windows, asked: Asked) -> Alarms:
    windows = given.filled()
    names = [*windows.numbers, *windows.categories]
    kinds = {names.index(name): len(windows.levels(name)) for name in windows.categories}

    def coded(part: pd.DataFrame) -> np.ndarray:
        return np.array([windows.coded(name, part) for name in names], dtype="float32").T

    test = TabularDrift(coded(windows.before), p_val=0.05, categories_per_feature=kinds or None)
    least = [
        float(np.nanmin(test.predict(coded(window), drift_type="feature")["data"]["p_val"])) for window in windows.after
    ]
    return {
        "Bonferroni at 5%, its default": [low(value, 0.05 / asked.columns) for value in least],
        "Bonferroni at the rate": [low(value, asked.per_column) for value in least],
    }


run(alarms)
