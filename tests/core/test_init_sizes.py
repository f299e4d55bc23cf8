import pandas as pd
import pytest

from retrim.core.init.rhythm import Rhythm
from retrim.core.init.sizes import Choices, sizes
from retrim.core.init.task import Aim

AIM = Aim("regression", "number", None, "mae", ("mae",), "", "", None)
HOURLY = Rhythm(
    pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC"), pd.Timedelta("1h"), True, "7D", 168
)


def chosen(n: int, *, judge_rows: int) -> Choices:
    return sizes(n, HOURLY, AIM, judge_rows=judge_rows, block_rows=24, season=None, features=5)


@pytest.mark.parametrize("n", [50_000, 1_000_000])
def test_a_search_is_scored_on_about_a_third_of_the_first_history_of_a_long_table(n: int) -> None:
    scored = 3 * chosen(n, judge_rows=200)[("tune", "fold_rows")].value

    assert 0.25 < scored / (0.6 * n) < 0.35


def test_a_search_is_scored_on_no_fewer_rows_than_judge() -> None:
    assert chosen(2000, judge_rows=200)[("tune", "fold_rows")].value == 200
