"""Which of several columns of times is that of the event: by name, by order of the file, else the earliest of a row."""

import numpy as np
import pandas as pd
import pytest

from retrim.profile.dates import likeliest

ROWS = 400
SORTED = pd.Series(pd.date_range("2024-01-01", periods=ROWS, freq="1D", tz="UTC"))
RNG = np.random.default_rng(7)
MIXED = SORTED.sample(frac=1, random_state=7).reset_index(drop=True)


def days(low: float, high: float) -> pd.Series:
    return pd.Series(pd.to_timedelta(RNG.uniform(low, high, ROWS), unit="D"))


CLOSED = MIXED + days(0, 90)
SHUFFLED = MIXED.sample(frac=1, random_state=8).reset_index(drop=True)
EARLIER = "earlier than closed in nearly every row"


@pytest.mark.parametrize(
    ("times", "event"),
    [
        ({"opened": SORTED, "Date": MIXED}, ("Date", "by its name")),
        ({"member_since": SORTED - days(10, 300), "ordered": SORTED}, ("ordered", "the file is sorted by it")),
        ({"closed": CLOSED, "opened": MIXED}, ("opened", EARLIER)),
        ({"closed": CLOSED.mask(RNG.random(ROWS) < 0.4), "opened": MIXED}, ("opened", EARLIER)),  # some still to come
        (
            {"born": MIXED - days(20 * 365, 80 * 365), "opened": MIXED, "closed": MIXED + days(0, 9)},
            ("opened", EARLIER),
        ),
        ({"one": MIXED, "two": SHUFFLED}, ("one", "the first of them")),
    ],
)
def test_the_event_is_told_by_name_by_order_or_by_what_comes_of_it(
    times: dict[str, pd.Series], event: tuple[str, str]
) -> None:
    assert likeliest(times) == event
