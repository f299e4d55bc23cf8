"""A batch that keeps its contract but is not what it looks like: set aside, released by a person, never in a table."""

from pathlib import Path

import pandas as pd
import pytest

from retrim.core.batches import BatchParams
from retrim.core.table import DataParams
from retrim.ops.ingest import Landed, drop, land, quarantine_list, quarantine_show, release
from retrim.paths import Workspace
from tests.architecture.test_settings import DOCUMENT
from tests.core.test_batches import DATA, NOW, PAST
from tests.cured import Cure

BATCHES = BatchParams.model_validate(DOCUMENT["batches"])


class Door:
    """A landing zone into which weeks of the stations came."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.folder = Workspace(folder), folder
        (folder / "suite.json").write_text('{"name": "stations", "expectations": []}', encoding="utf-8")
        self.data = DataParams.model_validate({**DATA.model_dump(), "suite": "suite.json"})
        for week in PAST:
            self.land(week)

    def land(self, frame: pd.DataFrame, *, correction: bool = False, look: bool = True) -> Landed:
        path = self.folder / "batch.csv"
        frame.to_csv(path, index=False)
        return land(
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


@pytest.mark.cures(
    "correct it at its source and ingest that; or land it anyway: retrim quarantine release ID --reason WHY",
    "look at it; land it if the world is so: retrim quarantine release ID --reason WHY; else drop it",
)
@pytest.mark.parametrize("way", ["release", "correct or drop"])
def test_what_is_set_aside_is_corrected_dropped_or_let_in(tmp_path: Path, way: str, cure: Cure) -> None:
    door = Door(tmp_path)
    broken, unsure = (
        NOW.assign(celsius=NOW["celsius"] * 1.8 + 32),
        NOW.assign(felt=NOW["felt"].mask(NOW.index % 2 == 0)),
    )
    for frame in (broken, unsure):
        batch = door.land(frame).batch
        cure.is_asked(" ".join(fault.cure for fault in quarantine_show(door.workspace, batch).faults))
        if way == "release":
            let_in = release(
                batch,
                workspace=door.workspace,
                data=door.data,
                now=NOW["at"].max() + pd.Timedelta("2h"),
                by="a test",
                reason="the world is so",
            )
            assert let_in.outcome == "landed"
        elif frame is broken:
            assert door.land(NOW).outcome == "landed"
        else:
            now = NOW["at"].max() + pd.Timedelta("2h")
            drop(batch, workspace=door.workspace, now=now, by="a test", reason="half of it is missing")
    waiting = [entry for entry in quarantine_list(door.workspace) if entry.state == "quarantined"]
    cure.is_done(" ".join(fault.cure for entry in waiting for fault in entry.faults))


def test_a_broken_batch_is_set_aside_with_its_reason(folder: Door) -> None:
    landed = folder.land(NOW.assign(celsius=NOW["celsius"] * 1.8 + 32))
    entry = quarantine_show(folder.workspace, landed.batch)

    assert (landed.outcome, landed.verdict) == ("quarantined", "broken")
    assert "Fahrenheit for Celsius" in entry.faults[0].rule
    assert entry.faults[0].releasable


def test_an_unsure_batch_is_set_aside_until_a_person_releases_it(folder: Door) -> None:
    landed = folder.land(NOW.assign(felt=NOW["felt"].mask(NOW.index % 2 == 0)))
    assert (landed.outcome, landed.verdict) == ("quarantined", "unsure")

    let_in = release(
        landed.batch,
        workspace=folder.workspace,
        data=folder.data,
        now=NOW["at"].max() + pd.Timedelta("2h"),
        by="a test",
        reason="the sensor is new",
    )

    assert (let_in.outcome, let_in.rows) == ("landed", len(NOW))


def test_the_contract_alone_lets_it_in(folder: Door) -> None:
    later = NOW.assign(at=NOW["at"] + pd.Timedelta("7D"), celsius=NOW["celsius"] * 1000)

    assert folder.land(later, look=False).outcome == "landed"
