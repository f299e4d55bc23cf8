"""Where a version came from: its run in MLflow; of an imported one, where it was made and what is proved of it here."""

from typing import Any

from retrim.adapters.store import Row
from retrim.errors import RefusedError

ORIGIN = "origin"
"""In the lineage of a version that was imported: model, version, tag and commit there, and the key that signed it."""

REPOSITORY = "repository"
"""In a version's lineage: the first commit of the repository it was made in. Older ones do not say."""
MLFLOW_RUN = "mlflow_run"
"""In a version's lineage: MLflow's id of the run with its bundle, here. Older ones do not say."""


def origin_of(row: Row) -> dict[str, Any] | None:
    """Where a version was imported from; None where it was made here."""
    found = row.lineage.get(ORIGIN)
    return None if found is None else dict(found)


def refuse_rebuild(row: Row) -> None:
    """Says why an imported version is not rebuilt here, and what was checked instead.

    Raises:
        RefusedError: It was imported.
    """
    origin = origin_of(row)
    if origin is None:
        return
    receipt = origin["receipt"]
    proved = "no receipt came with it" if receipt is None else f"its receipt of {receipt['proved_at']} came with it"
    raise RefusedError(
        f"version {row.version} was imported: it is version {origin['version']} of key {origin['signer'][:16]}, and "
        f"its commit {origin['commit'][:12]} and raw data lie where it was made; prove it there. Here its bundle "
        f"is held to the signed hash and to its reference rows; {proved}"
    )
