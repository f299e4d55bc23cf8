"""A check and a scoring with nothing new: no model is loaded, and they say what they would have said with it."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.score import score
from retrim.stats.codec import to_record
from retrim.training import bundle
from tests.builders.desk import Desk, copy_of, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 2 is live, 1 was; two days came since and were scored and checked."""
    desk = make_desk(tmp_path_factory.mktemp("nothing") / "workspace", version_at=10)
    desk.land(desk.rows(10, 20), 20)
    desk.make_version(20)
    desk.land(desk.rows(20, 22), 22)
    desk.check(22.5)
    return desk


@pytest.fixture
def desk(checked: Desk, tmp_path: Path) -> Desk:
    return copy_of(checked, tmp_path / "workspace")


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the models that were loaded."""
    loaded: list[str] = []
    load = bundle.load_balanced

    def noted(model: str, *rest: Any) -> Any:
        loaded.append(model)
        return load(model, *rest)

    monkeypatch.setattr(bundle, "load_balanced", noted)
    return loaded


def test_what_is_new_is_predicted(desk: Desk, loads: list[str]) -> None:
    desk.land(desk.rows(22, 24), 24)
    record = desk.check(24.5).record

    assert record["performance"]["measured"]["loss"] is not None
    assert loads == ["gbm"] * 3  # live, and what was: for the probation, and in the probe


def test_with_nothing_new_no_model_is_loaded(desk: Desk, loads: list[str]) -> None:
    record = desk.check(23).record

    assert record["landed"]["new"] == 0
    assert record["champion"] == 2
    assert to_record(score(desk.workspace, now=desk.day(23))) | {"lacks": None} == {
        "version": 2,
        "rows": 0,
        "written": 0,
        "selected": None,
        "left_out": 0,
        "lacks": None,
    }
    assert loads == []
