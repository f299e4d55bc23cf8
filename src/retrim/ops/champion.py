"""Stored versions: their bundles, checked against the recorded hash before anyone uses them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import pandas as pd

from retrim.adapters.store import Row
from retrim.core.bundle import VERDICT, Predictor, open_predictor
from retrim.core.drift.reference import Reference, load_reference
from retrim.core.own_code import trust_all
from retrim.errors import BadInputError, RefusedError
from retrim.files import folder_digest, read_folder
from retrim.ops.grain import require_grain
from retrim.ops.house import House
from retrim.ops.live import live, trusted_live
from retrim.ops.origin import MLFLOW_RUN


@dataclass(frozen=True)
class Stored:
    """A stored version, read once; what is in it is made when first asked for.

    Args:
        version: Its number.
        files: Of its bundle, by relative name.
    """

    version: int
    files: Mapping[str, bytes]

    @cached_property
    def predictor(self) -> Predictor:
        """The winning model with its own preprocessing; the model itself is loaded when first asked for."""
        return open_predictor(self.files)

    @cached_property
    def judged_losses(self) -> pd.Series | None:
        """Of a version that was fitted once more, on the rows that judged too: the judged model's loss on each, by key.

        None of any other: its own model was judged.
        """
        if not json.loads(self.files[VERDICT]).get("agreement"):
            return None
        judged = pd.read_parquet(BytesIO(self.files["verdict/judged.parquet"]), columns=["_key", "_champion_loss"])
        return judged.set_index("_key")["_champion_loss"]

    @cached_property
    def reference(self) -> Reference | None:
        """The profiles of what it was made from; None where its bundle is older than they are."""
        return load_reference(self.files, json.loads(self.files[VERDICT])["winner"])


def stored_bundle(house: House, version: int) -> Path:
    """The folder of a version's bundle.

    Raises:
        BadInputError: There is no such version.
        RefusedError: The stored bundle is not the recorded one.
    """
    row = house.store.version(house.model, version)
    if row is None:
        raise BadInputError(f"{house.model} has no version {version}; list them with `retrim versions`")
    folder = _folder(house, row)
    found = folder_digest(folder)
    if found != row.bundle:
        raise RefusedError(
            f"the stored bundle of version {version} has hash {found[:12]}, recorded is {row.bundle[:12]}; "
            f"it was altered. `git checkout {row.tag} && dvc checkout` lays the recorded one into data/candidate: "
            f"copy it to {folder}"
        )
    return folder


def stored(house: House, version: int) -> Stored:
    """A stored version.

    Raises:
        As `stored_bundle`.
    """
    files = read_folder(stored_bundle(house, version))
    trust_all(files)  # it has the recorded hash: made here, or imported where this workspace had the same file
    return Stored(version, files)


def _folder(house: House, row: Row) -> Path:
    return house.registry.bundle_folder(row.version, run=row.lineage.get(MLFLOW_RUN))


def live_kind(house: House) -> str | None:
    """The kind of the live model; None before the first promotion. Its bundle is read and not checked."""
    now_live = live(house)
    if now_live is None:
        return None
    row = house.store.version(house.model, now_live.version)
    assert row is not None, now_live
    folder = _folder(house, row)
    winner = json.loads((folder / VERDICT).read_bytes())["winner"]
    return str(json.loads((folder / "models" / winner / "fit.json").read_bytes())["recipe"]["model"])


def champion(house: House) -> Stored | None:
    """The live version; None before the first promotion.

    Raises:
        RefusedError: Its stored bundle or the release log was altered; or it was made of rows of another grain.
    """
    now_live = trusted_live(house)
    if now_live is None:
        return None
    row = house.store.version(house.model, now_live.version)
    assert row is not None, now_live
    require_grain(house, row.lineage, f"version {now_live.version} is live and")
    return stored(house, now_live.version)
