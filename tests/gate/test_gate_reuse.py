"""Rows that have judged before grow stricter: counted, spent, and worth it."""

import re

import numpy as np
import pandas as pd
import pytest

from retrim.gate.losses import EarlierVerdict, confidence_of, judge, reuse, spent, uses
from tests.builders.gates import make_gate

EVENTS = pd.Series(pd.date_range("2024-01-01", periods=100, freq="1h", tz="UTC"))
GATE = make_gate(min_rows=2, min_gain=0.0, non_inferiority=None)


def used(first: int, last: int) -> EarlierVerdict:
    """An earlier verdict on rows `first` to `last`, both included."""
    return EarlierVerdict(1, EVENTS[first], EVENTS[last])


def test_rows_that_judged_in_part_count_in_part() -> None:
    assert uses([used(0, 99), used(75, 99)], EVENTS) == pytest.approx(1.25)


def test_rows_that_never_judged_count_nothing() -> None:
    later = EVENTS + pd.Timedelta("100h")

    assert uses([used(0, 99)], later) == 0


def test_the_first_verdict_has_the_whole_error() -> None:
    assert spent(0.05, uses=0, power=2.0) == 0.05


def test_all_verdicts_on_the_same_rows_have_little_more_than_the_first() -> None:
    # The sum of 1 / k^2 is pi^2 / 6.
    total = sum(spent(0.05, uses=before, power=2.0) for before in range(100_000))

    assert total == pytest.approx(0.05 * np.pi**2 / 6, rel=1e-4)


def test_a_power_of_zero_makes_re_use_free() -> None:
    assert spent(0.05, uses=9, power=0.0) == 0.05


def test_the_second_verdict_is_asked_for_at_a_quarter_of_the_error() -> None:
    assert confidence_of(GATE, 1, uses=1) == pytest.approx(1 - 0.05 / 4)


def test_the_verdict_says_how_often_its_rows_have_judged() -> None:
    found = reuse(1.25, confidence=0.98)

    assert (found.passed, found.figure) == (True, 1.25)
    assert re.search(r"\b1\.25 times\b.*\b98\.0% confidence$", found.text)


@pytest.mark.slow
@pytest.mark.parametrize(("power", "most"), [(0.0, 1.0), (2.0, 0.16)])
def test_of_twenty_equal_challengers_on_the_same_rows_hardly_ever_one_passes(power: float, most: float) -> None:
    # The error of all of them is at most 8.2%, and three standard errors of that in 100 windows are 8 points.
    gate, passed, draw = GATE.model_copy(update={"reuse": power}), 0, np.random.default_rng(5)
    for _ in range(100):
        champion = 10 + draw.normal(size=120)
        passed += any(
            judge(
                {"all": 10 + draw.normal(size=120)},
                champion,
                {},
                gate,
                draws=800,
                block_rows=4,
                uses=before,
            ).promote
            for before in range(20)
        )

    assert passed / 100 <= most
    assert power or passed / 100 > 0.3  # without a budget somebody passes in every third window, and more
