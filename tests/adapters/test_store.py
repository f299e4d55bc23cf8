"""The store: one decision one run, one run a model, one champion at a time, whoever asks and how many."""

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.engine import make_url

from retrim.adapters.database import _shown, iso
from retrim.adapters.signing import Keys
from retrim.adapters.store import Store
from retrim.decision.release_checks import ReleaseCheck, ReleaseChecks
from retrim.decision.stored_rows import DecisionRow, ReleaseMove, RunClaim, RunDetail, RunSnapshot, VersionRow
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.stats.codec import to_record
from tests.builders.proved import move, pass_checks

FORKED = multiprocessing.get_context("fork")
SECONDS = 120


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'retrim.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    for day in (1, 2, 3):
        store.add_decision(decision(day))
    yield store
    store.close()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def decision(day: int, model: str = "shop") -> DecisionRow:
    at = f"2024-01-{day:02d}T00:00:00+00:00"
    said = {"outcome": "retrain", "actor": "a test", "reason": "it pays", "text": '{"said": []}'}
    return DecisionRow(f"d{day}-{model}", model, "check", as_of=at, at=at, **said)


def run(day: int, model: str = "shop") -> RunClaim:
    at = f"2024-01-{day:02d}T00:00:00+00:00"
    return RunClaim(f"run-d{day}-{model}", model, f"d{day}-{model}", at, "search", at)


def end(store: Store, day: int, state: str) -> None:
    store.end_run(run(day).id, state=state, ended="2024-02-01T00:00:00+00:00", version=None, detail=RunDetail())


def release(version: int) -> ReleaseMove:
    return move("shop", version, at="2024-02-01T00:00:00+00:00", reason="better")


def add_version(store: Store, number: int, verdict: dict[str, bool]) -> str:
    """Adds a version; gives when it was made."""
    at = f"2024-01-{number:02d}T00:00:00+00:00"
    made = {"model": "shop", "version": number, "run": f"run-{number}", "tag": "", "as_of": at, "made": at}
    store.add_version(VersionRow(**made, bundle="", model_sha256="", lineage={}, verdict=verdict))
    return at


def proved(store: Store, *versions: int) -> None:
    """Versions that the gate promotes, with release checks that passed."""
    for number in versions:
        pass_checks(store, "shop", number, at=add_version(store, number, {"promote": True}))


