"""The verdict of a check: its code follows from what was measured, and it claims nothing else."""

import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from retrim.decision.accumulated_gain import AccumulatedGain
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
    gain: AccumulatedGain = AccumulatedGain.empty(),
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
    return DriftFinding(
        column=column,
        test="psi",
        statistic=1.0,
        effect=1.0,
        p_value=None,
        threshold=0.1,
        over=True,
        rank=1.0,
        reference=WEEK,
        current=WEEK,
    )


def test_a_normal_week_is_ok_and_leaves_nothing_to_do() -> None:
    found = verdict(NORMAL)

    assert (found.code, found.do) == ("ok", "")
    assert found.text == "MAE 1.9, expected 1.8; the naive mean has 7.5."


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


def test_where_the_gate_would_refuse_it_the_reader_is_not_told_to_retrain() -> None:
    refused = GatePreview(passes=False, reason="at worst +1.6% against the champion's loss")

    assert "the gate would refuse" in verdict(HIGH, reading=probe(1.9), preview=refused).do
    assert "retrim retrain" in verdict(HIGH, reading=probe(1.9), preview=GatePreview(True, "")).do


BEATEN = replace(NORMAL, naive={"mean": NaiveLoss(1.5, 0.05, 10)}, worse_than="mean")
NEAR = replace(HIGH, naive={"mean": NaiveLoss(1.95, 0.05, 10)})
# The code, and what a field of the verdict says.
VERDICTS: dict[str, tuple[CheckVerdict, str, dict[str, str]]] = {
    "a suspicious batch in these rows is the likely cause": (
        verdict(HIGH, suspects=(SUSPECT,), reading=probe(6.5)),
        "above_expected_batch",
        {"cause": "another unit", "do": "retrim batch withdraw c917"},
    ),
    "without a probe nobody knows whether a retraining helps": (
        verdict(HIGH),
        "above_expected_unknown",
        {"would_help": "not known .*no refit was made"},
    ),
    "a refit without rows from after the change shows nothing": (
        verdict(HIGH, reading=probe(6.6, learned=0)),
        "above_expected_unknown",
        {"would_help": "0 rows from after the change"},
    ),
    "a refit that learned and is not surely better may be chance": (
        verdict(HIGH, reading=probe(5.6, error=2.0)),
        "above_expected_unknown",
        {"would_help": "a refit has 5.6, the live version 6.6 on the same rows: it may be chance"},
    ),
    "a better refit says that a retraining helps": (
        verdict(HIGH, reading=probe(1.9)),
        "above_expected_retraining",
        {"would_help": "a refit has 1.9"},
    ),
    "a refit that learned and is as bad points at the labels": (
        verdict(HIGH, reading=probe(6.6)),
        "above_expected_labels",
        {},
    ),
    "a refit that learned and is worse points at the labels": (
        verdict(HIGH, reading=probe(7.4)),
        "above_expected_labels",
        {},
    ),
    "a refit that is no better than a constant points at the labels": (
        verdict(replace(HIGH, loss=11.0), reading=probe(7.4, champion=11.0)),
        "above_expected_labels",
        {},
    ),
    "a refit that is as good as expected helps however near the baseline is": (
        verdict(NEAR, reading=probe(1.8)),
        "above_expected_retraining",
        {},
    ),
    "a feature that drifted is named before the labels are": (
        verdict(HIGH, reading=probe(6.6), drift=DriftEvidence((drift("km"),), ("km",))),
        "above_expected_columns",
        {"cause": "km"},
    ),
    "a model that loses to a constant is told so within its band": (
        verdict(BEATEN),
        "worse_than_naive",
        {"loss": "naive mean has 1.5"},
    ),
    "an estimated loss is called estimated": (
        verdict(replace(HIGH, estimated=True, naive={})),
        "estimated_above",
        {"loss": "^Estimated"},
    ),
    "what is held is left to a person": (
        verdict(NORMAL, outcome="held"),
        "held",
        {"do": "retrim policy acknowledge"},
    ),
    "a retraining starts": (verdict(NORMAL, outcome="retrain"), "retraining", {"do": "starts"}),
    "a rolled back version goes": (verdict(NORMAL, outcome="rollback"), "retraining", {}),
    "without a loss rows are too few": (verdict(None), "too_few_rows", {}),
    "without a live version it is the first": (verdict(None, champion=None, outcome="retrain"), "first", {}),
}


@pytest.mark.parametrize(("found", "code", "says"), VERDICTS.values(), ids=VERDICTS)
def test_a_verdict_follows_from_what_was_measured(found: CheckVerdict, code: str, says: dict[str, str]) -> None:
    assert found.code == code
    for name, words in says.items():
        assert re.search(words, getattr(found, name))
