"""The smallest gain that could have been seen, against what the gate then sees."""

import numpy as np
import pandas as pd
import pytest

from retrim.gate.losses import judge
from retrim.gate.size import Detectable, detectable
from retrim.gate.verdict import GateParams
from tests.builders.gates import make_gate

GATE = make_gate(min_rows=100, min_gain=0.0)


def drawn(gain: float, *, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Losses of a champion about 10, and of a challenger that is better by this share; noise of one row is 1."""
    noise = np.random.default_rng(seed).normal(0, 1, (2, rows))
    return 10 + noise[0], 10 * (1 - gain) + noise[1]


def seen(gain: float = 0.0, *, rows: int = 600, seed: int = 1, gate: GateParams = GATE) -> Detectable:
    champion, challenger = drawn(gain, rows=rows, seed=seed)
    events = pd.Series(pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC"))
    found = detectable(challenger, champion, events, gate, challengers=1, uses=0.0, draws=500, block_rows=10)
    assert found is not None
    return found


@pytest.mark.parametrize("rows", [300, 2000])
def test_a_gain_of_just_that_size_passes_four_times_in_five(rows: int) -> None:
    gain = float(np.mean([seen(rows=rows, seed=seed).gain for seed in range(20)]))
    passed = 0
    for seed in range(300):
        champion, challenger = drawn(gain, rows=rows, seed=1000 + seed)
        passed += judge({"all": challenger}, champion, {}, GATE, draws=300, block_rows=10, uses=0.0).promote

    assert passed / 300 == pytest.approx(0.8, abs=0.07)


def test_four_times_the_rows_see_half_the_gain() -> None:
    found = seen()

    assert found.more_gain == pytest.approx(found.gain / 2)
    assert (found.rows, found.more_rows) == (600, 2400)


def test_nothing_below_the_least_gain_is_ever_seen() -> None:
    strict = GATE.model_copy(update={"min_gain": 0.2})

    assert seen(gate=strict).gain > 0.2
    assert seen(gate=strict).more_gain > 0.2


def test_more_rows_come_at_the_pace_of_these() -> None:
    found = seen(rows=241)  # ten days

    assert found.by == pd.Timestamp("2024-02-10", tz="UTC")
    assert found.text.endswith(f"964 rows (by 2024-02-10) would show {found.more_gain:.1%} or more")


def test_says_nothing_of_a_champion_without_loss() -> None:
    events = pd.Series(pd.date_range("2024-01-01", periods=5, freq="1h", tz="UTC"))

    assert detectable(np.ones(5), np.zeros(5), events, GATE, challengers=1, uses=0.0, draws=100, block_rows=1) is None


def test_says_nothing_of_a_champion_with_next_to_no_loss() -> None:
    events = pd.Series(pd.date_range("2024-01-01", periods=6, freq="1h", tz="UTC"))
    tiny = np.array([0.0, 0.0, 1e-300, 0.0, 0.0, 0.0])

    assert (
        detectable(np.ones(6) * np.arange(6), tiny, events, GATE, challengers=1, uses=0.0, draws=100, block_rows=1)
        is None
    )
