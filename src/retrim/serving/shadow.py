"""Shadows: other versions answer the requests of the live one, unheard, in a process of their own.

The server lays each request into a bounded queue and goes on; where the queue is full the request has no shadow, which
the figures count. What the shadows answer is kept as the server's answers are, and apart from them.
"""

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, time_ns
from typing import IO

import orjson

from retrim.errors import RetrimError
from retrim.files import lightgbm_alone
from retrim.lineage.workspace import Workspace, open_workspace
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
        _, name = request
        for number, version in self.versions.items():
            try:
                self._keep((number, name, time_ns() // 1000, said_of(version, request), "shadow"))
            except Exception as error:  # noqa: BLE001  as above
                LOGGER.warning("shadow version %s cannot answer request %s: %s", number, name, error)


class Shadows:
    """The queue of a server's requests, and the process that answers them, which is started again if it dies.

    What was on its way to a process that died has no shadow. A process whose server is gone reads the end, and ends.

    Args:
        command: Starts the process: it reads requests, as `write_request` writes them, until their end.
        note: Told of each request whether it has shadows.
    """

    def __init__(self, command: Sequence[str], note: Callable[[bool], None]) -> None:
        self._command, self._note = command, note
        self._waiting: queue.Queue[Asked] = queue.Queue(MOST_WAITING)
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="shadows", daemon=True)

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
        """Lets the process keep what it has answered, and ends it."""
        self._over.set()
        self._thread.join(timeout=STOP_SECONDS)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # it was loading a version; what it has answered is kept
        self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as self._process:
                    assert self._process.stdin is not None
                    with self._process.stdin as stream:
                        self._hand_on(stream)
            except OSError as error:  # it reads no more, or cannot be started
                LOGGER.warning("the process of the shadow versions ended (%s); retrim starts it again", error)
                self._over.wait(LOOK_SECONDS)

    def _hand_on(self, stream: IO[bytes]) -> None:
        """Writes what waits to the process until the server ends."""
        while not self._over.is_set():
            with suppress(queue.Empty):
                write_request(stream, self._waiting.get(timeout=0.2))


def write_request(stream: IO[bytes], request: Asked) -> None:
    """A line of JSON, how many bytes and the request's id; then the bytes."""
    body, name = request
    stream.write(orjson.dumps([len(body), name]) + b"\n" + body)
    stream.flush()


def read_requests(stream: IO[bytes]) -> Iterator[Asked]:
    """What `write_request` wrote, until the end; a request that was cut off is left out."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        size, name = orjson.loads(line)
        body = stream.read(size)
        if len(body) == size:
            yield body, name


def answer_requests(open_here: Callable[[], Workspace], who: Sequence[str], requests: Iterable[Asked]) -> None:
    """What the process does until there are no more requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends the requests
    os.nice(NICE)
    workspace = open_here()
    log = RequestLog(workspace.paths.requests, workspace.predictions, is_durable=False)
    answers = ShadowAnswers(open_here, who, log.add)
    log.start()
    try:
        for request in requests:
            try:
                answers.look()
                answers.answer(request)
            except (RetrimError, OSError) as error:
                LOGGER.warning("shadows: %s", error)
    finally:
        log.close()


def command_of(root: Path, who: Sequence[str]) -> tuple[str, ...]:
    """Starts the process for a workspace."""
    return sys.executable, "-P", "-m", __name__, str(root), *who


if __name__ == "__main__":
    lightgbm_alone()
    answer_requests(partial(open_workspace, Path(sys.argv[1])), sys.argv[2:], read_requests(sys.stdin.buffer))
