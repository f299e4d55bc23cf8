"""Several workspaces at a glance, each with a store of its own or all in one."""

import json
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.database import iso
from retrim.checking.history import CHECK
from retrim.decision.stored_rows import DecisionRow, RunDetail
from retrim.errors import BadInputError
from retrim.lineage.workspace import ask_for_run
from retrim.reports.health import ModelPlace, _with_twins, find_models
from retrim.retraining.retrain import claim_run
from retrim.stats.codec import to_record
from tests.builders.answers import kept_check
from tests.builders.desk import Desk, make_desk

MODELS = ("bike", "boat")
UNREADABLE = "cannot be read"


def made(folder: Path, model: str) -> Desk:
    """A workspace of a model, with files by which it is known as one."""
    desk = make_desk(folder / model, data={"model": model})
    from retrim.yaml_files import dump_yaml

    root = desk.workspace.paths.root
    (root / "params.yaml").write_text(dump_yaml(desk.workspace.params.as_stated()), encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    return desk


def looked(*folders: Path, desk: Desk) -> dict[str, ModelPlace]:
    places = find_models(folders, here=desk.workspace.paths.root, now=desk.day(30))
    return {place.model: place for place in places}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Desk]:
    """Two workspaces in one store; the first has a version."""
    monkeypatch.setenv("RETRIM_STORE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return _two(tmp_path)


@pytest.fixture
def apart(tmp_path: Path) -> list[Desk]:
    """The same, each with a store of its own."""
    return _two(tmp_path)


def _two(folder: Path) -> list[Desk]:
    desks = [made(folder, model) for model in MODELS]
    for desk in desks:
        desk.land(desk.rows(0, 14), 14)
    desks[0].make_version(14)
    return desks


@pytest.mark.slow  # makes a version
class TestEachWay:
    @pytest.fixture(params=["shared", "apart"])
    def desks(self, request: pytest.FixtureRequest) -> list[Desk]:
        desks: list[Desk] = request.getfixturevalue(request.param)
        return desks

    def test_each_model_has_its_own_version_and_faults(self, desks: list[Desk], tmp_path: Path) -> None:
        places = looked(tmp_path, desk=desks[0])

        assert {model: place.live for model, place in places.items()} == {"bike": 1, "boat": None}
        assert [place.workspace for place in places.values()] == [desk.workspace.paths.root for desk in desks]

    def test_a_version_of_both_is_number_one_of_both(self, desks: list[Desk], tmp_path: Path) -> None:
        desks[1].make_version(14)
        for desk in desks:
            assert [row.version for row in desk.workspace.store.versions(desk.workspace.model)] == [1]

        assert {place.live for place in looked(tmp_path, desk=desks[0]).values()} == {1}

    def test_a_run_of_one_does_not_keep_the_other_waiting(self, desks: list[Desk]) -> None:
        for desk in desks:
            asked = ask_for_run(desk.workspace, as_of=desk.day(20), by="a test", reason="a test", now=desk.day(20))
            claim_run(desk.workspace, asked, now=desk.day(20))

        assert [len(desk.workspace.store.runs(desk.workspace.model, state="running")) for desk in desks] == [1, 1]

    def test_a_batch_that_is_late_is_said(self, desks: list[Desk], tmp_path: Path) -> None:
        assert any("was due" in fault for fault in looked(tmp_path, desk=desks[0])["boat"].faults)


@pytest.mark.slow  # makes a version
def test_what_another_workspace_has_in_the_store_is_told_from_the_store(shared: list[Desk]) -> None:
    places = looked(desk=shared[1])

    assert places["bike"].live == 1
    assert places["bike"].workspace is None
    assert "not named" in places["bike"].faults[0]


def test_two_workspaces_of_one_model_in_one_store_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIM_STORE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    desk = made(tmp_path / "a", "bike")
    made(tmp_path / "b", "bike")
    places = find_models([tmp_path / "a", tmp_path / "b"], here=tmp_path, now=desk.day(1))

    assert ["data.model" in "".join(place.faults) for place in places] == [True, True]


def test_a_decision_on_hold_is_said_beside_a_failed_run_of_any_name(tmp_path: Path) -> None:
    desk = made(tmp_path, "handheld")
    workspace, at = desk.workspace, iso(desk.day(2))
    asked = ask_for_run(workspace, as_of=desk.day(1), by="a test", reason="a test", now=desk.day(1))
    run = claim_run(workspace, asked, now=desk.day(1))
    workspace.store.end_run(run.id, state="failed", ended=iso(desk.day(1)), version=None, detail=RunDetail())
    check = kept_check(desk.day(2), champion=1)
    workspace.store.add_decision(
        DecisionRow("check-2", "handheld", CHECK, at, at, "held", actor="a test", reason="", text=json.dumps(check))
    )

    failed, held = looked(tmp_path, desk=desk)["handheld"].faults[:2]

    assert failed == f"{run.id} failed"
    assert held.startswith("held:")


def test_a_workspace_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    desk = made(tmp_path, "bike")
    made(tmp_path, "boat")
    (tmp_path / "boat" / "params.yaml").write_text("data: 1\n", encoding="utf-8")
    places = looked(tmp_path, desk=desk)

    assert places["bike"].faults == ()
    assert UNREADABLE in places[""].faults[0]


def test_a_workspace_whose_files_are_in_the_way_does_not_hide_the_others(tmp_path: Path) -> None:
    desk = made(tmp_path, "bike")
    (tmp_path / "boat").mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / "boat" / name).write_bytes((desk.workspace.paths.root / name).read_bytes())
    (tmp_path / "boat" / "var").write_text("no folder", encoding="utf-8")
    places = looked(tmp_path, desk=desk)

    assert places["bike"].faults == ()
    assert UNREADABLE in places[""].faults[0]


def test_a_folder_that_may_not_be_looked_into_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = made(tmp_path, "bike")
    (tmp_path / "secret").mkdir()
    is_file = Path.is_file

    def refused(path: Path, **given: Any) -> bool:
        if path.parent.name == "secret":
            raise PermissionError(13, "permission denied", str(path))
        return is_file(path, **given)

    monkeypatch.setattr(Path, "is_file", refused)

    assert list(looked(tmp_path, desk=desk)) == ["bike"]


def test_no_password_in_the_query_of_a_stores_address_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIM_STORE_URL", f"sqlite:///{tmp_path / 'store.db'}?cached_statements=1234567890")
    desk = made(tmp_path / "a", "bike")
    (place,) = find_models([tmp_path / "a"], here=tmp_path, now=desk.day(1))

    assert to_record(place)["store"] == f"sqlite:///{tmp_path / 'store.db'}"
    assert "1234567890" not in repr(place)


def test_stores_that_differ_in_their_query_alone_are_two() -> None:
    here = "sqlite:///file:a?uri=true"
    places = [
        ModelPlace("bike", Path(name), "sqlite:///file:a", None, None, None, (), f"{here}&x={name}") for name in "ab"
    ]

    assert [_with_twins(place, places).faults for place in places] == [(), ()]


def test_a_folder_without_a_workspace_is_named(tmp_path: Path) -> None:
    desk = made(tmp_path / "a", "bike")

    with pytest.raises(BadInputError, match="contains none"):
        looked(tmp_path / "nothing", desk=desk)
