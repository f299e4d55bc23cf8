"""Every way in which a version goes live, and none of them without a verdict that promotes and checks that passed."""

import ast
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import sqlalchemy as sa

from retrim.adapters.database import iso
from retrim.adapters.migrations.schema import VERSIONS
from retrim.decision import release_checks as limits
from retrim.errors import MachineFaultError, RefusedError
from retrim.files import folder_digest
from retrim.gate.reference_rows import REFERENCE_ROWS
from retrim.release import release
from retrim.release.release import FIRST, check_stored, recorded, release_checks
from retrim.release.versions import find_live_version
from tests.builders.desk import REPOSITORY, Desk, copy_of, make_desk
from tests.builders.proved import move

pytestmark = pytest.mark.slow  # versions are made with the stages, and loaded in processes of their own

NEW = 4
DEADLINE_SECONDS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 was live, 2 is; 3 was refused by the gate; 4 is promoted by it, and nothing was done with it yet."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day, promote in ((10, True), (11, True), (12, False), (13, False)):
        desk.make_version(day, promote=promote)
    verdict = {"winner": "all", "losses": {"all": 1.5}, "promote": True, "reason": "as the test says", "rows": 48}
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.update(VERSIONS).where(VERSIONS.c.version == NEW).values(verdict=verdict))
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


def spoil(desk: Desk, version: int) -> None:
    """Lets a version answer its reference rows otherwise than it did, hash and all: as if the world had changed."""
    folder = desk.shelf.folders[version]
    reference = pd.read_parquet(folder / REFERENCE_ROWS)
    reference["_answer_0"] += 1e-6 * reference["_answer_0"].abs().clip(lower=1)
    reference.to_parquet(folder / REFERENCE_ROWS)
    record_bundle(desk, version)


def record_bundle(desk: Desk, version: int) -> None:
    """Writes into the store that the bundle is what it is now."""
    digest = folder_digest(desk.shelf.folders[version])
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.update(VERSIONS).where(VERSIONS.c.version == version).values(bundle=digest))


