"""One workspace that cannot be minded keeps no other from being minded."""

from types import SimpleNamespace
from typing import Any

import pytest

from retrim_flows import reconcile
from retrim_flows.reconcile import Watchman
from tests.builders.waiting import until


def test_a_workspace_that_fails_is_named_and_the_others_are_minded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    minded, taken_up = list[str](), list[int]()

    def end_hung_runs(workspace: Any, *, now: object) -> None:
        if workspace.model == "broken":
            raise OSError("its folder is gone")
        minded.append(workspace.model)

    monkeypatch.setattr(reconcile, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reconcile, "TAKE_UP_SECONDS", 0)
    monkeypatch.setattr(reconcile, "end_hung_runs", end_hung_runs)
    monkeypatch.setattr(reconcile, "take_up_again", lambda workspaces, at_start: taken_up.append(len(workspaces)))
    workspaces: list[Any] = [
        SimpleNamespace(model=name, env=SimpleNamespace(tells=False)) for name in ("broken", "whole")
    ]
    with Watchman(workspaces, None):
        until(lambda: minded and taken_up)

    assert "watching the schedule of broken failed; retrim tries again: its folder is gone" in caplog.text
    assert (minded[0], taken_up[0]) == ("whole", 2)
