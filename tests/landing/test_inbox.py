"""The inbox: rows before their labels, and one file that cannot be landed keeps no other from it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
import pytest

from retrim.errors import BadInputError, RetrimError
from retrim.files import WorkspacePaths
from retrim.landing import take_in as taking_in
from retrim.landing.inbox import AGAIN, CLAIMED, TAKEN, take_from_inbox
from retrim.landing.ingest import release_quarantined
from retrim.landing.quarantine import Quarantine
from retrim.landing.withdraw import withdraw
from retrim.lineage.workspace import Workspace
from retrim.reading.landed import Kind
from retrim.reading.landed_rows import read_column
from tests.builders.desk import Desk, make_desk, with_params
from tests.conftest import SUITE

ROWS_REPLACED = 200  # by the producer, a file a row


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Labels come later; the suite binds the key."""
    desk = make_desk(tmp_path / "workspace", labels="later")
    suite = desk.workspace.paths.root / desk.workspace.params.data.suite
    suite.write_text(json.dumps({**SUITE, "expectations": SUITE["expectations"][:2]}), encoding="utf-8")
    desk.workspace.paths.inbox.mkdir(parents=True)
    return desk


def drop(desk: Desk, name: str, frame: pd.DataFrame) -> Path:
    path = desk.workspace.paths.inbox / name
    frame.to_csv(path, index=False)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def keys(desk: Desk) -> set[str]:
    return set(read_column([batch.path for batch in desk.workspace.landing.batches()], "_key"))


def test_a_link_is_not_followed_and_stays(desk: Desk) -> None:
    inbox = desk.workspace.paths.inbox
    desk.rows(2, 3).to_csv(inbox.parent / "elsewhere.csv", index=False)
    (inbox / "a.csv").symlink_to(inbox.parent / "elsewhere.csv")
    drop(desk, "b.csv", desk.rows(0, 1))
    landed = take_from_inbox(desk.workspace, now=desk.day(4))

    assert next(landed).outcome == "landed"
    with pytest.raises(BadInputError, match=r"a\.csv .*\blink\b"):
        next(landed)
    assert names(inbox) == ["a.csv", TAKEN]


@pytest.mark.parametrize("folder", [TAKEN, CLAIMED])
def test_a_link_in_place_of_its_own_folder_is_refused(desk: Desk, folder: str) -> None:
    inbox = desk.workspace.paths.inbox
    (inbox.parent / "elsewhere").mkdir()
    (inbox / folder).symlink_to(inbox.parent / "elsewhere")
    drop(desk, "b.csv", desk.rows(0, 1))

    with pytest.raises(BadInputError, match=folder):
        list(take_from_inbox(desk.workspace, now=desk.day(4)))
    assert names(inbox.parent / "elsewhere") == []


