"""The verdict on a batch: what breaks it, what is only drift, and that an honest stream is left alone."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.batches.verdict import BatchVerdict, History, look_at
from retrim.table.data import DataParams

START = pd.Timestamp("2024-01-01", tz="UTC")
DATA = DataParams.model_validate(
    {
        "model": "stations",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "celsius": {"type": "number", "role": "feature"},
            "felt": {"type": "number", "role": "feature"},
            "humidity": {"type": "number", "role": "feature"},
            "sky": {"type": "category", "role": "feature"},
            "visitors": {"type": "integer", "role": "target"},
        },
        "task": "regression",
        "label_horizon": "1h",
        "batch_every": "7D",
        "suite": "none.json",
    }
)


def hours(first: int, n: int, *, seed: int = 3) -> pd.DataFrame:
    """One row an hour from hour `first`: days, a slow season, and a sky."""
    draw = np.random.default_rng([seed, first])
    t = np.arange(first, first + n)
    celsius = 12 + 6 * np.sin(t / 24 * 2 * np.pi) + 5 * np.sin(t / (24 * 90)) + draw.normal(0, 2, n)
    return pd.DataFrame(
        {
            "at": START + pd.to_timedelta(t, unit="h"),
            "celsius": celsius,
            "felt": celsius - 1 + draw.normal(0, 0.5, n),
            "humidity": np.clip(60 - 2 * (celsius - 12) + draw.normal(0, 8, n), 0, 100),
            "sky": pd.Series(draw.choice(["clear", "cloud", "rain"], n, p=[0.5, 0.3, 0.2]), dtype="str"),
            "visitors": np.maximum(draw.poisson(40, n) + 3 * (celsius - 12), 0).round(),
        }
    )


WEEK, WEEKS, HOUR = 168, 12, pd.Timedelta("1h")
PAST = [hours(week * WEEK, WEEK) for week in range(WEEKS)]
NOW = hours(WEEKS * WEEK, WEEK)


def verdict(
    batch: pd.DataFrame, past: list[pd.DataFrame] = PAST, *, arrives: float = 1.0, skip: tuple[str, ...] = ()
) -> BatchVerdict:
    """The verdict on a batch that arrives that many weeks after the last."""
    ends = [week["at"].max() for week in past]
    history = History(pd.concat(past), ends, [HOUR] * len(past), [len(week) for week in past])
    return look_at(batch, history, DATA, arrives=ends[-1] + arrives * WEEK * HOUR + HOUR, skip=skip)


def test_what_the_calendar_says_is_not_looked_at() -> None:
    past = [week.assign(humidity=week["at"].dt.weekday.astype("float64")) for week in PAST]
    ends = [week["at"].max() for week in past]
    history = History(pd.concat(past), ends, [HOUR] * len(past), [len(week) for week in past])
    day = hours(WEEKS * WEEK, WEEK).assign(humidity=3.0)
    arrives = ends[-1] + (WEEK + 1) * HOUR

    assert look_at(day, history, DATA, arrives=arrives).kind == "broken"
    assert look_at(day, history, DATA, arrives=arrives, skip=("humidity",)).kind == "ok"


@pytest.mark.parametrize(("code", "kind"), [(17.0, "suspicious"), (99.0, "broken")])
def test_a_code_just_beyond_those_seen_may_be_new_and_one_far_off_stands_for_nothing(code: float, kind: str) -> None:
    """Codes 0 to 15, mostly the first three; a fifth of the rows of the batch have another."""
    often = np.array([0.4, 0.3, 0.17, *[0.01] * 13])

    def coded(rows: pd.DataFrame, week: int) -> pd.DataFrame:
        return rows.assign(humidity=np.random.default_rng(week).choice(16, len(rows), p=often).astype("float64"))

    past, now = [coded(rows, week) for week, rows in enumerate(PAST)], coded(NOW, WEEKS)
    found = verdict(now.assign(humidity=now["humidity"].mask(now.index % 5 == 0, code)), past)

    assert (found.kind, found.concerns[0].check) == (kind, "frequent value")


def test_a_batch_like_those_before_is_ok() -> None:
    assert verdict(NOW).kind == "ok"


@pytest.mark.parametrize("week", range(6, WEEKS))
def test_every_week_of_an_honest_stream_is_let_in(week: int) -> None:
    assert verdict(PAST[week], PAST[:week]).kind != "broken"


@pytest.mark.parametrize(
    ("column", "change", "unit"),
    [
        ("celsius", lambda v: v * 1.8 + 32, "Fahrenheit for Celsius"),
        ("celsius", lambda v: v + 273.15, "Kelvin for Celsius"),
        ("humidity", lambda v: v / 100, "a hundredth"),
        ("humidity", lambda v: v * 1000, "times 1000"),
        ("visitors", lambda v: -v, "the other sign"),
    ],
)
def test_a_column_in_another_unit_breaks_the_batch_and_is_named(column: str, change: Any, unit: str) -> None:
    found = verdict(NOW.assign(**{column: change(NOW[column])}))

    assert found.kind == "broken"
    assert (found.concerns[0].column, unit in found.concerns[0].text) == (column, True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.assign(humidity=61.0), "all 168 values are 61.0"),
        (lambda b: b.assign(sky="clear"), "all 168 values are clear"),
        (lambda b: b.assign(felt=np.nan), "100% of its values are missing"),
        (lambda b: b.assign(celsius=b["humidity"], humidity=b["celsius"]), "the two columns are swapped"),
        (lambda b: b.assign(sky=b["sky"].str.upper()), "only in spelling"),
        (lambda b: b.assign(sky=b["sky"].map({"clear": "1", "cloud": "2", "rain": "3"})), "were never seen"),
        (lambda b: b.assign(celsius=b["celsius"].mask(b.index % 3 == 0, -999.0)), "33% of the rows are -999"),
        (lambda b: pd.concat([b, b.iloc[:60]]), "occur twice"),
        (lambda b: PAST[5].assign(at=b["at"].array), "sent before under other times"),
        (lambda b: b.iloc[:20], "cut short"),
        (lambda b: b.assign(felt=-b["felt"] + 22), "correlation with felt"),
    ],
)
def test_what_no_world_does_breaks_the_batch(change: Any, says: str) -> None:
    found = verdict(change(NOW))

    assert found.kind == "broken"
    assert any(says in concern.text for concern in found.concerns if concern.verdict == "broken")

    named = {concern.setting for concern in found.concerns if concern.verdict == "broken"}
    skip = tuple(setting.removeprefix("batches.skip: [").removesuffix("]") for setting in named)
    assert verdict(change(NOW), skip=skip).kind != "broken"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.assign(celsius=b["celsius"].sample(frac=1, random_state=1).array),
        lambda b: b.assign(humidity=b["humidity"] * 5.3),
        lambda b: b.assign(felt=b["felt"].mask(b.index % 2 == 0)),
        lambda b: b.assign(visitors=b["visitors"].mask(b.index % 4 == 0, 0.0)),
        lambda b: b.assign(sky=b["sky"].mask(b.index % 3 > 0, "fog")),
    ],
    ids=["rows of a column mixed up", "an unknown unit", "half missing", "zeros filled in", "mostly a new word"],
)
def test_what_could_be_either_is_suspicious_and_lands(change: Any) -> None:
    assert verdict(change(NOW)).kind == "suspicious"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.assign(celsius=b["celsius"] + 6, felt=b["felt"] + 6),
        lambda b: b.assign(visitors=(b["visitors"] * 1.5).round()),
        lambda b: b.assign(sky=b["sky"].mask(b.index % 10 == 0, "fog")),
        lambda b: b.assign(humidity=b["humidity"].mask(b.index % 10 == 0)),
        lambda b: b[b["celsius"] > b["celsius"].median()],
        lambda b: b.iloc[::2],
    ],
    ids=["warmer", "busier", "a new category", "a tenth missing", "a subgroup", "half the rows"],
)
def test_what_the_world_does_is_let_in(change: Any) -> None:
    assert verdict(change(NOW)).kind != "broken"


def test_half_of_the_rows_are_suspicious_where_a_whole_batch_was_due() -> None:
    found = verdict(NOW.iloc[::2])

    assert (found.kind, found.concerns[0].check) == ("suspicious", "cut short")
    assert "84 rows, but no batch of the 12 before has fewer than 168" in found.concerns[0].text
    assert verdict(NOW.iloc[::2], arrives=0.5).kind == "ok"
    assert verdict(NOW.iloc[::2], [*PAST[:-1], PAST[-1].iloc[::2]]).kind == "ok"


def test_a_short_batch_that_comes_early_is_whole() -> None:
    assert verdict(NOW.iloc[:24], arrives=1 / 7).kind == "ok"


def test_a_shift_that_no_week_ever_showed_is_called_drift() -> None:
    assert verdict(NOW.assign(celsius=NOW["celsius"] + 14, felt=NOW["felt"] + 14)).kind == "drifted"


def test_a_short_history_says_nothing_of_columns() -> None:
    assert verdict(NOW.assign(celsius=NOW["celsius"] * 1000), PAST[:3]).kind == "ok"


def test_the_order_of_rows_and_columns_changes_nothing() -> None:
    broken = NOW.assign(celsius=NOW["celsius"] * 1.8 + 32)
    mixed = broken.sample(frac=1, random_state=2)[list(reversed(broken.columns))]

    assert verdict(mixed) == verdict(broken)


def test_the_gravest_concern_comes_first() -> None:
    found = verdict(NOW.assign(celsius=NOW["celsius"] * 1000, sky=NOW["sky"].mask(NOW.index % 10 == 0, "fog")))
    gravities = [concern.verdict for concern in found.concerns]

    assert gravities[0] == "broken"
    assert "drifted" in gravities[1:]
