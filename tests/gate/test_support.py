"""Evidence of earlier checks: what it is worth under the null, what it eases, and what it does not."""

import json

import numpy as np
import pandas as pd
import pytest

from retrim.gate.losses import confidence_of, judge, non_inferiority_confidence_of
from retrim.gate.support import EASIEST, ShownEvidence, Support, support_of
from retrim.stats.anytime import RunningSums, log_evidence, log_evidence_since
from retrim.stats.codec import from_record, to_json, to_record
from tests.builders.gates import make_gate

BLOCKS, MOST = 12, 0.005
START = pd.Timestamp("2024-01-01", tz="UTC")
GATE = make_gate(min_rows=2, min_gain=0.0)


def life(draw: np.random.Generator, checks: int, *, gain: float, since: int = 0) -> list[ShownEvidence]:
    """Checks of 12 blocks with a champion's loss of 1, where refits are better from one of them on."""
    shown = []
    for check in range(checks):
        saved = (gain if check >= since else 0.0) + draw.normal(0, 0.1, BLOCKS)
        until = tuple(START + pd.Timedelta(f"{check * BLOCKS + block}h") for block in range(BLOCKS))
        shown.append(ShownEvidence(until, np.ones(BLOCKS), {"all": 1 - saved}))
    return shown


@pytest.mark.parametrize("start", [0, 7, 30, 58])
def test_the_evidence_since_a_place_is_that_of_the_numbers_from_there(start: int) -> None:
    values = 5 + np.random.default_rng(start).normal(0.0, 1.0, 60)
    sums = RunningSums.empty()
    for value in values[start:] - 4.8:
        sums = sums.plus(float(value))

    (found,) = log_evidence_since(values - 4.8, np.array([start]))

    assert found == pytest.approx(log_evidence(sums, above=0.0), abs=1e-9)


def test_numbers_that_never_change_are_evidence_of_little() -> None:
    assert log_evidence_since(np.full(10, 0.1), np.array([0]))[0] < np.log(20)


@pytest.mark.slow
def test_where_no_refit_is_better_the_evidence_is_worth_one_in_the_mean_at_most() -> None:
    draw = np.random.default_rng(3)
    found = [support_of(life(draw, 8, gain=0.0), "all", most=MOST).gain for _ in range(400)]

    assert np.mean(found) <= 1.1
    assert min(found) >= 0.5


@pytest.mark.slow
def test_where_no_refit_is_better_it_is_rarely_ever_strong_in_fifty_checks() -> None:
    draw, ever = np.random.default_rng(5), 0
    for _ in range(60):
        whole = life(draw, 50, gain=0.0)
        ever += any(support_of(whole[:checks], "all", most=MOST).gain > 20 for checks in range(2, 51, 4))

    assert ever / 60 <= 0.05


def test_a_gain_that_begins_late_is_found_all_the_same() -> None:
    found = support_of(life(np.random.default_rng(1), 20, gain=0.1, since=17), "all", most=MOST)

    assert found.gain > 20
    assert (found.checks, found.blocks) == (20, 20 * BLOCKS)


def test_a_window_that_no_check_refitted_has_no_evidence() -> None:
    assert support_of(life(np.random.default_rng(1), 5, gain=0.1), "sliding", most=MOST) == Support()


def test_blocks_that_end_among_the_judged_rows_are_no_evidence() -> None:
    (shown,) = life(np.random.default_rng(1), 1, gain=0.1)
    kept = shown.before(START + pd.Timedelta("5h"))

    assert len(kept.champion) == len(kept.refits["all"]) == len(kept.until) == 5


def test_it_is_written_and_read_back_to_the_last_digit() -> None:
    (shown,) = life(np.random.default_rng(1), 1, gain=0.1)
    back = from_record(ShownEvidence, json.loads(to_json(to_record(shown))))

    assert back.until == shown.until
    assert (back.champion == shown.champion).all()
    assert (back.refits["all"] == shown.refits["all"]).all()


def test_many_rows_make_few_blocks() -> None:
    events = list(pd.date_range(START, periods=5000, freq="1min"))
    shown = ShownEvidence.of_rows(events, np.ones(5000), {"all": np.ones(5000)}, block_rows=10)

    assert len(shown.champion) == 40
    assert shown.until[-1] == events[-1]


@pytest.mark.parametrize("confidence", [confidence_of, non_inferiority_confidence_of])
def test_the_error_is_eased_as_often_as_evidence_says_and_never_to_a_half(confidence: object) -> None:
    plain, strict, strong, sure = (
        1 - confidence(GATE, 1, uses=0.0, eased=eased)  # type: ignore[operator]
        for eased in (1.0, 0.01, 5.0, 1e9)
    )

    assert strict == pytest.approx(plain / 100)
    assert strong == pytest.approx(5 * plain)
    assert sure == pytest.approx(EASIEST)


def test_a_verdict_after_checks_is_held_to_its_part_of_the_error() -> None:
    draw = np.random.default_rng(4)
    champion = 1 + draw.normal(0, 0.1, 200)
    challenger = champion - 0.05 + draw.normal(0, 0.1, 200)

    def low(support: dict[str, Support] | None) -> float:
        how = {"draws": 2000, "block_rows": 5, "uses": 0.0}
        found = judge({"all": challenger}, champion, {}, GATE, **how, support=support)  # type: ignore[arg-type]
        interval = next(check.interval for check in found.checks if check.name == "gain")
        assert interval is not None
        return interval[0]

    assert low({}) < low(None) < low({"all": Support(1e4, 1e4, 5, 60)})


def test_strong_evidence_lets_pass_what_the_judged_rows_alone_would_not_but_no_loss() -> None:
    draw = np.random.default_rng(2)
    champion = 1 + draw.normal(0, 0.1, 200)
    noise = draw.normal(0, 0.3, 200)
    better, worse = (champion - shift + noise - noise.mean() for shift in (0.03, -0.03))
    strong = {"all": Support(1e9, 1e9, 9, 100)}

    def passes(challenger: np.ndarray, support: dict[str, Support] | None) -> bool:
        how = {"draws": 500, "block_rows": 5, "uses": 0.0}
        return judge({"all": challenger}, champion, {}, GATE, **how, support=support).promote  # type: ignore[arg-type]

    assert (passes(better, None), passes(better, {}), passes(better, strong)) == (False, False, True)
    assert not passes(worse, strong)
