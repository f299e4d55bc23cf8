"""Shadows: other versions answer the requests of the live one, unheard, in a thread beside.

The server lays each request into a bounded queue and goes on; where the queue is full the request has no shadow, which
the figures count. What the shadows answer is kept as the server's answers are, and apart from them.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from time import monotonic, time_ns

from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, load_stored_version, replaced
from retrim.serving.request_log import Line
from retrim.serving.request_rows import Asked
from retrim.serving.served import ServedVersion, said_of, serve_version

LOGGER = logging.getLogger("retrim.serve")
MOST_WAITING = 256
LARGEST = 256 << 10
"""Bytes of a request that has shadows, at most: so what waits is 64 MiB at most."""
LOOK_SECONDS = 5
"""Between two looks at which versions are to answer; after it one that failed is tried again, too."""
STOP_SECONDS = 20
"""For an answer that is under way when the server is stopped."""


def shadows_of(workspace: Workspace, who: Sequence[str]) -> list[int]:
    """Versions that answer as shadows now: never the live one, each once."""
    live, rows = find_live_version(workspace), workspace.store.releases(workspace.model)
    if live is None:
        return []
    found = []
    for each in who:
        if each == "previous":
            number = replaced(workspace, rows)
        elif each == "challenger":
            number = max((row.version for row in workspace.store.versions(workspace.model)), default=0)
            number = number if number > live.version else None
        else:
            number = int(each)
        if number is not None and number != live.version:
            found.append(number)
    return list(dict.fromkeys(found))


class Shadows:
    """Answers the requests of a server by the shadows that there are at the moment.

    Args:
        open_here: Opens the workspace; anew for each version.
        who: As `shadows_of` takes it.
        keep: Keeps the answers.
        note: Told of each request whether it has shadows.
    """

    def __init__(
        self,
        open_here: Callable[[], Workspace],
        who: Sequence[str],
        keep: Callable[[Line], None],
        note: Callable[[bool], None],
    ) -> None:
        self._open, self._who, self._keep, self._note = open_here, who, keep, note
        self._waiting: queue.Queue[Asked] = queue.Queue(MOST_WAITING)
        self._over, self._looked = threading.Event(), -float(LOOK_SECONDS)
        self._thread = threading.Thread(target=self._work, name="shadows", daemon=True)
        self.versions: dict[int, ServedVersion] = {}

    def start(self) -> None:
        self._thread.start()

    def offer(self, request: Asked) -> None:
        """Lays a request into the queue, if there is room; returns at once, and never fails."""
        try:
            if len(request[0]) > LARGEST:
                raise queue.Full
            self._waiting.put_nowait(request)
        except queue.Full:
            self._note(False)
        else:
            self._note(True)

    def stop(self) -> None:
        """Ends after the answer that is under way; what waits has no shadow."""
        self._over.set()
        self._thread.join(timeout=STOP_SECONDS)

    def look(self) -> None:
        """Loads versions that are to answer by now, and lets go of the others."""
        if monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = monotonic()
        workspace = self._open()
        numbers = shadows_of(workspace, self._who)
        self.versions = {number: self.versions[number] for number in numbers if number in self.versions}
        for number in numbers:
            if number not in self.versions:
                try:
                    self.versions[number] = serve_version(workspace, load_stored_version(workspace, number))
                except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
                    LOGGER.warning("version %s cannot answer as a shadow: %s", number, error)

    def answer(self, request: Asked) -> None:
        """Answers a request by each shadow, and keeps that; one that fails is left out."""
        _, name = request
        for number, version in self.versions.items():
            try:
                self._keep((number, name, time_ns() // 1000, said_of(version, request), "shadow"))
            except Exception as error:  # noqa: BLE001  as above
                LOGGER.warning("shadow version %s cannot answer request %s: %s", number, name, error)

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                request = self._waiting.get(timeout=0.2)
                self.look()
                self.answer(request)
            except queue.Empty:
                pass
            except Exception as error:  # noqa: BLE001  the store is away, or a file cannot be read: the next look may
                LOGGER.warning("the shadow versions cannot be looked up: %s", error)
