"""A table without times: what was looked for is said, a column of whole numbers may order it, series are no order."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.onboarding.write import pieces
from retrim.reading.table import read_content
from retrim.table.derived_columns import made_times, with_made
from tests.builders.raw_tables import csv, looked_at, said, table

NOW = pd.Timestamp("2025-01-01", tz="UTC")


def readings(*, stations: int = 4, rows: int = 200) -> pd.DataFrame:
    """Series of some stations, one after another, that drift along their own `step`."""
    rng = np.random.default_rng(7)
    step = np.tile(np.arange(rows), stations)
    wind = rng.normal(size=rows * stations)
    return pd.DataFrame(
        {
            "station": np.repeat([f"{'ABCDEFGH'[one]}-town" for one in range(stations)], rows),
            "step": step + 1000,
            "wind": wind,
            "minutes": 0.1 * step + 5 * wind + rng.normal(size=rows * stations),
        }
    )


class TestNoTime:
    def test_what_was_looked_for_and_how_to_name_it_is_said(self) -> None:
        seen = said(looked_at(csv(table(at=None))), "no event time")

        assert "ISO 8601" in seen
        assert "--event-time COL" in seen
        assert "--order COL" in seen

    def test_a_column_that_only_goes_up_is_named(self) -> None:
        frame = table(at=None, period=np.arange(400) // 2)

        assert "--order 'period'" in said(looked_at(csv(frame)), "no event time")

    def test_a_column_that_goes_up_in_each_of_several_series_is_named(self) -> None:
        assert "--order 'step'" in said(looked_at(csv(readings())), "no event time")

    def test_a_model_is_not_worth_making_on_series_one_after_another(self) -> None:
        drafted = looked_at(csv(readings()))

        assert drafted.worth is None
        assert said(drafted, "worth") == ""
        assert re.search(r"\b4 values\b", said(drafted, "series"))

    def test_series_that_take_turns_are_judged(self) -> None:
        frame = readings().sort_values(["step", "station"], kind="stable")

        assert looked_at(csv(frame)).worth is not None


class TestOrder:
    def test_is_declared_and_no_feature(self) -> None:
        drafted = looked_at(csv(readings()), order="step", entity="station")

        assert (drafted.reading.order, drafted.data.columns["step"].role) == ("step", "forbidden")
        assert drafted.data.key == ("station", "step")
        assert drafted.worth is not None

    def test_judges_the_last_of_every_series(self) -> None:
        drafted = looked_at(csv(readings()), order="step", entity="station")
        newest = drafted.frame.sort_values(drafted.data.time, kind="stable").iloc[-200:]

        assert newest["station"].value_counts().to_dict() == dict.fromkeys(["A-town", "B-town", "C-town", "D-town"], 50)

    def test_lands_rows_of_one_number_together(self) -> None:
        drafted = looked_at(csv(readings()), order="step", entity="station")
        steps = drafted.frame.set_index("_row")["step"]
        batches = [set(steps[piece.rows]) for piece in pieces(drafted, now=NOW)]

        assert len(batches) > 2
        assert all(max(before) < min(after) for before, after in pairwise(batches))

    def test_landing_gives_rows_of_one_number_one_time(self) -> None:
        drafted = looked_at(csv(readings()), order="step", entity="station")
        read = read_content(csv(readings()), drafted.data, labels=False, reading=drafted.reading)
        assert read.frame is not None
        landed = with_made(read.frame, drafted.data, drafted.reading, arrives=NOW)

        assert landed[drafted.data.time].nunique() == 200
        assert landed.groupby("step")[drafted.data.time].nunique().max() == 1

    def test_blank_in_a_file_to_come_is_a_fault(self) -> None:
        drafted = looked_at(csv(readings()), order="step", entity="station")
        late = readings().astype({"step": "str"})
        late.loc[3, "step"] = ""
        read = read_content(csv(late), drafted.data, labels=False, reading=drafted.reading)

        assert [fault.column for fault in read.faults] == ["step"]

    def test_takes_whole_numbers_alone(self) -> None:
        with pytest.raises(BadInputError, match="whole numbers"):
            looked_at(csv(readings()), order="wind")

    def test_and_a_time_are_not_both_named(self) -> None:
        with pytest.raises(BadInputError, match="--event-time and --order"):
            looked_at(csv(table(n=range(400))), order="n", event_time="at")


def test_made_times_follow_the_numbers_whatever_the_order_of_rows() -> None:
    frame = pd.DataFrame({"step": [5.0, 1.0, 5.0, 3.0]})
    times = made_times(frame, "step", last=NOW)

    assert times.to_list() == [NOW, NOW - pd.Timedelta("2ms"), NOW, NOW - pd.Timedelta("1ms")]
