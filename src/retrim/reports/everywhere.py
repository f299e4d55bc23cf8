"""Several workspaces at a glance: what is live in each, when it was checked last, and what waits or went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from retrim.adapters.landing_zone import Quarantine
from retrim.checking.history import CHECK, is_held
from retrim.errors import BadInputError, RetrimError
from retrim.files import WorkspacePaths
from retrim.landing.inbox import overdue
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.reports.health import Health, HealthLevel, find_health
from retrim.retraining.recover import KILLED, stopped_runs
from retrim.settings import Env, load_params

STRANGER = "of a workspace that was not named"
BAD_ENDS = ("crashed", "failed", "unpushed")


@dataclass(frozen=True)
class ModelPlace:
    """A model, in its workspace or in a store that it shares.

    Args:
        model: Its name; empty where the workspace cannot be read.
        workspace: Its folder; None where only the store knows it.
        store: The store's address without its password and its query.
        live: The version that is live; None: none yet.
        since: When that went live.
        last_check: As of when it was checked last.
        faults: What waits for a person, is late, or went wrong.
        address: The store's address with its query, which tells stores apart and is never shown.
    """

    model: str
    workspace: Path | None
    store: str
    live: int | None
    since: str | None
    last_check: str | None
    faults: tuple[str, ...]
    address: Annotated[str, Field(exclude=True)] = field(default="", repr=False)


def find_models(folders: Sequence[Path], *, here: Path, now: pd.Timestamp) -> list[ModelPlace]:
    """Every model of the workspaces named, and of the stores that they use.

    Args:
        folders: Workspaces, or folders of workspaces; none: the workspace that holds `here`.
        here: Where we are.
        now: For what is late.

    Raises:
        BadInputError: A folder is not a workspace and holds none.
    """
    roots = workspaces(folders) if folders else [WorkspacePaths.find(here)]
    places: list[ModelPlace] = []
    workspaces_read: list[Workspace] = []
    for root in roots:
        try:
            workspace = Workspace(root, load_params(root.params), Env())
            places.append(_place(workspace, now))
            workspaces_read.append(workspace)
        except (RetrimError, OSError) as error:
            places.append(ModelPlace("", root.root, "", None, None, None, (f"cannot be read: {error}",)))
    seen = {(place.address, place.model) for place in places}
    for workspace in workspaces_read:
        for model in workspace.store.models():
            if (workspace.store.place, model) not in seen:
                seen.add((workspace.store.place, model))
                found = _of_store(workspace, model)
                places.append(replace(found, faults=(STRANGER, *found.faults)))
    return [
        _with_twins(place, places) for place in sorted(places, key=lambda place: (place.model, str(place.workspace)))
    ]


def places_by_health(places: Sequence[ModelPlace], *, now: pd.Timestamp) -> list[tuple[ModelPlace, Health]]:
    """Models with the health of their workspaces, the gravest first; what only a store knows comes last.

    Args:
        places: As `find_models` gives them.
        now: The moment.
    """
    found = []
    for place in places:
        try:
            root = place.workspace
            known = None if root is None or not place.model else find_health(open_workspace(root), now=now)
        except (RetrimError, OSError) as error:
            known = Health(HealthLevel.UNKNOWN, (str(error),), place.model)
        found.append((place, known or Health(HealthLevel.UNKNOWN, place.faults, place.model)))
    order = (HealthLevel.CRITICAL, HealthLevel.WARNING, HealthLevel.UNKNOWN, HealthLevel.OK)
    return sorted(found, key=lambda each: (each[0].workspace is None, order.index(each[1].level), each[0].model))


def workspaces(folders: Sequence[Path]) -> list[WorkspacePaths]:
    """The workspaces that these folders are, or hold, each once.

    Raises:
        BadInputError: A folder is not a workspace and holds none.
    """
    found: dict[Path, WorkspacePaths] = {}
    for folder in folders:
        root = folder.resolve()
        own = [root] if _is_workspace(root) else sorted(path for path in _below(root) if _is_workspace(path))
        if not own:
            raise BadInputError(
                f"{folder} is not a workspace (params.yaml with dvc.yaml) and holds none; name one, or a folder of some"
            )
        found |= {path: WorkspacePaths(path) for path in own}
    return list(found.values())


def _below(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _is_workspace(folder: Path) -> bool:
    try:
        return (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file()
    except OSError:  # it may not be looked into
        return False


def _place(workspace: Workspace, now: pd.Timestamp) -> ModelPlace:
    """What the store knows, and what lies in the workspace alone."""
    place = _of_store(workspace, workspace.model)
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    aside = [entry for entry in Quarantine(workspace.paths.quarantine).entries() if entry.state == "held"]
    faults = [*place.faults]
    if is_held(workspace, workspace.store.decisions(workspace.model)) and not any("held" in fault for fault in faults):
        faults.append("held: waits for a person")
    faults += [
        f"{run.id} stopped: {run.detail.why or KILLED}" for run in stopped_runs(workspace) if run.state == "running"
    ]
    if late is not None and not late.quarantined:
        faults.append(f"a batch was due on {late.due:%Y-%m-%d %H:%M}")
    if aside:
        faults.append(f"{len(aside)} {'batch' if len(aside) == 1 else 'batches'} in quarantine")
    return replace(place, workspace=workspace.paths.root, faults=tuple(faults))


def _of_store(workspace: Workspace, model: str) -> ModelPlace:
    store = workspace.store
    releases, decisions, runs = store.releases(model), store.decisions(model), store.runs(model)
    checks = [row for row in decisions if row.source == CHECK]
    faults = []
    if runs and runs[-1].state in BAD_ENDS:
        faults.append(f"{runs[-1].id} {runs[-1].state}")
    faults += [f"{row.id} waits for approval" for row in runs if row.state == "waiting"]
    last = releases[-1] if releases else None
    return ModelPlace(
        model,
        None,
        store.shown,
        None if last is None else last.version,
        None if last is None else last.at,
        checks[-1].as_of if checks else None,
        tuple(faults),
        store.place,
    )


def _with_twins(place: ModelPlace, places: Sequence[ModelPlace]) -> ModelPlace:
    """Says where two workspaces are of one model in one store: each takes the other's versions for its own."""
    others = [
        str(other.workspace)
        for other in places
        if other is not place and place.model and (other.address, other.model) == (place.address, place.model)
    ]
    if not others:
        return place
    said = f"{others[0]} is of the same model in the same store; give one another name (data.model)"
    return replace(place, faults=(*place.faults, said))
