"""Withdrawals: batches that a person took back, each a small file beside what has landed.

    <root>/withdrawn/<first 16 digits of the digest>.json, and its SHA-256 beside it

It is never changed. A view as of a moment before it still holds the batch; later ones leave it out.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.datasets.landed import check_whole
from retrim.errors import BadInputError

FOLDER = "withdrawn"


@dataclass(frozen=True)
class Withdrawal:
    """A batch that was taken back.

    Args:
        batch: Which.
        digest: sha256 of the source file's bytes.
        at: From when on it is left out, UTC.
        by: Who did it.
        reason: Why.
    """

    batch: str
    digest: str
    at: pd.Timestamp
    by: str
    reason: str

    def as_record(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "digest": self.digest,
            "at": self.at.isoformat(),
            "by": self.by,
            "reason": self.reason,
        }


def withdrawal_file(root: Path, batch: str) -> Path:
    """Where the withdrawal of a batch stands in a landing zone."""
    return root / FOLDER / f"{batch}.json"


def withdrawn_names(root: Path) -> frozenset[str]:
    """The batches that were ever taken back; no file is opened."""
    return frozenset(path.stem for path in (root / FOLDER).glob("*.json") if not path.name.startswith("."))


def read_withdrawals(root: Path) -> dict[str, Withdrawal]:
    """Every withdrawal in a landing zone, by batch.

    Raises:
        BadInputError: A file is damaged.
        RefusedError: A file was altered.
    """
    found = {}
    for batch in sorted(withdrawn_names(root)):
        path = withdrawal_file(root, batch)
        check_whole(path)
        try:
            record = json.loads(path.read_bytes())
            found[batch] = Withdrawal(**{**record, "at": pd.Timestamp(record["at"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadInputError(f"{path} is no whole withdrawal ({error}); restore it from a backup") from error
    return found
