"""Proofs that a version can be made again: settings, which one is proved next, and what a receipt says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from pydantic import Field

from retrim.core.section import Section

KIND, FORMAT = "retrim rebuild receipt", 1


class ProofParams(Section):
    """Proofs and keys."""

    scheduled: bool = Field(description="whether schedule.prove proves a random version each time")
    most_mb: float = Field(gt=0, description="megabytes of a file that import reads, at most")
    trusted_keys: tuple[str, ...] = Field(description="public keys whose receipts and exports count, beside our own")


def pick(versions: Sequence[int], *, model: str, moment: str) -> int:
    """The version that is proved at a scheduled moment: by chance, and the same one if asked again.

    Args:
        versions: Numbers to choose from, at least one.
        model: Name of the model.
        moment: When the proof was due, ISO 8601: the seed.
    """
    drawn = int.from_bytes(sha256(f"{model}\0{moment}".encode()).digest()[:8], "big")
    return sorted(versions)[drawn % len(versions)]


@dataclass(frozen=True)
class Agreement:
    """How far two models' predictions lie apart.

    Args:
        rows: Rows that both predicted.
        largest: Largest absolute difference on any of them, in the target's unit or as a probability; None if unknown.
        why: Why it is unknown, else "".
    """

    rows: int
    largest: float | None
    why: str

    def as_record(self) -> dict[str, Any]:
        return {"rows": self.rows, "largest_difference": self.largest, "why": self.why}


def agreement(rebuilt: np.ndarray, recorded: np.ndarray) -> Agreement:
    """The largest difference of predictions for the same rows, each of shape (n,) or (n, classes)."""
    if rebuilt.shape != recorded.shape:
        return Agreement(0, None, f"the rebuilt model gives {rebuilt.shape[1:]} figures a row, the recorded one other")
    if not len(rebuilt):
        return Agreement(0, None, "no row was judged")
    largest = float(np.max(np.abs(rebuilt - recorded)))
    if not np.isfinite(largest):
        return Agreement(len(rebuilt), None, "a prediction is not a finite number")
    return Agreement(len(rebuilt), largest, "")


@dataclass(frozen=True)
class Output:
    """One output of one stage: its hash as recorded in dvc.lock (MD5) and as rebuilt; None where it is not there."""

    stage: str
    path: str
    recorded: str | None
    rebuilt: str | None

    def as_record(self) -> dict[str, Any]:
        return {"stage": self.stage, "path": self.path, "recorded": self.recorded, "rebuilt": self.rebuilt}


def from_top(differences: Sequence[str], *, root: str) -> list[str]:
    """The differences with the workspace's own place left out of them: a receipt, and an export with it, travels.

    Args:
        differences: A line each, or what a tool printed when it failed.
        root: Absolute path of the workspace.
    """
    return [each.replace(root, ".") for each in differences]


def receipt_fields(
    *,
    what: Mapping[str, Any],
    platform: Mapping[str, str],
    environment: Mapping[str, Any],
    inputs: Mapping[str, Any],
    outputs: Sequence[Output],
    bundle: Mapping[str, str | None],
    executed: Sequence[str],
    differences: Sequence[str],
    predictions: Agreement,
    reason: str,
    proved_at: str,
) -> dict[str, Any]:
    """The fields of a receipt, before they are sealed and signed; docs/rebuilding.md says what each means.

    Args:
        what: `model`, `version`, `commit`, `tag` and the like: what was rebuilt.
        platform: `recorded` and `here`: platform tags.
        environment: What the stages ran in.
        inputs: Digests of raw data and champion.
        outputs: Every output of every stage.
        bundle: SHA-256 of the whole bundle, `recorded` and `rebuilt`.
        executed: Stages that were seen to run, in order.
        differences: A line each; none when identical.
        predictions: Rebuilt model beside recorded model, on the judged rows.
        reason: Who or what asked for the proof.
        proved_at: ISO 8601, UTC.
    """
    same_platform = platform["recorded"] == platform["here"]
    return {
        "kind": KIND,
        "format": FORMAT,
        **what,
        "platform": dict(platform),
        "promise": "the same bytes" if same_platform else "none: it was made on another platform",
        "environment": dict(environment),
        "inputs": dict(inputs),
        "outputs": [output.as_record() for output in outputs],
        "bundle": dict(bundle),
        "executed": list(executed),
        "identical": not differences,
        "first_difference": differences[0] if differences else None,
        "differences": len(differences),
        "predictions": predictions.as_record(),
        "reason": reason,
        "proved_at": proved_at,
    }
