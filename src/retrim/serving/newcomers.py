"""Models whose first version goes live while a server waits for it, or answers for others already."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from starlette.routing import Router

from retrim.lineage.locks import repeated
from retrim.lineage.workspace import open_workspace, refuse_same_names
from retrim.serving.models import ServedModel
from retrim.serving.routes import add_model, make_app

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 10.0


class Newcomers:
    """Workspaces that are not served yet."""

    def __init__(self, roots: Sequence[Path], open_one: Callable[[Path], ServedModel]) -> None:
        self._waiting, self._open = list(roots), open_one
        self._names, self._warnings = list[str](), set[str]()

    def take(self) -> list[ServedModel]:
        """Opens those that can be served by now; of each other it is said why not, once."""
        opened = []
        for root in list(self._waiting):
            try:
                refuse_same_names([*self._names, open_workspace(root).model])  # before anything stays open
                model = self._open(root)
            except Exception as error:  # noqa: BLE001  a model may fail in ways of its own; the others answer
                warning = f"{root} is not served: {error}"
                if warning not in self._warnings:
                    self._warnings.add(warning)
                    LOGGER.warning("%s", warning)
            else:
                self._waiting.remove(root)
                self._names.append(model.name)
                opened.append(model)
                LOGGER.info("version %s of %s is now served", model.serving.served.version, model.name)
        return opened

    def wait(self) -> list[ServedModel]:
        """Waits until one of them can be served."""
        while not (opened := self.take()):
            time.sleep(LOOK_SECONDS)
        return opened


@contextmanager
def all_at_work(models: Sequence[ServedModel], newcomers: Newcomers | None = None) -> Iterator[Router]:
    """The application of models at work; those that newcomers give join it until the block ends."""
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
