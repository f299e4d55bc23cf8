"""How healthy a workspace is, for cron and Nagios: one line with what is wrong and what to do.

Of several workspaces: what is live in each, when it was checked last, and what waits or went wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from retrim.adapters.database import iso
from retrim.alerting.telling import unsent_alerts
from retrim.batches.concern import suspicion_of
from retrim.card.report import brief, counted
from retrim.checking.due import missed_times
from retrim.checking.history import CHECK, LOOKED_BACK, named_suspects
from retrim.checking.holds import is_held
from retrim.checking.score import columns_gone
from retrim.decision.check_record import CheckRecord, StoredCheck
from retrim.decision.model_health import (
    HOLDS_WITHDRAWN,
    SUSPICIOUS_BATCH,
    HealthFinding,
    HealthLevel,
    find_standing_faults,
)
from retrim.environment import Env
from retrim.errors import RetrimError
from retrim.files import WorkspacePaths, workspaces
from retrim.landing.overdue import overdue
from retrim.landing.quarantine import Quarantine
from retrim.lineage.locks import is_alive
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.release.acknowledged import muted_kinds, unanswered_suspects
from retrim.release.approval import waiting
from retrim.release.release import held_withdrawn
from retrim.release.versions import find_live_version
from retrim.retraining.recover import KILLED, stopped_runs
from retrim.retraining.run_directory import UNPUSHED
from retrim.settings import load_params

LONGEST = 200  # letters of a failed run's reason
GRACE = pd.Timedelta("1h")  # how late a scheduled check may be
STRANGER = "of a workspace that was not named"
BAD_ENDS = ("crashed", "failed", "unpushed")


@dataclass(frozen=True)
class Health:
    """The health of a workspace.

    Args:
        level: `ok`, `warning`, `critical` or `unknown`.
        said: What is wrong and what to do, most severe first; or that nothing is wrong.
        model: Name of the model.
        health: What is wrong, most severe first.
        acknowledged: What is wrong too, and was acknowledged by a person.
    """

    level: HealthLevel
    said: tuple[str, ...]
    model: str
    health: tuple[HealthFinding, ...] = ()
    acknowledged: tuple[HealthFinding, ...] = ()

    @property
    def line(self) -> str:
        """All of it on one line."""
        whose = f" {self.model}" if self.model else ""
        return f"{self.level.name}{whose}: {' '.join('; '.join(self.said).split())}"


def find_health(workspace: Workspace, *, now: pd.Timestamp) -> Health:
    """How a workspace is at a moment."""
    every = sorted(_faults(workspace, now), key=lambda fault: -fault.level.exit_code)
    acknowledged = muted_kinds(workspace, now=now)
    faults = tuple(fault for fault in every if fault.kind not in acknowledged)
    muted = tuple(fault for fault in every if fault.kind in acknowledged)
    if faults:
        said = tuple(
            dict.fromkeys(
                f"{fault.text} Do: {fault.do}" if fault.text.endswith(".") else f"{fault.text}: {fault.do}"
                for fault in faults
            )
        )
        return Health(faults[0].level, said, workspace.model, faults, muted)
    live = find_live_version(workspace)
    assert live is not None
    newest = _newest_check(workspace, now)
    last = f"last check {newest.record.as_of:%Y-%m-%d %H:%M}" if newest is not None else "no check yet"
    aside = f"; acknowledged: {', '.join(fault.kind for fault in muted)}" if muted else ""
    return Health(HealthLevel.OK, (f"version {live.version} is live, {last}{aside}",), workspace.model, (), muted)


def _faults(workspace: Workspace, now: pd.Timestamp) -> Iterator[HealthFinding]:
    """What is wrong, in this order where levels are the same."""
    store, model = workspace.store, workspace.model
    live, runs, missed = find_live_version(workspace), store.runs(model), _missed_check(workspace, now)
    critical, warning = partial(_finding, HealthLevel.CRITICAL), partial(_finding, HealthLevel.WARNING)
    yield from _model_faults(workspace, now)
    if missed is not None:
        why = "the schedule is late" if is_alive(workspace, "schedule") else "no schedule runs here"
        text = f"the check of {missed:%Y-%m-%d %H:%M} was not made: {why}"
        yield critical("check_missed", text, "up --only schedule")
    if runs and runs[-1].state == "failed":
        reason = brief(runs[-1].detail.reason or "", LONGEST)
        yield critical("run_failed", f"{runs[-1].id} failed: {reason}; remove the cause, then", "retrain")
    if live is None and not waiting(workspace):
        yield warning("no_live_version", "no version is live", "retrain")
    if live is not None and (gone := columns_gone(workspace, live.version)):
        text = f"version {live.version} reads columns that no longer land: {', '.join(gone)}"
        yield warning("column_gone", text, "retrain")
    for version in (waits.version for waits in waiting(workspace)):
        do = f"versions approve {version} --reason WHY"
        yield warning("approval_needed", f"version {version} waits for approval", do)
    if is_held(workspace, store.decisions(model)):
        yield warning("on_hold", "a decision is on hold", "retrain, or retrim policy acknowledge --reason WHY")
    for entry in Quarantine(workspace.paths.quarantine).entries():
        if entry.state == "held":
            yield warning("batch_quarantined", f"batch {entry.batch} is in quarantine", f"batch show {entry.batch}")
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    if late is not None and not late.quarantined:
        yield warning("batch_overdue", late.text, "ingest FILE")
    for run in [*stopped_runs(workspace), *store.runs(model, state=UNPUSHED)]:
        yield warning("run_unfinished", f"{run.id} did not finish", "check")
    for unsent in unsent_alerts(workspace, now=now):
        text = f"{counted(unsent.alerts, 'alert')} could not be sent to {unsent.address}"
        yield warning("alerts_unsent", text, "alerts --test")


def _model_faults(workspace: Workspace, now: pd.Timestamp) -> Iterator[HealthFinding]:
    """What is wrong with the live model and the rows that it is measured on."""
    live = find_live_version(workspace)
    if live is not None:
        yield from find_standing_faults(_checks_of(workspace, live.version, now))
        if text := held_withdrawn(workspace, live.version):
            do = "retrain --reason WHY, which leaves the batch out"
            yield _finding(HealthLevel.WARNING, HOLDS_WITHDRAWN, text, do)
    yield from _suspicious_batches(workspace, now)


def _finding(level: HealthLevel, kind: str, text: str, command: str) -> HealthFinding:
    return HealthFinding(level, kind, text, f"retrim {command}")


def _checks_of(workspace: Workspace, version: int, now: pd.Timestamp) -> list[CheckRecord]:
    """The newest checks of a version up to a moment, the newest first."""
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=LOOKED_BACK, until=iso(now))
    records = [StoredCheck.of(row).record for row in reversed(rows)]
    return [record for record in records if record.champion == version]


def _newest_check(workspace: Workspace, now: pd.Timestamp) -> StoredCheck | None:
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=1, until=iso(now))
    return StoredCheck.of(rows[-1]) if rows else None


def _suspicious_batches(workspace: Workspace, now: pd.Timestamp) -> Iterator[HealthFinding]:
    """Suspicious batches that nobody has answered."""
    named = named_suspects(workspace, now=now)
    for file in unanswered_suspects(workspace, now=now, named=named):
        text = suspicion_of(file.suspicious) if file.suspicious else named[file.batch]
        yield _finding(
            HealthLevel.WARNING,
            SUSPICIOUS_BATCH,
            f"batch {file.batch} is suspicious: {text}",
            f"batch withdraw {file.batch} --reason WHY, and land a corrected file; or if it is right, "
            f"retrim policy acknowledge {SUSPICIOUS_BATCH} --reason WHY",
        )


def _missed_check(workspace: Workspace, now: pd.Timestamp) -> pd.Timestamp | None:
    """The newest check that the schedule should have made by now, and nobody has; None while a run goes on."""
    missed = missed_times(workspace, "check", until=now - GRACE)
    newest = _newest_check(workspace, now)
    if not missed or (newest is not None and newest.record.as_of >= missed[-1]):
        return None
    stopped = stopped_runs(workspace)
    is_running = any(run not in stopped for run in workspace.store.runs(workspace.model, state="running"))
    return None if is_running else missed[-1]


@dataclass(frozen=True)
class ModelPlace:
    """A model, in its workspace or in a shared store.

    Args:
        model: Name of the model; empty if the workspace cannot be read.
        workspace: Folder of the workspace; None if the model is known only from the store.
        store: Address of the store, without its password and its query.
        live: The live version; None before the first version.
        since: When that version went live.
        last_check: As-of date of the last check.
        faults: What waits for a person, is late, or failed.
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
                stranger = _of_store(workspace, model)
                places.append(replace(stranger, faults=(STRANGER, *stranger.faults)))
    return [
        _with_twins(place, places) for place in sorted(places, key=lambda place: (place.model, str(place.workspace)))
    ]


