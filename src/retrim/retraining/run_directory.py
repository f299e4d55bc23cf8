"""Run run directories: made as of a date from a snapshot of the workspace, for a run or for a person.

A run that has made all of its files while the DVC remote was away: it waits, and is finished when that is back.
"""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from retrim.adapters import dvc, git
from retrim.adapters.database import iso
from retrim.adapters.dvc_session import DvcSession
from retrim.adapters.wheel import LOCK
from retrim.checking.history import CHECK
from retrim.checking.mode import mode_now
from retrim.checking.previous_champions import files_for_run
from retrim.checking.probe import change_of, watch_before
from retrim.checking.sizing import recipe_digest, shown_before, size_of_run
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import StoredCheck
from retrim.decision.pins import Pins
from retrim.decision.stored_rows import KeptRunDirectory, RunRow
from retrim.errors import BadInputError
from retrim.files import CORES_VARIABLE, Paths, folder_digest, platform_tag
from retrim.gate.losses import EarlierVerdict
from retrim.gate.support import ShownEvidence
from retrim.landing.as_of_view import refuse_changes
from retrim.lineage.locks import using_cache
from retrim.lineage.own_code import pinned_code, require_running_code
from retrim.lineage.workspace import Workspace, record_alert
from retrim.reading.landed import check_whole
from retrim.release.versions import LiveVersion, find_live_version, load_stored_version, stored_bundle, trusted_live
from retrim.settings import effective, stated_digest, to_settings_file
from retrim.training.mode import Mode
from retrim.yaml_files import parse_yaml

UNPUSHED = "unpushed"  # state of the run


@dataclass(frozen=True)
class RunDirectory:
    """A run directory: where it lies, the snapshot it was made from, and the untracked files in that."""

    folder: Path
    snapshot: str
    untracked: tuple[str, ...]
    champion: int | None


def open_run_directory(
    workspace: Workspace,
    name: str,
    *,
    as_of: pd.Timestamp,
    mode: Mode,
    taken: git.Snapshot | None,
    by_gain: bool = False,
) -> RunDirectory:
    """Makes the run directory `var/runs/<name>`, with the batches that had arrived by `as_of` and the live champion.

    What is withdrawn by now is left out, also where that was done after `as_of`.

    Where checks of the champion's life have probed its recipe, the pins say how many of the newest rows judge: the
    stage `features` keeps back that many. Where the accumulated gain started the run (`by_gain`), they hold what
    those checks have shown, too: the stage `compare` counts it. A rebuild finds both there, and gives the same verdict.

    It is made from the snapshot `taken`, by default from one of the workspace as it is now.

    Raises:
        BadInputError: No batch had arrived by then, or a run directory of that name is there.
        RefusedError: The workspace holds a file that a tag must not publish; a batch, the champion or the release log
            was altered; the code of the snapshot is another than the one that runs.
    """
    champion = trusted_live(workspace)
    return _open(
        workspace,
        name,
        as_of=as_of,
        mode=mode,
        champion=champion,
        judged_before=None,
        taken=taken,
        life=_shown(workspace, champion, as_of=as_of),
        eased=by_gain and champion is not None,
    )


def open_run_directory_by_hand(workspace: Workspace, *, as_of: pd.Timestamp, mode: Mode | None) -> RunDirectory:
    """Makes a run directory for a person, as a run of that date would have had it: batches, champion and mode of then.

    Raises:
        As `open_run_directory`.
    """
    champion = find_live_version(workspace, before=as_of)
    chosen = mode or _mode(workspace, champion)
    name = f"hand-{as_of:%Y%m%dT%H%M%S}-{chosen}"
    with using_cache(workspace):
        return _open(workspace, name, as_of=as_of, mode=chosen, champion=champion, judged_before=as_of, taken=None)


def _shown(workspace: Workspace, champion: LiveVersion | None, *, as_of: pd.Timestamp) -> list[ShownEvidence]:
    """What the checks of the champion's life have shown of its recipe, refitted with today's settings."""
    if champion is None:
        return []
    digest = recipe_digest(workspace, load_stored_version(workspace, champion.version).predictor)
    return shown_before(workspace, champion.version, digest, as_of=as_of)


def _change(workspace: Workspace, champion: LiveVersion, *, as_of: pd.Timestamp) -> pd.Timestamp | None:
    """Event time from which rows are a training window of their own, as the newest check of the champion has it."""
    checks = workspace.store.decisions(workspace.model, source=CHECK)
    known = [row for row in checks if pd.Timestamp(row.as_of) <= as_of]
    newest = StoredCheck.of(known[-1]) if known else None
    predictor = load_stored_version(workspace, champion.version).predictor
    return change_of(watch_before(newest, champion.version), predictor)


def _mode(workspace: Workspace, champion: LiveVersion | None) -> Mode:
    return "search" if champion is None else mode_now(workspace).mode


def _judged(workspace: Workspace, *, before: pd.Timestamp | None) -> list[EarlierVerdict]:
    """The rows that earlier verdicts were given on, as event times: the gate grows stricter with each.

    Those of runs before a date, for a run directory that a person has made as of it; of all runs by default.
    """
    return [
        EarlierVerdict(row.version, pd.Timestamp(row.judged.judged_from), pd.Timestamp(str(row.judged.judged_until)))
        for row in workspace.store.versions(workspace.model)
        if row.judged.judged_from is not None and (before is None or pd.Timestamp(row.as_of) < before)
    ]


