"""Stored versions: their bundles, checked against the recorded hash before anyone uses them."""

import json
from pathlib import Path

from retrim.core.bundle import VERDICT, Predictor, load_predictor
from retrim.core.drift.reference import Reference, load_reference
from retrim.errors import BadInputError, RefusedError
from retrim.files import folder_digest, read_folder
from retrim.ops.house import House
from retrim.ops.release import live


def stored_bundle(house: House, version: int) -> Path:
    """The folder of a version's bundle.

    Raises:
        BadInputError: There is no such version.
        RefusedError: The stored bundle is not the recorded one.
    """
    row = house.store.version(house.model, version)
    if row is None:
        raise BadInputError(f"{house.model} has no version {version}; list them with `retrim versions`")
    folder = house.registry.bundle_folder(version)
    found = folder_digest(folder)
    if found != row.bundle:
        raise RefusedError(
            f"the stored bundle of version {version} has hash {found[:12]}, recorded is {row.bundle[:12]}; "
            f"it was altered. `git checkout {row.tag} && dvc checkout` lays the recorded one into data/candidate: "
            f"copy it to {folder}"
        )
    return folder


def predictor(house: House, version: int) -> Predictor:
    """A stored version, ready to predict."""
    return load_predictor(read_folder(stored_bundle(house, version)))


def reference(house: House, version: int) -> Reference | None:
    """The profiles of what a stored version was made from; None where its bundle is older than they are."""
    files = read_folder(stored_bundle(house, version))
    return load_reference(files, json.loads(files[VERDICT])["winner"])


def champion(house: House) -> tuple[int, Predictor] | None:
    """The live version and its predictor; None before the first promotion."""
    now_live = live(house)
    return None if now_live is None else (now_live.version, predictor(house, now_live.version))
