"""A batch as a whole, where rows that are alike are nothing new."""

import pandas as pd
import pytest

from retrim.batches.whole import twice_concern


def bookings(n: int, alike: float) -> pd.DataFrame:
    """`n` rows of one column, of which a share is there a second time."""
    new = n - round(n * alike)
    return pd.DataFrame({"nights": [*range(new), *range(n - new)]})


PAST = [bookings(200, share) for share in (0.10, 0.26, 0.15, 0.20)]


@pytest.mark.parametrize(("batch", "verdict"), [(bookings(200, 0.42), "suspicious"), (bookings(200, 0.30), None)])
def test_where_rows_come_twice_more_of_them_is_no_damage(batch: pd.DataFrame, verdict: str | None) -> None:
    concern = twice_concern(batch, PAST)

    assert (concern and concern.verdict) == verdict


def test_a_batch_doubled_as_a_whole_is_broken_there_too() -> None:
    batch = bookings(200, 0.15)
    concern = twice_concern(pd.concat([batch, batch]), PAST)

    assert concern is not None
    assert concern.verdict == "broken"
