"""The history in parts of equally many rows."""

import pytest

from retrim.profile.whole import name_periods
from tests.builders.look_tables import times


@pytest.mark.parametrize(("timed", "last"), [(True, "2023-06-08"), (False, "rows 951 to 1000")])
def test_parts_are_called_by_their_first_day_or_their_rows(*, timed: bool, last: str) -> None:
    names = name_periods(times(1000), 50, timed=timed)

    assert (len(names), names[-1]) == (20, last)
