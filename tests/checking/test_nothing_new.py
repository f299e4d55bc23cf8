"""A check and a scoring with nothing new: no model is loaded, and they say what they would have said with it."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from retrim.checking import previous_champions
from retrim.checking.score import score
from retrim.decision.previous_champions import PreviousChampions
from retrim.stats.codec import from_record, to_record
from retrim.training import bundle
from tests.builders.answers import PrintedCheck
from tests.builders.desk import Desk, copy_of, make_desk, with_params

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
    assert record["previous_champions"]["rows"] == 48
    assert loads == ["gbm"] * 3  # live, and what was: as a previous champion, and for the probation


def test_with_nothing_new_no_model_is_loaded(desk: Desk, loads: list[str]) -> None:
    record = desk.check(23).record

    assert record["landed"]["new"] == 0
    assert record["champion"] == 2
    assert record["previous_champions"]["losses"].keys() == {"1"}
    assert to_record(score(desk.workspace, now=desk.day(23))) | {"lacks": None} == {
        "version": 2,
        "rows": 0,
        "written": 0,
        "selected": None,
        "left_out": 0,
        "lacks": None,
    }
    assert loads == []


def kept(desk: Desk, checked: PrintedCheck) -> dict[str, Any]:
    """What a check said, and all that it left in the store, without the digest of what formers rest on."""
    record = {**checked.record, "previous_champions": {**checked.record["previous_champions"], "rests_on": None}}
    store, model = desk.workspace.store, desk.workspace.model
    rows = [(each.check, each.kind, each.batch, each.rows) for each in store.counted_rows(model)]
    served = store.decisions(model)[:-1], sorted(desk.workspace.predictions.all_keys(2))
    return {"outcome": checked.outcome, "reason": checked.reason, "record": record, "rows": rows, "served": served}


def test_what_a_check_says_and_leaves_is_what_it_would_with_all_models_loaded(
    desk: Desk, tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = copy_of(desk, tmp_path / "slow")
    found = kept(desk, desk.check(23))
    assert loads == []
    with monkeypatch.context() as patch:
        patch.setattr(previous_champions, "_digest", lambda *_, numbers=count(): f"another {next(numbers)}")
        anew = kept(slow, slow.check(23))

    assert loads == ["gbm", "gbm"]
    assert found == anew
    assert found["rows"]


def test_what_a_former_champion_said_is_read_back_as_it_was(desk: Desk) -> None:
    record = desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].record["previous_champions"]

    assert to_record(from_record(PreviousChampions, record)) == record
    assert record["verdict"]["checks"]


def corrected(desk: Desk) -> Desk:
    rows = desk.rows(21, 21.5)
    desk.land(rows.assign(outcome=rows["outcome"] + 1), 22.75, correction=True)
    return desk


def edited(desk: Desk) -> Desk:
    return with_params(desk, gate={"confidence": 0.9})


@pytest.mark.parametrize("changed", [corrected, edited], ids=["rows", "settings"])
def test_former_champions_are_scored_anew_once_anything_changed_that_it_follows_from(
    desk: Desk, loads: list[str], changed: Callable[[Desk], Desk]
) -> None:
    before = desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].record["previous_champions"]
    after = changed(desk).check(23).record["previous_champions"]

    assert loads.count("gbm") == 2
    assert after["rests_on"] != before["rests_on"]
    assert after["verdict"] != before["verdict"]


def test_one_that_was_altered_is_left_out_though_the_check_before_scored_it(desk: Desk) -> None:
    next((desk.shelf.folders[1] / "models").rglob("model.txt")).write_text("altered", encoding="utf-8")

    assert desk.check(23).record["previous_champions"] is None
