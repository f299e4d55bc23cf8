"""Code of a model of one's own: which bytes may run here. Nothing runs that was not named as ours first.

Its name is `own:PATH` in params.yaml and `own:PATH@SHA256` everywhere else, so that a recipe says which code it is of.
"""

import re
from collections.abc import Mapping
from hashlib import sha256

from retrim.errors import BadInputError
from retrim.stats.plugins import PluginRegistry

OWN = "own:"
CODE_FILE = "own_model.py"
"""The code, in the folder of a model that it made."""
CODE: PluginRegistry[bytes] = PluginRegistry("code of a model of one's own")
"""By SHA-256. What stands here may run: a file of this workspace, or of a bundle whose hash is recorded here."""
NAMED = re.compile(r"own:(?P<path>[^@]+\.py)(?:@(?P<digest>[0-9a-f]{64}))?")


def is_own(model: str) -> bool:
    """Whether a kind of model is a file of the workspace."""
    return model.startswith(OWN)


def parts_of(model: str) -> tuple[str, str | None]:
    """Path and SHA-256 of an own model's name; None where it does not say the latter.

    Raises:
        BadInputError: It is no such name, or the path leads out of the workspace.
    """
    found = NAMED.fullmatch(model)
    path = "" if found is None else str(found["path"])
    parts = path.split("/")
    if found is None or "\\" in path or any(part in ("", ".", "..") or part.startswith(".git") for part in parts):
        raise BadInputError(
            f"train.model: {model!r} names no file of the workspace; write such as own:models/my_model.py"
        )
    return path, found["digest"]


def trust(code: bytes) -> str:
    """Lets code run in this process; gives its SHA-256."""
    digest = sha256(code).hexdigest()
    if digest not in CODE:
        CODE.register(digest)(code)
    return digest


def code_in(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The code among the files of a bundle, by SHA-256."""
    found = [content for name, content in sorted(files.items()) if name.rpartition("/")[2] == CODE_FILE]
    return {sha256(content).hexdigest(): content for content in found}


def trust_all(files: Mapping[str, bytes]) -> None:
    """Lets the code of a bundle run whose bytes were checked against what is recorded here."""
    for content in code_in(files).values():
        trust(content)
