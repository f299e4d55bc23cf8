"""Calibrated alarms: the rate that is asked for is the rate that comes, and what is far is seen."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from retrim.drift.alarms import AlarmParams, promise
from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.watched import measure_deviation, watch
from retrim.errors import BadInputError
from tests.builders.drift_worlds import world

ROWS = 400


@cache
def calibrated(rho: float, seed: int) -> tuple[WindowCalibration, dict[str, np.ndarray]]:
    profile, later = world(rho=rho, rows=ROWS, windows=40, later=100, numeric=6, categorical=2, seed=seed)
    return calibrate(watch(profile), rows=ROWS, draws=2000, seed=1), later


def window(later: dict[str, np.ndarray], number: int) -> dict[str, np.ndarray]:
    return {name: counts[number] for name, counts in later.items()}


# --- the rate


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_rate_that_is_asked_for_is_the_rate_that_comes(rho: float) -> None:
    strayed = [calibrated(rho, seed) for seed in range(25)]
    p_values = np.concatenate(
        [
            null.null.p_value(null.strayed(null.watched.means_of(later, ROWS) - null.watched.means).max(axis=1))
            for null, later in strayed
        ]
    )

    # 2,500 windows on 25 references: the standard error at 10% is about 0.8%, at 2% about 0.4%
    assert np.mean(p_values <= 0.1) == pytest.approx(0.1, abs=0.025)
    assert np.mean(p_values <= 0.02) == pytest.approx(0.02, abs=0.012)


def test_columns_that_move_together_count_once() -> None:
    profile, _ = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=1, categorical=0, seed=1)
    column = profile.columns["x0"]
    ten = type(profile)({f"x{number}": column for number in range(10)}, profile.blocks, profile.sample)
    one_threshold, ten_threshold = (
        calibrate(watch(each), rows=ROWS, draws=2000, seed=1).null.threshold(0.02) for each in (profile, ten)
    )

    # each of ten has a tenth of the budget, which `strayed` charges as log 10; ten that are one get it back
    assert one_threshold - ten_threshold == pytest.approx(np.log(10), abs=0.3)


def test_the_same_seed_draws_the_same_threshold() -> None:
    profile, _ = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=2, categorical=1, seed=1)
    first, second = (calibrate(watch(profile), rows=ROWS, draws=1000, seed=1).null for _ in range(2))

    assert first.strayed.tolist() == second.strayed.tolist()


def test_a_rarer_rate_has_a_higher_threshold() -> None:
    null = calibrated(0.9, 0)[0].null
    thresholds = [null.threshold(rate) for rate in (0.4, 0.1, 0.05, 0.01, 0.001, 1e-5)]

    assert thresholds == sorted(set(thresholds))


@pytest.mark.parametrize("rate", [0.3, 0.05, 0.001])
def test_a_window_at_the_threshold_has_the_rate_as_its_p_value(rate: float) -> None:
    null = calibrated(0.9, 0)[0].null

    assert null.p_value(null.threshold(rate)) == pytest.approx(rate, rel=0.02)


# --- what is seen


def test_a_shift_is_named_and_measured_in_standard_deviations() -> None:
    null, later = calibrated(0.0, 0)
    shifted = window(later, 0)
    # the lowest of twenty equal cells becomes the highest: a shift of the mean by 0.05 x 4.13 sd
    moved = shifted["x3"][1]
    shifted["x3"] = shifted["x3"] + moved * (np.eye(23, dtype=int)[20] - np.eye(23, dtype=int)[1])
    found = {alarm.column: alarm for alarm in null.judge(shifted, rate=0.01) if alarm.of == "values"}

    assert found["x3"].alarmed
    assert found["x3"].contrast == "location"
    assert found["x3"].shift == pytest.approx(0.05 * 4.13, abs=0.1)


def test_an_unseen_category_and_missing_values_are_named() -> None:
    null, later = calibrated(0.0, 0)
    changed = window(later, 0)
    changed["c6"] = changed["c6"] + np.array([-20, 0, 0, 0, 20, 0])
    changed["x1"] = changed["x1"] + 20 * (np.eye(23, dtype=int)[22] - np.eye(23, dtype=int)[10])
    found = {(alarm.column, alarm.of): alarm for alarm in null.judge(changed, rate=0.01)}

    assert found["c6", "values"].alarmed
    assert found["c6", "values"].contrast == "share of unseen categories"
    assert found["x1", "missing"].alarmed
    assert not found["x1", "values"].alarmed


def test_one_row_of_an_unseen_category_is_no_alarm() -> None:
    null, later = calibrated(0.0, 0)
    changed = window(later, 0)
    changed["c6"] = changed["c6"] + np.array([-1, 0, 0, 0, 1, 0])
    found = {alarm.column: alarm for alarm in null.judge(changed, rate=0.01) if alarm.of == "values"}

    assert not found["c6"].alarmed


def test_the_smallest_shift_is_seen_four_times_in_five() -> None:
    seen = []
    for seed in range(25):
        null, later = calibrated(0.9, seed)
        at = int(np.flatnonzero(null.watched.name == "location")[0])
        shift = null.watched.means_of(later, ROWS) - null.watched.means
        shift[:, at] += null.smallest(0.05)[at]
        far = measure_deviation(null.watched, shift, null.noise, ROWS)[:, at]
        seen.append(np.mean(far > null.null.threshold(0.05)))

    assert np.mean(seen) == pytest.approx(0.8, abs=0.06)


def test_a_constant_column_that_moves_is_an_alarm() -> None:
    profile, later = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=1, categorical=1, seed=1)
    for name, column in profile.columns.items():
        column.counts[:] = 0
        column.counts[:, 2] = profile.blocks["rows"]
        later[name][:] = 0
        later[name][:, 3] = ROWS
    null = calibrate(watch(profile), rows=ROWS, draws=1000, seed=1)

    assert [alarm.column for alarm in null.judge(window(later, 0), rate=0.01) if alarm.alarmed] == ["x0", "c1"]


def test_a_constant_column_that_stays_is_none() -> None:
    profile, later = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=1, categorical=1, seed=1)
    for name, column in profile.columns.items():
        for counts in (column.counts, later[name]):
            counts[:] = 0
            counts[:, 2] = ROWS
        column.counts[:, 2] = profile.blocks["rows"]
    null = calibrate(watch(profile), rows=ROWS, draws=1000, seed=1)

    assert [alarm.p_value for alarm in null.judge(window(later, 0), rate=0.01)] == [1.0] * 4


# --- in words


def test_one_a_year_at_a_check_a_fortnight_is_one_in_26_checks() -> None:
    params = AlarmParams(at_most=1, draws=1000, seed=1)

    assert 1 / params.rate(pd.Timedelta("14D")) == pytest.approx(26.1, abs=0.1)


def test_an_alarm_at_every_second_check_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"^drift\.alarms is 12 per year; .* below 0\.5; "):
        AlarmParams(at_most=12, draws=1000, seed=1).rate(pd.Timedelta("30D"))


@pytest.mark.parametrize(
    ("rate", "reach", "said"),
    [
        (0.01, 160, "promised"),
        (0.01, 50, "extrapolated"),
        (0.001, 50, "cannot be promised"),
        (0.4, 5, "cannot be promised"),
    ],
)
def test_a_history_promises_what_it_shows(rate: float, reach: float, said: str) -> None:
    assert promise(rate, reach) == said