def _open(
    workspace: Workspace,
    name: str,
    *,
    as_of: pd.Timestamp,
    mode: Mode,
    champion: LiveVersion | None,
    judged_before: pd.Timestamp | None,
    taken: git.Snapshot | None,
    life: Sequence[ShownEvidence] = (),
    eased: bool = False,
) -> RunDirectory:
    folder = workspace.paths.runs / name
    if folder.exists():
        raise BadInputError(
            f"the run directory {folder} already exists; work in it, or remove it with `git worktree remove --force "
            f"{folder}`"
        )
    refuse_changes(workspace.landing, workspace.params.data)
    batches = workspace.landing.batches(as_of)
    if not any(batch.kind == "rows" for batch in batches):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")
    for batch in batches:
        check_whole(batch.path)
    if taken is None:
        taken = git.snapshot(workspace.paths.root, max_file_mb=workspace.params.run_directory.max_file_mb)
    require_running_code(git.file_at(workspace.paths.root, taken.commit, LOCK).decode())
    judged = _judged(workspace, before=judged_before)
    previous_champion = files_for_run(workspace, champion, before=judged_before)
    previous_champions = len({name.partition("/")[0] for name in previous_champion})
    size = None
    changed = None if champion is None else _change(workspace, champion, as_of=as_of)
    if champion is not None and life:
        champions = load_stored_version(workspace, champion.version).predictor
        told = size_of_run(
            workspace,
            champions,
            life,
            judged,
            as_of=as_of,
            mode=mode,
            changed=changed,
            previous_champions=previous_champions,
            eased=eased,
        )
        size = None if told.effect is None else told  # where nothing tells, the setting says how many rows judge
    document = stated_at(workspace.paths.root, taken.commit)
    settings = effective(workspace.paths.root, document, "params.yaml")
    pins = Pins(
        as_of=as_of,
        mode=mode,
        model=workspace.model,
        champion=None if champion is None else champion.version,
        judged=tuple(judged),
        shown=tuple(life) if eased else None,
        size=size,
        changed=changed,
        python=platform.python_version(),
        platform=platform_tag(),
        params_digest=stated_digest(document),
        settings_digest=sha256(to_settings_file(settings)).hexdigest(),
        own=pinned_code(workspace.paths.root, taken.commit),
    )
    dvc.open_stage_session(
        workspace.paths,
        folder,
        taken.commit,
        raw=[batch.path for batch in batches],
        champion=None if champion is None else stored_bundle(workspace, champion.version),
        previous_champion=previous_champion,
        pins=pins,
        settings=settings,
        digest=folder_digest,
    )
    return RunDirectory(folder, taken.commit, taken.untracked, None if champion is None else champion.version)


def stated_at(root: Path, commit: str) -> dict[str, JsonValue]:
    """What the params.yaml of a commit states."""
    return parse_yaml(git.file_at(root, commit, "params.yaml").decode(), "params.yaml")


def stage_environment(workspace: Workspace) -> dict[str, str]:
    """Variables for stages: where the trial log lies, and how many cores they may use."""
    cores = os.environ.get(CORES_VARIABLE)
    given = {"RETRIM_TRIALS": str(workspace.paths.trials)}
    return given | ({CORES_VARIABLE: cores} if cores else {})


def stages_of(workspace: Workspace, run_directory: RunDirectory) -> DvcSession:
    """DVC, ready to run the stages of a run directory; a context, at whose end it ends with all that works for it."""
    return DvcSession(run_directory.folder, stage_environment(workspace))


def wait_for_remote(
    workspace: Workspace, run: RunRow, run_directory: RunDirectory, *, why: str, now: pd.Timestamp
) -> None:
    """Ends a run *unpushed* and tells it; its run directory stays."""
    kept = (workspace.store.run(run.id) or run).detail
    said = "its files cannot be pushed to the DVC remote; a later retrim check, retrain or schedule finishes the run"
    record_alert(
        workspace, AlertKind.REMOTE_AWAY, f"{run.id}: {said}", now=now, about=run.id
    )  # first: a kill between tells it twice
    there = KeptRunDirectory(**{**vars(run_directory), "folder": str(run_directory.folder)})
    detail = replace(kept, reason=f"{said} ({why})", run_directory=there)
    workspace.store.end_run(run.id, state=UNPUSHED, ended=iso(now), version=None, detail=detail)


def finished_run_directory(workspace: Workspace, run: RunRow) -> RunDirectory | None:
    """The run directory of an earlier attempt whose stages have all run, if its champion is live; else None.

    None also where it holds a batch that was withdrawn since: another attempt leaves that out.
    """
    there, now_live = run.detail.run_directory, find_live_version(workspace)
    if there is None:
        return None
    run_directory = RunDirectory(Path(there.folder), there.snapshot, there.untracked, there.champion)
    champion = None if now_live is None else now_live.version
    if not run_directory.folder.is_dir() or run_directory.champion != champion:
        return None
    gone, raw = workspace.landing.withdrawals(), Paths(run_directory.folder).raw
    withdrawn = [batch.path for batch in workspace.landing.batches() if batch.batch in gone]
    return None if any((raw / path.parent.name / path.name).exists() for path in withdrawn) else run_directory
