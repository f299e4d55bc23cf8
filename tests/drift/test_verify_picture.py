"""Pictures of a verification: the same figures give the same bytes, odd ones too; and what they are drawn from."""

from dataclasses import replace

import pytest

from retrim.drift.verify import VerifiedRates, alarms_by_column, asked_and_achieved, interval_of, verify
from tests.builders.drift_worlds import world

PNG = b"\x89PNG"
ROWS = 400


@pytest.fixture(scope="module")
def found() -> VerifiedRates:
    profile, _ = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=3, categorical=1, seed=2)
    return verify(profile, rows=ROWS, rate=0.05, draws=1000, splits=4, checks=50, seed=1)


def test_the_share_at_the_rate_asked_is_what_was_achieved(found: VerifiedRates) -> None:
    assert found.achieved_at(found.asked) == (found.achieved, found.interval)
    assert len(found.p_values) == found.checks


def test_a_higher_rate_raises_no_fewer_alarms(found: VerifiedRates) -> None:
    shares = [found.achieved_at(rate)[0] for rate in (0.001, 0.01, 0.05, 0.2, 0.5, 1.0)]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_an_alarm_is_that_of_at_least_one_column(found: VerifiedRates) -> None:
    shares = list(found.columns.values())

    assert shares == sorted(shares, reverse=True)
    assert 0 < max(shares) <= found.achieved <= sum(shares) + 1e-12


@pytest.mark.parametrize("draw", [asked_and_achieved, alarms_by_column])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"achieved": 0.0, "interval": (0.0, 0.03), "p_values": (0.9,) * 20},
        {"achieved": 1.0, "interval": (0.78, 0.99995), "p_values": (0.0,) * 20},
        {"achieved": 1e-5, "interval": interval_of(1e-5, 20.0), "p_values": (0.0,) + (0.9,) * 99_999},  # low end above
        {"columns": {}},
        {"columns": {f"a very long name of a column, number {n}": 0.0 for n in range(40)}},
    ],
)
def test_the_same_figures_give_the_same_bytes(found: VerifiedRates, draw: object, changed: dict) -> None:
    assert callable(draw)
    first, second = (draw(replace(found, **changed)) for _ in range(2))

    assert first.startswith(PNG)
    assert first == second
