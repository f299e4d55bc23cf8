"""Which of several columns of times is that of the event: by name, by order of the file, else the earliest of a row."""

import numpy as np
import pandas as pd

from retrim.profile.dates import likeliest

ROWS = 400
SORTED = pd.Series(pd.date_range("2024-01-01", periods=ROWS, freq="1D", tz="UTC"))
RNG = np.random.default_rng(7)
MIXED = SORTED.sample(frac=1, random_state=7).reset_index(drop=True)


def days(low: float, high: float) -> pd.Series:
    return pd.Series(pd.to_timedelta(RNG.uniform(low, high, ROWS), unit="D"))


def test_a_name_decides_first() -> None:
    assert likeliest({"opened": SORTED, "Date": MIXED}) == ("Date", "by its name")


def test_the_file_is_sorted_by_it() -> None:
    found = likeliest({"member_since": SORTED - days(10, 300), "ordered": SORTED})

    assert found == ("ordered", "the file is sorted by it")


def test_what_comes_of_an_event_comes_after_it() -> None:
    closed, opened = MIXED + days(0, 90), MIXED

    assert likeliest({"closed": closed, "opened": opened}) == ("opened", "earlier than closed in nearly every row")
    assert likeliest({"paid": closed + days(0, 9), "closed": closed, "opened": opened})[0] == "opened"


def test_an_answer_that_is_still_to_come_does_not_hide_it() -> None:
    closed = (MIXED + days(0, 90)).mask(RNG.random(ROWS) < 0.4)

    assert likeliest({"closed": closed, "opened": MIXED})[0] == "opened"


def test_a_birthday_is_no_event() -> None:
    born = MIXED - days(20 * 365, 80 * 365)

    assert likeliest({"born": born, "admitted": MIXED, "left": MIXED + days(0, 9)})[0] == "admitted"


def test_where_nothing_tells_the_first_is_taken() -> None:
    assert likeliest({"one": MIXED, "two": MIXED.sample(frac=1, random_state=8).reset_index(drop=True)}) == (
        "one",
        "the first of them",
    )
