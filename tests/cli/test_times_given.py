"""Times that a person gives to a command."""

import re

import pandas as pd
import pytest

from retrim.cli.base import LAST_YEAR, as_time
from retrim.errors import BadInputError


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00+14:00"])
def test_one_that_cannot_be_written_out_in_utc_is_bad_input(text: str) -> None:
    with pytest.raises(BadInputError, match=rf"^{re.escape(repr(text))} .* {LAST_YEAR - 1},"):
        as_time(text)


@pytest.mark.parametrize("text", ["9998-12-31T23:59:59", "2262-04-11T23:47:16.854775807", "0001-01-01"])
def test_one_far_away_has_a_second_after_it_all_the_same(text: str) -> None:
    assert as_time(text) < as_time(text) + pd.Timedelta("1s")
