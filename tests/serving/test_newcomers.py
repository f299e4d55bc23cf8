"""A server that waits for live versions: one workspace that cannot be opened keeps no other from answering."""

from pathlib import Path
from typing import Any

import pytest

from retrim.errors import RefusedError
from retrim.serving import newcomers
from retrim.serving.newcomers import ReleaseHeads, openable


def open_one(root: Path) -> Any:
    if root.name == "broken":
        raise RuntimeError("a model of its own")
    return root.name


def test_one_that_fails_is_said_and_keeps_no_other_from_answering(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert openable([tmp_path / "broken", tmp_path / "whole"], open_one) == ["whole"]
    assert f"{tmp_path / 'broken'} is not served: a model of its own" in caplog.text


def test_where_none_can_be_served_the_last_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="a model of its own"):
        openable([tmp_path / "broken"], open_one)


def test_a_workspace_that_cannot_be_opened_has_no_head_and_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("gate: 7\n", encoding="utf-8")
    heads = ReleaseHeads([tmp_path])

    assert [heads.look(), heads.look()] == [{tmp_path: None}] * 2
    assert len([record for record in caplog.records if "params.yaml" in record.getMessage()]) == 1


def test_it_waits_until_a_version_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{tmp_path: None}, {tmp_path: "digest"}])
    monkeypatch.setattr(newcomers, "LOOK_SECONDS", 0)
    monkeypatch.setattr(ReleaseHeads, "look", lambda _: next(looks))

    assert newcomers.wait_until_live([tmp_path]) == {tmp_path: "digest"}
