"""What a profile keeps of windows without drift: a check is told the same by it as by drawing anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retrim.drift.alarms import AlarmParams, AlarmRequest, Null, Nulls
from retrim.drift.findings import DriftFinding, alarms_of, together
from retrim.drift.joint import JointParams
from retrim.drift.params import DriftParams
from retrim.drift.profile import NULLS, Profile, ProfileParams, make_profile
from retrim.drift.reference import ExpectedWindows, draw, keep
from retrim.drift.watched import furthest, measure_deviation, noise_of, watch
from tests.builders.drift_worlds import world

ROWS = 400
ALARMS = AlarmParams(at_most=1, draws=1000, seed=3)
DOMAIN = {"rounds": 5, "leaves": 4, "folds": 2, "rows": 300}
JOINT = JointParams(tests={"correlation": {}, "domain": DOMAIN}, windows=10, seed=7)
USUAL = ExpectedWindows(ROWS, ALARMS, JOINT, cores=1)
ASKED = AlarmRequest(0.01, 1.0, ALARMS.draws, ALARMS.seed)
REFERENCE, LATER = world(rho=0.5, rows=ROWS, windows=20, later=3, numeric=3, categorical=1, seed=1)
COLUMNS = tuple(REFERENCE.columns)
TIMES = pd.Series(pd.date_range("2026-01-01", periods=100 * ROWS, freq="h", tz="UTC"))
KEPT = keep(REFERENCE, USUAL, alone=[COLUMNS], together=())
SETTINGS = DriftParams(tests={}, joint=JOINT, alarms=None, min_rows=50)


def table(rows: int, seed: int) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(rows, 3))
    frame = pd.DataFrame(values, columns=["x", "y", "z"])
    return frame.assign(_event=pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"))


SAMPLED = make_profile(
    table(4000, 1),
    {"x": "number", "y": "number", "z": "number"},
    ProfileParams(cells=20, levels=9, buckets=8, block="1D", most_blocks=200, block_rows=20, sample_rows=4000, seed=7),
    time="_event",
)
TOGETHER = keep(SAMPLED, USUAL, alone=[], together=("x", "y", "z"))


def never_far(profile: Profile) -> Profile:
    """A profile that claims that no window without drift strays at all, so that any is alarmed by it."""
    return replace(profile, nulls=Nulls((Null(COLUMNS, ROWS, np.linspace(-30, -20, 1000)),), ()))


def alarmed(profile: Profile, rows: int, columns: tuple[str, ...] = COLUMNS) -> bool:
    counts = {name: profile.columns[name].counts.sum(axis=0) * rows // profile.rows for name in columns}
    return any(alarm.alarmed for alarm in alarms_of(profile, counts, times=TIMES.iloc[:rows], asked=ASKED))


def test_alarms_are_the_same_from_the_kept_null_as_from_a_drawn_one() -> None:
    windows = [{name: counts[number] for name, counts in LATER.items()} for number in range(3)]

    assert KEPT.nulls.alone != ()
    assert [alarms_of(KEPT, window, times=TIMES.iloc[:ROWS], asked=ASKED) for window in windows] == [
        alarms_of(REFERENCE, window, times=TIMES.iloc[:ROWS], asked=ASKED) for window in windows
    ]


@pytest.mark.parametrize(
    ("rows", "kept"), [(ROWS, True), (ROWS // 2, True), (2 * ROWS, True), (150, False), (900, False)]
)
def test_a_kept_null_serves_windows_of_half_to_twice_its_rows(rows: int, *, kept: bool) -> None:
    assert alarmed(never_far(REFERENCE), rows) is kept


def test_a_kept_null_serves_its_own_columns_alone() -> None:
    assert not alarmed(never_far(REFERENCE), ROWS, COLUMNS[:2])


@pytest.mark.slow
def test_half_or_twice_as_many_rows_hardly_move_a_threshold() -> None:
    watched = watch(REFERENCE)

    def threshold(rows: int) -> float:
        drawn = [draw(watched, noise_of(watched, rows), rows=rows, draws=4000, seed=seed) for seed in range(8)]
        return float(np.mean([null.threshold(0.01) for null in drawn]))

    # by 0.15 a rate of 1% is 0.86 to 1.16%: one draw of 4,000 windows has that error
    assert [threshold(rows) for rows in (ROWS // 2, 2 * ROWS)] == pytest.approx([threshold(ROWS)] * 2, abs=0.15)


def test_the_furthest_contrast_is_the_largest_of_all() -> None:
    watched = watch(REFERENCE)
    noise = noise_of(watched, ROWS)
    shifts = np.random.default_rng(1).normal(scale=0.2, size=(50, len(watched.means)))
    all_of_them = measure_deviation(watched, shifts, noise, ROWS)

    assert furthest(watched, shifts, noise, ROWS, watched.means) == pytest.approx(all_of_them.max(axis=1), abs=1e-12)


def test_joint_findings_are_the_same_from_kept_windows_as_from_new_ones() -> None:
    def found(profile: Profile) -> list[DriftFinding]:
        return together(profile, table(ROWS, 2), SETTINGS, time="_event", alarms=ASKED, cores=1)

    assert [kept.test for kept in TOGETHER.nulls.together] == ["correlation", "domain"]
    for kept, new in zip(found(TOGETHER), found(SAMPLED), strict=True):
        assert (kept.test, kept.over, kept.promise) == (new.test, new.over, new.promise)
        assert kept.p_value == pytest.approx(new.p_value, rel=1e-3)


@pytest.mark.parametrize(("rows", "serves"), [(ROWS, True), (ROWS + 40, True), (ROWS + 41, False), (ROWS - 41, False)])
def test_kept_windows_of_a_joint_test_serve_those_about_as_long(rows: int, *, serves: bool) -> None:
    kept = TOGETHER.nulls.together[0]

    assert kept.serves("correlation", {"seed": 7}, ("x", "y", "z"), rows) is serves


def test_kept_windows_serve_no_test_with_other_arguments() -> None:
    kept = TOGETHER.nulls.together[1]

    assert kept.serves("domain", {**DOMAIN, "seed": 7}, ("x", "y", "z"), ROWS)
    assert not kept.serves("domain", {**DOMAIN, "rounds": 6, "seed": 7}, ("x", "y", "z"), ROWS)


def test_what_is_kept_is_read_back_as_it_was() -> None:
    for profile in (KEPT, TOGETHER):
        files = profile.as_files()

        assert NULLS in files
        assert Profile.from_files(files).as_files() == files


def test_without_a_rate_that_is_wanted_nothing_is_drawn() -> None:
    assert keep(REFERENCE, replace(USUAL, alarms=None), alone=[COLUMNS], together=()).nulls == Nulls()


def test_a_reference_of_few_blocks_keeps_nothing() -> None:
    few, _ = world(rho=0.5, rows=7, windows=1, later=1, numeric=2, categorical=0, seed=1)
    short = replace(few, blocks=few.blocks.iloc[:7])

    assert keep(short, USUAL, alone=[COLUMNS[:2]], together=()).nulls == Nulls()
