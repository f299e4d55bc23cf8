"""A regime that returns: the probe of a check looks at the previous champion too."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.landing.withdraw import withdraw
from tests.builders.desk import START, Desk, copy_of, make_desk, with_params

pytestmark = pytest.mark.slow  # versions are made with the stages
DEAR = {"gain": {"cost": 1e9}}
CONCEPT: dict[str, Any] = {"kind": "concept", "size": 6.0, "since": START + pd.Timedelta(10, "D")}


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Ten days of a new concept, a version made of them, and four days since the old concept is back."""
    folder = tmp_path_factory.mktemp("returning") / "workspace"
    changes = DEAR | {"probation": {"checks": 0}, "probe": {"when": "every"}}
    desk = make_desk(folder, drift=CONCEPT, changes=changes, version_at=10)
    desk.land(desk.rows(10, 20), 20)
    desk.make_version(20)
    desk.stream["size"] = 0.0
    desk.land(desk.rows(20, 24), 24)
    return desk


def probe(desk: Desk) -> Any:
    return desk.check(25).record["probe"]


def test_it_does_what_a_retraining_would_gain(returning: Desk, tmp_path: Path) -> None:
    found = probe(copy_of(returning, tmp_path / "workspace"))
    reading, refits = found["reading"], found["refits"]

    assert min(refits, key=refits.get) == "version 1"
    assert reading["probe_loss"] == pytest.approx(refits["version 1"])
    assert reading["champion_loss"] > reading["probe_loss"]
    assert found["preview"]["passes"]


def altered(desk: Desk) -> Desk:
    next((desk.shelf.folders[1] / "models").rglob("model.txt")).write_text("altered", encoding="utf-8")
    return desk


def forbidden(desk: Desk) -> Desk:
    columns = desk.workspace.params.data.model_dump(mode="json")["columns"]
    columns["group"]["role"] = "forbidden"
    return with_params(desk, data={"columns": columns})


def withdrawn(desk: Desk) -> Desk:
    batch = desk.workspace.landing.batches()[0].batch
    withdraw(desk.workspace, batch, by="ada", reason="of another place", now=desk.day(24.5))
    return desk


@pytest.mark.parametrize("changed", [altered, forbidden, withdrawn])
def test_one_that_could_not_come_back_is_not_looked_at(returning: Desk, tmp_path: Path, changed: Any) -> None:
    found = probe(changed(copy_of(returning, tmp_path / "workspace")))

    assert found["reading"] is not None
    assert [name for name in found["refits"] if name.startswith("version")] == []
