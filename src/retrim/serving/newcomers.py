"""A server that waits: until a version is live, and for models whose first version goes live while it answers."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from retrim.errors import RefusedError, RetrimError
from retrim.files import WorkspacePaths
from retrim.lineage.locks import repeated
from retrim.lineage.workspace import Workspace, open_workspace, refuse_same_names
from retrim.serving.models import RETRY_SECONDS, Looks, ServedModel, while_as_it_is
from retrim.serving.server import Front

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 5.0
NO_VERSION = "no version is live yet; waiting for one"


class ReleaseHeads:
    """What is newest in the release logs of workspaces, looked up anew each time; a trouble is told once.

    Args:
        roots: Of the workspaces.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._opened = {root: _opener(root) for root in roots}
        self._told: set[str] = set()

    def look(self, *, without: Collection[Path] = ()) -> dict[Path, str | None]:
        """By workspace; None where there is nothing, or it cannot be read."""
        return {root: self._head(root, opened) for root, opened in self._opened.items() if root not in without}

    def tell(self, text: str) -> None:
        """Warns of something, the first time."""
        if text not in self._told:
            self._told.add(text)
            LOGGER.warning("%s", text)

    def _head(self, root: Path, opened: Callable[[], Workspace]) -> str | None:
        try:
            workspace = opened()
            head = workspace.store.release_head(workspace.model)
        except (RetrimError, OSError) as error:
            self.tell(f"{root}: {error}")
            return None
        return None if head is None else head.digest


def _opener(root: Path) -> Callable[[], Workspace]:
    """Opens a workspace, anew only if its settings have changed: there may be a hundred, looked at all the time."""
    return while_as_it_is(partial(open_workspace, root), WorkspacePaths(root).params)


def wait_until_live(roots: Sequence[Path]) -> dict[Path, str | None]:
    """Waits until one of the workspaces has a live version; gives what is newest in the release log of each."""
    heads = ReleaseHeads(roots)
    while not any((found := heads.look()).values()):
        heads.tell(NO_VERSION)
        time.sleep(LOOK_SECONDS)
    return found


def openable(roots: Sequence[Path], open_one: Callable[[Path], ServedModel]) -> dict[Path, ServedModel]:
    """The models that can be served, by workspace; of the others it is said why not: those answer all the same.

    Raises:
        RefusedError: None can.
    """
    models, why = dict[Path, ServedModel](), ""
    for root in roots:
        try:
            refuse_same_names([*(each.name for each in models.values()), open_workspace(root).model])
            models[root] = open_one(root)
        except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
            why = f"{root} is not served: {error}"
            LOGGER.warning("%s", why)
    if not models:
        raise RefusedError(f"no model can be served: {why}")
    return models


class Joining:
    """Has models answer beside those of a server that runs, once they have a live version.

    Args:
        heads: What is live, of every workspace.
        served: Workspaces that are served already.
        open_one: Opens the model of a workspace.
        looks: Has it follow its live version.
    """

    def __init__(
        self, heads: ReleaseHeads, served: Collection[Path], open_one: Callable[[Path], ServedModel], looks: Looks
    ) -> None:
        self._heads, self._served, self._open, self._looks = heads, set(served), open_one, looks
        self._failed: dict[Path, tuple[str, float]] = {}

    @contextmanager
    def beside(self, front: Front) -> Iterator[None]:
        """Looks in a thread of its own until the block ends, and ends what it began."""
        with ExitStack() as begun:
            look = partial(self._look, front, begun)
            with repeated(look, every_seconds=LOOK_SECONDS, name="newcomers"):
                yield

    def _look(self, front: Front, begun: ExitStack) -> None:
        for root, head in self._heads.look(without=self._served).items():
            if head is not None and not self._has_just_failed(root, head):
                self._join(front, begun, root, head)

    def _has_just_failed(self, root: Path, head: str) -> bool:
        failed, at = self._failed.get(root, ("", 0.0))
        return failed == head and time.monotonic() < at + RETRY_SECONDS

    def _join(self, front: Front, begun: ExitStack, root: Path, head: str) -> None:
        """Opens one; where it cannot be, it is tried again later, or once another version of it is live."""
        try:
            refuse_same_names([*front.names, open_workspace(root).model])  # before anything is opened that stays so
            model = self._open(root)
            begun.enter_context(model.at_work(self._looks))
            front.add(model.name, model.serving)
        except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
            self._failed[root] = head, time.monotonic()
            self._heads.tell(f"{root} is not served: {error}")
        else:
            self._served.add(root)
            LOGGER.warning("version %s of %s is now served, too", model.serving.served.version, model.name)
