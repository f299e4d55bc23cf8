"""The code of a workspace, which makes its versions: in its src/, or the wheel that its lock names."""

from retrim.adapters.wheel import named_wheel, running_wheel
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths


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
            f"the code of this workspace is retrim {named.version} (wheel {named.hash[:12]} in requirements.lock), and "
            f"retrim {running.version} (wheel {running.hash[:12]}) runs; move the workspace to it with `retrim upgrade`"
        )
