"""The profile of a reference: its blocks, its counts, its sample, and its files."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.drift.profile import Profile, ProfileParams, block_starts, make_profile
from retrim.errors import BadInputError, EmptyWindowError
from retrim.table.data import ColumnType

GIVEN: dict[str, Any] = {
    "cells": 12,
    "levels": 20,
    "buckets": 8,
    "block": "1D",
    "most_blocks": 100,
    "block_rows": 10,
    "sample_rows": 50,
    "seed": 7,
}
COLUMNS: dict[str, ColumnType] = {
    "heat": "number",
    "hour": "integer",
    "kind": "category",
    "id": "category",
    "opened": "time",
}
RANDOM = np.random.default_rng(7)
ROWS = 24 * 80
TIMES = pd.Series(pd.date_range("2026-01-01", periods=ROWS, freq="h", tz="UTC"))
TABLE = pd.DataFrame(
    {
        "_event": TIMES,
        "heat": pd.Series(RANDOM.normal(size=ROWS)).mask(RANDOM.random(ROWS) < 0.1),
        "hour": TIMES.dt.hour,
        "kind": pd.Series(RANDOM.choice(list("abc"), size=ROWS), dtype="str"),
        "id": pd.Series([f"row {number}" for number in range(ROWS)], dtype="str"),
        "opened": TIMES,
    }
)


def params(**changed: Any) -> ProfileParams:
    return ProfileParams(**{**GIVEN, **changed})


def profile(table: pd.DataFrame = TABLE, **changed: Any) -> Profile:
    return make_profile(table, COLUMNS, params(**changed), time="_event")


def test_a_block_is_a_day_where_there_are_days_enough() -> None:
    blocks = profile().blocks

    assert len(blocks) == 80
    assert set(blocks["rows"]) == {24}
    assert blocks["first"].dt.hour.eq(0).all()


def test_blocks_are_doubled_until_they_are_few_enough() -> None:
    blocks = profile(most_blocks=70).blocks["rows"]

    # two days each would make 40, fewer than 50 that a calendar is worth: about equal rows instead
    assert len(blocks) == 70
    assert blocks.max() - blocks.min() <= 1


def test_two_spans_make_a_block_of_a_longer_history() -> None:
    times = pd.Series(pd.date_range("2026-01-01", periods=130, freq="D", tz="UTC"))

    assert set(np.diff(block_starts(times, params(block_rows=1)))[1:-1]) == {2}


def test_a_short_history_has_blocks_of_about_equal_rows() -> None:
    assert profile(TABLE.head(35)).blocks["rows"].tolist() == [12, 12, 11]


def test_a_history_without_rows_for_two_blocks_is_one() -> None:
    assert profile(TABLE.head(7)).blocks["rows"].tolist() == [7]


def test_blocks_follow_one_another_and_hold_every_row() -> None:
    blocks = profile().blocks

    assert (blocks["first"].iloc[1:].to_numpy() > blocks["last"].iloc[:-1].to_numpy()).all()
    assert blocks["rows"].sum() == ROWS


def test_the_counts_of_a_block_are_those_of_its_rows() -> None:
    found = profile()
    block = TABLE.iloc[24 * 5 : 24 * 6]

    assert {
        name: column.counts[5].tolist() == column.cells.count(block[name]).tolist()
        for name, column in found.columns.items()
    } == dict.fromkeys(("heat", "hour", "kind", "id"), True)


def test_the_whole_reference_is_the_sum_of_its_blocks() -> None:
    found = profile()

    assert found.columns["heat"].window().rows.tolist() == found.columns["heat"].of(TABLE["heat"]).rows.tolist()
    assert found.rows == ROWS


def test_part_of_the_reference_is_a_window_too() -> None:
    column = profile().columns["kind"]

    assert column.counts[10:20].sum(axis=0).tolist() == column.of(TABLE["kind"].iloc[240:480]).rows.tolist()


def test_a_column_of_times_is_left_out() -> None:
    assert list(profile().columns) == ["heat", "hour", "kind", "id"]


def test_the_sample_is_drawn_from_the_rows_in_order_of_time() -> None:
    sample = profile().sample
    matching = TABLE.set_index("_event").loc[sample["_event"], ["heat", "hour", "kind", "id"]].reset_index(drop=True)

    assert len(sample) == 50
    assert sample["_event"].is_monotonic_increasing
    pd.testing.assert_frame_equal(sample[["heat", "hour", "kind", "id"]], matching)


def test_a_profile_is_read_back_as_it_was() -> None:
    files = profile().as_files()

    assert Profile.from_files(files).as_files() == files


def test_the_same_rows_give_the_same_bytes() -> None:
    assert profile().as_files() == profile(TABLE.copy()).as_files()


def test_one_other_value_gives_other_bytes() -> None:
    assert profile(TABLE.assign(hour=TABLE["hour"].mask(TABLE.index == 5, 0))).as_files() != profile().as_files()


def test_a_profile_without_one_of_its_files_does_not_load() -> None:
    files = profile().as_files()
    del files["counts.parquet"]

    with pytest.raises(KeyError, match=r"counts\.parquet"):
        Profile.from_files(files)


def test_a_reference_without_rows_is_refused() -> None:
    with pytest.raises(EmptyWindowError, match="reference"):
        profile(TABLE.head(0))


def test_a_reference_that_lacks_a_column_is_refused_by_name() -> None:
    with pytest.raises(BadInputError, match=r"reference .*\bheat"):
        profile(TABLE.drop(columns="heat"))
