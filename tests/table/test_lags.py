"""Features from the past: a row sees what was known at its event, and nothing else."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.table.lags import HistoryParams, PastFeature, past_features

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta("1h")
LATE = frozenset({"y"})
STATS = ("mean", "min", "max", "std", "count", "sum", "last")
FEATURES = [
    *({"of": of, "lag": lag} for of, lag in product("xy", (1, 2, 3))),
    {"of": "x", "lag": "3h"},
    {"of": "y", "lag": "7h"},
    *({"of": of, "over": "5h", "stat": stat} for of, stat in product("xy", STATS)),
]


def history(*features: dict[str, object], entity: tuple[str, ...] = (), ahead: str | None = None) -> HistoryParams:
    return HistoryParams.model_validate({"entity": entity, "ahead": ahead, "known_ahead": [], "features": features})


def table_of(
    hours: list[int], x: list[float | None], y: list[float | None], delay: list[int | None], who: list[str | None]
) -> pd.DataFrame:
    """Rows in total order, a key each; a label that is due `delay` hours after its event, or never."""
    event = pd.Series([START + hour * HOUR for hour in hours], dtype="datetime64[us, UTC]")
    due = [pd.NaT if late is None else at + late * HOUR for at, late in zip(event, delay, strict=True)]
    table = pd.DataFrame(
        {
            "_key": [f"{number:03d}" for number in range(len(hours))],
            "_event": event,
            "_due": pd.Series(due, dtype="datetime64[us, UTC]"),
            "x": pd.Series(x, dtype="float64"),
            "y": pd.Series(y, dtype="float64"),
            "who": pd.Series(who, dtype="str"),
        }
    )
    return table.sort_values(["_event", "_key"], kind="stable", ignore_index=True)


def made(table: pd.DataFrame, params: HistoryParams) -> pd.DataFrame:
    return pd.DataFrame(past_features(table, params, late=LATE, positive=None), index=table.index)


def by_loop(table: pd.DataFrame, params: HistoryParams, feature: PastFeature) -> list[float]:
    """The same, row by row, as the words of the documentation say it."""
    ahead, found = pd.Timedelta(params.ahead or 0), []
    late = feature.of in LATE
    for row in table.itertuples():
        if params.entity and pd.isna(row.who):
            found.append(np.nan)
            continue
        now = row._2 - ahead
        seen = []
        for place, other in enumerate(table.itertuples()):
            known = max(other._2, other._3) if late else other._2
            value = getattr(other, feature.of)
            if params.entity and other.who != row.who:
                continue
            if late and (pd.isna(other._3) or pd.isna(value)):
                continue
            if other._2 < now and known <= now:
                seen.append((known, place, other._2, value))
        found.append(told(seen, feature, row._2, now))
    return found


def told(
    seen: list[tuple[pd.Timestamp, int, pd.Timestamp, float]], feature: PastFeature, at: pd.Timestamp, now: pd.Timestamp
) -> float:
    late = feature.of in LATE
    if isinstance(feature.lag, int):
        ordered = sorted(seen)
        return ordered[-feature.lag][3] if len(ordered) >= feature.lag else np.nan
    if feature.span_back is not None:
        stood = [each for each in seen if each[2] <= at - pd.Timedelta(feature.span_back)]
        return max(stood, key=lambda each: each[1])[3] if stood else np.nan
    since = now - pd.Timedelta(feature.over or "")
    # What is known right after its event was not known at the beginning of the window; what was due then, was.
    inside = [each for each in sorted(seen) if (each[0] > since if late and each[0] > each[2] else each[2] >= since)]
    values = pd.Series([each[3] for each in inside if not pd.isna(each[3])], dtype="float64")
    if feature.stat == "count":
        return float(len(values))
    if not len(values):
        return np.nan
    return float(values.iloc[-1] if feature.stat == "last" else values.agg(feature.stat))


rows = st.integers(0, 14).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 20), min_size=n, max_size=n),
        *(st.lists(st.none() | st.floats(-9, 9), min_size=n, max_size=n) for _ in "xy"),
        st.lists(st.none() | st.integers(0, 12), min_size=n, max_size=n),
        st.lists(st.none() | st.sampled_from("ab"), min_size=n, max_size=n),
    )
)
whose = st.sampled_from([(), ("who",)])
spans = st.sampled_from([None, "1h", "2h"])


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(drawn=rows, entity=whose, ahead=spans)
def test_each_feature_is_what_a_loop_over_the_past_finds(
    drawn: tuple[list, ...], entity: tuple[str, ...], ahead: str | None
) -> None:
    table, params = table_of(*drawn), history(*FEATURES, entity=entity, ahead=ahead)
    found = made(table, params)

    for name, feature in params.columns.items():
        assert found[name].tolist() == pytest.approx(by_loop(table, params, feature), abs=1e-7, nan_ok=True), name


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(drawn=rows, entity=whose, ahead=spans, cut=st.integers(0, 22), data=st.data())
def test_what_happens_at_or_after_a_moment_changes_nothing_of_what_was_known_then(
    drawn: tuple[list, ...], entity: tuple[str, ...], ahead: str | None, cut: int, data: st.DataObject
) -> None:
    table, params = table_of(*drawn), history(*FEATURES, entity=entity, ahead=ahead)
    moment = START + cut * HOUR
    later = (table["_event"] >= moment).to_numpy()
    other = table.copy()
    for name in "xy":
        drawn_values = data.draw(
            st.lists(st.none() | st.floats(-1e300, 1e300), min_size=len(table), max_size=len(table))
        )
        other[name] = table[name].mask(later, pd.Series(drawn_values, dtype="float64"))
    other = other[~later | np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))), bool)]
    asked = table["_event"] - pd.Timedelta(ahead or 0) <= moment
    before = made(table, params)[asked].set_axis(table["_key"][asked])
    after = made(other.reset_index(drop=True), params).set_axis(other["_key"])
    both = before.index.intersection(after.index)

    pd.testing.assert_frame_equal(before.loc[both], after.loc[both], check_exact=True)


def test_a_binary_target_counts_as_a_share() -> None:
    table = table_of([0, 1, 2], [0.0] * 3, [0.0] * 3, [0] * 3, ["a"] * 3).assign(y=["yes", "no", "yes"])
    params = history({"of": "y", "over": "1D", "stat": "mean"})

    assert past_features(table, params, late=LATE, positive=("y", "yes"))["y mean 1D"][2] == 0.5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"of": "x"}, "set either lag, or both over and stat"),
        ({"of": "x", "lag": 1, "stat": "mean"}, "set either lag, or both over and stat"),
        ({"of": "x", "lag": 0}, "a lag of 0 rows is out of range; write a number from 1"),
        ({"of": "x", "lag": "soon"}, "'soon' is not a span of time"),
        ({"of": "x", "over": "0h", "stat": "mean"}, "is zero"),
    ],
)
def test_a_feature_of_neither_form_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        history(wrong)


def test_a_feature_that_is_declared_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="'x lag 1' is declared 2 times"):
        history({"of": "x", "lag": 1}, {"of": "x", "lag": 1})
