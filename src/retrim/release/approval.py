"""What holds a promoted version back: a person who has to approve it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from retrim.adapters import git, ssh_signing
from retrim.adapters.database import iso
from retrim.decision.alerts import AlertKind
from retrim.decision.stored_rows import ApprovalAnswer, RunDetail, RunRow, Said
from retrim.errors import BadInputError, MachineFaultError, RefusedError
from retrim.files import claims
from retrim.lineage.workspace import Workspace, record_alert, require_who_and_why
from retrim.release.outcome import REFUSED_AT_RELEASE, WAITING_FOR_APPROVAL, show_outcome
from retrim.release.release import promote_version, require_reason_for_withdrawn, show_challenger
from retrim.release.versions import find_live_version
from retrim.stats.codec import from_record

EXPIRES = pd.Timedelta("7D")
"""Time after which a version that waits for approval is refused."""
ANSWER = "answer"  # the one entry of its kind in an envelope: a second answer has no place
APPROVERS = "approvers"
"""File of the workspace, committed: who may approve, a line `NAME ssh-ed25519 KEY` each, as git lists its signers."""
APPROVAL, WAITING = "approval", "waiting"


@dataclass(frozen=True)
class WaitingVersion:
    """A version that waits for a person.

    Args:
        version: Number of the version.
        run: The run that made it.
        since: When it began to wait.
        expires: When it is refused if nobody answers.
        reason: The verdict of the gate.
    """

    version: int
    run: str
    since: str
    expires: str
    reason: str


def let_wait(workspace: Workspace, run: RunRow, version: int, *, reason: str, now: pd.Timestamp) -> str:
    """Ends a run *waiting* and tells it; gives what is said of it. The alias stays where it is."""
    expires = iso(now + EXPIRES)
    sentence = (
        f"{reason}; waits until {expires} for a person: `retrim versions approve {version} --reason ...`, "
        f"or `retrim versions reject {version} --reason ...`"
    )
    detail = RunDetail(reason=sentence, verdict=reason, expires=expires)
    record_alert(
        workspace, AlertKind.APPROVAL_NEEDED, f"version {version}: {sentence}", now=now, about=str(version)
    )  # first: a kill between tells it twice
    show_outcome(workspace, version, outcome=WAITING_FOR_APPROVAL)
    workspace.store.end_run(run.id, state=WAITING, ended=iso(now), version=version, detail=detail)
    return sentence


def waiting(workspace: Workspace) -> list[WaitingVersion]:
    """The versions that wait, oldest first."""
    return [
        WaitingVersion(run.made, run.id, str(run.ended), str(run.detail.expires), str(run.detail.verdict))
        for run in workspace.store.runs(workspace.model, state=WAITING)
    ]


def answer_of(workspace: Workspace, version: int) -> ApprovalAnswer | None:
    """What was said to a version; None while nothing was."""
    rows = workspace.store.envelope(workspace.model, version, kind=APPROVAL)
    return from_record(ApprovalAnswer, {"version": version, **rows[0].record}) if rows else None


def approve(
    workspace: Workspace, version: int, *, by: str, reason: str, now: pd.Timestamp, key: Path | None = None
) -> ApprovalAnswer:
    """Lets a version that waits go live; asked again after a kill, it finishes what was begun.

    Args:
        key: The SSH key of who approves, where a committed file `approvers` asks for one; its name there replaces `by`.

    Raises:
        BadInputError: There is no such version, or nobody or no reason is named.
        RefusedError: It does not wait, was answered otherwise, has expired, or cannot go live: the champion is
            another than the one it was judged against, a release check failed, its bundle was altered, or it is not
            signed by an approver.
        RetrimError: Its bundle is gone. It still waits.
    """
    run = _to_answer(workspace, version, "approved", by=by, reason=reason, now=now)
    require_reason_for_withdrawn(workspace, version, reason=reason)  # first: an answer cannot be changed
    workspace.registry.bundle_folder(version)  # first: an answer that nothing can carry out holds up every check
    by, signature = _sign(workspace, run, by=by, reason=reason, key=key)
    answer = _keep(workspace, version, "approved", by=by, reason=reason, now=now, signature=signature)
    _finish(workspace, run, answer, now=now)
    return answer


def _sign(workspace: Workspace, run: RunRow, *, by: str, reason: str, key: Path | None) -> tuple[str, str | None]:
    """Who approves, and the signature that shows it; the name alone where no approvers are committed."""
    root = workspace.paths.root
    commit = git.commit_of(root, git.HEAD)
    listed = commit is not None and git.git(root, "ls-tree", "--name-only", commit, APPROVERS)
    if not listed:
        if key is not None:
            raise BadInputError(
                f"--key is given, but no file {APPROVERS} is committed in the workspace; add one with a line "
                "NAME ssh-ed25519 KEY for each person who may approve, and commit it"
            )
        return by, None
    if key is None:
        raise RefusedError(
            f"the committed file {APPROVERS} asks for a signature: retrim versions approve {run.made} "
            "--key ~/.ssh/id_ed25519 --reason WHY"
        )
    row = workspace.store.version(workspace.model, run.made)
    assert row is not None, run.made
    content = f"approve {workspace.model} version {run.made}\nbundle {row.bundle}\nreason {reason}\n".encode()
    signature = ssh_signing.sign(content, key)
    name = ssh_signing.signer_of(content, signature, git.file_at(root, str(commit), f"./{APPROVERS}"))
    asked = workspace.store.decision(run.decision)
    if asked is not None and claims(asked.actor, name):
        raise RefusedError(f"{name} started the retraining of version {run.made}; somebody else has to approve it")
    return name, signature


def reject(workspace: Workspace, version: int, *, by: str, reason: str, now: pd.Timestamp) -> ApprovalAnswer:
    """Refuses a version that waits: the accumulated gain is debited, as for one that the gate refuses.

    Raises:
        As `approve`, but for what only going live can run into.
    """
    run = _to_answer(workspace, version, "rejected", by=by, reason=reason, now=now)
    answer = _keep(workspace, version, "rejected", by=by, reason=reason, now=now)
    _finish(workspace, run, answer, now=now)
    return answer


def end_waiting(workspace: Workspace, *, now: pd.Timestamp) -> list[ApprovalAnswer]:
    """Ends what has waited long enough, or for nothing; finishes answers that a kill interrupted; gives them all."""
    ended = []
    for run in workspace.store.runs(workspace.model, state=WAITING):
        # A person was faster; or its run has ended refused, with the reason. After a time-out it waits on.
        with suppress(RefusedError, MachineFaultError):
            answer = answer_of(workspace, run.made) or _unanswered(workspace, run, now=now)
            if answer is not None:
                ended.append(answer)
                _finish(workspace, run, answer, now=now)
    return ended


def approve_all(workspace: Workspace, *, by: str, reason: str, now: pd.Timestamp) -> None:
    """Approves what waits, where history is played again and there is nobody to ask."""
    for each in waiting(workspace):
        with suppress(RefusedError):
            approve(workspace, each.version, by=by, reason=reason, now=now)


def _to_answer(workspace: Workspace, version: int, answer: Said, *, by: str, reason: str, now: pd.Timestamp) -> RunRow:
    """The run of a version that may be answered so."""
    require_who_and_why(by=by, reason=reason)
    row = workspace.store.version(workspace.model, version)
    if row is None:
        raise BadInputError(f"{workspace.model} has no version {version}; list them with `retrim versions`")
    run, before = workspace.store.run(row.run), answer_of(workspace, version)
    waits = run if run is not None and run.state == WAITING else None
    if waits is not None and before is None:
        before = _unanswered(workspace, waits, now=now)
        if before is not None:
            _finish(workspace, waits, before, now=now)
    if before is not None and (before.answer != answer or waits is None):
        cure = "; to make that answer take effect, repeat it" if before.by is not None and waits is not None else ""
        raise RefusedError(
            f"version {version} was already decided at {before.at}: {before.words}{cure}. The answer cannot be "
            "changed; to train a new version: retrim retrain --reason WHY"
        )
    if waits is None:
        state = "no run of this workspace made it" if run is None else f"its run has the state {run.state}"
        raise RefusedError(f"version {version} does not wait for approval: {state}; see `retrim status`")
    return waits


def _unanswered(workspace: Workspace, run: RunRow, *, now: pd.Timestamp) -> ApprovalAnswer | None:
    """What ends a version that nobody has answered: its time, or another champion; None while it may wait."""
    row, now_live = workspace.store.version(workspace.model, run.made), find_live_version(workspace)
    assert row is not None, run.made
    champion, against = (None if now_live is None else now_live.version), row.made_from.champion
    if champion != against:
        reason = (
            f"it was judged against champion {against or 'none'}, but {champion or 'none'} is live now; retrain to "
            "judge against the live version"
        )
        return _keep(workspace, run.made, "outdated", by=None, reason=reason, now=now)
    if now > pd.Timestamp(str(run.detail.expires)):
        reason = f"nobody approved it by {run.detail.expires}"
        return _keep(workspace, run.made, "expired", by=None, reason=reason, now=now)
    return None


def _keep(
    workspace: Workspace,
    version: int,
    answer: Said,
    *,
    by: str | None,
    reason: str,
    now: pd.Timestamp,
    signature: str | None = None,
) -> ApprovalAnswer:
    """Adds an answer to the envelope; gives what stands there.

    Raises:
        RefusedError: Another answer was faster.
    """
    record: dict[str, JsonValue] = {"answer": answer, "by": by, "reason": reason, "at": iso(now)}
    if signature is not None:
        record["signature"] = signature
    workspace.store.add_to_envelope(workspace.model, version, kind=APPROVAL, name=ANSWER, at=iso(now), record=record)
    kept = answer_of(workspace, version)
    assert kept is not None
    if kept.answer != answer:
        raise RefusedError(
            f"somebody else decided on version {version} in the meantime: {kept.words}; that decision cannot be changed"
        )
    return kept


def _finish(workspace: Workspace, run: RunRow, answer: ApprovalAnswer, *, now: pd.Timestamp) -> None:
    """Does what an answer says and ends the run; done twice, it is done once."""
    row = workspace.store.version(workspace.model, run.made)
    assert row is not None, run.made
    state, reason = "refused", answer.words
    if answer.answer == "approved":
        reason = f"{run.detail.verdict}; {answer.words}"
        assert answer.by is not None
        against = row.made_from.champion
        try:
            promote_version(workspace, run.made, judged_against=against, by=answer.by, reason=reason, now=now)
        except RefusedError as error:
            _end(workspace, run, "refused", f"{answer.words}; but {error}", answer, now=now)
            raise
        state = "promoted"
    if answer.by is None:  # told first: a run that has ended is not looked at again
        kind, text = AlertKind(f"approval {answer.answer}"), f"version {run.made} is refused: {reason}"
        record_alert(workspace, kind, text, now=now, about=str(run.made))
    _end(workspace, run, state, reason, answer, now=now)


def _end(
    workspace: Workspace, run: RunRow, state: str, reason: str, answer: ApprovalAnswer, *, now: pd.Timestamp
) -> None:
    show_challenger(workspace, None)
    if state == "refused":
        refused = answer.answer if answer.answer != "approved" else REFUSED_AT_RELEASE
        show_outcome(workspace, run.made, outcome=refused)
    detail = RunDetail(reason=reason, answer=answer)
    workspace.store.end_run(run.id, state=state, ended=iso(now), version=run.made, detail=detail)
