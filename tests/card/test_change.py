"""What a change did to the last retrainings: the answer from losses alone, and the comment."""

import re

import numpy as np
import pandas as pd
import pytest

from retrim.card.change import (
    PASSES,
    ChangeReview,
    ReplayedRetraining,
    as_comment,
    review_all,
    review_retraining,
    settings_read,
)
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import Resampling
from tests.builders.gates import make_gate

ROWS = 400
GATE: GateParams = make_gate(min_rows=2)
HOW = Resampling(draws=500, block_rows=12, seed=7)
LOSSES = np.abs(np.random.default_rng(1).normal(size=ROWS)) + 0.5
NOISE = np.random.default_rng(2).normal(size=ROWS)


def keyed(losses: np.ndarray, *, start: int = 0) -> "pd.Series[float]":
    return pd.Series(losses, index=[f"row {start + n}" for n in range(len(losses))])


def apart(start: int) -> ReplayedRetraining:
    return ReplayedRetraining(1, "", "search", (True, True), (keyed(LOSSES), keyed(LOSSES, start=start)))


def retraining(before: np.ndarray, after: np.ndarray, *, version: int = 1, start: int = 0) -> ReplayedRetraining:
    return ReplayedRetraining(
        version,
        "2024-01-26T00:00:00+00:00",
        "search",
        promoted=(True, False),
        losses=(keyed(before, start=start), keyed(after, start=start)),
    )


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (LOSSES, "same"),
        (LOSSES * 0.9, "better"),
        (LOSSES * 1.1, "worse"),
        (LOSSES + 0.5 * NOISE, "unclear"),
        (LOSSES + 1e-3 * NOISE, "not worse"),
    ],
)
def test_the_answer_is_what_the_interval_allows(after: np.ndarray, outcome: str) -> None:
    assert review_all([retraining(LOSSES, after)], GATE, HOW).outcome == outcome


def test_only_what_is_shown_passes() -> None:
    assert set(PASSES) == {"nothing to replay", "same", "better", "not worse"}


def test_without_non_inferiority_what_is_not_better_is_unclear() -> None:
    gate = GATE.model_copy(update={"non_inferiority": None})
    answer = review_all([retraining(LOSSES, LOSSES + 1e-3 * NOISE)], gate, HOW)
    assert answer.outcome == "unclear"


def test_a_row_that_two_retrainings_judge_counts_once() -> None:
    both = [retraining(LOSSES, LOSSES * 0.8), retraining(LOSSES, LOSSES * 1.0, version=2)]
    together = review_all(both, GATE, HOW)
    assert together.rows == ROWS
    assert together.after == pytest.approx(float((LOSSES * 0.9).mean()))


def test_only_rows_that_both_sides_judge_count() -> None:
    assert review_retraining(apart(100), GATE, HOW).change.rows == ROWS - 100


def test_no_row_in_common_says_nothing_and_fails() -> None:
    together = review_all([apart(ROWS)], GATE, HOW)
    assert (together.rows, together.gain, together.outcome) == (0, None, "failed")
    assert "| version 1 |  | search | 0 | | |  | promoted | promoted |" in as_comment(review([apart(ROWS)]))


def review(retrainings: list[ReplayedRetraining], **facts: object) -> ChangeReview:
    together = review_all(retrainings, GATE, HOW)
    of_each = tuple(review_retraining(each, GATE, HOW) for each in retrainings)
    known = {"base": "a" * 40, "head": "b" * 40, "files": (), "settings": {}, "loss": "mae"} | facts
    return ChangeReview(
        **known,  # type: ignore[arg-type]
        retrainings=of_each,
        together=together,
        outcome=together.outcome,
        sentence=together.sentence,
    )


def test_the_comment_has_the_difference_with_its_interval_and_what_the_gate_said() -> None:
    comment = as_comment(review([retraining(LOSSES, LOSSES * 1.1)]))
    assert "### retrim: failed (worse)" in comment
    assert re.search(r"\| -10\.0% \(-\S+% to -\S+%\) \| promoted \| refused \|", comment)


def test_what_a_change_names_is_no_mark_up_in_the_comment() -> None:
    odd = review(
        [retraining(LOSSES, LOSSES)],
        files=("src/a`b|c.py",),
        settings={"data.columns.<img src=x>": ("`a`|\nb", "c" * 500)},
    )
    comment = as_comment(odd)
    assert "<img" not in comment.replace("\\<img", "")
    assert "`src/a'b\\|c.py`" in comment
    assert max(map(len, comment.splitlines())) < 300


def test_only_settings_that_a_stage_reads_count() -> None:
    before = {"gate.min_gain": 0.01, "schedule.ingest": "1h", "drift.alarms.at_most": 1.0, "drift.alarms": None}
    after = {"gate.min_gain": 0.02, "schedule.ingest": "2h", "drift.alarms.at_most": 2.0, "drift.alarms": None}
    assert settings_read(before, after, ["gate", "drift.alarms"]) == {
        "drift.alarms.at_most": (1.0, 2.0),
        "gate.min_gain": (0.01, 0.02),
    }


def test_a_section_that_is_switched_off_counts_too() -> None:
    before = {"drift.alarms.at_most": 1.0, "drift.joint.cells": 4}
    assert settings_read(before, {"drift": None}, ["drift.alarms"]) == {"drift.alarms.at_most": (1.0, None)}
    assert settings_read({"drift": 1}, {"drift": None}, ["drift.alarms"]) == {"drift": (1, None)}
