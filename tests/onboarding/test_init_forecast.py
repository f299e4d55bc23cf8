"""`retrim init --ahead`: what is not known so early is forbidden, and a few features from the past are proposed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, UnknownNameError
from retrim.onboarding.draft import WorkspaceDraft
from retrim.profile.rhythm import span_text
from retrim.stats.plugins import check_span
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
    assert forecast(entity="weather", forbid=("weather",)).data.history.entity == ()


def test_whole_seasons_that_are_due_by_then_are_proposed_and_the_first_model_is_judged_with_them() -> None:
    # The label of the row 24 h back is due an hour after it, so one day back is not known 24 h ahead: two are.
    drafted, known = forecast(), forecast(ahead=None)

    assert drafted.season is not None
    assert (drafted.season.span, drafted.data.label_horizon) == ("1D", "1h")
    assert [feature.lag for feature in drafted.data.history.features if isinstance(feature.lag, str)] == ["2D", "3D"]
    assert drafted.worth is not None
    assert known.worth is not None
    assert drafted.worth.model.mean() > known.worth.model.mean()  # which sees the target of two hours before


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ({"ahead": "soon"}, BadInputError, "--ahead: 'soon' is not a span of time"),
        ({"ahead": "0h"}, BadInputError, "--ahead: '0h' is zero"),
        ({"ahead": None, "known_ahead": ("km",)}, BadInputError, "needs --ahead SPAN, which says how long before"),
        ({"known_ahead": ("kn",)}, UnknownNameError, "unknown column 'kn'"),
        ({"frame": daily().drop(columns="at")}, BadInputError, r"--ahead .*--event-time"),
    ],
)
def test_a_forecast_that_is_none_is_refused(wishes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        forecast(**wishes)


@pytest.mark.parametrize("span", ["7D", "36h", "90min", "1s", "1ms", "1500us", "0s"])
def test_a_span_is_written_in_its_largest_whole_unit_as_settings_take_it(span: str) -> None:
    assert span_text(pd.Timedelta(span)) == check_span(span) == span