def places_by_health(places: Sequence[ModelPlace], *, now: pd.Timestamp) -> list[tuple[ModelPlace, Health]]:
    """Models with the health of their workspaces, the gravest first; what only a store knows comes last."""
    healths = []
    for place in places:
        try:
            root = place.workspace
            known = None if root is None or not place.model else find_health(open_workspace(root), now=now)
        except (RetrimError, OSError) as error:
            known = Health(HealthLevel.UNKNOWN, (str(error),), place.model)
        healths.append((place, known or Health(HealthLevel.UNKNOWN, place.faults, place.model)))
    order = (HealthLevel.CRITICAL, HealthLevel.WARNING, HealthLevel.UNKNOWN, HealthLevel.OK)
    return sorted(healths, key=lambda pair: (pair[0].workspace is None, order.index(pair[1].level), pair[0].model))


def _place(workspace: Workspace, now: pd.Timestamp) -> ModelPlace:
    """What the store knows, and what lies in the workspace alone."""
    place = _of_store(workspace, workspace.model)
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    aside = [entry for entry in Quarantine(workspace.paths.quarantine).entries() if entry.state == "held"]
    muted = muted_kinds(workspace, now=now)
    of_model = (fault for fault in _model_faults(workspace, now) if fault.kind not in muted)
    faults = [*(f"{fault.level.name}: {fault.text}" for fault in of_model), *place.faults]
    if is_held(workspace, workspace.store.decisions(workspace.model)):
        faults.append("held: waits for a person")
    faults += [
        f"{run.id} stopped: {run.detail.why or KILLED}" for run in stopped_runs(workspace) if run.state == "running"
    ]
    if late is not None and not late.quarantined:
        faults.append(f"a batch was due on {late.due:%Y-%m-%d %H:%M}")
    if aside:
        faults.append(f"{counted(len(aside), 'batch', 'batches')} in quarantine")
    return replace(place, workspace=workspace.paths.root, faults=tuple(faults))


def _of_store(workspace: Workspace, model: str) -> ModelPlace:
    store = workspace.store
    releases, runs = store.releases(model), store.runs(model)
    checks = store.decisions(model, source=CHECK, newest=1)
    faults = []
    if runs and runs[-1].state in BAD_ENDS:
        faults.append(f"{runs[-1].id} {runs[-1].state}")
    faults += [f"{row.id} waits for approval" for row in runs if row.state == "waiting"]
    live, since = (releases[-1].version, releases[-1].at) if releases else (None, None)
    last_check = checks[-1].as_of if checks else None
    return ModelPlace(model, None, store.shown, live, since, last_check, tuple(faults), store.place)


def _with_twins(place: ModelPlace, places: Sequence[ModelPlace]) -> ModelPlace:
    """Says where two workspaces are of one model in one store: each takes the other's versions for its own."""
    others = [
        str(other.workspace)
        for other in places
        if other is not place and place.model and (other.address, other.model) == (place.address, place.model)
    ]
    if not others:
        return place
    problem = f"{others[0]} has the same model name in the same store; rename one of the two (data.model)"
    return replace(place, faults=(*place.faults, problem))
