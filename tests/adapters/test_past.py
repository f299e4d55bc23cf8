"""A store begun from another's past: what was known at a moment, and nothing of it by halves."""

from pathlib import Path

import pytest

from retrim.adapters.past import copy_past
from retrim.adapters.predictions import PredictionLog
from retrim.adapters.store import Store
from tests.proved import pass_checks

MODEL = "generated"


def at(day: int) -> str:
    return f"2024-01-{day:02d}T00:00:00+00:00"


def promote(store: Store, version: int, *, decided: int, ended: int) -> None:
    """A check, the run it started, and the version that went live at its end."""
    name = f"run-{version}"
    decision = {"id": f"check-{version}", "model": MODEL, "source": "check", "as_of": at(decided), "at": at(decided)}
    store.add_decision({**decision, "outcome": "retrain", "actor": "a test", "reason": "", "record": {}})
    run = {"id": name, "model": MODEL, "decision": f"check-{version}", "as_of": at(decided), "mode": "refit"}
    store.claim_run({**run, "started": at(decided)})
    row = {"model": MODEL, "version": version, "run": name, "tag": f"v{version}", "as_of": at(decided)}
    store.add_version(
        {**row, "bundle": "", "model_sha256": "", "made": at(ended), "lineage": {}, "verdict": {"promote": True}}
    )
    pass_checks(store, MODEL, version, at=at(ended))
    release = {
        "model": MODEL,
        "version": version,
        "action": "promote",
        "actor": "a test",
        "reason": "",
        "at": at(ended),
    }
    store.add_release(release, expected=version - 1 or None)
    store.end_run(name, state="promoted", ended=at(ended), version=version, detail={})


class Asked(Store):
    """A store that counts how often it is asked for its seals."""

    times = 0

    def seals(self, model: str) -> dict[int, str]:
        self.times += 1
        return super().seals(model)


@pytest.fixture
def source(tmp_path: Path) -> Asked:
    """Three versions; the run of the third was decided on day 7 and ended on day 9."""
    store = Asked(f"sqlite:///{tmp_path / 'source.db'}")
    for version, decided, ended in ((1, 1, 1), (2, 4, 5), (3, 7, 9)):
        promote(store, version, decided=decided, ended=ended)
    store.times = 0
    return store


@pytest.fixture
def target(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'target.db'}")


def test_a_run_that_ended_later_is_left_behind_with_its_version(source: Store, target: Store) -> None:
    given = copy_past(source, target, MODEL, before=at(8))

    assert [row.id for row in target.decisions(MODEL)] == ["check-1", "check-2", "check-3"]
    assert [row.id for row in target.runs(MODEL)] == ["run-1", "run-2"]
    assert [row.version for row in target.versions(MODEL)] == [row.version for row in given] == [1, 2]
    assert [row.version for row in target.releases(MODEL)] == [1, 2]
    assert [len(target.envelope(MODEL, version)) for version in (1, 2, 3)] == [1, 1, 0]


def test_an_imported_version_comes_along_as_it_was_live(source: Store, target: Store) -> None:
    row = {"model": MODEL, "version": 4, "run": "import-4", "tag": "v4", "as_of": at(2), "bundle": "", "made": at(11)}
    source.add_version({**row, "model_sha256": "", "lineage": {"origin": {}}, "verdict": {"promote": True}})
    pass_checks(source, MODEL, 4, at=at(11))
    release = {"model": MODEL, "version": 4, "action": "import", "actor": "a test", "reason": "", "at": at(11)}
    source.add_release(release, expected=3)
    copy_past(source, target, MODEL, before=at(12))

    assert target.releases(MODEL)[-1].version == target.versions(MODEL)[-1].version == 4


def test_a_version_that_went_live_before_its_run_had_ended_comes_along(source: Store, target: Store) -> None:
    source.end_run("run-2", state="promoted", ended=at(6), version=2, detail={})
    copy_past(source, target, MODEL, before="2024-01-05T00:00:01+00:00")

    assert [row.version for row in target.versions(MODEL)] == [row.version for row in target.releases(MODEL)] == [1, 2]


def test_releases_come_with_their_seals_asked_for_once(source: Asked, target: Store) -> None:
    copy_past(source, target, MODEL, before=at(10))

    assert (target.seals(MODEL), source.times) == (Store(source.url).seals(MODEL), 1)


def test_what_was_predicted_before_comes_along(source: Store, target: Store) -> None:
    made = {"model": MODEL, "version": 1, "event": at(1), "value": 1.0}
    PredictionLog(source).add([made | {"key": str(day), "at": at(day)} for day in (2, 3, 8)])
    copy_past(source, target, MODEL, before=at(8))

    assert sorted(PredictionLog(target).served(MODEL, ["2", "3", "8"])["key"]) == ["2", "3"]
