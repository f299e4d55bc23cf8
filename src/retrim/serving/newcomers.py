"""A server that waits: until a version is live, and for models whose first version goes live while it answers."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from retrim.errors import RefusedError, RetrimError
from retrim.lineage.workspace import open_workspace
from retrim.serving.models import ServedModel

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 5.0
NO_VERSION = "no version is live yet; waiting for one"


class ReleaseHeads:
    """What is newest in the release logs of workspaces, looked up anew each time; a trouble is told once.

    Args:
        roots: Of the workspaces.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._told: set[str] = set()

    def look(self) -> dict[Path, str | None]:
        """By workspace; None where there is nothing, or it cannot be read."""
        return {root: self._head(root) for root in self._roots}

    def tell(self, text: str) -> None:
        """Warns of something, the first time."""
        if text not in self._told:
            self._told.add(text)
            LOGGER.warning("%s", text)

    def _head(self, root: Path) -> str | None:
        try:
            workspace = open_workspace(root)
            head = workspace.store.release_head(workspace.model)
        except (RetrimError, OSError) as error:
            self.tell(f"{root}: {error}")
            return None
        return None if head is None else head.digest


def wait_until_live(roots: Sequence[Path]) -> dict[Path, str | None]:
    """Waits until one of the workspaces has a live version; gives what is newest in the release log of each."""
    heads = ReleaseHeads(roots)
    while not any((found := heads.look()).values()):
        heads.tell(NO_VERSION)
        time.sleep(LOOK_SECONDS)
    return found


def openable(roots: Sequence[Path], open_one: Callable[[Path], ServedModel]) -> list[ServedModel]:
    """The models that can be served; of the others it is said why not, as they must not keep those from answering.

    Raises:
        RefusedError: None can.
    """
    models, why = [], ""
    for root in roots:
        try:
            models.append(open_one(root))
        except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
            why = f"{root} is not served: {error}"
            LOGGER.warning("%s", why)
    if not models:
        raise RefusedError(f"no model can be served; {why}")
    return models


def end_when_live(found: Mapping[Path, str | None]) -> None:
    """Ends this process when a model that is not served has a live version: whoever started it starts it again."""
    absent = [root for root, head in found.items() if head is None]
    if absent:
        threading.Thread(target=_watch, args=(ReleaseHeads(absent),), name="newcomers", daemon=True).start()


def _watch(heads: ReleaseHeads) -> None:
    while not any(heads.look().values()):
        time.sleep(LOOK_SECONDS)
    LOGGER.warning("another model has a live version; the server begins again with it")
    os.kill(os.getpid(), signal.SIGTERM)
