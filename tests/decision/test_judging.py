"""The gate in a backtest: what rows would say, from the losses of parts; and what a refusal costs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from retrim.decision.policy_backtest import LossMatrix, PolicyDelays
from retrim.decision.policy_gate import GateSimulation, LiveModel, Setting
from retrim.decision.policy_play import PlayedRules, play_policy
from retrim.gate import losses as gate_losses
from retrim.gate.losses import judge
from retrim.gate.size import Size
from retrim.gate.support import ShownEvidence
from retrim.gate.verdict import Check, Verdict
from tests.builders.gates import make_gate
from tests.builders.turning import BLOCK_ROWS, BLOCKS, KINDS, USUAL, WINDOWS, losses_before, losses_of, matrix, rows_of
from tests.decision.test_play import ERRORS, MOMENTS, TRIGGERS

GATE = make_gate(min_rows=2, min_gain=0.01, non_inferiority=None)
AGED = PolicyDelays(0, 1)
FIRST = LiveModel(0, 0, 0)


def judging(rows: int = 20, **dials: float) -> GateSimulation:
    return GateSimulation(GATE.model_copy(update=dials), rows, 400)


def halved() -> LossMatrix:
    """Models leave out half of the window before."""
    return replace(matrix(), back=1)


def test_a_model_may_leave_out_part_of_a_window_and_is_judged_on_it() -> None:
    half = rows_of(5)[-10:]
    verdict = judging(rows=1000).verdict(replace(setting(None), matrix=halved()), FIRST, model=6, until=6)
    made = losses_before(half[0], "all", half)

    assert verdict.losses["champion"] == pytest.approx(losses_of(0, "all", half).mean())
    assert verdict.losses["all"] == pytest.approx(made.mean())


def test_what_is_made_in_the_middle_of_a_window_serves_the_next() -> None:
    later = Setting(halved(), (0,), PolicyDelays(0, 0), BLOCKS, MOMENTS, None)
    played = play_policy(later, [5])
    begin = rows_of(4)[10]

    assert played.losses[5] == pytest.approx(losses_before(begin, "all", rows_of(5)).sum() / USUAL)


def one_block(kinds: tuple[int, ...]) -> Setting:
    """A history whose probes judge a window by one fit."""
    return replace(setting(None, kinds), delays=PolicyDelays(0, 0), blocks=1)


def setting(gate: GateSimulation | None, kinds: tuple[int, ...] = (0,)) -> Setting:
    return Setting(matrix(), kinds, AGED, BLOCKS, MOMENTS, gate)


@pytest.mark.parametrize("check", range(2, WINDOWS))
def test_it_says_what_the_gate_says_of_the_rows(check: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_losses, "FOLDS", 2)  # windows of few parts
    rows = rows_of(check - 1)
    challengers = {kind: losses_of(check - 1, kind, rows) for kind in KINDS}
    by_rows = judge(challengers, losses_of(0, "all", rows), {}, GATE, draws=400, block_rows=BLOCK_ROWS, uses=0.0)
    by_parts = judging().verdict(setting(None, (0, 1)), FIRST, model=check - 1, until=check)
    figures = [{each.name: each.figure for each in verdict.checks} for verdict in (by_rows, by_parts)]

    assert (by_parts.winner, by_parts.promote) == (by_rows.winner, by_rows.promote)
    assert figures[1]["gain"] == pytest.approx(figures[0]["gain"], abs=1e-9)
    assert figures[1]["worst fold"] == pytest.approx(figures[0]["worst fold"], abs=1e-9)


def test_only_the_newest_rows_judge() -> None:
    newest = judging(rows=10).verdict(setting(None), FIRST, model=5, until=6)
    half = losses_of(0, "all", rows_of(5)[-10:]).mean()

    assert newest.losses["champion"] == pytest.approx(half)


def test_rows_that_a_challenger_was_trained_on_never_judge() -> None:
    verdict = judging(rows=1000).verdict(setting(None), FIRST, model=5, until=6)

    assert verdict.losses["champion"] == pytest.approx(losses_of(0, "all", rows_of(5)).mean())


def test_training_windows_of_the_same_rows_compete_as_one() -> None:
    verdict = judging().verdict(setting(None, (0, 0)), FIRST, model=5, until=6)

    assert "95.0% confidence" in next(check.text for check in verdict.checks if check.name == "gain")


def test_a_refused_retraining_is_paid_for_and_changes_nothing() -> None:
    refused = play_policy(setting(judging(min_gain=0.99)), range(1, WINDOWS))

    assert refused.refused == refused.checks == tuple(range(1, WINDOWS))
    np.testing.assert_allclose(refused.losses, matrix().totals[0, 0])
    assert refused.cost(2.0) == pytest.approx(refused.loss + 2.0 * (WINDOWS - 1))


def test_one_that_passes_is_made_from_the_rows_before_those_that_judged_it() -> None:
    served = play_policy(setting(judging()), [6]).served[-1]

    assert served.model == 5


def test_a_refusal_debits_the_account() -> None:
    triggers = TRIGGERS.model_copy(update={"rules": ("gain", "schedule"), "every": "5D"})
    rules = PlayedRules(triggers, 0.05, errors=ERRORS, seed=7)
    once = play_policy(setting(judging(min_gain=0.99)), rules)
    free = play_policy(setting(None), replace(rules, triggers=TRIGGERS, retraining_cost=1000.0)).balances

    assert once.refused == (5,)
    assert free[5] > 0.05
    assert once.balances[5] == pytest.approx(free[5] - 0.05)


def test_after_so_many_refusals_running_a_calendar_waits_for_a_person_or_the_account() -> None:
    gated = setting(judging(min_gain=0.99))
    rules = TRIGGERS.model_copy(update={"rules": ("schedule",), "cooldown_checks": 0, "refusals_to_hold": 2})
    held = play_policy(gated, PlayedRules(rules, 1.0, errors=0.0, seed=7))

    assert len(held.refused) == 2
    assert held.waited > 0


def test_the_account_starts_nothing_that_the_gate_would_refuse() -> None:
    gated = setting(judging(min_gain=0.99))
    done = play_policy(gated, PlayedRules(TRIGGERS, 0.05, errors=ERRORS, seed=7))

    assert done.balances.max() > 0.05
    assert done.checks == ()


@pytest.mark.parametrize("check", range(2, WINDOWS))
def test_where_a_run_judges_the_rows_of_the_probe_the_preview_is_its_verdict(check: int) -> None:
    said = judging().preview(one_block((0, 1)), FIRST, window=check - 1, probed=())
    verdict = judging().verdict(one_block((0, 1)), FIRST, model=check - 1, until=check, probed=())

    assert said is not None
    assert (said.passes, said.reason) == (verdict.promote, verdict.reason)


def test_with_fewer_rows_than_the_gate_judges_on_nothing_is_said_beforehand() -> None:
    assert judging(min_rows=21).preview(one_block((0,)), FIRST, window=5, probed=()) is None


def evidence(verdict: Verdict) -> Check:
    return next(check for check in verdict.checks if check.name == "evidence")


def test_what_earlier_windows_showed_counts_and_that_of_the_judged_rows_does_not() -> None:
    told = [
        evidence(judging().verdict(one_block((0,)), FIRST, model=4, until=5, probed=range(first, 5)))
        for first in (4, 3, 0)
    ]

    assert told[0].figure == 1.0  # its only window judges
    assert "1 check " in told[1].text
    assert "4 checks " in told[2].text


def test_what_is_fitted_once_more_is_judged_without_the_newest_rows_and_served_with_them() -> None:
    again = replace(judging(rows=1000), apart=BLOCKS)
    verdict = again.verdict(setting(None), FIRST, model=6, until=6)
    served = play_policy(Setting(matrix(), (0,), PolicyDelays(0, 0), BLOCKS, MOMENTS, again), [6])

    assert verdict.losses["all"] == pytest.approx(losses_of(5, "all", rows_of(5)).mean())
    assert served.served[6].model == 6


class Half(GateSimulation):
    """Half a window judges where checks have probed."""

    def sized(
        self, shown: Sequence[ShownEvidence], early: Sequence[ShownEvidence], *, tries: int, block_rows: int, there: int
    ) -> Size:
        return Size(USUAL // 2)


def test_what_probes_showed_says_how_many_rows_judge_and_the_judged_model_leaves_out_no_more() -> None:
    half, life = rows_of(5)[-10:], range(6)
    again = Half(GATE, USUAL, 400, BLOCKS)
    verdict = again.verdict(one_block((0,)), FIRST, model=6, until=6, probed=life)
    said = again.preview(one_block((0,)), FIRST, window=5, probed=life)
    whole = again.verdict(setting(None), FIRST, model=6, until=6)

    assert verdict.losses["champion"] == pytest.approx(losses_of(0, "all", half).mean())
    assert verdict.losses["all"] == pytest.approx(losses_before(half[0], "all", half).mean())
    assert whole.losses["champion"] == pytest.approx(losses_of(0, "all", rows_of(5)).mean())
    assert said is not None
    gain = 1 - losses_before(rows_of(5)[0], "all", half).mean() / losses_of(0, "all", half).mean()
    assert f" {gain:.1%}" in said.reason


@pytest.mark.parametrize(("gain", "rows"), [(0.5, 10), (0.02, 20)])
def test_the_clearer_the_gain_of_the_probes_the_fewer_rows_judge(gain: float, rows: int) -> None:
    saved = gain + np.random.default_rng(1).normal(0, 0.02, 40)
    shown = [ShownEvidence((), np.ones(40), {"all": 1 - saved}, 5.0)]
    found = judging(rows=20, min_rows=10, confidence=0.8).sized(shown, [], tries=1, block_rows=5, there=20)

    assert found.rows == rows


def test_a_run_waits_for_rows_enough_and_is_then_taken_up_again_without_being_paid_for_twice() -> None:
    waiting = setting(judging(min_rows=50))  # windows have 20
    rules = TRIGGERS.model_copy(update={"rules": ("drift",)})

    def once(live: LiveModel, window: int) -> tuple[str, ...]:
        return ("x",) if window == 1 else ()

    done = play_policy(waiting, PlayedRules(rules, 0.05, errors=0.0, seed=7, drifted=once))

    assert done.checks == (3,)
