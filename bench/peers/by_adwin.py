"""river's ADWIN row by row, one a column; a window alarms when any of its rows does in any column.

A column of categories is followed by the code of the category. It has read the last 10,000 rows of the reference.
"""

import numpy as np
from river.drift import ADWIN
from windows import Alarms, Asked, Windows, run

WARM_UP = 10_000


def alarms(given: Windows, asked: Asked) -> Alarms:
    windows = given.filled()

    def follow(delta: float) -> list[bool]:
        flagged = np.zeros(len(windows.after), dtype=bool)
        for name in windows.before:
            detector = ADWIN(delta=delta)
            for value in windows.coded(name, windows.before.tail(WARM_UP)):
                detector.update(value)
            for place, window in enumerate(windows.after):
                for value in windows.coded(name, window):
                    detector.update(value)
                    flagged[place] |= detector.drift_detected
        return flagged.tolist()

    return {"delta 0.002, its default": follow(0.002), "Bonferroni": follow(asked.per_column)}


run(alarms)
