"""What a stored version's bundle says of fairness: differences by group, before and after."""

import json
from dataclasses import dataclass

from retrim.errors import BadInputError
from retrim.gate.fairness import FairnessRecord
from retrim.gate.verdict import Check, VerdictRecord
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, load_stored_version
from retrim.stats.codec import from_record

FAIRNESS = "verdict/fairness.json"


@dataclass(frozen=True)
class VersionFairness:
    """The fairness of a version.

    Args:
        version: Number of the version.
        fairness: Figures by group; null: no groups are declared.
        checks: The gate's checks of fairness.
        notes: Notes of the verdict.
    """

    version: int
    fairness: FairnessRecord | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...]


def fairness_of(workspace: Workspace, version: int | None) -> VersionFairness:
    """What the bundle of a version says of fairness.

    Args:
        version: Its number; None for the live one, or the newest where none is live.

    Raises:
        BadInputError: There is no such version, or none at all.
        RefusedError: Its stored bundle was altered.
    """
    number = version if version is not None else _default(workspace)
    files = load_stored_version(workspace, number).files
    verdict = from_record(VerdictRecord, json.loads(files["verdict/verdict.json"]))
    return VersionFairness(
        number,
        from_record(FairnessRecord, json.loads(files[FAIRNESS])) if FAIRNESS in files else None,
        tuple(check for check in verdict.checks if check.name.startswith("fairness: ")),
        verdict.notes,
    )


def _default(workspace: Workspace) -> int:
    now_live = find_live_version(workspace)
    if now_live is not None:
        return now_live.version
    made = workspace.store.versions(workspace.model)
    if not made:
        raise BadInputError("there is no version yet; train the first one: retrim retrain")
    return int(made[-1].version)
