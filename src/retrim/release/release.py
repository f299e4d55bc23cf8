"""The release checks of a stored version: made in a fresh process, kept in its envelope before it is live.

What is live: the one place where a champion changes. The store's release row decides; MLflow's aliases follow.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd

import retrim
from retrim.adapters.database import iso
from retrim.adapters.exhibits import Exhibits
from retrim.decision.alerts import AlertKind
from retrim.decision.release_checks import LOAD_SECONDS, RELEASE_CHECKS, FreshAnswers, ReleaseChecks, hold_to
from retrim.decision.stored_rows import EnvelopeRow, ReleaseMove
from retrim.errors import BadInputError, MachineFaultError, RefusedError, RetrimError
from retrim.landing.as_of_view import withdrawn_batches
from retrim.lineage.workspace import Workspace, clock, record_alert, require_who_and_why
from retrim.release.card import show_release
from retrim.release.versions import (
    LiveVersion,
    find_live_version,
    find_rollback_target,
    keep_copies,
    stored_bundle,
    trusted_live,
)
from retrim.stats.codec import from_record, to_record

FIRST = "first"
PATIENCE_SECONDS = 600.0
"""By the clock, for the process that answers: ten times its processor time, for a busy machine. One that takes longer
hangs."""
FROM_OUTSIDE = (signal.SIGALRM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
"""Signals that end a process without a word on what it loads: its own clock, a person, a lack of memory."""
MOVES_BACK = {
    "restore": AlertKind.RESTORED,
    "rollback": AlertKind.ROLLED_BACK,
    AlertKind.PROBATION_ROLLBACK.value: AlertKind.PROBATION_ROLLBACK,
}
"""What people are told of moves to a version that was live before."""
NAMED_DIGITS = 8
"""Of the id of a withdrawn batch, in a reason."""


def release_checks(workspace: Workspace, version: int, *, now: pd.Timestamp) -> EnvelopeRow:
    """The release checks of a version, made and recorded once, after its gate and before it goes live.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its stored bundle is not the recorded one.
        MachineFaultError: As `ask_fresh`; nothing is recorded.
    """
    found = recorded(workspace, version, FIRST)
    return (
        record_checks(workspace, version, FIRST, check_stored(workspace, version), now=now) if found is None else found
    )


def recorded(workspace: Workspace, version: int, name: str) -> EnvelopeRow | None:
    """The release checks that were recorded under a name: `first`, or those of one move."""
    rows = workspace.store.envelope(workspace.model, version, kind=RELEASE_CHECKS)
    return next((row for row in rows if row.id == name), None)


def record_checks(
    workspace: Workspace, version: int, name: str, checks: ReleaseChecks, *, now: pd.Timestamp
) -> EnvelopeRow:
    """Adds release checks to the envelope of a version; gives what stands there, which is what was first."""
    record = to_record(checks)
    workspace.store.add_to_envelope(
        workspace.model, version, kind=RELEASE_CHECKS, name=name, at=iso(now), record=record
    )
    found = recorded(workspace, version, name)
    assert found is not None
    return found


def check_stored(workspace: Workspace, version: int, *, again: bool = False) -> ReleaseChecks:
    """Loads a stored version in a fresh process and holds it to `release` in params.yaml.

    Raises:
        As `release_checks`.
    """
    row = workspace.store.version(workspace.model, version)
    folder = stored_bundle(workspace, version)
    assert row is not None
    size = sum((folder / name).stat().st_size for name in Exhibits(folder).predicting)
    return hold_to(ask_fresh(folder, str(row.bundle), seconds=LOAD_SECONDS), size, again=again)


def ask_fresh(folder: Path, digest: str, *, seconds: float) -> FreshAnswers:
    """What a fresh process says of a stored bundle; one that uses up its processor time, or hangs, is ended.

    Raises:
        MachineFaultError: It did not end by itself, or in time by the clock; that says nothing of the bundle.
    """
    source = str(Path(retrim.__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_WAIT_POLICY": "passive"}
    patience = PATIENCE_SECONDS
    module = "retrim.release.answering"
    command = [sys.executable, "-P", "-m", module, str(folder), digest, str(seconds), str(patience)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired as error:
        raise MachineFaultError(
            f"the process that loads {folder} did not answer within {patience:g} s by the clock, which says nothing "
            "of the model; try again when the machine is less busy"
        ) from error
    if -done.returncode in FROM_OUTSIDE:
        raise MachineFaultError(
            f"the process that loads {folder} was ended by {signal.Signals(-done.returncode).name}, which says nothing "
            "of the model; check the machine's memory, then try again"
        )
    if -done.returncode == signal.SIGXCPU:
        return FreshAnswers(f"it used more processor time than the {seconds:g} s allowed")
    if done.returncode:
        last = next(reversed(done.stderr.strip().splitlines()), "")
        return FreshAnswers(last or f"the process ended with exit code {done.returncode}")
    try:
        return from_record(FreshAnswers, json.loads(done.stdout))
    except (ValueError, RetrimError) as error:
        raise RetrimError(
            f"the process that loads {folder} printed {done.stdout[:200]!r} instead of its result; remove the "
            "code that prints while the model is loaded"
        ) from error


def promote_version(
    workspace: Workspace, version: int, *, judged_against: int | None, by: str, reason: str, now: pd.Timestamp
) -> None:
    """Makes `version` the champion; once it was, the same again is a no-op, whatever is live since.

    Raises:
        RefusedError: What is live is not the champion that it was judged against, or as `make_live`.
    """
    if not _was_promoted(workspace, version):
        try:
            make_live(workspace, version, action="promote", expected=judged_against, by=by, reason=reason, now=now)
        except RefusedError:
            if not _was_promoted(workspace, version):  # else somebody who carries out the same word was faster
                raise
    sync_aliases(workspace)
    tell_promoted(workspace, version, reason=reason, now=now)


def tell_promoted(workspace: Workspace, version: int, *, reason: str, now: pd.Timestamp) -> None:
    """Tells people that a version went live, and what it is worth: the loss before and after on the same rows."""
    row = workspace.store.version(workspace.model, version)
    worth, before = "", None if row is None else row.judged.losses.get("champion")
    if row is not None and before is not None:
        loss = workspace.params.judge.loss
        worth = f" ({loss} on the same {row.judged.rows:,} rows: {before:.4g} before, {row.judged.loss:.4g} now)"
    text = f"version {version} is live: {reason}{worth}"
    record_alert(workspace, AlertKind.PROMOTED, text, now=now, about=str(version))


def rollback(workspace: Workspace, to: int | None, *, by: str, reason: str, now: pd.Timestamp) -> LiveVersion:
    """Makes an earlier version the champion again, after it was loaded and has answered its reference rows.

    Raises:
        BadInputError: There is no such version, or none before the champion; or nobody or no reason is named.
        RefusedError: It is live already, was never live, or as `make_live`.
    """
    require_who_and_why(by=by, reason=reason)
    champion = find_live_version(workspace)
    if champion is None:
        raise BadInputError(f"{workspace.model} has no live version; train version 1 with `retrim retrain`")
    found = find_rollback_target(workspace)
    if to is None and found is None:
        raise BadInputError(f"no version was live before version {champion.version}; choose a version with --to N")
    target = to if to is not None or found is None else found.version
    assert target is not None
    if target == champion.version:
        raise RefusedError(f"version {target} is live already; choose a different version with --to N")
    was_live, row = _were_live(workspace), workspace.store.version(workspace.model, target)
    if row is None:
        known = ", ".join(str(row.version) for row in workspace.store.versions(workspace.model))
        raise BadInputError(f"{workspace.model} has no version {target}; name one of: {known}")
    if target not in was_live and not row.is_baseline:
        raise RefusedError(
            f"version {target} was never live: the gate, a release check or an approval stopped it. Choose a version "
            f"that was live: {', '.join(map(str, sorted(was_live)))}. To train a new version: retrim retrain "
            "--reason WHY"
        )
    make_live(workspace, target, action="rollback", expected=champion.version, by=by, reason=reason, now=now)
    moved = find_live_version(workspace)
    assert moved is not None
    return moved


def held_withdrawn(workspace: Workspace, version: int) -> str:
    """Says which withdrawn batches a version holds; empty: none."""
    withdrawals = withdrawn_batches(workspace, version)
    if not withdrawals:
        return ""
    first, more = withdrawals[0], len(withdrawals) - 1
    also = f", and {more} more withdrawn batches" if more else ""
    return (
        f"version {version} was made with batch {first.batch}, which {first.by} withdrew on {first.at:%Y-%m-%d} "
        f"({first.reason}){also}"
    )


def require_reason_for_withdrawn(workspace: Workspace, version: int, *, reason: str) -> None:
    """Refuses to release a version that holds a withdrawn batch, unless the reason names such a batch.

    Raises:
        RefusedError: It does not: says which batch, and how to release the version all the same.
    """
    withdrawals = withdrawn_batches(workspace, version)
    if withdrawals and not any(each.batch[:NAMED_DIGITS] in reason for each in withdrawals):
        name = withdrawals[0].batch[:NAMED_DIGITS]
        raise RefusedError(
            f"{held_withdrawn(workspace, version)}; train a version without it: retrim retrain --reason WHY. To "
            f"release version {version} all the same, name the batch in the reason: --reason '{name}: WHY'"
        )


def make_live(
    workspace: Workspace, version: int, *, action: str, expected: int | None, by: str, reason: str, now: pd.Timestamp
) -> None:
    """Makes a stored version the champion if `expected` still is: the only way in which any version goes live.

    A version goes live with a verdict that promotes, or as the baseline that a person falls back to, and with release
    checks that passed; one that holds a withdrawn batch
    only with a reason that names it. One that was live before has
    both; it is loaded in a fresh process and asked its reference rows anyway, which is recorded
    too, while its size and latency are reported only: it has been served with them.

    Args:
        expected: What was live when this was decided; None for nothing.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Something else is live by now; the gate or a release check refused it; it holds a withdrawn
            batch that the reason does not name; its bundle or the log was altered.
    """
    row = workspace.store.version(workspace.model, version)
    if row is None:
        raise BadInputError(f"{workspace.model} has no version {version}; list them with `retrim versions`")
    if not row.judged.promote and not row.is_baseline:
        raise RefusedError(
            f"version {version} cannot go live, because the gate refused it: {row.judged.reason}; train a new version"
        )
    _expect(workspace, version, expected)
    require_reason_for_withdrawn(workspace, version, reason=reason)
    if version in _were_live(workspace):
        tested = check_stored(workspace, version, again=True)
        record_checks(workspace, version, f"{action} {iso(now)}", tested, now=now)
        passed, why = tested.passed, tested.reason
    else:
        stored_bundle(workspace, version)
        checks = from_record(ReleaseChecks, release_checks(workspace, version, now=now).record)
        passed, why = checks.passed, checks.reason
    if not passed:
        raise RefusedError(
            f"version {version} cannot go live: {why}. The live version does not change; correct the cause, or "
            "release a different version"
        )
    move = ReleaseMove(
        model=workspace.model, version=version, action=action, actor=by, reason=reason, as_of=iso(now), at=iso(clock())
    )
    tell_move_back(workspace)  # one that a kill kept from being told, before another follows it
    workspace.store.add_release(move, expected=expected, keys=workspace.keys)
    tell_move_back(workspace)
    sync_aliases(workspace)


def tell_move_back(workspace: Workspace) -> None:
    """An alert for the newest release if it is a move back, once: so none is lost to a kill right after it."""
    row = next(reversed(workspace.store.releases(workspace.model)), None)
    if row is None or row.action not in MOVES_BACK:
        return
    kind = MOVES_BACK[row.action]
    if kind is AlertKind.PROBATION_ROLLBACK:
        text = f"version {row.version} is live again: {row.reason}"
    else:
        in_place = f"in place of {row.previous}, moved by {row.actor}: {row.reason}"
        text = f"version {row.version} is live again as of {row.as_of}, {in_place}"
    record_alert(workspace, kind, text, now=pd.Timestamp(row.as_of), about=str(row.version))


def sync_aliases(workspace: Workspace) -> None:
    """Lets the copies in git, MLflow's aliases, verdict tags and cards follow the release rows.

    A killed move is finished here.

    MLflow cannot compare and swap. So whoever has set an alias looks at the release rows again, and whoever is
    last to set one sees the last of them.
    """
    if not workspace.mirrored:
        return
    keep_copies(workspace)
    before: LiveVersion | None = None
    champion = find_live_version(workspace)
    while champion is None or champion != before:
        wanted = {} if champion is None else {"champion": champion.version, "previous": champion.previous}
        have = workspace.registry.aliases()
        for alias in ("champion", "previous"):
            number = wanted.get(alias)
            if number is None and alias in have:
                workspace.registry.drop_alias(alias)
            elif number is not None and have.get(alias) != number:
                workspace.registry.set_alias(alias, number)
        if champion is None:
            return
        before, champion = champion, find_live_version(workspace)
    show_release(workspace)


def show_challenger(workspace: Workspace, version: int | None) -> None:
    """Points MLflow's alias `challenger` at the version whose verdict is carried out next; None: at nothing."""
    if not workspace.mirrored:
        return
    if version is None:
        workspace.registry.drop_alias("challenger")
    else:
        workspace.registry.set_alias("challenger", version)


def _was_promoted(workspace: Workspace, version: int) -> bool:
    return any(row.version == version and row.action == "promote" for row in workspace.store.releases(workspace.model))


def _were_live(workspace: Workspace) -> set[int]:
    return {row.version for row in workspace.store.releases(workspace.model)}


def _expect(workspace: Workspace, version: int, expected: int | None) -> None:
    champion = trusted_live(workspace)
    found = None if champion is None else champion.version
    if found != expected:
        raise RefusedError(
            f"version {version} was judged against champion {expected or 'none'}, but {found or 'none'} is live now; "
            "retrain to judge against the live version"
        )
