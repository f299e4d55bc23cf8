"""A batch that keeps its contract but is not what it looks like: broken, it is quarantined; suspicious, it lands."""

from pathlib import Path

import pandas as pd
import pytest

from retrim.batches.concern import BatchParams
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.landing.ingest import Landed, land_batch, release_quarantined
from retrim.landing.withdraw import withdraw
from retrim.lineage.workspace import Workspace
from retrim.settings import Params
from retrim.table.data import DataParams
from tests.batches.test_batches import DATA, NOW, PAST
from tests.builders.landed import quarantine_show
from tests.builders.shipped import whole

BATCHES = BatchParams.model_validate(whole()["batches"])


class Door:
    """A landing zone into which weeks of the stations came."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.folder = WorkspacePaths(folder), folder
        (folder / "suite.json").write_text('{"name": "stations", "expectations": []}', encoding="utf-8")
        self.data = DataParams.model_validate({**DATA.model_dump(), "suite": "suite.json"})
        for week in PAST:
            self.land(week)

    def land(self, frame: pd.DataFrame, *, correction: bool = False, look: bool = True) -> Landed:
        path = self.folder / "batch.csv"
        frame.to_csv(path, index=False)
        return land_batch(
            path,
            workspace=self.workspace,
            data=self.data,
            now=frame["at"].max() + pd.Timedelta("1h"),
            correction=correction,
            batches=BATCHES if look else None,
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return Door(tmp_path_factory.mktemp("door"))


def test_weeks_of_an_honest_stream_land(folder: Door) -> None:
    assert len(list(folder.workspace.landing.rglob("rows-*.parquet"))) == len(PAST)


@pytest.mark.parametrize("way", ["correct", "release"])
def test_a_broken_batch_is_corrected_or_let_in(tmp_path: Path, way: str) -> None:
    door = Door(tmp_path)
    batch = door.land(NOW.assign(celsius=NOW["celsius"] * 1.8 + 32)).batch
    if way == "release":
        place = {"workspace": door.workspace, "data": door.data}
        done = release_quarantined(
            batch, now=NOW["at"].max() + pd.Timedelta("2h"), by="a test", reason="so it is", **place
        )
    else:
        done = door.land(NOW)
    assert done.outcome == "landed"


def test_a_suspicious_batch_is_taken_back(tmp_path: Path) -> None:
    door = Door(tmp_path)
    landed = door.land(NOW.assign(felt=NOW["felt"].mask(NOW.index % 2 == 0)))
    workspace = Workspace(door.workspace, Params.model_validate(whole()), Env())
    withdraw(workspace, landed.batch, by="a test", reason="half of it is missing", now=None)

    assert landed.batch in workspace.landing.withdrawals()
    assert all(file.batch != landed.batch for file in workspace.landing.standing())


def test_a_broken_batch_is_set_aside_with_its_reason(folder: Door) -> None:
    landed = folder.land(NOW.assign(celsius=NOW["celsius"] * 1.8 + 32))
    entry = quarantine_show(folder.workspace, landed.batch)

    assert (landed.outcome, landed.verdict) == ("quarantined", "broken")
    assert "Fahrenheit for Celsius" in entry.faults[0].rule
    assert entry.faults[0].releasable
    assert "batches.skip: [celsius]" in entry.faults[0].cure


def test_a_suspicious_batch_lands_and_says_why_and_what_lets_it_pass(folder: Door) -> None:
    landed = folder.land(NOW.assign(felt=NOW["felt"].mask(NOW.index % 2 == 0)))

    assert (landed.outcome, landed.verdict, landed.rows) == ("landed", "suspicious", len(NOW))
    assert [fault.column for fault in landed.faults] == ["felt"]
    assert "batches.skip: [felt]" in landed.faults[0].cure


def test_the_contract_alone_lets_it_in(folder: Door) -> None:
    later = NOW.assign(at=NOW["at"] + pd.Timedelta("7D"), celsius=NOW["celsius"] * 1000)

    assert folder.land(later, look=False).outcome == "landed"
