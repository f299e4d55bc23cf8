"""Small tables of somebody's own, spelled in every way that tables are, and a look at them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.files import WorkspacePaths
from retrim.onboarding.desk import Ask, InitRequest
from retrim.onboarding.draft import WorkspaceDraft, draft
from retrim.onboarding.init import InspectedTable, inspect_table, replaced, settle_request
from retrim.onboarding.write import WrittenFiles
from retrim.reading.raw import open_raw, read_raw
from tests.builders.world import REPOSITORY

ROWS = 400


def hours(rows: int = ROWS, *, start: str = "2024-01-01", every: str = "1h") -> pd.Series:
    """Times one after another, UTC."""
    return pd.Series(pd.date_range(start, periods=rows, freq=every, tz="UTC"))


def table(rows: int = ROWS, *, seed: int = 7, **columns: Any) -> pd.DataFrame:
    """Deliveries: when, how far, what weather, how long it took; `columns` replace or add some, None takes one away."""
    rng = np.random.default_rng(seed)
    km, weather = rng.gamma(2, 2, rows).round(2), rng.choice(["dry", "rain"], rows)
    minutes = (10 + 3 * km + np.where(weather == "rain", 5, 0) + rng.normal(0, 2, rows)).round(2)
    made: dict[str, Any] = {"at": hours(rows), "km": km, "weather": weather, "minutes": minutes, **columns}
    return pd.DataFrame({name: values for name, values in made.items() if values is not None})


def csv(frame: pd.DataFrame, **options: Any) -> bytes:
    """The table as CSV."""
    return frame.to_csv(index=False, **options).encode("utf-8")


def looked_at(
    content: bytes | Path,
    *,
    target: str = "minutes",
    ask: Ask = lambda _, proposal, __: proposal,
    **wishes: Any,
) -> WorkspaceDraft:
    """What is drafted for a table, or a folder of its files, when nobody is there to be asked, unless somebody is."""
    given: Mapping[str, Any] = {"target": target, "model": "own", **wishes}
    return draft(
        open_raw(str(content)) if isinstance(content, Path) else read_raw(content, "table"),
        InitRequest(**given),
        ask=ask,
        confidence=0.95,
        seed=7,
        threads=1,
    )


def said(drafted: WorkspaceDraft, about: str) -> str:
    """All that was noticed about one thing, a line each."""
    return "\n".join(str(note) for note in drafted.notes if note.about == about)


def accepting(_question: str, proposal: str, _choices: object) -> str:
    """Accepts every proposal."""
    return proposal


def empty_workspace(root: Path) -> WorkspacePaths:
    """One into which nothing was set up."""
    root.mkdir(exist_ok=True)
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_bytes((REPOSITORY / name).read_bytes())
    return WorkspacePaths(root)


def inspected(
    workspace: WorkspacePaths, content: bytes, *, ask: Ask = accepting, target: str = "minutes", **wishes: Any
) -> InspectedTable:
    """What `retrim init` drafts of a file in the workspace."""
    (workspace.root / "trips.csv").write_bytes(content)
    request = InitRequest(**{"target": target, "model": "own", **wishes})
    return inspect_table(workspace, str(workspace.root / "trips.csv"), request, ask=ask)


def set_up(
    workspace: WorkspacePaths,
    content: bytes,
    *,
    again: bool = False,
    land: bool = True,
    overwrite: bool = True,
    reason: str = "",
    **wishes: Any,
) -> WrittenFiles:
    """`retrim init` on a file in the workspace, with everything written."""
    what = replaced(workspace) if again else None
    looked = inspected(workspace, content, reason=reason, **wishes)
    return settle_request(
        workspace, looked, reason=reason, land_history=land, overwrite=overwrite, commit=False, again=what
    )
