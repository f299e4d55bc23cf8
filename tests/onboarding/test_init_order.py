"""Which time is the event's; without one, what was looked for is said, and series one after another are no order."""

import re

import numpy as np
import pandas as pd

from tests.builders.raw_tables import csv, hours, looked_at, said, table


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

    def test_a_model_is_not_worth_making_on_series_one_after_another(self) -> None:
        drafted = looked_at(csv(readings()))

        assert drafted.worth is None
        assert said(drafted, "worth") == ""
        assert re.search(r"\b4 values\b", said(drafted, "series"))

    def test_series_that_take_turns_are_judged(self) -> None:
        frame = readings().sort_values(["step", "station"], kind="stable")

        assert looked_at(csv(frame)).worth is not None


def test_what_is_called_due_is_not_the_event_though_it_stands_first() -> None:
    frame = table(**{"due date": hours(start="2024-02-01")}).rename(columns={"at": "lent"})
    drafted = looked_at(csv(frame[["due date", "lent", "km", "weather", "minutes"]]))

    assert drafted.data.time == "lent"
    assert "--label-due COL" in said(drafted, "event time")
