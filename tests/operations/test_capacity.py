"""What a core does here is measured on the workspace's own rows, and leaves nothing behind."""

import sys
from pathlib import Path

import psutil
import pytest

from retrim.errors import BadInputError, RetrimError
from retrim.operations import capacity
from retrim.operations.capacity import AskedLoad, CapacityAnswer, find_capacity
from retrim.operations.scratch_server import ScratchPaths
from tests.builders.desk import Desk, make_desk

TODAY = AskedLoad(1, None, 0.0, None, None, 3.0)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    made = make_desk(tmp_path_factory.mktemp("capacity") / "workspace")
    made.land(made.rows(0, 30), 30)
    return made


@pytest.fixture(scope="module")
def measured(desk: Desk) -> CapacityAnswer:
    desk.make_version(30)
    return find_capacity(desk.workspace, TODAY, now=desk.day(31), months=12)


def kept(desk: Desk) -> tuple[set[Path], int, int]:
    """The files of a workspace, and how many decisions and runs it has."""
    store = desk.workspace.store
    files = {path for path in desk.workspace.paths.root.rglob("*") if path.is_file()}
    return files, len(store.decisions("generated")), len(store.runs("generated"))


def test_without_a_live_version_there_is_nothing_to_measure(tmp_path: Path) -> None:
    empty = make_desk(tmp_path / "workspace")
    with pytest.raises(BadInputError):
        find_capacity(empty.workspace, TODAY, now=empty.day(31), months=12)


def test_every_rate_that_can_be_measured_is(measured: CapacityAnswer) -> None:
    rates = measured.rates

    assert rates.landing is not None
    assert min(rates.landing, rates.predicting, rates.fitting, rates.check_seconds) > 0
    assert rates.requests is None  # the versions of a desk lie in plain folders, where no server looks


def test_what_nobody_states_is_as_rows_come_now(measured: CapacityAnswer) -> None:
    assert measured.load.rows_a_day == pytest.approx(24, rel=0.01)


def test_a_measurement_leaves_nothing_behind(desk: Desk, measured: CapacityAnswer) -> None:
    before = kept(desk)
    find_capacity(desk.workspace, TODAY, now=desk.day(31), months=12)

    assert kept(desk) == before


def test_the_server_that_is_measured_stores_its_answers_elsewhere(tmp_path: Path) -> None:
    paths = ScratchPaths(tmp_path / "workspace", tmp_path / "scratch")

    assert paths.requests == tmp_path / "scratch" / "requests"
    assert paths.tokens.is_relative_to(tmp_path / "workspace")


def test_a_server_that_does_not_begin_is_waited_for_so_long_and_its_log_shown(
    desk: Desk, measured: CapacityAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = "import sys, time; print('no room on the disk', file=sys.stderr, flush=True); time.sleep(600)"
    monkeypatch.setattr(capacity, "SERVER", (sys.executable, "-c", hangs))
    monkeypatch.setattr(capacity, "START_SECONDS", 3.0)
    before = psutil.Process().children()

    with pytest.raises(RetrimError, match=r"3 s; .*no room"):
        find_capacity(desk.workspace, TODAY, now=desk.day(31), months=12)

    assert set(psutil.Process().children()) <= set(before)
