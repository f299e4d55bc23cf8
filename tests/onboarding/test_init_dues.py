"""A column that is called as due times are is not the time of the event."""

from tests.builders.raw_tables import csv, hours, looked_at, said, table


def test_what_is_called_due_is_not_the_event_though_it_stands_first() -> None:
    frame = table(**{"due date": hours(start="2024-02-01")}).rename(columns={"at": "lent"})
    drafted = looked_at(csv(frame[["due date", "lent", "km", "weather", "minutes"]]))

    assert drafted.data.time == "lent"
    assert "--label-due COL" in said(drafted, "event time")
