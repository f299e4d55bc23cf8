"""The calendar: figures by hand."""

import numpy as np
import pytest

from retrim.features.step import STEPS
from tests.builders.one import learn, made, past


def times(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[us]")


def test_parts_of_the_calendar_are_those_of_the_zone() -> None:
    # 23:30 UTC on Friday 1 March is 0:30 on Saturday the 2nd in Berlin.
    found = made(
        "calendar", past({"at": times("2024-03-01T23:30")}), parts=("hour", "weekday", "day_of_month"), circle=False,
        zone="Europe/Berlin",
    )  # fmt: skip

    assert found == {"at:hour": [0], "at:weekday": [5], "at:day_of_month": [2]}


def test_on_a_circle_six_is_a_quarter_and_the_last_hour_lies_beside_the_first() -> None:
    asked = times("2024-03-01T00:00", "2024-03-01T06:00", "2024-03-01T23:00")
    found = made("calendar", past({"at": asked}), parts=("hour",), circle=True, zone="UTC")
    circle = np.column_stack([found["at:hour:cos"], found["at:hour:sin"]])

    assert circle[:2] == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert np.hypot(*(circle[2] - circle[0])) == pytest.approx(2 * np.sin(np.pi / 24))


def test_holidays_are_those_of_the_country_and_the_zone() -> None:
    # 4 July; its eve in New York although it is the 4th in UTC; three days after; far from any.
    asked = times("2024-07-04T12:00", "2024-07-04T02:00", "2024-07-07T12:00", "2024-08-10T12:00")
    found = made("holidays", past({"at": asked}), country="US", zone="America/New_York")

    assert found == {"at:holiday": [1, 0, 0, 0], "at:to_holiday": [0, 1, 3, 7]}


def test_holidays_are_known_for_years_to_come_and_not_for_ever() -> None:
    state = learn("holidays", past({"at": times("2024-07-04T12:00")}), country="US", zone="UTC").state
    found = STEPS["holidays"].apply({"at": times("2040-12-25T12:00", "2099-12-25T12:00")}, state)

    assert np.array_equal(found["at:holiday"], [1, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("country", "said"), [("XX", "'XX' is not a known country"), ("DE-ZZ", "DE has no subdivision 'ZZ'")]
)
def test_a_country_that_nobody_knows_is_refused(country: str, said: str) -> None:
    from tests.builders.tables import step

    with pytest.raises(ValueError, match=said):
        step("holidays", country=country)
