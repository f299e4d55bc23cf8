"""Clock changes are looked for on the days on which a zone has them."""

import tracemalloc

import pandas as pd

from retrim.onboarding.desk import ZONES
from retrim.profile.dates import daylight_saving

MOST_BYTES = 100 << 20


def test_a_row_of_long_ago_costs_no_memory() -> None:
    walls = pd.Series(pd.date_range("2024-01-01", periods=300 * 24, freq="h", tz="UTC")).dt.as_unit("us")
    walls[0] = pd.Timestamp("0001-01-01", tz="UTC")
    tracemalloc.start()
    try:
        assert daylight_saving(walls, ZONES) == ""
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
