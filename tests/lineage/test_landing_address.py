"""A landing zone at an address: each batch once, on every machine, whatever is killed, damaged or away."""

import fcntl
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError
from retrim.lineage import landing_address
from retrim.lineage.landing_address import LandingAddress
from retrim.reading.landed import Withdrawal, check_whole

NOW = pd.Timestamp("2024-05-02 12:00", tz="UTC")
DIGEST, NEXT = "ab" * 32, "cd" * 32
NOWHERE = "http://127.0.0.1:9/zone"
MODEL = "shop"


@pytest.fixture(params=["folder", "memory"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "there")
        return
    yield f"memory://{tmp_path.name}"
    MemoryFileSystem().rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "there"


class Machine:
    """A copy of the workspace, on a machine of its own."""

    def __init__(self, root: Path, where: str) -> None:
        self.address = LandingAddress(where, MODEL, root)
        self.landing = Landing(root, self.address)

    def land(self, key: str, digest: str = DIGEST, *, arrived: pd.Timestamp = NOW) -> Path:
        rows = pd.DataFrame({"_key": [key], "price": [1.0]})
        with self.landing.locked():
            return self.landing.land("rows", rows, digest=digest, arrived=arrived, correction=False, released="")

    def withdraw(self, at: pd.Timestamp) -> None:
        (batch,) = self.landing.batches()
        with self.landing.locked():
            self.landing.withdraw(Withdrawal(batch.batch, batch.digest, at, "a test", "a test file"))

    def seen(self) -> list[str]:
        self.address.catch_up()
        return [batch.digest for batch in self.landing.batches()]


@pytest.fixture
def here(tmp_path: Path, where: str) -> Machine:
    return Machine(tmp_path / "here", where)


@pytest.fixture
def other(tmp_path: Path, where: str) -> Machine:
    return Machine(tmp_path / "other", where)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def laid(folder: Path) -> list[Path]:
    return sorted((folder / MODEL).rglob("*.parquet"))


def test_what_lands_here_has_landed_on_the_other_machine_too(here: Machine, other: Machine) -> None:
    path = here.land("a")
    assert other.seen() == [DIGEST]
    (batch,) = other.landing.batches()

    assert batch.path.read_bytes() == path.read_bytes()
    assert check_whole(batch.path)


def test_a_file_that_landed_on_another_machine_lands_no_second_time(here: Machine, other: Machine) -> None:
    here.land("a")
    other.land("a", arrived=NOW + pd.Timedelta("1D"))

    assert [batch.arrived for batch in other.landing.batches()] == [NOW]
    assert other.address.count() == (1, 0)


def test_keys_that_landed_on_another_machine_are_known(here: Machine, other: Machine) -> None:
    here.land("a")
    with other.landing.locked():
        known = other.landing.known(pd.Series(["a", "b"]), kind="rows", surely=True)

    assert known.tolist() == [True, False]


def test_the_history_of_before_comes_with_the_next_landing(tmp_path: Path, where: str, other: Machine) -> None:
    local = Landing(tmp_path / "here")
    rows = pd.DataFrame({"_key": ["a"], "price": [1.0]})
    with local.locked():
        local.land("rows", rows, digest=DIGEST, arrived=NOW, correction=False, released="")
    Machine(tmp_path / "here", where).land("b", NEXT)

    assert other.seen() == [DIGEST, NEXT]


def test_a_withdrawal_counts_on_the_other_machine_too(here: Machine, other: Machine) -> None:
    here.land("a")
    here.withdraw(NOW + pd.Timedelta("1h"))
    other.address.catch_up()

    assert other.landing.standing() == []
    assert other.landing.withdrawals() == here.landing.withdrawals()


def test_each_model_has_a_folder_of_its_own(here: Machine, where: str, tmp_path: Path) -> None:
    here.land("a")
    apart = LandingAddress(where, "another", tmp_path / "another")
    apart.catch_up()

    assert apart.count() == (0, 0)


def test_what_was_lost_at_the_address_is_laid_there_again(tmp_path: Path, folder: Path) -> None:
    here = Machine(tmp_path / "here", str(folder))
    here.land("a")
    (file,) = laid(folder)
    file.unlink()
    here.land("a")

    assert laid(folder) == [file]


def test_a_file_is_at_the_address_before_it_is_in_its_place(tmp_path: Path, folder: Path) -> None:
    here = Machine(tmp_path / "here", str(folder))
    (folder / MODEL).mkdir(parents=True)
    (folder / MODEL / f"arrived={NOW:%Y-%m-%d}").touch()  # where a folder is to be made
    with pytest.raises(RetrimError, match=rf"{re.escape(str(folder / MODEL))} .*\bRETRIM_LANDING\b") as refused:
        here.land("a")

    assert refused.value.exit_code == RetrimError.exit_code
    assert here.landing.batches() == []
    assert not list((tmp_path / "here").glob("arrived=*/*"))


def test_damage_at_the_address_is_refused_with_its_place(tmp_path: Path, folder: Path) -> None:
    Machine(tmp_path / "here", str(folder)).land("a")
    other = Machine(tmp_path / "other", str(folder))
    flip(laid(folder)[0])

    for attempt in (other.seen, lambda: other.land("b", NEXT)):
        with pytest.raises(RefusedError, match=f"{MODEL}/arrived=2024-05-02/rows-.* is damaged"):
            attempt()
    assert other.landing.batches() == []


def test_after_its_cure_the_batch_is_there_again(tmp_path: Path, folder: Path) -> None:
    here, other = (Machine(tmp_path / name, str(folder)) for name in ("here", "other"))
    here.land("a")
    flip(laid(folder)[0])
    laid(folder)[0].unlink()
    here.land("b", NEXT)

    assert sorted(other.seen()) == [DIGEST, NEXT]


def test_damage_here_is_not_handed_on(tmp_path: Path, folder: Path) -> None:
    here = Machine(tmp_path / "here", str(folder))
    path = here.land("a")
    laid(folder)[0].unlink()
    flip(path)

    with pytest.raises(RefusedError, match=rf"^{re.escape(str(path))} .*SHA-256"):
        here.land("b", NEXT)
    assert laid(folder) == []


def test_where_the_address_is_away_what_is_here_is_read(
    tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Machine(tmp_path / "here", str(folder)).land("a")

    assert Machine(tmp_path / "here", NOWHERE).seen() == [DIGEST]
    assert f"{NOWHERE}/{MODEL}" in caplog.text


def test_where_the_address_is_away_nothing_lands_until_it_is_back(tmp_path: Path, folder: Path) -> None:
    here = Machine(tmp_path / "here", str(folder))
    with pytest.raises(RetrimError, match=NOWHERE) as said:
        Machine(tmp_path / "here", NOWHERE).land("a")

    assert said.value.exit_code == RetrimError.exit_code
    assert here.landing.batches() == []
    here.land("a")
    assert len(laid(folder)) == len(here.landing.batches()) == 1


def test_readers_do_not_ask_an_address_again_that_was_just_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = Machine(tmp_path / "here", NOWHERE)
    here.address.catch_up()
    assert caplog.text
    caplog.clear()
    here.address.catch_up()

    assert caplog.text == ""


def test_two_machines_do_not_land_at_once(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing_address, "TURN_SECONDS", 0.0)
    here, other = (Machine(tmp_path / name, str(folder)) for name in ("here", "other"))
    with here.landing.locked(), pytest.raises(BusyError):
        other.land("b")


def test_readers_need_no_lock(here: Machine, other: Machine) -> None:
    here.land("a")
    with here.landing.locked():
        assert other.seen() == [DIGEST]


def test_a_reader_waits_for_nobody_who_lands_here(here: Machine) -> None:
    here.land("a")
    with (here.landing.root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert here.seen() == [DIGEST]


def test_what_a_table_is_set_up_at_must_be_empty(here: Machine, other: Machine) -> None:
    other.address.require_empty()
    here.land("a")

    with pytest.raises(RefusedError, match="RETRIM_LANDING"):
        other.address.require_empty()


def test_no_secret_of_the_address_is_shown(tmp_path: Path) -> None:
    with pytest.raises(RetrimError) as said:
        LandingAddress("sftp://me:hidden-word@127.0.0.1:9/zone", MODEL, tmp_path).count()

    assert "hidden-word" not in str(said.value)


def test_an_unknown_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="nosuch"):
        LandingAddress("nosuch://bucket", MODEL, tmp_path)
