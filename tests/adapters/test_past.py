"""A store begun from another's past: what was known at a moment, and nothing of it by halves."""

from functools import partial
from pathlib import Path

import pytest

from retrim.adapters.signing import Keys, signature_fault
from retrim.adapters.store import Store, copy_past
from retrim.decision.release_log import first_broken
from retrim.decision.stored_rows import DecisionRow, RunClaim, RunDetail, VersionRow
from tests.builders.proved import move, pass_checks

MODEL = "generated"


def at(day: int) -> str:
    return f"2024-01-{day:02d}T00:00:00+00:00"


def promote(store: Store, version: int, *, decided: int, ended: int) -> None:
    """A check, the run it started, and the version that went live at its end."""
    name = f"run-{version}"
    decision = {"id": f"check-{version}", "model": MODEL, "source": "check", "as_of": at(decided), "at": at(decided)}
    store.add_decision(DecisionRow(**decision, outcome="retrain", actor="a test", reason="", text="{}"))
    run = {"id": name, "model": MODEL, "decision": f"check-{version}", "as_of": at(decided), "mode": "refit"}
    store.claim_run(RunClaim(**run, started=at(decided)))
    row = {"model": MODEL, "version": version, "run": name, "tag": f"v{version}", "as_of": at(decided)}
    store.add_version(
        VersionRow(**row, bundle="", model_sha256="", made=at(ended), lineage={}, verdict={"promote": True})
    )
    pass_checks(store, MODEL, version, at=at(ended))
    store.add_release(move(MODEL, version, at=at(ended)), expected=version - 1 or None, keys=keys_of(store))
    store.end_run(name, state="promoted", ended=at(ended), version=version, detail=RunDetail())


def keys_of(store: Store) -> Keys:
    return Keys(Path(str(store.place).removeprefix("sqlite:///")).with_suffix(".keys"))


@pytest.fixture
def source(tmp_path: Path) -> Store:
    """Three versions; the run of the third was decided on day 7 and ended on day 9."""
    store = Store(f"sqlite:///{tmp_path / 'source.db'}")
    for version, decided, ended in ((1, 1, 1), (2, 4, 5), (3, 7, 9)):
        promote(store, version, decided=decided, ended=ended)
    return store


@pytest.fixture
def target(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'target.db'}")


def test_a_run_that_ended_later_is_left_behind_with_its_version(source: Store, target: Store) -> None:
    given = copy_past(source, target, MODEL, before=at(8), keys=keys_of(target))

    assert [row.id for row in target.decisions(MODEL)] == ["check-1", "check-2", "check-3"]
    assert [row.id for row in target.runs(MODEL)] == ["run-1", "run-2"]
    assert [row.version for row in target.versions(MODEL)] == [row.version for row in given] == [1, 2]
    assert [row.version for row in target.releases(MODEL)] == [1, 2]
    assert [len(target.envelope(MODEL, version)) for version in (1, 2, 3)] == [1, 1, 0]


def test_an_imported_version_comes_along_as_it_was_live(source: Store, target: Store) -> None:
    row = {"model": MODEL, "version": 4, "run": "import-4", "tag": "v4", "as_of": at(2), "bundle": "", "made": at(11)}
    source.add_version(VersionRow(**row, model_sha256="", lineage={"origin": {}}, verdict={"promote": True}))
    pass_checks(source, MODEL, 4, at=at(11))
    source.add_release(move(MODEL, 4, at=at(11), action="import"), expected=3, keys=keys_of(source))
    copy_past(source, target, MODEL, before=at(12), keys=keys_of(target))

    assert target.releases(MODEL)[-1].version == target.versions(MODEL)[-1].version == 4


def test_a_version_that_went_live_before_its_run_had_ended_comes_along(source: Store, target: Store) -> None:
    source.end_run("run-2", state="promoted", ended=at(6), version=2, detail=RunDetail())
    copy_past(source, target, MODEL, before="2024-01-05T00:00:01+00:00", keys=keys_of(target))

    assert [row.version for row in target.versions(MODEL)] == [row.version for row in target.releases(MODEL)] == [1, 2]


def test_releases_come_as_they_were_signed_under_a_head_of_their_own(source: Store, target: Store) -> None:
    copy_past(source, target, MODEL, before=at(8), keys=keys_of(target))
    copied, head = target.releases(MODEL), target.release_head(MODEL)
    assert head is not None
    counts = partial(signature_fault, known=[keys_of(store).public for store in (source, target)])

    assert copied == source.releases(MODEL)[:2]
    assert first_broken(copied, head, {}, fault=counts) is None
