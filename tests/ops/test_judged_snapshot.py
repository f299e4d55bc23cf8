"""A recipe that is fitted once more is the one that was judged, whatever was edited since."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters import git
from retrim.adapters.store import iso
from retrim.ops import retrain
from retrim.ops.person import ask_for_run
from retrim.ops.refit_after import ask_for_refit
from retrim.ops.rooms import Room
from tests.ops.desk import make_desk


def test_its_room_is_made_from_the_snapshot_of_the_judged_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(tmp_path / "workspace", changes={"retrain": {"refit_after": True}})
    house, now, taken = desk.house, desk.day(10), []
    run = retrain.claim(house, ask_for_run(house, as_of=now, by="a test", reason="a test", now=now), now=now)
    lineage = {"champion": None, "snapshot": "a" * 40, "untracked": ["notes.txt"]}
    row = {"model": "generated", "version": 1, "run": run.id, "tag": "retrim/generated/v1", "bundle": "1" * 64}
    row |= {"as_of": iso(now), "made": iso(now), "model_sha256": "1" * 64, "lineage": lineage}
    house.store.add_version(row | {"verdict": {"promote": True, "losses": {}}})
    house.store.end_run(run.id, state="promoted", ended=iso(now), version=1, detail={"reason": ""})
    sequel = ask_for_refit(house, run, 1, now=now)
    assert sequel is not None

    def opened(*_: Any, **given: Any) -> Room:
        taken.append(given["taken"])
        return Room(tmp_path, given["taken"].commit, given["taken"].untracked, 1)

    monkeypatch.setattr(retrain, "open_room", opened)
    monkeypatch.setattr(git, "has_commit", lambda *_: True)
    retrain.make_room(house, retrain.claim(house, sequel, now=now))

    assert taken == [git.Snapshot("a" * 40, ("notes.txt",))]


@pytest.mark.parametrize("rule", ["account", "schedule"])
def test_what_checks_showed_is_counted_in_a_run_that_the_account_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    desk = make_desk(tmp_path / "workspace")
    house, now, counted = desk.house, desk.day(10), []
    row = {"id": "one", "model": house.model, "source": "check", "as_of": iso(now), "at": iso(now), "actor": "a test"}
    record = {"as_of": iso(now), "mode": {"mode": "refit", "reason": "a test"}, "fired": [rule]}
    house.store.add_decision(row | {"outcome": "retrain", "reason": "a test", "record": record})

    def opened(*_: Any, **given: Any) -> Room:
        counted.append(given["by_account"])
        return Room(tmp_path, "a" * 40, (), None)

    monkeypatch.setattr(retrain, "open_room", opened)
    retrain.make_room(house, retrain.claim(house, "one", now=now))

    assert counted == [rule == "account"]
