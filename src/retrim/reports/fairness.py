"""What a stored version's bundle says of fairness: differences by group, before and after, and proxies."""

import json
from typing import Any

from retrim.errors import BadInputError
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, load_stored_version

FAIRNESS, PROXIES = "verdict/fairness.json", "features/proxies.json"


def fairness_record(workspace: Workspace, version: int | None) -> dict[str, Any]:
    """The record of `retrim versions fairness`.

    Args:
        workspace: The workspace.
        version: Its number; None for the live one, or the newest where none is live.

    Returns:
        version: Its number.
        fairness: Figures by group; null: no groups are declared.
        proxies: How well features tell each forbidden column; null: none is forbidden.
        checks: The gate's checks about either.
        notes: Of the verdict.

    Raises:
        BadInputError: There is no such version, or none at all.
        RefusedError: Its stored bundle was altered.
    """
    number = version if version is not None else _default(workspace)
    files = load_stored_version(workspace, number).files
    verdict = json.loads(files["verdict/verdict.json"])
    checks = [check for check in verdict["checks"] if check["name"].startswith(("fairness: ", "proxy: "))]
    return {
        "version": number,
        "fairness": json.loads(files[FAIRNESS]) if FAIRNESS in files else None,
        "proxies": json.loads(files[PROXIES])["proxies"] if PROXIES in files else None,
        "checks": checks,
        "notes": [*verdict.get("notes", []), *_of_another(verdict)],
    }


def _of_another(verdict: dict[str, Any]) -> list[str]:
    """A sentence where a version stands on another's verdict, as the rows that judge have trained it."""
    judged = verdict.get("agreement")
    return [] if judged is None else [f"fitted once more: it stands on the verdict of version {judged}"]


def _default(workspace: Workspace) -> int:
    now_live = find_live_version(workspace)
    if now_live is not None:
        return now_live.version
    made = workspace.store.versions(workspace.model)
    if not made:
        raise BadInputError("there is no version yet; make the first: retrim retrain")
    return int(made[-1].version)
