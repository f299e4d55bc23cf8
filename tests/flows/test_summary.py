"""A check leaves a summary in Prefect and its figures in MLflow; where that fails, the check is made all the same."""

from dataclasses import replace
from typing import Any

import pytest

from retrim.checking.check import check
from retrim_flows import summary
from tests.builders.desk import Desk


def test_it_says_decision_and_figures_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(summary, "create_markdown_artifact", lambda text, *_, **__: left.append(text))
    checked = check(desk.workspace, by="a test", now=desk.day(12))
    for each in (checked, replace(checked, fresh=False)):
        summary.leave_summary(desk.workspace, each)

    (text,) = left
    assert checked.sentence in text
    assert f"- loss: {checked.record.performance.loss:.4g}" in text
    assert desk.shelf.figures[1]["loss"] == checked.record.performance.loss
    assert {"loss_expected", "loss_naive", "drifted_columns"} <= desk.shelf.figures[1].keys()


def test_a_tool_that_is_away_fails_no_check(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no server")

    monkeypatch.setattr(summary, "create_markdown_artifact", refuse)
    monkeypatch.setattr(summary, "say", lambda what, result: said.append(f"{what}: {result}"))
    summary.leave_summary(desk.workspace, check(desk.workspace, by="a test", now=desk.day(12)))

    assert said == ["summary: failed: OSError: no server"]
