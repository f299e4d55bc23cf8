"""A server that waits: until a version is live, and for models whose first version goes live while it answers."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from retrim.errors import RefusedError, RetrimError
from retrim.lineage.workspace import Workspace
from retrim.serving.models import ServedModel

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 5.0
Opener = Callable[[], Workspace]


def wait_until_live(openers: Sequence[Opener]) -> dict[Opener, str | None]:
    """Waits until one of the workspaces has a live version; gives what is newest in the release log of each."""
    told = False
    while True:
        heads = {each: _head(each) for each in openers}
        if any(heads.values()):
            return heads
        if not told:
            LOGGER.warning("no version is live yet; waiting for one")
            told = True
        time.sleep(LOOK_SECONDS)


def openable(openers: Sequence[Opener], open_one: Callable[[Opener], ServedModel]) -> list[ServedModel]:
    """The models that can be served; of the others it is said why not, as they must not keep those from answering.

    Raises:
        RefusedError: None can.
    """
    models, why = [], ""
    for each in openers:
        try:
            models.append(open_one(each))
        except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
            why = f"{each().paths.root} is not served: {error}"
            LOGGER.warning("%s", why)
    if not models:
        raise RefusedError(f"no model can be served; {why}")
    return models


def end_when_live(heads: Mapping[Opener, str | None]) -> None:
    """Ends this process when a model that is not served has a live version: whoever started it starts it again."""
    absent = [each for each, head in heads.items() if head is None]
    if absent:
        threading.Thread(target=_watch, args=(absent,), name="newcomers", daemon=True).start()


def _watch(absent: Sequence[Opener]) -> None:
    while not any(_head(each) for each in absent):
        time.sleep(LOOK_SECONDS)
    LOGGER.warning("another model has a live version; the server begins again with it")
    os.kill(os.getpid(), signal.SIGTERM)


def _head(open_here: Opener) -> str | None:
    """What is newest in the release log of a workspace; None where there is nothing, or it cannot be read."""
    try:
        workspace = open_here()
        head = workspace.store.release_head(workspace.model)
    except RetrimError as error:
        LOGGER.warning("%s", error)
        return None
    return None if head is None else head.digest
