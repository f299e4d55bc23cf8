"""A server that waits for live versions: one workspace that cannot be opened keeps no other from answering."""

import re
import time
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from retrim.errors import RefusedError
from retrim.files import dump_yaml
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.serving import newcomers
from retrim.serving.models import Looks, ServedModel, open_model
from retrim.serving.newcomers import Joining, ReleaseHeads, openable
from retrim.serving.server import Front
from tests.builders.desk import Desk, copy_of
from tests.builders.http_client import Client, serving_of
from tests.builders.served import serving
from tests.builders.shipped import whole
from tests.builders.world import describe

ROW = {"at": "2024-01-16T00:00", "number": 7, "level": 1.5, "slope": 1.0, "noise": 0.1, "group": "a"}


WHY = "a fault of the model's own"


def laid(root: Path) -> Path:
    """A workspace without a version; all of them are of one name."""
    root.mkdir()
    describe(root, task="regression", changes={})
    (root / "dvc.yaml").touch()
    return root


def open_one(root: Path) -> Any:
    if root.name == "broken":
        raise RuntimeError(WHY)
    return SimpleNamespace(name=open_workspace(root).model)


def test_one_that_fails_is_said_and_keeps_no_other_from_answering(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = laid(tmp_path / "broken"), laid(tmp_path / "whole")

    assert list(openable([broken, whole], open_one)) == [whole]
    assert re.search(rf"{re.escape(str(broken))} .*: {WHY}", caplog.text)


def test_where_none_can_be_served_the_last_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=WHY):
        openable([laid(tmp_path / "broken")], open_one)


def test_a_workspace_that_cannot_be_opened_has_no_head_and_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("gate: 7\n", encoding="utf-8")
    heads = ReleaseHeads([tmp_path])

    assert [heads.look(), heads.look()] == [{tmp_path: None}] * 2
    assert len([record for record in caplog.records if "params.yaml" in record.getMessage()]) == 1


def test_a_workspace_is_opened_anew_only_if_its_settings_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def open_counted(root: Path) -> Workspace:
        opened.append(root)
        return open_workspace(root)

    monkeypatch.setattr(newcomers, "open_workspace", open_counted)
    describe(tmp_path, task="regression", changes={})
    (tmp_path / "dvc.yaml").touch()
    heads = ReleaseHeads([tmp_path])

    assert [heads.look(), heads.look()] == [{tmp_path: None}] * 2
    assert len(opened) == 1
    with (tmp_path / "params.yaml").open("a", encoding="utf-8") as settings:
        settings.write("# another comment\n")
    heads.look()
    assert len(opened) == 2


def test_it_waits_until_a_version_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{tmp_path: None}, {tmp_path: "digest"}])
    monkeypatch.setattr(newcomers, "LOOK_SECONDS", 0)
    monkeypatch.setattr(ReleaseHeads, "look", lambda _: next(looks))

    assert newcomers.wait_until_live([tmp_path]) == {tmp_path: "digest"}


def test_a_workspace_of_a_name_that_is_served_is_not_opened_for_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roots = [laid(tmp_path / name) for name in ("one", "two")]
    name, opened = open_workspace(roots[0]).model, list[Path]()

    def open_noted(root: Path) -> Any:
        opened.append(root)
        return open_one(root)

    assert list(openable(roots, open_noted)) == [roots[0]]
    joining = Joining(ReleaseHeads([]), [], open_noted, Looks())
    with ExitStack() as begun:
        joining._join(cast("Front", SimpleNamespace(names=[name])), begun, roots[1], "digest")
    assert opened == [roots[0]]
    assert caplog.text.count(f"two workspaces have the model name {name!r}") == 2


@pytest.mark.slow
def test_a_model_that_goes_live_later_answers_beside_the_others_if_not_at_first_then_later(
    made: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(newcomers, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(newcomers, "RETRY_SECONDS", 0)
    desks = {name: copy_of(made, tmp_path / name) for name in ("first", "broken", "second")}
    settings = whole()
    settings["data"]["model"] = made.workspace.model
    for desk in desks.values():
        (desk.workspace.paths.root / "params.yaml").write_text(dump_yaml(settings), encoding="utf-8")
        (desk.workspace.paths.root / "dvc.yaml").touch()
    tried = list[Path]()

    def open_named(root: Path) -> ServedModel:
        if root.name == "broken" or root not in tried:
            tried.append(root)
            raise RuntimeError("a model of its own")
        opened = open_model(
            lambda: desks[root.name].workspace, None, is_local=True, is_durable=False, now=lambda: made.day(15)
        )
        return replace(opened, name=root.name)

    front = Front({"first": serving_of(desks["first"])})
    joining = Joining(ReleaseHeads([tmp_path / name for name in desks]), [tmp_path / "first"], open_named, Looks())
    with serving(front) as port, joining.beside(front):
        client = Client(port, serving_of(desks["first"]))
        deadline = time.monotonic() + 60
        while client.json("/models/second/ready")[0] != HTTPStatus.OK:
            assert time.monotonic() < deadline
        answers = [client.json(f"{path}/predict", ROW) for path in ("", "/models/first", "/models/second")]

    assert [status for status, _ in answers] == [HTTPStatus.OK] * 3
    assert caplog.text.count(f"{tmp_path / 'broken'} is not served: a model of its own") == 1
