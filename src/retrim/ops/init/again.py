"""`retrim init --again`: before the first version a set-up is replaced by another, whole or not at all."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.adapters.quarantine import Quarantine
from retrim.core.own_code import is_own, parts_of
from retrim.datasets.landed import landed_paths
from retrim.errors import RefusedError
from retrim.files import flush_all, write_file
from retrim.ops.arrival import clock
from retrim.ops.house import House
from retrim.ops.init.draft import Drafted
from retrim.ops.init.write import Written, commit_setup, write
from retrim.own import read_code
from retrim.paths import Workspace
from retrim.settings import Env, load_params

READY = "ready.json"
"""In the folder of a set-up that waits to take the place of another: all of it is there."""
MOVED = ("landing", "quarantine")
"""What of `var/` a set-up has."""
OPEN = ("running", "waiting", "unpushed")
"""States of a run that may still become a version."""


@dataclass(frozen=True)
class Replaced:
    """What a new set-up takes the place of.

    Args:
        batches: That have landed, rows and labels.
        rows: In them.
        aside: Batches that lie in quarantine.
        kept: The folder, from the workspace, where all of that is kept.
    """

    batches: int
    rows: int
    aside: int
    kept: str

    def as_record(self) -> dict[str, Any]:
        return {"batches": self.batches, "rows": self.rows, "aside": self.aside, "kept": self.kept}

    def __str__(self) -> str:
        aside = f" and {self.aside} in quarantine" if self.aside else ""
        return (
            f"{self.batches} batches with {self.rows} rows that have landed{aside} are put away to {self.kept}; files "
            "that came after the first set-up have to be ingested again"
        )


def require_unreleased(workspace: Workspace) -> None:
    """Checks that no version was made by the set-up that stands, and none is being made.

    Raises:
        RefusedError: One was, or is.
    """
    house = House(workspace, load_params(workspace.params), Env())
    made = house.store.versions(house.model)
    if made:
        raise RefusedError(
            f"version {made[-1].version} of {house.model} was made of what has landed, and what a version was made of "
            "stays; make another workspace: retrim new DIR"
        )
    going = [run for run in house.store.runs(house.model) if run.state in OPEN]
    if going:
        raise RefusedError(f"run {going[-1].id} is {going[-1].state}; a set-up is redone when no run is going on")


def replaced(workspace: Workspace) -> Replaced:
    """What a new set-up would take the place of, now."""
    batches = Landing(workspace.landing).batches() if workspace.landing.is_dir() else []
    aside = [entry for entry in Quarantine(workspace.quarantine).entries() if entry.state == "held"]
    kept = _free(workspace.var / "init", clock())
    rows = sum(batch.rows for batch in batches if batch.kind == "rows")
    return Replaced(len(batches), rows, len(aside), str(kept.relative_to(workspace.root)))


def _free(folder: Path, now: pd.Timestamp) -> Path:
    name = f"before-{now:%Y%m%dT%H%M%SZ}"
    taken = {path.name for path in folder.glob("before-*")}
    return folder / next(each for number in range(len(taken) + 1) if (each := f"{name}{'-' * number}") not in taken)


def go_on(workspace: Workspace) -> bool:
    """Finishes a replacement that was interrupted once all of it lay ready; whether there was one."""
    ready = _stage(workspace).root / READY
    if not ready.is_file():
        return False
    _take_over(workspace, json.loads(ready.read_bytes()))
    return True


def write_again(
    workspace: Workspace, drafted: Drafted, what: Replaced, *, reason: str, commit: bool, **how: Any
) -> Written:
    """Makes the new set-up aside, and when all of it is there puts it in the place of the old.

    Killed before that, the old one stands; killed after, `go_on` finishes. Nothing of the old one is lost.

    Args:
        workspace: Where.
        drafted: The new set-up.
        what: As `replaced` gives it.
        reason: Why a leak was allowed.
        commit: Whether the settings and the suite are committed.
        how: As `write` takes it.

    Raises:
        RefusedError: A batch of the history was set aside; the old set-up stands.
    """
    stage = _stage(workspace)
    shutil.rmtree(stage.root, ignore_errors=True)
    for name in MOVED:
        (stage.var / name).mkdir(parents=True)
    stage.params.write_bytes(workspace.params.read_bytes())
    _lay_own_model(workspace, stage)
    try:
        written = write(stage, drafted, reason=reason, commit=False, **how)
    except RefusedError as error:
        shutil.rmtree(stage.root, ignore_errors=True)
        said = str(error).partition("; look at it")[0]
        raise RefusedError(f"{said}; nothing was replaced, the set-up of before stands") from error
    flush_all([*landed_paths(stage.landing), stage.params], below=stage.root)
    record = {"suite": drafted.data.suite, "kept": what.kept}
    write_file(stage.root / READY, json.dumps(record).encode())
    _take_over(workspace, record)
    suite = workspace.root / drafted.data.suite
    made = commit_setup(workspace, suite, drafted.data.model) if commit else None
    return replace(written, params=workspace.params, suite=suite, commit=made)


def _lay_own_model(workspace: Workspace, stage: Workspace) -> None:
    model = load_params(workspace.params).train.model
    if is_own(model):
        path, _ = parts_of(model)
        write_file(stage.root / path, read_code(workspace.root, path))


def _stage(workspace: Workspace) -> Workspace:
    return Workspace(workspace.var / "init" / "again")


def _take_over(workspace: Workspace, record: dict[str, str]) -> None:
    """Moves what lies ready into place; each step may be done already."""
    stage, kept = _stage(workspace), workspace.root / record["kept"]
    kept.mkdir(parents=True, exist_ok=True)
    with Landing(workspace.landing).locked():
        for name in MOVED:
            fresh, old = stage.var / name, workspace.var / name
            if not fresh.is_dir():
                continue  # it has been moved
            if old.is_dir():
                old.rename(_beside(kept / name))
            fresh.rename(old)
        for name in (workspace.params.name, record["suite"]):
            before, after = workspace.root / name, stage.root / name
            if before.is_file() and not (kept / name).exists():
                write_file(kept / name, before.read_bytes())
            write_file(before, after.read_bytes())
    shutil.rmtree(stage.root)


def _beside(path: Path) -> Path:
    """The path, or one with `-since` where it is taken: what came between a kill and what finishes it is kept too."""
    while path.exists():
        path = path.with_name(f"{path.name}-since")
    return path
