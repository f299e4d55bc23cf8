"""The verdict of a check: its code follows from what was measured, and it claims nothing else."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from retrim.decision.accumulated_gain import EMPTY, AccumulatedGain
from retrim.decision.check_record import CheckEvidence, DriftEvidence, GainEvidence, Performance, ProbeEvidence
from retrim.decision.check_verdict import CheckVerdict, SuspectBatch, make_verdict
from retrim.decision.loss_comparison import ExpectedLoss, LossComparison, NaiveLoss
from retrim.decision.probe import GatePreview, ProbeReading
from retrim.decision.probe_watch import ProbeWatch
from retrim.decision.rules import Outcome
from retrim.drift.findings import DriftFinding, WindowExtent

AT = pd.Timestamp("2024-03-04", tz="UTC")
WEEK = WindowExtent(AT, AT, 170)
EXPECTED = ExpectedLoss(loss=1.8, judged=1.8, harder=1.0, low=1.3, high=2.5)
NAIVE = {"mean": NaiveLoss(loss=7.5, error=0.2, parts=10)}
NORMAL = LossComparison(rows=170, loss=1.9, estimated=False, expected=EXPECTED, naive=NAIVE)
HIGH = replace(NORMAL, loss=6.6)
SUSPECT = SuspectBatch("c917", 170, "km: as if in another unit (times 1.61, as kilometres for miles)")


def verdict(
    comparison: LossComparison | None,
    *,
    outcome: Outcome = "none",
    champion: int | None = 1,
    gain: AccumulatedGain = EMPTY,
    suspects: tuple[SuspectBatch, ...] = (),
    drift: DriftEvidence | None = None,
    **probed: Any,
) -> CheckVerdict:
    evidence = CheckEvidence(
        as_of=AT,
        champion=champion,
        drift=drift or DriftEvidence(),
        performance=Performance(comparison=comparison, suspects=suspects),
        probe=ProbeEvidence(**probed),
        gain=GainEvidence(now=gain, retraining_cost=5.0),
    )
    return make_verdict(evidence, outcome, loss="mae", needed_rows=170, probe_rows=80, errors=2.0)


def probe(refit: float, *, champion: float = 6.6, error: float = 0.1, learned: int = 170) -> ProbeReading:
    return ProbeReading(170, 0, 1.0, champion, refit, champion - refit, error, after_change=learned)


def drift(column: str) -> DriftFinding:
    return DriftFinding(column, "psi", 1.0, 1.0, None, 0.1, True, None, None, None, None, None, 1.0, WEEK, WEEK)


def test_a_normal_week_is_ok_and_leaves_nothing_to_do() -> None:
    found = verdict(NORMAL)

    assert (found.code, found.do) == ("ok", "")
    assert found.text == "MAE 1.9, expected 1.8; the naive mean has 7.5."


def test_a_suspicious_batch_in_these_rows_is_the_likely_cause() -> None:
    found = verdict(HIGH, suspects=(SUSPECT,), reading=probe(6.5))

    assert found.code == "above_expected_batch"
    assert "another unit" in found.cause
    assert "retrim batch withdraw c917" in found.do


def test_without_a_probe_nobody_knows_whether_a_retraining_helps() -> None:
    found = verdict(HIGH)

    assert found.code == "above_expected_unknown"
    assert "not known" in found.would_help
    assert "no refit was made" in found.would_help


def test_a_refit_without_rows_from_after_the_change_shows_nothing() -> None:
    found = verdict(HIGH, reading=probe(6.6, learned=0))

    assert found.code == "above_expected_unknown"
    assert "0 rows from after the change" in found.would_help


def test_a_refit_that_learned_and_is_not_surely_better_may_be_chance() -> None:
    found = verdict(HIGH, reading=probe(5.6, error=2.0))

    assert found.code == "above_expected_unknown"
    assert "a refit has 5.6, the live version 6.6 on the same rows: it may be chance" in found.would_help


def test_an_answer_that_a_later_probe_contradicts_is_not_repeated() -> None:
    watch = ProbeWatch(is_high=True, answered_loss=6.5, gain=2.5, is_gain_sure=True)

    assert "would not help" in verdict(HIGH, watch=replace(watch, is_gain_sure=False)).would_help
    assert "at an earlier one a refit gained 2.5" in verdict(HIGH, watch=watch).would_help


@pytest.mark.parametrize(
    ("gain", "preview", "said"),
    [
        (4.0, None, "does not pay yet"),
        (6.0, GatePreview(False, "a reason"), "the gate would refuse it"),
        (6.0, None, "not sure yet"),
    ],
)
def test_a_gain_that_starts_nothing_says_what_holds_it(gain: float, preview: GatePreview | None, said: str) -> None:
    watch = ProbeWatch(is_gain_sure=True)
    found = verdict(NORMAL, gain=AccumulatedGain(gain, 1.0), watch=watch, preview=preview)

    assert found.code == "gain_waiting"
    assert said in found.would_help
    assert f"accumulated gain {gain:.4g} of 5" in found.would_help


def test_a_better_refit_says_that_a_retraining_helps() -> None:
    found = verdict(HIGH, reading=probe(1.9))

    assert found.code == "above_expected_retraining"
    assert "a refit has 1.9" in found.would_help


def test_where_the_gate_would_refuse_it_the_reader_is_not_told_to_retrain() -> None:
    refused = GatePreview(passes=False, reason="at worst +1.6% against the champion's loss")

    assert "the gate would refuse" in verdict(HIGH, reading=probe(1.9), preview=refused).do
    assert "retrim retrain" in verdict(HIGH, reading=probe(1.9), preview=GatePreview(True, "")).do


@pytest.mark.parametrize("refit", [6.6, 7.4])
def test_a_refit_that_learned_and_is_no_better_points_at_the_labels(refit: float) -> None:
    assert verdict(HIGH, reading=probe(refit)).code == "above_expected_labels"


def test_a_refit_that_is_no_better_than_a_constant_points_at_the_labels() -> None:
    lost = replace(HIGH, loss=11.0)

    assert verdict(lost, reading=probe(7.4, champion=11.0)).code == "above_expected_labels"


def test_a_refit_that_is_as_good_as_expected_helps_however_near_the_baseline_is() -> None:
    near = replace(HIGH, naive={"mean": NaiveLoss(1.95, 0.05, 10)})

    assert verdict(near, reading=probe(1.8)).code == "above_expected_retraining"


def test_a_feature_that_drifted_is_named_before_the_labels_are() -> None:
    found = verdict(HIGH, reading=probe(6.6), drift=DriftEvidence((drift("km"),), ("km",)))

    assert found.code == "above_expected_columns"
    assert "km" in found.cause


def test_a_model_that_loses_to_a_constant_is_told_so_within_its_band() -> None:
    found = verdict(replace(NORMAL, naive={"mean": NaiveLoss(1.5, 0.05, 10)}, worse_than="mean"))

    assert found.code == "worse_than_naive"
    assert "naive mean has 1.5" in found.loss


def test_an_estimated_loss_is_called_estimated() -> None:
    found = verdict(replace(HIGH, estimated=True, naive={}))

    assert found.code == "estimated_above"
    assert found.loss.startswith("Estimated")


@pytest.mark.parametrize(
    ("outcome", "code", "word"),
    [("held", "held", "retrim policy acknowledge"), ("retrain", "retraining", "starts"), ("restore", "retraining", "")],
)
def test_what_was_decided_is_what_is_left_to_do(outcome: Outcome, code: str, word: str) -> None:
    found = verdict(NORMAL, outcome=outcome)

    assert found.code == code
    assert word in found.do


def test_without_a_loss_it_says_that_rows_are_too_few() -> None:
    assert verdict(None).code == "too_few_rows"


def test_without_a_live_version_it_is_the_first() -> None:
    assert verdict(None, champion=None, outcome="retrain").code == "first"
