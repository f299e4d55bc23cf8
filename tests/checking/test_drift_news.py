"""Which drift people are told of, and when: with checks as they are kept."""

import json
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters.database import iso
from retrim.checking.tell import tell
from retrim.decision.check_record import DriftEvidence, Performance, StoredCheck
from retrim.decision.loss_comparison import ExpectedLoss, LossComparison
from retrim.decision.stored_rows import DecisionRow
from retrim.drift.findings import DriftFinding, WindowExtent
from tests.builders.answers import kept_check
from tests.builders.desk import Desk, make_desk

EXPECTED = ExpectedLoss(1.0, 1.0, 1.0, 0.6, 1.5)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path / "workspace")


def drifted(desk: Desk, day: float, **importances: float) -> list[tuple[str, str]]:
    """A check at which these columns drifted, of which people are told; every alert so far, kind and subject."""
    return checked(desk, day, 1.0, **importances)


def checked(desk: Desk, day: float, loss: float, **importances: float) -> list[tuple[str, str]]:
    now = desk.day(day)
    extent = WindowExtent(now - pd.Timedelta("1D"), now, 100)
    figures = {"statistic": 0.3, "effect": 0.3, "p_value": 0.001, "threshold": 0.15}
    windows = {"reference": extent, "current": extent}
    found = [
        DriftFinding(column=name, test="ks", over=True, rank=2 * share, **figures, **windows)
        for name, share in importances.items()
    ]
    beside = LossComparison(100, loss, estimated=False, expected=EXPECTED, naive={})
    record = kept_check(
        now,
        champion=1,
        drift=DriftEvidence(tuple(found), tuple(importances)),
        performance=Performance(comparison=beside),
    )
    row = DecisionRow(
        f"check-{day:g}", desk.workspace.model, "check", iso(now), iso(now), "none", "a test", "", json.dumps(record)
    )
    desk.workspace.store.add_decision(row)
    tell(desk.workspace, StoredCheck.of(row).record, now=now)
    return [(alert.kind, alert.about) for alert in desk.workspace.store.alerts(desk.workspace.model)]


@pytest.mark.parametrize(
    ("importances", "news"),
    [
        ({"wind": 0.04}, []),
        ({"wind": 0.04, "km": 0.05}, [("drift", "km")]),
        ({"target": 1.0}, [("drift", "target")]),
        ({"all columns together": 1.0}, []),
    ],
)
def test_drift_of_what_the_model_leans_on_and_of_the_target_is_told(
    desk: Desk, importances: dict[str, float], news: list[tuple[str, str]]
) -> None:
    assert drifted(desk, 1, **importances) == news


def test_any_drift_is_told_while_the_loss_is_above_expected(desk: Desk) -> None:
    assert checked(desk, 1, 2.0, wind=0.01) == [("drift", "loss")]


def test_the_rest_is_told_once_a_week(desk: Desk) -> None:
    said = [len(drifted(desk, day, wind=0.01)) for day in range(1, 17)]

    assert said == [0] * 7 + [1] * 8 + [2]


def test_the_digest_counts_what_was_left_unsaid(desk: Desk) -> None:
    drifted(desk, 1, wind=0.01, city=0.02)
    drifted(desk, 4, km=0.5)
    drifted(desk, 8, wind=0.01)
    (digest,) = (row for row in desk.workspace.store.alerts(desk.workspace.model) if row.kind == "drift digest")

    assert digest.text.endswith("of 3 checks from 2024-01-02 to 2024-01-09: wind at 2, city at 1")
