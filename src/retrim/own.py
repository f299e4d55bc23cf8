"""The file of a model of one's own, read from a workspace or a run room and let run there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrim.core.own_code import is_own, parts_of, trust
from retrim.errors import BadInputError


def resolved(root: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """A params.yaml in which an own model's name says which bytes it is; as it is with any other kind.

    Raises:
        BadInputError: The file is missing, or not the one that the name says.
    """
    train = document.get("train")
    model = train.get("model") if isinstance(train, Mapping) else None
    if not isinstance(train, Mapping) or not isinstance(model, str) or not is_own(model):
        return dict(document)
    path, wanted = parts_of(model)
    found = trust(read_code(root, path))
    if wanted not in (None, found):
        raise BadInputError(
            f"train.model: {path} has SHA-256 {found[:12]}, and {str(wanted)[:12]} is named; write own:{path}, "
            "which means the file as it is"
        )
    return {**document, "train": {**train, "model": f"own:{path}@{found}"}}


def read_code(root: Path, path: str) -> bytes:
    """The bytes of the file.

    Raises:
        BadInputError: There is none in the workspace.
    """
    file = root / path
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        raise BadInputError(
            f"train.model: {path} is not in {root}; write the file (docs/own-model.md has one to start from), or name "
            "another kind"
        )
    return file.read_bytes()
