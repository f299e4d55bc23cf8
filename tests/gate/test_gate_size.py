"""How many rows judge: enough to show a gain four times in five, and no more."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retrim.gate.losses import confidence_text, judge
from retrim.gate.size import POWER, GainTarget, ProbedEffect, effect_of, rows_holding, rows_needed, size_for, size_of
from retrim.gate.support import ShownEvidence, Support
from retrim.gate.verdict import GateParams
from retrim.stats.codec import from_record, to_record
from retrim.yaml_files import load_yaml
from tests.builders.gates import make_gate

BLOCK = 24
GATE = make_gate(min_rows=2, min_gain=0.01, confidence=0.95, non_inferiority={"most": 0.005, "confidence": 0.99})
ASKED = GainTarget(GATE, 2, 0.0, None, BLOCK)
FIRST_LOOK = replace(ASKED, support=Support(1.0, 1.0, 0, 0))


def share_passing(effect: ProbedEffect, asked: GainTarget, rows: int, *, lives: int = 400) -> float:
    """How often the gate promotes a challenger with this gain, judged on that many rows as means of blocks."""
    blocks = rows // asked.block_rows
    draw, passed = np.random.default_rng(3), 0
    support = None if asked.support is None else {"a": asked.support}
    for _ in range(lives):
        saved = draw.normal(effect.gain, effect.error) + draw.normal(0, effect.noise / asked.block_rows**0.5, blocks)
        found = judge(
            {"a": 1 - saved},
            np.ones(blocks),
            {},
            asked.gate,
            draws=400,
            block_rows=1,
            uses=asked.uses,
            rivals=asked.tries - 1,
            support=support,
        )
        passed += found.promote
    return passed / lives


@pytest.mark.slow
@pytest.mark.parametrize(
    ("effect", "asked"),
    [
        (ProbedEffect(0.05, 1.0), ASKED),
        (ProbedEffect(0.05, 0.5), ASKED),
        (ProbedEffect(0.05, 0.5), FIRST_LOOK),
        (ProbedEffect(0.05, 0.5), replace(FIRST_LOOK, support=Support(40.0, 40.0, 6, 72))),
        (ProbedEffect(0.05, 0.5, 0.02), ASKED),  # the gain was found on few rows
        (ProbedEffect(0.02, 0.3), ASKED),  # here gate.min_gain is the harder one
    ],
)
def test_on_that_many_rows_a_gain_passes_four_times_in_five(effect: ProbedEffect, asked: GainTarget) -> None:
    size = size_of(effect, asked, least=2 * BLOCK, most=100_000, there=10**6)
    fewer = share_passing(effect, asked, size.rows // 2, lives=150)

    assert share_passing(effect, asked, size.rows) == pytest.approx(POWER, abs=0.06)
    assert fewer < POWER - 0.1


def test_the_larger_the_gain_and_the_less_the_noise_the_fewer_rows() -> None:
    by_gain = [
        size_of(ProbedEffect(gain, 0.5), ASKED, least=48, most=10**5, there=0).rows for gain in (0.02, 0.04, 0.08)
    ]
    by_noise = [
        size_of(ProbedEffect(0.04, noise), ASKED, least=48, most=10**5, there=0).rows for noise in (1.0, 0.5, 0.2)
    ]

    assert by_gain[0] > 2 * by_gain[1] > 4 * by_gain[2]
    assert by_noise[0] > 2 * by_noise[1] > 4 * by_noise[2]


def test_a_gain_that_was_found_on_few_rows_asks_for_more() -> None:
    rows = [size_of(ProbedEffect(0.05, 0.5, error), ASKED, least=48, most=10**4, there=0) for error in (0.0, 0.02, 0.1)]

    assert rows[0].rows < rows[1].rows < rows[2].rows == 10**4
    assert rows[2].short is None  # a gain so large does pass on that many


def test_what_was_shown_before_takes_rows_off() -> None:
    rows = [
        size_of(ProbedEffect(0.05, 0.5), replace(ASKED, support=each), least=48, most=10**5, there=0).rows
        for each in (Support(1.0, 1.0, 6, 72), Support(30.0, 30.0, 6, 72), Support(1e4, 1e4, 6, 72))
    ]

    assert rows[0] > rows[1] > rows[2]


def test_no_fewer_than_the_least_and_no_more_than_the_ceiling() -> None:
    clear = size_of(ProbedEffect(0.5, 0.1), ASKED, least=168, most=336, there=10**5)
    faint = size_of(ProbedEffect(0.02, 3.0), ASKED, least=168, most=336, there=10**5)

    assert (clear.rows, clear.short) == (168, None)
    assert faint.rows == 336
    assert faint.short is not None


@pytest.mark.parametrize("effect", [None, ProbedEffect(0.0, 0.1), ProbedEffect(-0.1, 0.1)])
def test_where_no_gain_is_known_the_ceiling_judges(effect: ProbedEffect | None) -> None:
    size = size_of(effect, ASKED, least=168, most=336, there=10**5)

    assert (size.rows, size.short, size.effect) == (336, None, None)


@pytest.mark.parametrize(
    "effect", [ProbedEffect(0.02, 0.3), ProbedEffect(0.02, 0.12), ProbedEffect(0.012, 0.12), ProbedEffect(0.1, 1.8)]
)
def test_each_setting_that_is_named_would_show_it(effect: ProbedEffect) -> None:
    size = size_of(effect, ASKED, least=168, most=336, there=10**6)
    assert size.short is not None
    named = load_yaml("{" + size.short.partition("to show it, set ")[2].replace("or ", "") + "}")

    assert "split.judge_rows" in named
    for setting, value in named.items():
        rows = value if setting == "split.judge_rows" else 336
        gate = (
            GATE
            if rows != 336
            else GateParams.model_validate(GATE.model_dump() | {setting.removeprefix("gate."): value})
        )
        assert replace(ASKED, gate=gate).passing(effect, rows) >= POWER


def test_a_gain_below_the_least_that_the_gate_asks_shows_on_no_number_of_rows() -> None:
    size = size_of(ProbedEffect(0.008, 0.02), ASKED, least=168, most=336, there=10**6)

    assert rows_needed(ProbedEffect(0.008, 0.02), ASKED, most=336) is None
    assert size.short is not None
    assert "gate.min_gain: 0.007" in size.short


def test_the_non_inferiority_check_is_named_where_it_alone_hides_a_gain() -> None:
    effect = ProbedEffect(0.05, 0.3)
    size = size_of(effect, ASKED, least=168, most=336, there=0)

    assert replace(ASKED, gate=GATE.model_copy(update={"non_inferiority": None})).passing(effect, 336) >= POWER
    assert size.short is not None
    assert size.short.endswith("; to show it, set gate.non_inferiority: null")


def test_more_rows_than_there_are_to_keep_back_are_no_cure() -> None:
    size = size_of(ProbedEffect(0.02, 3.0), ASKED, least=168, most=336, there=500)

    assert size.short is not None
    assert "split.judge_rows" not in size.short
    assert size.short.endswith("; no single setting would show it with so few rows")


def seen(gain: float, noise: float, *, blocks: int, rows: int, seed: int) -> ShownEvidence:
    """One check in blocks of that many rows, where a row's gain deviates by `noise`, of a champion's loss of 2."""
    saved = 2 * (gain + np.random.default_rng(seed).normal(0, noise / rows**0.5, blocks))
    until = tuple(pd.date_range("2024-01-01", periods=blocks, freq="D"))
    return ShownEvidence(until, np.full(blocks, 2.0), {"all": 2 - saved, "sliding": np.full(blocks, 2.0)}, float(rows))


def test_the_effect_is_that_of_the_rows_however_they_were_cut_and_however_the_gain_has_grown() -> None:
    life = [seen(0.0, 0.4, blocks=300, rows=24, seed=1), seen(0.1, 0.4, blocks=300, rows=72, seed=2)]
    found = effect_of(life)

    assert found is not None
    kind, effect = found
    assert kind == "all"
    assert effect.gain == pytest.approx(0.075, abs=0.01)  # three quarters of the rows are of the second
    assert effect.noise == pytest.approx(0.4, rel=0.1)
    assert effect.error == pytest.approx(0.4 / (300 * 96) ** 0.5, rel=0.1)


def test_checks_that_did_not_keep_how_long_their_blocks_are_tell_no_size() -> None:
    record = to_record(seen(0.1, 0.1, blocks=12, rows=24, seed=1))
    old = from_record(ShownEvidence, {name: each for name, each in record.items() if name != "block_rows"})
    size = size_for([old], [], GATE, tries=1, uses=0.0, eased=True, block_rows=24, least=168, most=336, there=10**5)

    assert effect_of([from_record(ShownEvidence, record)]) is not None
    assert (size.rows, size.effect) == (336, None)


def test_enough_of_the_rarer_class_are_among_the_rows_that_judge() -> None:
    target = pd.Series(["no", "no", "yes", "no"] * 100)

    assert rows_holding(50, target, least=10) == 198
    assert rows_holding(50, target, least=300) == 300
    assert rows_holding(101, target, least=10) == 400
    assert rows_holding(1, pd.Series(["no"] * 30), least=10) == 30


@pytest.mark.parametrize(
    ("confidence", "text"), [(0.95, "95.0%"), (0.9994, "99.9%"), (0.99968, "99.97%"), (0.999999, "99.9999%")]
)
def test_a_confidence_is_never_rounded_up_to_certainty(confidence: float, text: str) -> None:
    assert confidence_text(confidence) == text
