"""A server that waits for live versions: one workspace that cannot be opened keeps no other from answering."""

from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from retrim.serving import newcomers
from retrim.serving.models import ServedModel, open_model
from retrim.serving.newcomers import Newcomers, all_at_work
from retrim.yaml_files import dump_yaml
from tests.builders.desk import Desk, copy_of
from tests.builders.http_client import ROW, Client
from tests.builders.served import serving
from tests.builders.shipped import whole
from tests.builders.waiting import until

pytestmark = pytest.mark.slow


def laid(made: Desk, root: Path, model: str) -> Desk:
    """A copy of the workspace with settings of its own."""
    desk = copy_of(made, root)
    settings = whole()
    settings["data"]["model"] = model
    (root / "params.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    (root / "dvc.yaml").touch()
    return desk


def open_as(desk: Desk) -> ServedModel:
    return open_model(lambda: desk.workspace, None, is_local=True, is_durable=False, now=lambda: desk.day(15))


def test_one_that_fails_is_said_once_and_keeps_no_other_from_answering(
    made: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = made.workspace.model
    desks = {root: laid(made, tmp_path / root, name) for root in ("broken", "whole", "twin")}
    opened: list[str] = []

    def open_one(root: Path) -> ServedModel:
        opened.append(root.name)
        if root.name == "broken":
            raise RuntimeError("a fault of the model's own")
        return open_as(desks[root.name])

    waiting = Newcomers([tmp_path / root for root in desks], open_one)

    assert [model.name for model in waiting.wait()] == [name]
    assert waiting.take() == []
    assert opened == ["broken", "whole"]  # a name that is served is not opened again
    assert caplog.text.count("a fault of the model's own") == 1
    assert f"twin is not served: two workspaces have the model name {name!r}" in caplog.text


def test_a_model_that_goes_live_later_answers_beside_the_others(
    made: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newcomers, "LOOK_SECONDS", 0.05)
    name = made.workspace.model
    first, second = laid(made, tmp_path / "first", name), laid(made, tmp_path / "second", name)
    root = second.workspace.paths.root
    settings = (root / "params.yaml").read_text(encoding="utf-8")
    (root / "params.yaml").write_text("gate: 7\n", encoding="utf-8")
    running, waiting = replace(open_as(first), name="first"), Newcomers([root], lambda _: open_as(second))
    with all_at_work([running], waiting) as app, serving(app) as port:
        client = Client(port, running.serving)
        alone = client.ask("GET", f"/models/{name}/ready")[0]
        (root / "params.yaml").write_text(settings, encoding="utf-8")
        until(lambda: client.ask("GET", f"/models/{name}/ready")[0] == HTTPStatus.OK)
        answers = [client.json(f"{path}/predict", ROW)[0] for path in ("", "/models/first", f"/models/{name}")]

    assert alone == HTTPStatus.NOT_FOUND
    assert answers == [HTTPStatus.OK] * 3
