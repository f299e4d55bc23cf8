"""Frouros: KS and chi-squared column by column; it names no threshold, so p < 0.05 as usual, and Bonferroni."""

import numpy as np
from frouros.detectors.data_drift import ChiSquareTest, KSTest
from windows import Alarms, Asked, Windows, low, run


def alarms(given: Windows, asked: Asked) -> Alarms:
    windows = given.filled()
    least = np.ones(len(windows.after))
    for name in windows.before:
        test = KSTest() if name in windows.numbers else ChiSquareTest()
        test.fit(X=windows.before[name].to_numpy())
        for place, window in enumerate(windows.after):
            least[place] = min(least[place], np.nan_to_num(test.compare(X=window[name].to_numpy())[0].p_value, nan=1.0))
    return {
        "any p < 0.05": [low(value, 0.05) for value in least],
        "Bonferroni": [low(value, asked.per_column) for value in least],
    }


run(alarms)
