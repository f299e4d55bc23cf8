"""One retraining, from a decision to a verdict: claim, run directory, stages, publish, conclude."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import pandas as pd

from retrim.adapters import dvc, dvc_cache, git
from retrim.adapters.database import iso
from retrim.checking.check import CheckOutcome, check
from retrim.checking.history import newest_check, rows_to_wait_for
from retrim.checking.mode import mode_now
from retrim.checking.previous_champions import restore_after_run
from retrim.checking.rows import used_rows
from retrim.decision.alerts import AlertKind
from retrim.decision.brakes import Paused
from retrim.decision.check_record import StartedBy
from retrim.decision.history import UNFINISHED, RunOutcome
from retrim.decision.release_checks import ReleaseChecks
from retrim.decision.stored_rows import RunClaim, RunDetail, RunRow, RunSnapshot, VersionRow
from retrim.errors import BadInputError, RefusedError, RetrimError, is_machine_fault
from retrim.features.view import FeatureView
from retrim.files import Paths, file_digest, folder_digest, read_folder
from retrim.landing.as_of_view import HISTORY, NEEDS
from retrim.landing.overdue import tell_overdue
from retrim.lineage.locks import held_locks, is_alive, left_behind
from retrim.lineage.own_code import lock_of, require_running_code
from retrim.lineage.workspace import (
    PERSON,
    TRIAL_LOG,
    Workspace,
    ask_for_run,
    decision_of,
    record_alert,
    tell_suspicious,
)
from retrim.parquet import read_parquet
from retrim.release.approval import let_wait
from retrim.release.card import keep_card
from retrim.release.outcome import REFUSED_AT_RELEASE, show_outcome
from retrim.release.pause import pause_of, refuse_while_paused
from retrim.release.release import held_withdrawn, promote_version, release_checks, show_challenger
from retrim.release.versions import MLFLOW_RUN, REPOSITORY
from retrim.retraining.recover import (
    clear_run_directories,
    clear_run_directory,
    end_by_fault,
    end_hung_runs,
    mark_stopped,
    run_directories_of,
)
from retrim.retraining.run_directory import UNPUSHED, RunDirectory, open_run_directory, wait_for_remote
from retrim.stats.codec import from_record, to_record
from retrim.training.bundle import JudgedRecord, SplitRecord, model_digest, needs_of
from retrim.training.estimators import MODELS
from retrim.training.mode import Mode
from retrim.training.recipe import BASELINE
from retrim.training.tuning import Trial, read_trials

Say = Callable[[str], None]
POLL_SECONDS = 0.5
ACTS = ("retrain", "rollback")


def outcome_of(workspace: Workspace, decision: str) -> RunOutcome | None:
    """How the run of a decision ended; None if it has not, or did not end well."""
    run = workspace.store.run(f"run-{decision}")
    if run is None or run.state not in ("promoted", "refused", "deferred", "waiting", UNPUSHED):
        return None
    return RunOutcome(run.id, run.state, str(run.detail.reason), run.version)


def claim_run(workspace: Workspace, decision: str, *, now: pd.Timestamp, mode: Mode | None = None) -> RunRow:
    """Starts the run of a decision; one decision has one run, and one model one run at a time.

    Raises:
        RefusedError: The decision has had its run, another run is in progress, automatic retraining is paused, or this
            workspace's code is another.
    """
    require_running_code(lock_of(workspace.paths))
    refuse_while_paused(workspace, decision)
    row = workspace.store.decision(decision)
    assert row is not None, decision
    decided = from_record(StartedBy, row.record).mode
    chosen = mode or (mode_now(workspace).mode if decided is None else decided.mode)
    claim = RunClaim(f"run-{decision}", workspace.model, decision, row.as_of, chosen, iso(now))
    return workspace.store.claim_run(claim, mode=mode)


def defer_run(workspace: Workspace, run: RunRow, *, now: pd.Timestamp) -> RunOutcome | None:
    """Ends the run *deferred*, naming a date, if too few rows are mature to judge; else None.

    A run that a check decided on needs rows that matured since the champion was judged, or
    it would make the same model again; one that a person asked for may be judged on the
    same rows, as long as the champion has not used them: the settings may be new.

    Raises:
        BadInputError: No rows had landed by the run's date.
    """
    asked = workspace.store.decision(run.decision)
    by_person = asked is not None and asked.source == PERSON
    wait = rows_to_wait_for(workspace, as_of=pd.Timestamp(run.as_of), by_person=by_person)
    if wait is None:
        return None
    workspace.store.end_run(
        run.id, state="deferred", ended=iso(now), version=None, detail=from_record(RunDetail, to_record(wait))
    )
    return RunOutcome(run.id, "deferred", wait.reason, None)


def make_run_directory(workspace: Workspace, run: RunRow) -> RunDirectory:
    """The run directory of this attempt, from the snapshot of a killed one; a crashed run directory itself is never
    used again.
    """
    for left in run_directories_of(workspace, run.id):
        clear_run_directory(workspace, left)
    if run.mode == "search":  # said at once, not after the stages before the search
        kind = MODELS[workspace.params.train.model]
        kind.check_aim(workspace.params.data.task, workspace.params.judge.loss)
        kind.check_space(workspace.params.tune.space)
    earlier, taken = run.detail.snapshot, None
    if earlier is not None and git.has_commit(workspace.paths.root, earlier.commit):
        taken = git.Snapshot(earlier.commit, earlier.untracked)
    name = f"{run.id}-{run.attempt}"
    asked = workspace.store.decision(run.decision)
    by_gain = asked is not None and "gain" in from_record(StartedBy, asked.record).rules
    run_directory = open_run_directory(
        workspace, name, as_of=pd.Timestamp(run.as_of), mode=run.mode, taken=taken, by_gain=by_gain
    )
    snapshot = RunSnapshot(run_directory.snapshot, run_directory.untracked)
    workspace.store.note_run(run.id, RunDetail(snapshot=snapshot))
    return run_directory


def made_before(workspace: Workspace, run: RunRow) -> int | None:
    """The version that a killed attempt of this run has published already; only its conclusion is missing."""
    found = workspace.store.version_of_run(run.id)
    return None if found is None else int(found.version)


def conclude_run(workspace: Workspace, run: RunRow, version: int, parent: str, *, now: pd.Timestamp) -> RunOutcome:
    """Acts on the verdict and the release checks: the alias moves, or it does not and the reason is kept.

    Where a previous champion won, that one goes live again and the new version is refused: nothing is registered twice.
    """
    row = workspace.store.version(workspace.model, version)
    assert row is not None
    keep_card(workspace, version, now=now)
    asked = workspace.store.decision(run.decision)
    assert asked is not None, run.decision
    promotes, reason = row.judged.promote, row.judged.reason
    if promotes:
        checks = from_record(ReleaseChecks, release_checks(workspace, version, now=now).record)
        workspace.registry.add_to_note(parent, version, row.judged, checks)
        promotes, reason = checks.passed, reason if checks.passed else checks.reason
    if promotes and (withdrawn := held_withdrawn(workspace, version)):  # since the run began
        promotes, reason = False, f"{withdrawn}; retrain, which leaves it out"
    against, paused = row.made_from.champion, pause_of(workspace, run.decision)
    if promotes and paused is not None:
        reason = f"{reason}; {paused.text}"
    if promotes and (workspace.params.release.approval.asks(against) or paused is not None):
        workspace.registry.finish(parent, "FINISHED")
        said = let_wait(workspace, run, version, reason=reason, now=now)
        clear_run_directories(workspace)
        return RunOutcome(run.id, "waiting", said, version)
    if promotes:
        promote_version(workspace, version, judged_against=against, by=asked.actor, reason=reason, now=now)
    back, reason = _brought_back(workspace, row, reason, by=asked.actor, paused=paused, now=now)
    show_challenger(workspace, None)
    workspace.registry.finish(parent, "FINISHED")
    state = "promoted" if promotes else "refused"
    if not promotes:  # first: a kill between tells it once more
        show_outcome(workspace, version, outcome=REFUSED_AT_RELEASE if row.judged.promote else None)
        if run.mode != BASELINE:  # which a person makes live whatever the gate says
            text = f"version {version}: {reason}"
            record_alert(workspace, AlertKind.REFUSED, text, now=now, about=str(version))
    detail = RunDetail(reason=reason, restored=back)
    workspace.store.end_run(run.id, state=state, ended=iso(now), version=version, detail=detail)
    clear_run_directories(workspace)
    return RunOutcome(run.id, state, reason, version)


def _brought_back(
    workspace: Workspace, row: VersionRow, reason: str, *, by: str, paused: Paused | None, now: pd.Timestamp
) -> tuple[int | None, str]:
    """The previous champion that won a run and is live again, and the reason: why not too, if it cannot or may not."""
    previous_champions = row.judged.previous_champions
    restored = None if previous_champions is None else previous_champions.restore
    asked = None if restored is None else workspace.params.release.approval.asked_to_restore(reason, restored)
    if restored is not None and paused is not None:
        asked = f"{reason}; but {paused.text}: `retrim versions rollback --to {restored} --reason ...`"
    if asked is not None:
        text = f"version {restored}: {asked}"
        record_alert(workspace, AlertKind.RESTORE_NEEDED, text, now=now, about=str(restored))
        return None, asked
    try:
        return restore_after_run(workspace, row, by=by, now=now), reason
    except RefusedError as error:  # the new version is refused anyway
        return None, f"{reason}; but {error}"


def publish(
    workspace: Workspace, run: RunRow, run_directory: RunDirectory, parent: str, *, now: pd.Timestamp
) -> int | None:
    """Commits the run directory, pushes it, publishes its bundle, tags it, records the version. Run twice, it adds
    nothing.

    The DVC remote comes first: nothing has a number before its files are stored. Where the remote is away, the run ends
    *unpushed*, to be finished later, and there is no version yet: None. All files are flushed to the disk before the
    store has a row of them, so that a power cut cannot keep the row and lose what it stands for.
    """
    paths = Paths(run_directory.folder)
    commit = git.commit_files(run_directory.folder, dvc.COMMITTED, f"retrim: {run.id}", date=run.as_of)
    if dvc.has_remote(workspace.paths.root):
        try:
            dvc.run_dvc(run_directory.folder, "push")
        except RetrimError as error:
            wait_for_remote(workspace, run, run_directory, why=str(error), now=now)
            return None
    bundle = folder_digest(paths.candidate)
    verdict = json.loads((paths.verdict / "verdict.json").read_bytes())
    model_sha256 = model_digest(read_folder(paths.candidate / from_record(JudgedRecord, verdict).folder))
    lineage = {
        "run": run.id,
        "decision": run.decision,
        "snapshot": run_directory.snapshot,
        "untracked": list(run_directory.untracked),
        "commit": commit,
        "dvc_lock": file_digest(run_directory.folder / "dvc.lock"),
        "requirements_lock": file_digest(run_directory.folder / "requirements.lock"),
        "row_order": from_record(SplitRecord, json.loads((paths.features / "split.json").read_bytes())).row_order,
        "seed": workspace.params.train.seed,
        REPOSITORY: git.first_commit(workspace.paths.root),
        MLFLOW_RUN: parent,
        **({"allowed_leaks": dict(workspace.params.leaks.allowed)} if workspace.params.leaks.allowed else {}),
        NEEDS: needs_of(read_folder(paths.candidate)),
        "model_sha256": model_sha256,
        **json.loads(paths.pins.read_bytes()),
    }
    if (paths.features / "history.json").is_file():
        lineage[HISTORY] = json.loads((paths.features / "history.json").read_bytes())
    version = workspace.registry.publish(
        parent,
        paths.candidate,
        bundle_id=bundle,
        lineage=lineage,
        params={"mode": run.mode, "as_of": run.as_of},
        example=_example(paths),
    )
    show_challenger(workspace, version)
    tag = f"retrim/{workspace.model}/v{version}"
    git.tag(workspace.paths.root, tag, commit, same=dvc.COMMITTED)
    git.flush(workspace.paths.root, tag)
    dvc_cache.flush(workspace.paths.root, commit)
    workspace.store.add_version(
        VersionRow(
            workspace.model,
            version,
            run=run.id,
            tag=tag,
            as_of=run.as_of,
            bundle=bundle,
            model_sha256=model_sha256,
            made=iso(now),
            lineage=lineage,
            verdict=verdict,
        ),
        used=used_rows(paths),
    )
    return version


def _example(paths: Paths) -> pd.DataFrame:
    view = from_record(FeatureView, json.loads((paths.features / "view.json").read_bytes()))
    return read_parquet(paths.view)[[*view.needs, "_event"]].tail(5)


@contextmanager
def marked(
    workspace: Workspace, run: RunRow, *, now: pd.Timestamp, from_outside: Callable[[Exception], bool]
) -> Iterator[None]:
    """Marks the run when what it wraps does not end: failed after an error, crashed when it was stopped from outside.

    A failed run is not tried again by itself, a crashed one is. A fault of the machine, such as a time-out, leaves the
    run crashed until its last attempt, and then failed. The error goes on.

    Args:
        from_outside: Whether an error is none of the run's own: what the flow stands on went away.
    """
    try:
        yield
    except Exception as error:
        if from_outside(error):
            mark_stopped(workspace, run, why=f"{type(error).__name__}: {error}", now=now)
            _mirror(workspace, run, "KILLED")
            raise
        if is_machine_fault(error):
            why = next(iter(str(error).splitlines()), type(error).__name__)
            again = end_by_fault(workspace, run, why=why, now=now)
            _mirror(workspace, run, "KILLED" if again else "FAILED")
            raise
        detail = RunDetail(reason=str(error))
        workspace.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail=detail)
        record_alert(workspace, AlertKind.RUN_FAILED, f"{run.id}: {error}", now=now, about=run.id)
        _mirror(workspace, run, "FAILED")
        raise
    except BaseException:  # Ctrl-C, a signal to end, a cancelled flow run
        mark_stopped(workspace, run, why="it was stopped", now=now)
        _mirror(workspace, run, "KILLED")
        raise


def _mirror(workspace: Workspace, run: RunRow, status: Literal["FAILED", "KILLED"]) -> None:
    """Ends the run in MLflow too; that MLflow is not there must not hide the error."""
    with suppress(RetrimError):
        workspace.registry.end_open(run.id, status)


@contextmanager
def watching_trials(workspace: Workspace, parent: str, stage: str) -> Iterator[Callable[[Say], Say]]:
    """Logs trials to MLflow as a search tells them. Gives a wrapper for the stage's `say`, which learns the log's name.

    Only `tune` prints the name of a trial log; for the other stages nothing is watched.
    """
    names: list[str] = []
    stopped = threading.Event()

    def wrap(say: Say) -> Say:
        def both(line: str) -> None:
            if found := TRIAL_LOG.search(line):
                names.append(found[1])
            say(line)

        return both

    known: set[int] | None = None

    def publish() -> None:
        nonlocal known
        if names:
            known = workspace.registry.log_trials(parent, _read(workspace, names[-1]), known)

    def follow() -> None:
        while not stopped.wait(POLL_SECONDS):
            publish()

    watcher = threading.Thread(target=follow, name=f"watch-{stage}", daemon=True)
    if stage == "tune":
        watcher.start()
    try:
        yield wrap
    finally:
        stopped.set()
        if stage == "tune":
            watcher.join()
            publish()


def _read(workspace: Workspace, name: str) -> list[Trial]:
    log = workspace.paths.trials / name
    return read_trials(log.read_bytes()) if log.exists() else []


def check_at_once(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome | None:
    """The check of a moment where nothing came since the one before; None where the flow has to make it.

    That is so where rows came, where a kill left something to finish, and where the check decides that something
    has to be done: its flow finds it made, and does that.

    Raises:
        BadInputError: No rows had landed by then.
    """
    _require_rows(workspace, as_of=now)
    tell_suspicious(workspace, now=now)
    newest = newest_check(workspace)
    seen = None if newest is None or newest.record.landed is None else newest.record.landed.batches
    is_newest = newest is None or newest.record.as_of <= now  # one before the newest has nothing to look at
    came = is_newest and len(workspace.landing.batches(now)) != seen  # counted: a released batch keeps its arrival
    made = workspace.store.decision(f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}") is not None
    if (came and not made) or not _is_settled(workspace):
        return None
    tell_overdue(workspace, now=now)
    checked = check(workspace, by=by, now=now)
    return None if checked.outcome in ACTS else checked


def retrain_at_once(
    workspace: Workspace, *, as_of: pd.Timestamp, mode: Mode | None, by: str, reason: str, now: pd.Timestamp
) -> RunOutcome | None:
    """A person's retraining that cannot be: deferred, as too few rows are mature; None where the flow has to run.

    Raises:
        BadInputError: No rows had landed by `as_of`.
        RefusedError: A run is in progress, or the same was asked for before and has ended.
    """
    _require_rows(workspace, as_of=as_of)
    end_hung_runs(workspace, now=now)
    run = workspace.store.run(f"run-{decision_of(workspace, as_of)}")
    going_on = any(is_alive(workspace, run.id) for run in workspace.store.runs(workspace.model, state="running"))
    ended = run is not None and run.state not in (*UNFINISHED, "failed")
    if going_on or (
        ended and not left_behind(workspace, "")
    ):  # what was killed once it had ended is open in Prefect still
        ask_for_run(workspace, as_of=as_of, by=by, reason=reason, now=now)  # says why not
    if (
        run is not None
        or not _is_settled(workspace)
        or rows_to_wait_for(workspace, as_of=as_of, by_person=True) is None
    ):
        return None
    decision = ask_for_run(workspace, as_of=as_of, by=by, reason=reason, now=now)
    with held_locks(workspace, f"run-{decision}"):
        return defer_run(workspace, claim_run(workspace, decision, now=as_of, mode=mode), now=as_of)


def _require_rows(workspace: Workspace, *, as_of: pd.Timestamp) -> None:
    if not any(file.kind == "rows" for file in workspace.landing.batches(as_of)):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")


def _is_settled(workspace: Workspace) -> bool:
    """Whether nothing waits to be finished: no run that was killed, and no decision without its run."""
    if any(workspace.store.runs(workspace.model, state=state) for state in UNFINISHED):
        return False
    if left_behind(workspace, ""):
        return False
    decisions = workspace.store.decisions(workspace.model)
    newest = decisions[-1] if decisions else None
    return newest is None or newest.outcome not in ACTS or workspace.store.run(f"run-{newest.id}") is not None
