"""The history in parts of equally many rows."""

import numpy as np
import pytest

from retrim.profile.columns import PARTS, cut_periods
from tests.builders.look_tables import times


@pytest.mark.parametrize(("timed", "last"), [(True, "2023-06-08"), (False, "rows 951 to 1000")])
def test_parts_are_called_by_their_first_day_or_their_rows(*, timed: bool, last: str) -> None:
    found = cut_periods(times(1000), timed=timed)

    assert np.bincount(found.codes).tolist() == [50] * PARTS
    assert found.labels[-1] == last


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows_are_parts_too(rows: int) -> None:
    found = cut_periods(times(rows), timed=True)

    assert (len(found.labels), len(found.mean(np.ones(rows)))) == (rows, rows)
