"""The code that may run here: the workspace's own, and code of an imported model that this workspace has as well."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from retrim.adapters import git
from retrim.adapters.wheel import named_wheel, running_wheel
from retrim.decision.pins import PinnedFile
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths
from retrim.settings import model_in, read_code
from retrim.training.estimators import code_in, is_own, parts_of, trust
from retrim.yaml_files import load_yaml, read_yaml

if TYPE_CHECKING:
    from retrim.lineage.workspace import Workspace


def lock_of(workspace: WorkspacePaths) -> str:
    """The requirements.lock of a workspace; empty where it has none."""
    return workspace.lock.read_text(encoding="utf-8") if workspace.lock.is_file() else ""


def require_running_code(lock: str) -> None:
    """Refuses to make a version with other code than the wheel that a workspace's requirements.lock names.

    Raises:
        RefusedError: Another retrim runs; says which is which.
    """
    named = named_wheel(lock)
    if named is None:
        return
    running = running_wheel()
    if running.hash != named.hash:
        raise RefusedError(
            f"this workspace is pinned to retrim {named.version} (wheel {named.hash[:12]} in requirements.lock), but "
            f"you run retrim {running.version} (wheel {running.hash[:12]}); move the workspace to the version that you "
            "run with `retrim new --upgrade .`"
        )


def refuse_strange_code(workspace: "Workspace", bundle: Mapping[str, bytes]) -> None:
    """Looks through a bundle that was made elsewhere before anything of it is loaded.

    Raises:
        RefusedError: It holds code of its own, and this workspace's train.model names no file with the same bytes.
    """
    strange = code_in(bundle)
    model = model_in(read_yaml(workspace.paths.params))
    if strange and is_own(model):
        path, _ = parts_of(model)
        strange.pop(trust(read_code(workspace.paths.root, path)), None)
    if strange:
        digest, code = next(iter(strange.items()))
        raise RefusedError(
            f"the imported model contains custom code (SHA-256 {digest[:12]}, {len(code)} bytes), but train.model is "
            "not set to a file with the same bytes. To run it here, ask the sender for the file, read it, and set, for "
            "example, train.model: own:models/my_model.py"
        )


def pinned_code(root: Path, commit: str) -> PinnedFile | None:
    """The own model's file as a commit has it; None where its model is another.

    Raises:
        BadInputError: The commit lacks the file, as git ignores it or it was never there.
    """
    document = load_yaml(git.file_at(root, commit, "params.yaml"))
    model = model_in(document)
    if not is_own(model):
        return None
    path, _ = parts_of(model)
    if path not in git.git(root, "ls-tree", "-r", "--name-only", "-z", commit, "--", path).split("\0"):
        raise BadInputError(
            f"train.model: {path} is not in commit {commit[:12]}; create it, remove it from .gitignore, and commit it"
        )
    return PinnedFile(path, trust(git.file_at(root, commit, path)))
