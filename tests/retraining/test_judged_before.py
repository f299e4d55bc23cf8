"""Rows that earlier verdicts here were given on, as they count against an imported version."""

from types import SimpleNamespace
from typing import Any

from retrim.gate.verdict import VerdictRecord
from retrim.retraining.judge_import import earlier_verdicts


def version(number: int, **verdict: Any) -> Any:
    return SimpleNamespace(version=number, judged=VerdictRecord("all", True, "", {}, 0, **verdict))


def test_a_verdict_without_holdout_rows_uses_no_rows_up() -> None:
    span = {"judged_from": "2024-01-01T00:00:00+00:00", "judged_until": "2024-02-01T00:00:00+00:00"}
    versions = [version(1, **span), version(2, judged_from=None)]
    workspace: Any = SimpleNamespace(model="bike", store=SimpleNamespace(versions=lambda _model: versions))

    assert [used.version for used in earlier_verdicts(workspace)] == [1]
