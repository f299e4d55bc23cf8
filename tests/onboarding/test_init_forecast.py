"""`retrim init --ahead`: what is not known so early is forbidden, and a few features from the past are proposed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, UnknownNameError
from retrim.onboarding.draft import WorkspaceDraft
from retrim.profile.rhythm import span_text
from tests.builders.raw_tables import csv, hours, looked_at, said, table


def daily(rows: int = 24 * 40) -> pd.DataFrame:
    """A target that repeats its day, at a level that wanders."""
    level = np.random.default_rng(8).normal(0, 1, rows).cumsum()
    return table(rows, minutes=50 + 20 * np.sin(hours(rows).dt.hour / 24 * 2 * np.pi).to_numpy() + level)


def forecast(frame: pd.DataFrame | None = None, **wishes: Any) -> WorkspaceDraft:
    return looked_at(csv(daily() if frame is None else frame), **{"ahead": "24h", **wishes})


def test_what_is_not_known_so_early_is_forbidden() -> None:
    drafted = forecast(known_ahead=("weather",))

    assert drafted.data.columns["km"].role == "forbidden"
    assert drafted.data.history.known_ahead == ("weather", "hour", "weekday")
    assert "past values: km" in said(drafted, "forecast")


def test_what_rows_are_about_is_not_told_by_a_forbidden_column() -> None:
    assert forecast(entity="weather", forbid=("weather",)).data.history.entity == ()


def test_whole_seasons_that_are_due_by_then_are_proposed() -> None:
    # The label of the row 24 h back is due an hour after it, so one day back is not known 24 h ahead: two are.
    drafted = forecast()

    assert drafted.season is not None
    assert (drafted.season.span, drafted.data.label_horizon) == ("1D", "1h")
    assert [each.lag for each in drafted.data.history.features if isinstance(each.lag, str)] == ["2D", "3D"]


def test_the_first_model_is_judged_with_them() -> None:
    with_past, without = (forecast(ahead=ahead).worth for ahead in ("24h", None))

    assert with_past is not None
    assert without is not None
    assert with_past.model.mean() < without.model.mean()


def test_nothing_is_proposed_where_no_forecast_is_asked_for() -> None:
    assert forecast(ahead=None).data.history.features == ()


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"ahead": "soon"}, "--ahead: 'soon' is not a span of time"),
        ({"ahead": "0h"}, "--ahead: '0h' is zero"),
        ({"ahead": None, "known_ahead": ("km",)}, "needs --ahead SPAN, which says how long before"),
    ],
)
def test_a_horizon_that_is_none_is_refused(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        forecast(**wishes)


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'kn'"):
        forecast(known_ahead=("kn",))


def test_rows_without_a_time_are_no_forecast() -> None:
    with pytest.raises(BadInputError, match=r"--ahead .*--event-time"):
        forecast(daily().drop(columns="at"))


@pytest.mark.parametrize(
    ("span", "text"), [("7D", "7D"), ("36h", "36h"), ("90min", "90min"), ("1s", "1s"), ("1ms", "1000us")]
)
def test_a_span_is_written_in_its_largest_whole_unit(span: str, text: str) -> None:
    assert span_text(pd.Timedelta(span)) == text
