"""The schedule predicts rows as they land; where that fails, landing is done all the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrim.environment import Env
from retrim.errors import RefusedError, RetrimError
from retrim_flows import context
from retrim_flows import ingest as ingesting
from retrim_flows import score as module
from retrim_flows.score import score_at_once
from tests.builders.desk import Desk

pytestmark = pytest.mark.slow


class Scheduled:
    """As Prefect says it of a flow run of a deployment."""

    id: Any = "a deployment"


def test_within_the_schedule_new_rows_are_predicted_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "deployment", Scheduled)
    first, again = (score_at_once(desk.workspace, desk.day(12)) for _ in range(2))

    assert first is not None
    assert again is not None
    assert (first.written, again.written) == (96, 0)


def test_the_flow_predicts_what_it_lands_from_a_file_and_the_inbox_even_where_a_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_inbox(*_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(outcome="landed", kind="rows", batch="of the inbox")
        raise RetrimError("one file stays")

    said: list[str] = []
    scored: list[object] = []
    of_file = [SimpleNamespace(outcome="landed", kind="labels", batch="of the file")]
    monkeypatch.setattr(ingesting, "open_workspace", lambda: "a workspace")
    monkeypatch.setattr(ingesting, "large_file", lambda *_: None)
    monkeypatch.setattr(ingesting, "take_in", lambda *_, **__: iter(of_file))
    monkeypatch.setattr(ingesting, "take_from_inbox", of_inbox)
    monkeypatch.setattr(ingesting, "say_landed", lambda landed: said.append(landed.batch))
    monkeypatch.setattr(ingesting, "score_at_once", lambda workspace, at: scored.append(workspace))
    with pytest.raises(RetrimError, match="stays"):
        ingesting.ingest.fn("a.csv", "2024-01-01")

    assert (said, scored) == (["of the file", "of the inbox"], ["a workspace"])


def test_a_command_leaves_it_to_the_person(desk: Desk) -> None:
    assert score_at_once(desk.workspace, desk.day(12)) is None
    assert desk.workspace.predictions.versions() == []


def test_an_error_does_not_undo_what_landed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise RefusedError("altered")

    monkeypatch.setattr(module, "deployment", Scheduled)
    monkeypatch.setattr(module.op, "score", refused)

    assert score_at_once(desk.workspace, desk.day(12)) is None


def test_a_table_that_is_away_is_told_and_what_is_stored_is_copied_later(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "away"
    workspace = replace(desk.workspace, env=Env(predictions_table=f"sqlite:///{folder / 'warehouse.db'}"))
    vars(workspace)["registry"] = desk.workspace.registry
    monkeypatch.setattr(module, "deployment", Scheduled)
    monkeypatch.setattr(context, "deployment", Scheduled)
    monkeypatch.setattr(context, "open_workspace", lambda: workspace)
    first = score_at_once(workspace, desk.day(12))
    away = capsys.readouterr().out
    folder.mkdir()
    again = score_at_once(workspace, desk.day(12))

    assert (first and first.written, again and again.written) == (96, 0)
    assert "not copied: " in away
    assert "copied: 96 " in capsys.readouterr().out
