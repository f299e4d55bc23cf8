"""The counter where tests of ingest hand files in: a workspace, a table, and a day that passes with each file."""

from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.landing_zone import Landing
from retrim.files import WorkspacePaths
from retrim.landing.ingest import Landed, drop_quarantined, land_batch, release_quarantined
from retrim.reading.landed import Kind
from retrim.table.data import DataParams, assemble
from tests.builders.landed import read_landed

HEADER = "at,order,weight,items,country,price\n"
GOOD = HEADER + "2024-01-01T10:00:00Z,1,0.5,2,NL,9.5\n2024-01-01T11:00:00Z,2,1.5,1,DE,8\n"
NEXT = HEADER + "2024-01-08T10:00:00Z,3,0.5,2,NL,9.5\n"
HEAVY = HEADER + "2024-01-08T10:00:00Z,3,0.5,2,NL,9.5\n2024-01-08T11:00:00Z,4,-1,2,NL,9.5\n"
DAY = pd.Timedelta(1, "D")
NOW = pd.Timestamp("2024-01-09", tz="UTC")


class Counter:
    """Files handed in at a workspace, a day after one another."""

    def __init__(self, workspace: WorkspacePaths, data: DataParams, inbox: Path) -> None:
        self.workspace, self.data, self.inbox, self.now = workspace, data, inbox, NOW
        inbox.mkdir()

    def file(self, content: str | bytes, name: str = "batch.csv") -> Path:
        path = self.inbox / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def land(self, content: str | bytes | Path, *, correction: bool = False, labels: bool = False) -> Landed:
        path = content if isinstance(content, Path) else self.file(content)
        self.now += DAY
        kind: Kind = "labels" if labels else "rows"
        return land_batch(path, kind, workspace=self.workspace, data=self.data, now=self.now, correction=correction)

    @property
    def where(self) -> dict[str, Any]:
        return {"workspace": self.workspace, "data": self.data}

    def arrivals(self) -> dict[str, pd.Timestamp]:
        return {batch.batch: batch.arrived for batch in Landing(self.workspace.landing).batches()}

    def release(self, name: str, reason: str = "weighed again", *, arrived: pd.Timestamp | None = None) -> Landed:
        self.now += DAY
        return release_quarantined(name, **self.where, now=self.now, by="a test", reason=reason, arrived=arrived)

    def drop(self, name: str) -> None:
        drop_quarantined(name, workspace=self.workspace, now=self.now, by="a test", reason="a test file")

    @property
    def landed(self) -> list[str]:
        return [batch.batch for batch in Landing(self.workspace.landing).batches()]

    def table(self) -> pd.DataFrame:
        return assemble(*read_landed(self.workspace.landing), self.data, as_of=self.now).set_index("_key")

    def litter(self) -> list[Path]:
        return [path for path in self.workspace.var.rglob("*") if ".tmp" in path.name]
