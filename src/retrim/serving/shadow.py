"""Shadows: other versions answer the requests of the live one, unheard, in a process of their own.

The server lays each request into a bounded queue and goes on; where the queue is full the request has no shadow, which
the figures count. What the shadows answer is kept as the server's answers are, and apart from them.
"""

import logging
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from time import monotonic, time_ns

from retrim.errors import RetrimError
from retrim.files import lightgbm_alone
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, load_stored_version, replaced
from retrim.serving.request_log import Line, RequestLog
from retrim.serving.request_rows import Asked
from retrim.serving.served import ServedVersion, said_of, serve_version

LOGGER = logging.getLogger("retrim.serve")
MOST_WAITING = 256
LARGEST = 256 << 10
"""Bytes of a request that has shadows, at most: so what waits is 64 MiB at most."""
LOOK_SECONDS = 5
"""Between two looks at which versions are to answer; after it one that failed is tried again, too."""
STOP_SECONDS = 20
NICE = 10
"""Shadows yield the processor to the server."""


def shadows_of(workspace: Workspace, who: Sequence[str]) -> list[int]:
    """Versions that answer as shadows now: never the live one, each once.

    Args:
        workspace: The workspace.
        who: `previous`: the champion before; `challenger`: the newest version made after the live one; or numbers.
    """
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


class ShadowAnswers:
    """Answers requests by the shadows that there are at the moment.

    Args:
        open_here: Opens the workspace; anew for each version.
        who: As `shadows_of` takes it.
        keep: Keeps the answers.
    """

    def __init__(self, open_here: Callable[[], Workspace], who: Sequence[str], keep: Callable[[Line], None]) -> None:
        self._open, self._who, self._keep = open_here, who, keep
        self._looked = -float(LOOK_SECONDS)
        self.versions: dict[int, ServedVersion] = {}

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
        name = request[2]
        for number, version in self.versions.items():
            try:
                self._keep((number, name, time_ns() // 1000, said_of(version, request), "shadow"))
            except Exception as error:  # noqa: BLE001  as above
                LOGGER.warning("version %s has no shadow answer to request %s: %s", number, name, error)


class Shadows:
    """The queue of a server's requests, and the process that answers them.

    Args:
        open_here: Opens the workspace, in that process.
        who: As `shadows_of` takes it.
        note: Told of each request whether it has shadows.
    """

    def __init__(self, open_here: Callable[[], Workspace], who: Sequence[str], note: Callable[[bool], None]) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._queue: multiprocessing.Queue[Asked] = spawning.Queue(MOST_WAITING)
        self._over, self._note = spawning.Event(), note
        self._process = spawning.Process(
            target=answer_requests, args=(open_here, tuple(who), self._queue, self._over), daemon=True
        )

    def start(self) -> None:
        self._process.start()

    def offer(self, request: Asked) -> None:
        """Lays a request into the queue, if there is room; returns at once, and never fails."""
        try:
            if len(request[0]) > LARGEST:
                raise queue.Full
            self._queue.put_nowait(request)
        except (queue.Full, ValueError):
            self._note(False)
        else:
            self._note(True)

    def stop(self) -> None:
        """Lets the process keep what it has answered, and ends it."""
        self._over.set()
        self._process.join(timeout=STOP_SECONDS)
        if self._process.is_alive():  # it was loading a version; what it has answered is kept
            self._process.kill()
            self._process.join()
        self._queue.cancel_join_thread()
        self._queue.close()


def answer_requests(
    open_here: Callable[[], Workspace], who: Sequence[str], requests: "queue.Queue[Asked]", over: threading.Event
) -> None:
    """What the process does until it is told to stop, or its server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which says when to stop
    os.nice(NICE)
    lightgbm_alone()
    workspace, parent = open_here(), os.getppid()
    log = RequestLog(workspace.paths.requests, workspace.predictions, is_durable=False)
    answers = ShadowAnswers(open_here, who, log.add)
    log.start()
    try:
        while not over.is_set() and os.getppid() == parent:
            try:
                answers.look()
                answers.answer(requests.get(timeout=1))
            except queue.Empty:
                continue
            except (RetrimError, OSError) as error:
                LOGGER.warning("shadows: %s", error)
    finally:
        log.close()
