"""Statistics of many ranges: against NumPy on each range alone, and nothing of what lies outside."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.table.ranges import STATISTICS, deviations, means, sums

NUMPY: dict[str, Callable[[np.ndarray], float]] = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "std": lambda values: float(np.std(values, ddof=1)) if len(values) > 1 else np.nan,
    "count": len,
    "sum": np.sum,
    "last": lambda values: float(values[-1]),
}
values_and_range = st.lists(st.floats(-1e6, 1e6), max_size=40).flatmap(
    lambda values: st.tuples(st.just(values), st.integers(0, len(values)), st.integers(0, len(values)))
)


@pytest.mark.parametrize("name", sorted(STATISTICS))
@given(drawn=values_and_range)
def test_a_range_has_the_statistic_of_its_own_values(name: str, drawn: tuple[list[float], int, int]) -> None:
    values, one, other = np.array(drawn[0]), *sorted(drawn[1:])
    expected = NUMPY[name](values[one:other]) if other > one else (0.0 if name == "count" else np.nan)
    found = STATISTICS[name](values, np.array([one]), np.array([other]))

    assert found == pytest.approx([expected], rel=1e-9, abs=1e-4, nan_ok=True)


def test_a_huge_value_leaves_no_rounding_behind_it() -> None:
    values = np.array([1e300, 0.1, 0.2, 0.3])

    assert sums(values, np.array([0, 1]), np.array([2, 4]))[1] == pytest.approx(0.6, rel=1e-15)


def test_equal_values_have_no_deviation() -> None:
    values = np.full(9, 0.1)

    assert deviations(values, np.array([0, 2]), np.array([9, 9])).tolist() == [0.0, 0.0]


def test_the_mean_of_whole_numbers_is_exact() -> None:
    assert means(np.arange(7.0), np.array([1]), np.array([6])).tolist() == [3.0]