def at_once(*calls: Callable[[], object]) -> list[str]:
    """What processes answer that make these calls at the same moment; a store is closed before, and each opens it."""
    barrier, answers = FORKED.Barrier(len(calls)), FORKED.SimpleQueue()

    def attempt(call: Callable[[], object]) -> None:
        barrier.wait(SECONDS)
        try:
            answers.put(str(call()))
        except RefusedError as error:
            answers.put(f"refused: {error}")

    processes = [FORKED.Process(target=attempt, args=(call,)) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
    assert [process.exitcode for process in processes] == [0] * len(calls)
    return [answers.get() for _ in calls]


def count_runs(address: str) -> int:
    return len(Store(address).runs("shop"))


# --- claims -----------------------------------------------------------------------------------------------------------


def test_what_was_written_a_moment_ago_is_not_told_from_what_is_written_next(store: Store, url: str) -> None:
    database = str(make_url(url).database)
    store.add_decision(decision(4))
    at_once = store.written()
    os.utime(database, (0, 0))  # long ago
    first, second = store.written(), store.written()
    store.add_decision(decision(5))
    os.utime(database, (1, 1))
    third = store.written()

    assert at_once is None
    assert first == second != third


def test_a_decision_has_one_run(store: Store) -> None:
    store.claim_run(run(1))
    end(store, 1, "promoted")

    with pytest.raises(RefusedError, match=r"d1-shop.*promoted"):
        store.claim_run(run(1))


def test_a_decision_cannot_be_claimed_under_another_run_id(store: Store) -> None:
    store.claim_run(run(1))
    end(store, 1, "refused")

    with pytest.raises(RefusedError):
        store.claim_run(replace(run(1), id="run-again"))
    assert [row.id for row in store.runs("shop")] == ["run-d1-shop"]


def test_a_second_run_of_a_model_is_refused_with_who_is_running(store: Store) -> None:
    first = store.claim_run(run(1))

    with pytest.raises(RefusedError, match=rf"run-d1-shop .*process {first.pid}\b"):
        store.claim_run(run(2))


def test_two_models_run_side_by_side(store: Store) -> None:
    store.add_decision(decision(1, "bank"))
    store.claim_run(run(1))

    assert store.claim_run(run(1, "bank")).state == "running"


@pytest.mark.slow
def test_of_two_processes_that_claim_a_decision_one_runs(store: Store) -> None:
    store.close()
    said = at_once(*[lambda: store.claim_run(run(1)).state] * 2)

    assert sorted(line.split(":")[0] for line in said) == ["refused", "running"]


@pytest.mark.slow
def test_of_two_processes_that_claim_a_model_one_runs(store: Store) -> None:
    store.close()
    said = at_once(*[partial(store.claim_run, run(day)) for day in (1, 2, 3)])

    assert sum(line.startswith("refused: ") for line in said) == 2
    assert len(store.runs("shop", state="running")) == 1


@pytest.mark.parametrize("state", ["crashed", "failed"])
def test_a_run_that_did_not_end_well_is_claimed_again_as_its_next_attempt(store: Store, state: str) -> None:
    store.claim_run(run(1))
    end(store, 1, state)
    again = store.claim_run(run(1))

    assert (again.id, again.state, again.attempt, again.ended) == ("run-d1-shop", "running", 2, None)


@pytest.mark.slow
def test_of_two_processes_that_claim_a_crashed_run_one_runs(store: Store) -> None:
    store.claim_run(run(1))
    end(store, 1, "crashed")
    store.close()
    said = at_once(*[lambda: store.claim_run(run(1)).attempt] * 2)

    assert sorted(line.split(":")[0] for line in said) == ["2", "refused"]


def test_a_crashed_run_waits_while_another_is_running(store: Store) -> None:
    store.claim_run(run(1))
    end(store, 1, "crashed")
    store.claim_run(run(2))

    with pytest.raises(RefusedError, match="run-d2-shop"):
        store.claim_run(run(1))


@pytest.mark.parametrize("state", ["promoted", "refused", "deferred"])
def test_a_run_that_ended_is_never_claimed_again(store: Store, state: str) -> None:
    store.claim_run(run(1))
    end(store, 1, state)

    with pytest.raises(RefusedError, match=state):
        store.claim_run(run(1))


def test_what_is_noted_of_a_run_adds_up(store: Store) -> None:
    store.claim_run(run(1))
    store.note_run("run-d1-shop", RunDetail(snapshot=RunSnapshot("abc", ())))
    store.note_run("run-d1-shop", RunDetail(why="killed"))

    assert store.runs("shop")[0].detail == RunDetail(snapshot=RunSnapshot("abc", ()), why="killed")


@pytest.mark.slow
def test_a_check_of_one_moment_is_recorded_once(store: Store) -> None:
    store.close()
    said = at_once(*[partial(store.add_decision, decision(9))] * 2)

    assert sorted(said) == ["False", "True"]


# --- releases ---------------------------------------------------------------------------------------------------------


def test_a_release_needs_what_was_live_to_be_live_still(store: Store, keys: Keys) -> None:
    proved(store, 1, 2, 3)
    store.add_release(release(1), expected=None, keys=keys)
    store.add_release(release(2), expected=1, keys=keys)

    with pytest.raises(RefusedError, match=r"\bshop\b.*`retrim status`"):
        store.add_release(release(3), expected=1, keys=keys)
    assert [(row.sequence, row.version, row.previous) for row in store.releases("shop")] == [(1, 1, None), (2, 2, 1)]


@pytest.mark.parametrize("verdict", [{"promote": False}, {}])
def test_no_version_goes_live_without_a_verdict_that_promotes_it(
    store: Store, keys: Keys, verdict: dict[str, bool]
) -> None:
    pass_checks(store, "shop", 1, at=add_version(store, 1, verdict))

    with pytest.raises(RefusedError, match="verdict"):
        store.add_release(release(1), expected=None, keys=keys)
    assert store.releases("shop") == []


@pytest.mark.parametrize("checks", [(), (ReleaseCheck("size", False, 300.0, 200.0, "it takes 300 MB"),)])
def test_no_version_goes_live_without_release_checks_that_passed(
    store: Store, keys: Keys, checks: tuple[ReleaseCheck, ...]
) -> None:
    at = add_version(store, 1, {"promote": True})
    if checks:
        record = to_record(ReleaseChecks(checks))
        store.add_to_envelope("shop", 1, kind="release_checks", name="first", at=at, record=record)

    with pytest.raises(RefusedError, match="release checks"):
        store.add_release(release(1), expected=None, keys=keys)
    assert store.releases("shop") == []


@pytest.mark.slow
def test_what_becomes_known_of_a_version_is_added_once_and_told_in_order(store: Store) -> None:
    later, sooner = "2026-02-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"
    added = [
        store.add_to_envelope("bike", 1, kind="proof", name="a", at=later, record={"proved": True}),
        store.add_to_envelope("bike", 1, kind="approval", name="a", at=sooner, record={"by": "user"}),
        store.add_to_envelope("bike", 1, kind="proof", name="a", at=later, record={"proved": False}),
    ]

    assert added == [True, True, False]
    assert [(row.kind, row.record) for row in store.envelope("bike", 1)] == [
        ("approval", {"by": "user"}),
        ("proof", {"proved": True}),
    ]
    assert [row.kind for row in store.envelope("bike", 1, kind="proof")] == ["proof"]
    assert store.envelope("bike", 2) == []


def test_of_two_processes_that_move_the_champion_one_does(store: Store, keys: Keys) -> None:
    proved(store, 1, 2, 3, 4)
    store.add_release(release(1), expected=None, keys=keys)
    store.close()
    said = at_once(*[partial(store.add_release, release(version), expected=1, keys=keys) for version in (2, 3, 4)])

    assert sorted(line.split(":")[0] for line in said) == ["None", "refused", "refused"]
    assert len(store.releases("shop")) == 2


# --- the database -----------------------------------------------------------------------------------------------------


def test_a_store_that_another_process_holds_is_waited_for(store: Store, url: str) -> None:
    holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    waiting = threading.Event()

    def claim() -> str:
        waiting.set()
        return str(store.claim_run(run(1)).state)

    with ThreadPoolExecutor(1) as pool:
        claimed = pool.submit(claim)
        waiting.wait()
        with pytest.raises(TimeoutError):
            claimed.result(timeout=0.5)
        holder.execute("COMMIT")

        assert claimed.result(timeout=30) == "running"
    holder.close()


@pytest.mark.slow
def test_two_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    for attempt in range(2):
        address = f"sqlite:///{tmp_path / f'{attempt}.db'}"
        said = at_once(*[partial(count_runs, address)] * 3)

        assert said == ["0", "0", "0"]


def test_a_store_that_cannot_be_opened_says_where_without_a_password_in_the_query(tmp_path: Path) -> None:
    with pytest.raises(RetrimError, match="RETRIM_STORE_URL") as caught:
        Store(f"sqlite:///{tmp_path / 'missing' / 'retrim.db'}?cached_statements=1234567890")

    assert "1234567890" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:swordfish@host/shop?password=swordfish", "postgresql://me:***@host/shop"),
        ("postgresql://me:p@swordfish@host/shop", "postgresql://***"),
        ("sqlite:////home/me%40work/retrim.db", "sqlite:////home/me%40work/retrim.db"),
    ],
)
def test_an_address_is_shown_without_password_and_query(address: str, shown: str) -> None:
    assert _shown(make_url(address)) == shown


