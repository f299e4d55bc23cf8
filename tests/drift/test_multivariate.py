"""Joint drift: what no column shows alone, and what a stream that knows itself does without drift."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.drift.findings import findings, together
from retrim.drift.joint import (
    CodedRows,
    JointDistance,
    JointParams,
    JointResult,
    correlation,
    domain,
    judge_joint,
)
from retrim.drift.params import DriftParams
from retrim.drift.profile import ProfileParams, make_profile
from retrim.table.data import ColumnType

KEPT = ProfileParams(
    cells=120, levels=20, buckets=8, block="1D", most_blocks=500, block_rows=20, sample_rows=10_000, seed=7
)
NAMES = tuple(f"x{place}" for place in range(6))
COLUMNS: dict[str, ColumnType] = dict.fromkeys(NAMES, "number")
DOMAIN = partial(domain, rounds=20, leaves=8, folds=2, rows=4000, seed=7)
GIVEN: dict[str, Any] = {
    "tests": {
        "psi": {"cells": 10, "threshold": 0.2},
        "ks": {"threshold": 0.15},
        "chi2": {"threshold": 0.15},
        "correlation": {"threshold": 0.3},
    },
    "alarms": None,
    "min_rows": 100,
}


def stream(rows: int, seed: int, *, together: float = 0.5, memory: float = 0.0) -> pd.DataFrame:
    """Six unit normal columns, the first two with this correlation, each an autoregression with this memory."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(rows, len(NAMES)))
    values = np.empty_like(noise)
    values[0] = noise[0]
    for row in range(1, rows):
        values[row] = memory * values[row - 1] + np.sqrt(1 - memory**2) * noise[row]
    values[:, 1] = together * values[:, 0] + np.sqrt(1 - together**2) * values[:, 1]
    frame = pd.DataFrame(values, columns=list(NAMES))
    return frame.assign(_event=pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"))


REFERENCE = make_profile(stream(10_000, 1), COLUMNS, KEPT, time="_event")


def judged(test: Callable[[CodedRows, CodedRows], JointDistance], window: pd.DataFrame) -> JointResult:
    found = judge_joint(test, REFERENCE, window, NAMES, windows=20, seed=7, cores=1)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize("test", [DOMAIN, partial(correlation, seed=7)], ids=["domain", "correlation"])
def test_a_correlation_that_turns_round_is_seen(test: Callable[[CodedRows, CodedRows], JointDistance]) -> None:
    found = judged(test, stream(500, 2, together=-0.5))

    assert found.p_value is not None
    assert found.p_value < 1e-4
    assert found.effect > 0.2


def test_no_column_alone_shows_a_correlation_that_turns_round() -> None:
    window = stream(500, 2, together=-0.5)
    params = DriftParams(**GIVEN)
    found = findings(REFERENCE, window, params, time="_event", importances={}, alarms=None)

    assert found != []
    assert [f for f in found if f.over] == []


def test_it_says_between_which_columns() -> None:
    assert judged(partial(correlation, seed=7), stream(500, 2, together=-0.5)).about == "x0 with x1"


@pytest.mark.slow
def test_it_says_which_column_the_classifier_leaned_on() -> None:
    assert judged(DOMAIN, stream(500, 2, together=-0.5)).about in ("x0", "x1")


def test_the_largest_change_of_a_correlation_is_its_effect() -> None:
    found = judged(partial(correlation, seed=7), stream(5000, 2, together=-0.5).head(2500))

    assert found.effect == pytest.approx(1.0, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    "test",
    [DOMAIN, partial(correlation, seed=7)],
    ids=["domain", "correlation"],
)
def test_a_stream_that_remembers_is_not_taken_for_drift(test: Callable[[CodedRows, CodedRows], JointDistance]) -> None:
    # With rows permuted one by one, memory alone would make nearly every p-value 0.
    profile = make_profile(stream(10_000, 1, memory=0.95), COLUMNS, KEPT, time="_event")
    found = [
        judge_joint(test, profile, stream(400, seed, memory=0.95), NAMES, windows=10, seed=7, cores=2)
        for seed in range(2, 10)
    ]
    p_values = [each.p_value for each in found if each is not None and each.p_value is not None]

    assert len(p_values) == 8
    assert sum(p < 0.05 for p in p_values) <= 2
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.35)


def found_together(window: pd.DataFrame, **changed: Any) -> list[Any]:
    return together(REFERENCE, window, DriftParams(**{**GIVEN, **changed}), time="_event", alarms=None, cores=1)


def test_a_finding_of_all_features_names_the_test_and_what_moved() -> None:
    (found,) = found_together(stream(500, 2, together=-0.5))

    assert (found.column, found.test, found.contrast, found.over) == (
        "all columns together",
        "correlation",
        "x0 with x1",
        True,
    )


def test_too_few_rows_find_nothing_together() -> None:
    assert found_together(stream(99, 2)) == []


def test_the_order_of_rows_does_not_matter_to_findings_together() -> None:
    window = stream(500, 2)

    assert found_together(window.sample(frac=1, random_state=1)) == found_together(window)


def test_fewer_windows_than_show_anything_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"8 \[type=greater_than_equal"):
        JointParams(windows=7)
