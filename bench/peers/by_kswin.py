"""river's KSWIN row by row, one a column; a window alarms when any of its rows does in any column.

A column of categories is followed by the code of the category. At each row it holds its last 30 against 30 of the 70
before, so all that it knows of the reference is the 100 rows before a window. After an alarm a window is left.
"""

from river.drift import KSWIN
from windows import Alarms, Asked, Windows, run

KEPT = 100


def alarms(given: Windows, asked: Asked) -> Alarms:
    windows = given.filled()
    pasts = [windows.before, *windows.after]

    def alarmed(place: int, alpha: float) -> bool:
        for name in windows.before:
            detector = KSWIN(alpha=alpha, seed=1)
            for value in windows.coded(name, pasts[place].tail(KEPT)):
                detector.update(value)
            for value in windows.coded(name, windows.after[place]):
                detector.update(value)
                if detector.drift_detected:
                    return True
        return False

    settings = {"alpha 0.005, its default": 0.005, "Bonferroni, rows too": asked.per_column / windows.rows}
    return {name: [alarmed(place, alpha) for place in range(len(windows.after))] for name, alpha in settings.items()}


run(alarms)