WAYS: dict[str, Any] = {
    "promote": lambda desk, n: release.promote_version(
        desk.workspace, n, judged_against=2, by="a test", reason="x", now=desk.day(14)
    ),
    "make live": lambda desk, n: release.make_live(
        desk.workspace, n, action="import", expected=2, by="a test", reason="x", now=desk.day(14)
    ),
    "roll back": lambda desk, n: release.rollback(desk.workspace, n, by="a test", reason="x", now=desk.day(14)),
    "the store": lambda desk, n: desk.workspace.store.add_release(
        move("generated", n, at=iso(desk.day(14))), expected=2, keys=desk.workspace.keys
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_the_gate_refused_goes_live_in_no_way(desk: Desk, way: str) -> None:
    with pytest.raises(RefusedError, match=r"\bgate\b|\bverdict\b"):
        WAYS[way](desk, 3)

    now_live = find_live_version(desk.workspace)
    assert now_live is not None
    assert now_live.version == 2


@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_answer_its_reference_rows_goes_live_in_no_way(desk: Desk, way: str) -> None:
    spoil(desk, NEW)

    with pytest.raises(RefusedError, match=r"never live|1\.0e-06|not pass"):
        WAYS[way](desk, NEW)
    now_live = find_live_version(desk.workspace)
    assert now_live is not None
    assert now_live.version == 2


@pytest.mark.parametrize("way", [way for way in WAYS if way != "the store"])
def test_what_was_live_before_and_does_not_answer_any_more_goes_live_in_no_way(desk: Desk, way: str) -> None:
    spoil(desk, 1)
    if way == "promote":  # once promoted, it is not promoted twice
        WAYS[way](desk, 1)
    else:
        with pytest.raises(RefusedError, match=r"version 1 .*: \d+ stored reference"):
            WAYS[way](desk, 1)

    now_live = find_live_version(desk.workspace)
    assert now_live is not None
    assert now_live.version == 2


def test_a_version_that_passes_goes_live_and_its_checks_are_kept_once(desk: Desk) -> None:
    release.promote_version(desk.workspace, NEW, judged_against=2, by="a test", reason="x", now=desk.day(14))
    again = release_checks(desk.workspace, NEW, now=desk.day(20))
    now_live = find_live_version(desk.workspace)

    assert now_live is not None
    assert now_live.version == NEW
    assert again.at == iso(desk.day(14))
    assert [(check["name"], check["passed"]) for check in again.record["checks"]] == [
        ("loads", True),
        ("reference rows", True),
        ("size", True),
        ("latency: one row", True),
        ("latency: 1,000 rows", True),
    ]
    assert desk.shelf.aliases() == {"champion": NEW, "previous": 2}


@pytest.mark.parametrize(
    ("limit", "most", "name"),
    [("MOST_MB", 1e-6, "size"), ("MOST_MS", {1: 1e-9, 1000: 1e9}, "latency: one row")],
)
def test_a_budget_that_is_broken_refuses_the_promotion_and_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: str, most: Any, name: str
) -> None:
    monkeypatch.setattr(limits, limit, most)
    with pytest.raises(RefusedError, match=f"version {NEW} ") as refused:
        release.promote_version(desk.workspace, NEW, judged_against=2, by="a test", reason="x", now=desk.day(14))
    found = recorded(desk.workspace, NEW, FIRST)

    assert found is not None
    assert [check["name"] for check in found.record["checks"] if not check["passed"]] == [name]
    assert len(found.record["checks"]) == 5
    assert found.record["reason"] in str(refused.value)


def test_a_rollback_is_not_held_up_by_a_budget(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_MB", 1e-6)

    assert release.rollback(desk.workspace, 1, by="a test", reason="complaints", now=desk.day(14)).version == 1


def test_what_a_rollback_tested_is_kept(desk: Desk) -> None:
    release.rollback(desk.workspace, 1, by="a test", reason="complaints", now=desk.day(14))
    found = recorded(desk.workspace, 1, f"rollback {iso(desk.day(14))}")

    assert found is not None
    assert found.record["passed"]


def test_a_bundle_older_than_reference_rows_is_rolled_back_to_but_not_promoted(desk: Desk) -> None:
    for version in (1, NEW):
        (desk.shelf.folders[version] / REFERENCE_ROWS).unlink()
        record_bundle(desk, version)

    with pytest.raises(RefusedError, match=f"version {NEW} ") as refused:
        release.promote_version(desk.workspace, NEW, judged_against=2, by="a test", reason="x", now=desk.day(14))
    found = recorded(desk.workspace, NEW, FIRST)
    assert found is not None
    assert found.record["reason"] in str(refused.value)
    assert [check["name"] for check in found.record["checks"] if not check["passed"]] == ["reference rows"]
    assert release.rollback(desk.workspace, 1, by="a test", reason="complaints", now=desk.day(14)).version == 1


def test_a_process_that_uses_too_much_processor_time_refuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOAD_SECONDS", 0.01)
    found = check_stored(desk.workspace, 2)

    assert not found.checks[0].passed
    assert found.checks[0].name == "loads"
    assert "0.01 s" in found.reason


@contextmanager
def ended_by(number: signal.Signals) -> Iterator[None]:
    """Sends a signal to the process that loads a version, as soon as this one has started it."""

    def send() -> None:
        until = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < until:
            for process in psutil.Process().children():
                with suppress(psutil.Error):
                    if "retrim.release.answering" in process.cmdline():
                        process.send_signal(number)
                        return

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


def test_a_process_that_was_killed_says_nothing_of_the_model(desk: Desk) -> None:
    with ended_by(signal.SIGKILL), pytest.raises(MachineFaultError, match="SIGKILL"):
        check_stored(desk.workspace, NEW)


def test_a_process_that_the_system_ends_for_its_processor_time_refuses(desk: Desk) -> None:
    with ended_by(signal.SIGXCPU):
        found = check_stored(desk.workspace, NEW)

    assert [check.name for check in found.checks if not check.passed] == ["loads", "reference rows"]
    assert "60 s allowed" in found.reason


def test_a_time_out_leaves_no_verdict_and_the_next_try_promotes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as hurried:
        hurried.setattr(release, "PATIENCE_SECONDS", 1e-3)
        with pytest.raises(MachineFaultError):
            WAYS["promote"](desk, NEW)
        assert recorded(desk.workspace, NEW, FIRST) is None
    WAYS["promote"](desk, NEW)

    now_live = find_live_version(desk.workspace)
    assert now_live is not None
    assert now_live.version == NEW


def test_what_was_judged_against_another_champion_goes_live_in_no_way(desk: Desk) -> None:
    release.rollback(desk.workspace, 1, by="a test", reason="complaints", now=desk.day(14))

    with pytest.raises(RefusedError, match=r"version 4 .*champion 2, .*\b1 is live"):
        release.promote_version(desk.workspace, NEW, judged_against=2, by="a test", reason="x", now=desk.day(14))


def calls(name: str) -> set[str]:
    """Files of src and flows that call something of this name."""
    found = set()
    for path in [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                found.add(str(path.relative_to(REPOSITORY)))
    return found


@pytest.mark.parametrize("name", ["add_release", "set_alias", "drop_alias"])
def test_one_file_alone_moves_what_is_live(name: str) -> None:
    assert calls(name) == {"src/retrim/release/release.py"}


def test_nobody_writes_a_release_row_but_the_store() -> None:
    files = [
        str(path.relative_to(REPOSITORY))
        for path in sorted((REPOSITORY / "src").rglob("*.py"))
        if "RELEASES" in path.read_text(encoding="utf-8")
    ]

    assert files == [f"src/retrim/adapters/{name}.py" for name in ("migrations/schema", "store")]
