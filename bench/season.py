"""False alarms and power on tables with a season: four years of it, and the fifth looked at, asked for 4 in 100 checks.

    python bench/season.py [--tables 40]

A table has eight columns over four years, eight rows a day: waves of a day and of a year of several heights, and
weather that lasts for days. 26 windows of 14 days of the fifth year follow, so 1,040 windows of 40 tables. *Left in*
is the same code that is not told when the blocks were. Power: a column without and one with a high season move by 1.5
sd of the weather in all rows.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from false_alarms import interval

from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.profile import Profile, ProfileParams, make_profile
from retrim.drift.watched import watch, waves_of
from retrim.table.data import ColumnType

ROOT = Path(__file__).resolve().parents[1]
RATE, DRAWS, WINDOWS, A_DAY, DAYS, YEARS = 0.04, 2000, 26, 8, 14, 4
HEIGHTS = {"none": 0.0, "low": 0.5, "middle": 1.5, "high": 4.0}  # of the wave of a year, in sd of the weather
SHIFT = 1.5  # of the weather's sd


def table(seed: int) -> pd.DataFrame:
    """Five years of rows: four numbers, each with a category that follows it."""
    draw = np.random.default_rng(seed)
    days = round(365.25 * YEARS) + WINDOWS * DAYS
    at = pd.Series(pd.date_range("2015-01-01", periods=A_DAY * days, freq=f"{24 // A_DAY}h", tz="UTC"))
    year = waves_of(at)[:, [0, 3]]
    made: dict[str, object] = {"_event": at}
    for name, height in HEIGHTS.items():
        weather = np.convolve(draw.normal(0, 1, len(at) + 30), np.ones(31) / 31**0.5, "valid")
        phase = draw.uniform(0, 2 * np.pi)
        wave = height * (year @ np.array([np.cos(phase), np.sin(phase)]))
        day = np.sin(2 * np.pi * at.dt.hour.to_numpy() / 24)
        values = weather + wave + day + draw.normal(0, 1, len(at))
        made[name] = values
        cut = np.quantile(values, [0.5, 0.9])
        made[f"{name}, cut"] = pd.Series(np.array(["a", "b", "c"])[np.searchsorted(cut, values)], dtype="str")
    return pd.DataFrame(made)


def window_of(reference: Profile, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: column.of(rows[name]).rows for name, column in reference.columns.items()}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--tables", type=int, default=40)
    given = asked.parse_args()
    params = ProfileParams()
    kinds: dict[str, ColumnType] = {}
    for name in HEIGHTS:
        kinds |= {name: "number", f"{name}, cut": "category"}
    rates: dict[str, list[float]] = {"taken out": [], "left in": []}
    power: dict[tuple[str, str], list[float]] = {(how, name): [] for how in rates for name in ("none", "high")}
    rows = DAYS * A_DAY
    for seed in range(given.tables):
        made = table(seed)
        whole = len(made) - WINDOWS * rows
        reference = make_profile(made.iloc[:whole], kinds, params, time="_event")
        untimed = reference.blocks.assign(**{end: pd.Timestamp("2015-01-01", tz="UTC") for end in ("first", "last")})
        for how, profile in (("taken out", reference), ("left in", replace(reference, blocks=untimed))):
            judged = calibrate(watch(profile), rows=rows, draws=DRAWS, seed=seed)
            alarms: list[bool] = []
            seen: dict[str, list[bool]] = {"none": [], "high": []}
            for place in range(WINDOWS):
                part = made.iloc[whole + place * rows : whole + (place + 1) * rows]
                alarms.append(bool(_alarmed(judged, reference, part)))
                for name, said in seen.items():
                    moved = part.assign(**{name: part[name] + SHIFT})
                    said.append(name in _alarmed(judged, reference, moved))
            rates[how].append(float(np.mean(alarms)))
            for name, each in seen.items():
                power[how, name].append(float(np.mean(each)))
    print(f"asked: {RATE:.1%} of checks; {given.tables} tables x {WINDOWS} windows, {len(kinds)} columns")
    print("| season | false alarms (95%) | seen: no season | seen: high season |\n|---|---|---|---|")
    for how, found in rates.items():
        mean, low, high = interval(np.array(found))
        shares = " | ".join(f"{np.mean(power[how, name]):.0%}" for name in ("none", "high"))
        print(f"| {how} | {mean:.1%} ({low:.1%} to {high:.1%}) | {shares} |")


def _alarmed(judged: WindowCalibration, reference: Profile, rows: pd.DataFrame) -> set[str]:
    waves = waves_of(rows["_event"]).mean(axis=0)
    found = judged.judge(window_of(reference, rows), rate=RATE, waves=waves)
    return {alarm.column for alarm in found if alarm.alarmed}


if __name__ == "__main__":
    main()