def test_a_change_is_whole_or_not_there(store: Store) -> None:
    def broken_off() -> None:
        with store.begin() as connection:
            connection.exec_driver_sql("UPDATE decisions SET reason = 'half'")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()

    assert {row.reason for row in store.decisions("shop")} == {"it pays"}


def test_times_of_all_zones_sort_as_text() -> None:
    times = [
        pd.Timestamp("2024-01-01T23:30", tz="America/New_York"),
        pd.Timestamp("2024-01-02T04:29", tz="UTC"),
        pd.Timestamp("2024-01-02T10:00:00.9", tz="Asia/Kolkata"),
        pd.Timestamp("2024-11-30", tz="UTC"),
    ]

    assert sorted(map(iso, times)) == [iso(time) for time in sorted(times)]


def test_decisions_and_runs_come_oldest_first(store: Store) -> None:
    store.add_decision(decision(9))
    store.add_decision(replace(decision(4), source="person"))

    assert [row.id for row in store.decisions("shop")] == ["d1-shop", "d2-shop", "d3-shop", "d4-shop", "d9-shop"]
    assert [row.id for row in store.decisions("shop", source="person")] == ["d4-shop"]


@pytest.mark.parametrize("url", ["nonsense", "nowhere://me:hush@host/x", "postgresql://me:hush@host:port/x"])
def test_an_address_that_is_none_is_bad_input_and_its_password_is_not_told(url: str) -> None:
    with pytest.raises(BadInputError, match="sqlite:////") as raised:
        Store(url)

    assert "hush" not in str(raised.value)


def test_a_store_that_breaks_later_says_where_it_is_and_what_to_do(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'retrim.db'}")
    with sqlite3.connect(tmp_path / "retrim.db") as broken:
        broken.execute("drop table decisions")
    broken.close()

    with pytest.raises(RetrimError, match=r"retrim\.db .*table: decisions"):
        store.decisions("shop")


@pytest.mark.parametrize(("state", "asked", "mode"), [("failed", "refit", "refit"), ("crashed", None, "search")])
def test_a_run_is_started_again_in_the_mode_that_is_asked_for_else_its_own(
    store: Store, state: str, asked: str | None, mode: str
) -> None:
    store.claim_run(run(1))
    end(store, 1, state)

    assert store.claim_run(replace(run(1), mode="refit"), mode=asked).mode == mode
