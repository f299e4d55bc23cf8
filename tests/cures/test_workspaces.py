"""What asks for another workspace, a room or other code, and the commands that are named for it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from retrim.checking.score import score
from retrim.errors import BadInputError, RefusedError
from retrim.files import Paths, read_folder
from retrim.lineage.locks import alone_with_cache, using_cache
from retrim.onboarding.init import require_unreleased
from retrim.retraining.exchange import judge_import
from retrim.stages._common import read_pins
from tests.builders.cured import Cure
from tests.builders.desk import Desk, make_desk, with_params
from tests.builders.typed import Session
from tests.release.test_grain import grain

pytestmark = pytest.mark.slow

Sit = Callable[[Desk], Session]


@pytest.mark.cures("{} describes no table yet; describe one with `retrim init --data TABLE --target COL`")
def test_a_new_workspace_is_described_by_init(session: Session, cure: Cure, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (session.folder / "large.csv").resolve()
    other = session.folder.parent / "other"
    session.says(f"new {other}", code=0)
    monkeypatch.chdir(other)
    cure.is_asked(session.says("status", code=2))
    cure.is_done(session.says(f"init --data {rows} --target outcome --yes", code=0))
    cure.is_done(session.says("status"))


@pytest.mark.cures(
    "{} is missing: this is not a run directory; create one with `retrim versions run-directory --as-of DATE`"
)
def test_a_stage_runs_in_a_room_that_the_command_made(session: Session, cure: Cure) -> None:
    with pytest.raises(BadInputError) as refused:
        read_pins(Paths(session.folder))
    cure.is_asked(str(refused.value))
    session.says("ingest rows.csv --arrived 2024-01-03", code=0)
    cure.is_done(session.says("versions run-directory --as-of 2024-01-03", code=0))
    (run_directory,) = (session.folder / "var" / "runs").glob("*/data/pins.json")
    assert read_pins(Paths(run_directory.parents[1])).as_of == pd.Timestamp("2024-01-03", tz="UTC")


@pytest.mark.cures(
    "{} was trained on rows of a different granularity: data.rows.resample was {} and is {}. Change it back, or "
    "train a model of the new granularity in a separate workspace: retrim new DIR"
)
def test_a_grain_is_changed_back(tmp_path: Path, cure: Cure) -> None:
    desk = make_desk(tmp_path / "workspace", data={"key": ["number"]})
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 12), 12)
    other = with_params(desk, data={"rows": grain("2h")})
    with pytest.raises(RefusedError) as refused:
        score(other.workspace, now=other.day(12))
    cure.is_asked(str(refused.value))
    back = with_params(other, data={"rows": grain(None)})
    cure.is_done(str(score(back.workspace, now=back.day(12))))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 of day 10."""
    desk = make_desk(tmp_path_factory.mktemp("made") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    return desk


@pytest.mark.cures(
    "a run, a rebuild or another `retrim versions gc` is in progress in this workspace; wait until it ends, then try "
    "again"
)
def test_pruning_waits_for_whoever_works_with_the_cache(made: Desk, cure: Cure) -> None:
    with using_cache(made.workspace), pytest.raises(RefusedError) as refused, alone_with_cache(made.workspace):
        pass
    cure.is_asked(str(refused.value))
    with alone_with_cache(made.workspace):
        cure.is_done("")


@pytest.mark.cures("no rows have landed here; land some with `retrim ingest FILE`")
def test_an_import_is_judged_once_rows_have_landed(made: Desk, tmp_path: Path, cure: Cure) -> None:
    empty = make_desk(tmp_path / "workspace")
    files = read_folder(made.shelf.folders[1])
    cure.is_asked(judge_import(empty.workspace, files, None, now=empty.day(10)).deferred)
    empty.land(empty.rows(0, 10), 10)
    cure.is_done(judge_import(empty.workspace, files, None, now=empty.day(10)).deferred)


@pytest.mark.cures(
    "version {} of {} was trained on the landed rows, so they must not be replaced; create a separate workspace: "
    "retrim new DIR"
)
def test_another_set_up_than_that_of_a_version_is_made_in_another_workspace(
    made: Desk, tmp_path: Path, sit: Sit, cure: Cure
) -> None:
    session = sit(made)
    with pytest.raises(RefusedError) as refused:
        require_unreleased(made.workspace.paths)
    cure.is_asked(str(refused.value))
    cure.is_done(session.says(f"new {tmp_path / 'other'}", code=0))
    assert not (tmp_path / "other" / "var").exists()
