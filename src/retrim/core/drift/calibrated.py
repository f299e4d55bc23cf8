"""Findings whose p-values and alarms come from the reference's own history."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.core.drift.alarms import LEAST_STRETCHES, Alarm, Asked
from retrim.core.drift.calibration import Calibration, calibrate
from retrim.core.drift.finding import Finding
from retrim.core.drift.profile import Profile
from retrim.core.drift.result import DRIFT_TESTS
from retrim.core.drift.season import waves_of
from retrim.core.drift.watched import noise_of, watch


def alarms_of(profile: Profile, windows: Mapping[str, np.ndarray], *, times: pd.Series, asked: Asked) -> list[Alarm]:
    """What calibration says of the columns of a window.

    By the null that the profile keeps, where its windows are about as long; else one is drawn.

    Args:
        profile: Of the reference.
        windows: The current window: rows in each cell by column; columns that are not in it are left out.
        times: Event time of each row of the window, UTC, 1 or more: its rows are held against their time of year.
        asked: How often they may raise a false alarm.

    Returns:
        Values and missing values of each column; p-values are adjusted for the whole check. Empty where the history
        has too few blocks to show how anything strays.
    """
    known = {name: column for name, column in profile.columns.items() if name in windows}
    if not known or len(profile.blocks) < LEAST_STRETCHES:
        return []
    rows, waves = len(times), waves_of(times).mean(axis=0)
    watched = watch(Profile(known, profile.blocks, profile.sample))
    null = next((kept.null for kept in profile.nulls.alone if kept.serves(tuple(known), rows)), None)
    if null is None:
        found = calibrate(watched, rows=rows, draws=asked.draws, seed=asked.seed)
    else:
        found = Calibration(watched, noise_of(watched, rows), null, rows)
    alarms = found.judge(windows, rate=asked.rate * asked.share, waves=waves)
    return [replace(alarm, p_value=min(alarm.p_value / asked.share, 1.0)) for alarm in alarms]


def calibrated(found: Iterable[Finding], alarms: Iterable[Alarm]) -> list[Finding]:
    """Findings with the p-value, the smallest shift and the promise of their column, over where that is alarmed.

    Where the history is too short for an
    alarm, a finding keeps its threshold on the effect, and says that nothing can be promised.
    """
    by_column: dict[tuple[str, str], Alarm] = {(alarm.column, alarm.of): alarm for alarm in alarms}
    told = []
    for finding in found:
        of = "missing" if DRIFT_TESTS.entry(finding.test).facts["sees"] == "missing" else "values"
        alarm = by_column.get((finding.column, of))
        if alarm is None:
            told.append(replace(finding, p_value=None, promise="cannot be promised"))
            continue
        told.append(
            replace(
                finding,
                p_value=alarm.p_value,
                over=alarm.alarmed,
                contrast=alarm.contrast,
                shift=alarm.shift,
                seen=alarm.smallest,
                unit=alarm.unit,
                promise=_in_words(alarm),
            )
        )
    return told


def _in_words(alarm: Alarm) -> str:
    if alarm.promise == "cannot be promised":
        return f"cannot be promised: the history covers 1 in {max(int(alarm.reach), 1)}"
    return alarm.promise
