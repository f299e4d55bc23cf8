"""False alarms of checks that are made each hour on rows with a daily cycle, by the share of a day that rows wait for.

    python bench/part_days.py [--days 20]

120 rows an hour of one column, a sine of one day plus noise of the same spread; a reference of 80 days without drift.
"""

import argparse

import numpy as np
import pandas as pd

from retrim.checking import drift
from retrim.drift.alarms import AlarmParams, AlarmRequest
from retrim.drift.findings import findings
from retrim.drift.params import DriftParams
from retrim.drift.profile import ProfileParams, make_profile

REFERENCE_DAYS, ROWS = 80, 120
SHARES = (0.0, 0.8, 0.9, 0.95, drift.COVERED)


def rows(draw: np.random.Generator, day: float, hours: int) -> pd.DataFrame:
    """Rows of some hours after a day of the stream."""
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(day, "D")
    event = at + pd.to_timedelta(np.sort(draw.uniform(0, hours, ROWS * hours)), unit="h")
    cycle = np.sqrt(2) * np.sin((event - event.normalize()) / pd.Timedelta("1D") * 2 * np.pi)
    return pd.DataFrame({"_event": event.as_unit("us"), "x": cycle + draw.normal(size=len(event))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=20)
    days = parser.parse_args().days
    draw, alarms = np.random.default_rng(1), AlarmParams()
    reference = make_profile(rows(draw, 0, REFERENCE_DAYS * 24), {"x": "number"}, ProfileParams(), time="_event")
    asked = AlarmRequest(alarms.rate(pd.Timedelta("1h")), 1.0, alarms.draws, alarms.seed)
    print("| share of a day | looks | with an alarm |\n|---|---|---|")
    for share in SHARES:
        drift.COVERED = share
        waiting, looks, alarmed = rows(draw, 0, 0), 0, 0
        for hour in range(24 * days):
            waiting = pd.concat([waiting, rows(draw, REFERENCE_DAYS + hour / 24, 1)], ignore_index=True)
            window = drift.enough_time(reference, waiting)
            found = findings(reference, window, DriftParams(), time="_event", importances={"x": 1.0}, alarms=asked)
            if found:
                looks, alarmed, waiting = looks + 1, alarmed + any(each.over for each in found), rows(draw, 0, 0)
        print(f"| {share:g} | {looks} | {alarmed} |", flush=True)


if __name__ == "__main__":
    main()
