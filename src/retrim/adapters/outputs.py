"""Outputs of a stage held against what DVC recorded of them.

What DVC has in its cache it lays out again without a look at its bytes, as long as nobody is known to have
written to it; so a byte that a disk has turned would go on into the next stage.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from retrim.errors import RefusedError


def refuse_altered(room: Path, stage: str, cache: Path) -> None:
    """Refuses outputs of a stage that are not what `dvc.lock` says.

    Args:
        room: The room in which the stage was done, or its outputs were taken from the cache.
        stage: Its name.
        cache: DVC's cache, for the name of the altered object.

    Raises:
        RefusedError: One is not; names the file, and the object to remove from the cache.
    """
    lock = yaml.safe_load((room / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for out in lock.get(stage, {}).get("outs", []):
        place, recorded = room / out["path"], str(out["md5"])
        found = tree_hash(place) if place.is_dir() else file_hash(place)
        if found == recorded:
            continue
        name, digest = _altered_file(place, recorded, cache)
        raise RefusedError(
            f"{out['path']}{f'/{name}' if name else ''} of stage {stage} is not what DVC recorded of it: its object in "
            f"the cache was altered. Remove {object_path(cache, digest)} and run again: the stage is done anew"
        )


def file_hash(path: Path) -> str:
    """DVC's hash of a file: its MD5."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def tree_hash(folder: Path) -> str:
    """DVC's hash of a folder: the MD5 of its listing, which has the MD5 of each file."""
    return (
        f"{hashlib.md5(json.dumps(_listing(folder), sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"
    )


def object_path(cache: Path, digest: str) -> Path:
    """Where an object lies in a cache."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def _listing(folder: Path) -> list[dict[str, Any]]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [{"md5": file_hash(files[name]), "relpath": name} for name in sorted(files)]


def _altered_file(place: Path, recorded: str, cache: Path) -> tuple[str, str]:
    """The first file of a folder that is not what its recorded listing says, and the hash it should have."""
    listing = object_path(cache, recorded)
    if not place.is_dir() or not listing.is_file():
        return "", recorded
    try:
        wanted = {entry["relpath"]: str(entry["md5"]) for entry in json.loads(listing.read_bytes())}
    except (ValueError, TypeError, KeyError):
        return "", recorded
    found = {entry["relpath"]: entry["md5"] for entry in _listing(place)}
    return next(((name, digest) for name, digest in wanted.items() if found.get(name) != digest), ("", recorded))