def test_any_exception_leaves_its_file_and_the_others_land(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, day in (("a", 0), ("b", 1), ("c", 2)):
        drop(desk, f"{name}.csv", desk.rows(day, day + 1))
    real = taking_in.land_batch

    def breaks(path: Path, kind: Kind, **how: object) -> object:
        if path.name == "b.csv":
            raise MemoryError("a fault nobody thought of")
        return real(path, kind, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(taking_in, "land_batch", breaks)
    landed = []
    with pytest.raises(RetrimError, match=r"b\.csv .*\bMemoryError\b"):
        landed.extend(take_from_inbox(desk.workspace, now=desk.day(4)))
    folder = desk.workspace.paths.inbox
    assert (names(folder), names(folder / TAKEN)) == (["b.csv", TAKEN], ["a.csv", "c.csv"])
    monkeypatch.undo()
    assert [each.outcome for each in take_from_inbox(desk.workspace, now=desk.day(4))] == ["landed"]


def test_a_file_that_stays_does_not_replace_one_that_has_come_since(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = desk.workspace.paths.inbox
    drop(desk, "labels.csv", desk.rows(0, 1))

    def breaks(path: Path, kind: str, **how: object) -> object:
        (folder / "labels.csv").write_bytes(b"the next")
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(taking_in, "land_batch", breaks)
    with pytest.raises(RetrimError, match=r"labels\.csv .*\bErrno 5\b"):
        list(take_from_inbox(desk.workspace, now=desk.day(4)))

    assert names(folder) == ["labels.2.csv", "labels.csv"]
    assert (folder / "labels.csv").read_bytes() == b"the next"


def test_a_file_in_taken_is_never_overwritten(desk: Desk) -> None:
    taken = desk.workspace.paths.inbox / TAKEN
    for day in range(3):
        drop(desk, "latest.csv", desk.rows(day, day + 1))
        list(take_from_inbox(desk.workspace, now=desk.day(4)))

    assert names(taken) == ["latest.2.csv", "latest.3.csv", "latest.csv"]
    assert len({path.read_bytes() for path in taken.iterdir()}) == 3


def test_what_a_killed_process_had_claimed_is_taken_by_the_next(desk: Desk) -> None:
    inbox = desk.workspace.paths.inbox
    first = drop(desk, "latest.csv", desk.rows(0, 1))
    code = f"""
import os, signal, sys
import pandas as pd
import retrim.landing.take_in as take_in
from retrim.landing.inbox import take_from_inbox
from tests.landing.test_inbox import of_folder
take_in.land_batch = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
list(take_from_inbox(of_folder({str(desk.workspace.paths.root)!r}), now=pd.Timestamp("2024-01-05", tz="UTC")))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120)
    assert (killed.returncode, first.exists()) == (-9, False)
    drop(desk, "latest.csv", desk.rows(1, 2))

    assert [each.outcome for each in take_from_inbox(desk.workspace, now=desk.day(5))] == ["landed", "landed"]
    assert len(keys(desk)) == 48
    assert names(inbox) == [TAKEN]


def of_folder(folder: str) -> Workspace:
    """The workspace of a desk whose folder is there: for a process of its own."""
    there = Path(folder)
    other = make_desk(Path(mkdtemp(dir=there / "var")) / "other", labels="later")
    return Workspace(WorkspacePaths(there), other.workspace.params, other.workspace.env)


@pytest.mark.slow
def test_a_producer_that_replaces_its_file_meanwhile_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    desk = with_params(desk, batches={"skip": "all"})
    inbox = desk.workspace.paths.inbox
    rows = desk.rows(0, ROWS_REPLACED / 24)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    script = [
        sys.executable,
        str(Path(__file__).parents[1] / "builders" / "producer.py"),
        str(inbox),
        str(tmp_path / "rows.csv"),
    ]
    landed = 0
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as producer:
        ended = False
        while not ended:
            ended = producer.poll() is not None  # looked at first: after its end one more look is enough
            landed += sum(each.outcome == "landed" for each in take_from_inbox(desk.workspace, now=desk.day(60)))
        told = producer.stdout.read() if producer.stdout else ""
    taken_back = json.loads(told)
    put = [str(int(number)) for place, number in enumerate(rows["number"]) if place not in set(taken_back)]

    assert (producer.returncode, len(rows)) == (0, ROWS_REPLACED)
    assert landed > ROWS_REPLACED // 4
    assert keys(desk) == set(put)
    assert len(names(inbox / TAKEN)) == len(put)


def kill_at(desk: Desk, name: str) -> int:
    """Takes from the inbox in a process of its own that is killed as it reads a file; gives its exit code."""
    code = f"""
import os, signal
import retrim.landing.inbox as inbox
from tests.landing.test_inbox import of_folder
real = inbox.large_file
def large_file(workspace, path):
    if path.name == {name!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(workspace, path)
inbox.large_file = large_file
import pandas as pd
list(inbox.take_from_inbox(of_folder({str(desk.workspace.paths.root)!r}), now=pd.Timestamp("2024-01-05", tz="UTC")))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120).returncode


def test_a_file_that_killed_two_processes_is_set_aside_unread_and_stops_no_other(desk: Desk) -> None:
    content = drop(desk, "a.csv", desk.rows(0, 1)).read_bytes()
    drop(desk, "b.csv", desk.rows(1, 2))
    codes = [kill_at(desk, "a.csv"), kill_at(desk, "a.csv")]
    outcomes = [each.outcome for each in take_from_inbox(desk.workspace, now=desk.day(5))]
    (entry,) = Quarantine(desk.workspace.paths.quarantine).entries()

    assert (codes, outcomes, entry.file, entry.state) == ([-9, -9], ["quarantined", "landed"], "a.csv", "held")
    assert Quarantine(desk.workspace.paths.quarantine).content(entry) == content
    assert [row.kind for row in desk.workspace.store.alerts("generated")] == ["batch quarantined"]
    assert len(keys(desk)) == 24
    assert names(desk.workspace.paths.inbox) == [TAKEN]


def test_a_file_set_aside_unread_lands_when_a_person_releases_it(desk: Desk) -> None:
    bomb = drop(desk, "a.csv", desk.rows(0, 1))
    again = desk.workspace.paths.inbox / CLAIMED / AGAIN
    again.mkdir(parents=True)
    bomb.rename(again / "a.csv")
    (landed,) = take_from_inbox(desk.workspace, now=desk.day(4))
    how = {"workspace": desk.workspace.paths, "data": desk.workspace.params.data}
    released = release_quarantined(landed.batch, now=desk.day(5), by="ada", reason="more memory", **how)

    assert (landed.outcome, released.outcome, released.rows) == ("quarantined", "landed", 24)


def write_in_parts(desk: Desk, *ends: float) -> Iterator[None]:
    """Writes a file as producers do, some rows at a time: each `next` writes on to a day, and leaves it closed."""
    path = desk.workspace.paths.inbox / "grows.csv"
    inode, start = 0, 0.0
    for end in ends:
        if inode:
            path = next(each for each in path.parent.rglob("*.csv") if each.stat().st_ino == inode)
        desk.rows(start, end).to_csv(path, index=False, header=not inode, mode="a")
        inode, start = path.stat().st_ino, end
        yield


def test_a_file_that_another_process_writes_is_left_until_it_is_closed(desk: Desk) -> None:
    path = desk.workspace.paths.inbox / "open.csv"
    text = desk.rows(0, 1).to_csv(index=False)
    with path.open("w", encoding="utf-8") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        before = list(take_from_inbox(desk.workspace, now=desk.day(4)))
        file.write(text[len(text) // 2 :])
    landed = list(take_from_inbox(desk.workspace, now=desk.day(4)))

    assert (before, [each.rows for each in landed], len(keys(desk))) == ([], [24], 24)


@pytest.mark.parametrize("key", [("number",), ()])
def test_what_was_written_after_a_file_was_read_lands_once(desk: Desk, key: tuple[str, ...]) -> None:
    desk = with_params(desk, data={"key": key}, batches={"skip": "all"})
    written = write_in_parts(desk, 1, 2, 3)
    rows = []
    for _ in written:
        rows += [each.rows for each in take_from_inbox(desk.workspace, now=desk.day(4))]
    rows += [each.rows for each in take_from_inbox(desk.workspace, now=desk.day(4))]
    landed = read_column([batch.path for batch in desk.workspace.landing.batches()], "number")

    assert (rows, sorted(landed)) == ([24, 24, 24], sorted(desk.rows(0, 3)["number"]))
    assert names(desk.workspace.paths.inbox / TAKEN) == ["grows.csv"]


def test_a_file_that_grows_while_it_is_read_is_put_back_and_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = with_params(desk, batches={"skip": "all"})
    written = write_in_parts(desk, 1, 2)
    next(written)
    real = taking_in.land_batch

    def grows(path: Path, kind: Kind, **how: object) -> object:
        landed = real(path, kind, **how)  # type: ignore[arg-type]
        next(written, None)
        return landed

    monkeypatch.setattr(taking_in, "land_batch", grows)
    with pytest.raises(BadInputError, match=r"^grows\.csv was written while it was read; the next ingest"):
        list(take_from_inbox(desk.workspace, now=desk.day(4)))
    rest = list(take_from_inbox(desk.workspace, now=desk.day(4)))

    assert ([each.rows for each in rest], len(keys(desk))) == ([24], 48)


def test_a_file_cut_within_a_row_is_quarantined_and_lands_whole_later(desk: Desk) -> None:
    path = desk.workspace.paths.inbox / "cut.csv"
    text = desk.rows(0, 1).to_csv(index=False)
    path.write_text(text[:-40], encoding="utf-8")
    first = [each.outcome for each in take_from_inbox(desk.workspace, now=desk.day(4))]
    with (path.parent / TAKEN / "cut.csv").open("a", encoding="utf-8") as file:
        file.write(text[-40:])
    then = [(each.outcome, each.rows) for each in take_from_inbox(desk.workspace, now=desk.day(4))]

    assert (first, then) == (["quarantined"], [("landed", 24)])
    assert [entry.state for entry in Quarantine(desk.workspace.paths.quarantine).entries()] == ["dropped"]


def test_a_landed_last_row_that_was_cut_stops_the_rest_until_its_batch_is_withdrawn(desk: Desk) -> None:
    path, rows = desk.workspace.paths.inbox / "cut.csv", desk.rows(0, 1)
    text = rows.to_csv(index=False)
    path.write_text(text[:-3], encoding="utf-8")  # of the last number, some digits
    (first,) = take_from_inbox(desk.workspace, now=desk.day(4))
    with (path.parent / TAKEN / "cut.csv").open("a", encoding="utf-8") as file:
        file.write(text[-3:])
    with pytest.raises(BadInputError, match=f"cut.csv has grown .*retrim batch withdraw {first.batch}"):
        list(take_from_inbox(desk.workspace, now=desk.day(4)))
    withdraw(desk.workspace, first.batch, by="ada", reason="it was cut", now=desk.day(5))
    (whole,) = take_from_inbox(desk.workspace, now=desk.day(6))
    last = read_column([file.path for file in desk.workspace.landing.standing()], rows.columns[-1])

    assert (first.rows, whole.rows, len(last)) == (24, 24, 24)
