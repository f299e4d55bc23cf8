"""What became of a version: refused, waiting, live once, rolled back; as the store says and MLflow shows."""

from collections.abc import Sequence

from retrim.decision.release_checks import RELEASE_CHECKS, ReleaseChecks
from retrim.decision.stored_rows import ReleaseRow, VersionRow
from retrim.lineage.workspace import Workspace
from retrim.release.versions import ROLLBACKS
from retrim.stats.codec import from_record

VERDICT_TAG = "verdict"
"""The tag of a registered version that says it."""
PASSED_GATE, REFUSED_BY_GATE = "passed the gate", "refused by the gate"
REFUSED_AT_RELEASE, WAITING_FOR_APPROVAL = "refused at release", "waiting for approval"
PROMOTED, ROLLED_BACK = "promoted", "rolled back"


def version_outcome(workspace: Workspace, row: VersionRow, releases: Sequence[ReleaseRow]) -> str:
    """What became of a version by now.

    Returns:
        `passed the gate` (its run has not ended), `refused by the gate`, `refused at release`, `waiting for approval`,
        `rejected`, `expired`, `outdated`, `promoted` or `rolled back`.
    """
    outcome = None
    for move in releases:
        if move.version == row.version:
            outcome = PROMOTED
        elif move.previous == row.version and move.action in ROLLBACKS:
            outcome = ROLLED_BACK
    if outcome is not None:
        return outcome
    if not row.judged.promote:
        return REFUSED_BY_GATE
    answers = workspace.store.envelope(workspace.model, row.version, kind="approval")
    if answers and answers[0].record["answer"] != "approved":
        return str(answers[0].record["answer"])
    run = workspace.store.run(row.run)
    if run is not None and run.state == "waiting" and not answers:
        return WAITING_FOR_APPROVAL
    checks = workspace.store.envelope(workspace.model, row.version, kind=RELEASE_CHECKS)
    refused = any(not from_record(ReleaseChecks, each.record).passed for each in checks)
    return REFUSED_AT_RELEASE if refused or (run is not None and run.state == "refused") else PASSED_GATE


def show_outcome(workspace: Workspace, version: int, *, outcome: str | None = None) -> None:
    """Writes what became of a version into its tag in MLflow; None: as the store says now."""
    if not workspace.mirrored:
        return
    row = workspace.store.version(workspace.model, version)
    assert row is not None, version
    shown = outcome or version_outcome(workspace, row, workspace.store.releases(workspace.model))
    workspace.registry.tag_version(version, VERDICT_TAG, shown)
