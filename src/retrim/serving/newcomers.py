"""Models whose first version goes live while a server waits for it, or answers for others already."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from starlette.routing import Router

from retrim.files import WorkspacePaths
from retrim.lineage.locks import repeated
from retrim.lineage.workspace import open_workspace, refuse_same_names
from retrim.release.versions import find_live_version
from retrim.serving.models import ServedModel, while_as_it_is
from retrim.serving.routes import add_model, make_app

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 10.0
NO_VERSION = "no version is live yet; waiting for one"


class Newcomers:
    """Workspaces that are not served yet.

    Args:
        roots: Of the workspaces.
        open_one: Opens the model of a workspace.
    """

    def __init__(self, roots: Sequence[Path], open_one: Callable[[Path], ServedModel]) -> None:
        # Opened anew only if its settings have changed: there may be a hundred, looked at all the time.
        self._waiting = {
            root: while_as_it_is(partial(open_workspace, root), WorkspacePaths(root).params) for root in roots
        }
        self._open, self._names, self._warned = open_one, set[str](), set[str]()

    def take(self) -> list[ServedModel]:
        """Opens those that have a live version by now; of one that cannot be opened it is said why, once."""
        opened = []
        for root, workspace_of in list(self._waiting.items()):
            try:
                workspace = workspace_of()
                live = find_live_version(workspace)
                workspace.store.close()  # a connection to SQLite holds 0.2 MB
                if live is None:
                    continue
                refuse_same_names([*self._names, workspace.model])  # before anything is opened that stays so
                opened.append(self._open(root))
            except Exception as error:  # noqa: BLE001  a model may fail in ways of its own; the others answer
                self._warn(f"{root} is not served: {error}")
            else:
                del self._waiting[root]
                self._names.add(workspace.model)
                LOGGER.info("version %s of %s is now served", live.version, workspace.model)
        return opened

    def wait(self) -> list[ServedModel]:
        """Waits until one of them can be served."""
        while not (opened := self.take()):
            self._warn(NO_VERSION)
            time.sleep(LOOK_SECONDS)
        return opened

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            LOGGER.warning("%s", text)


@contextmanager
def all_at_work(models: Sequence[ServedModel], newcomers: Newcomers | None = None) -> Iterator[Router]:
    """The application of models at work; those that newcomers gives join it until the block ends."""
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(model.at_work())
        app = make_app({model.name: model.serving for model in models})

        def join() -> None:
            for model in [] if newcomers is None else newcomers.take():
                stack.enter_context(model.at_work())
                add_model(app, model.name, model.serving)

        with repeated(join, every_seconds=LOOK_SECONDS, name="newcomers"):
            yield app
