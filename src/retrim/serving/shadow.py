"""Shadows: other versions answer the requests of the live one, unheard, in a thread beside.

At most `MOST_WAITING` requests wait for it; one more has no shadow, which the figures count. What the shadows answer is
kept as the server's answers are, and apart from them.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import BoundedSemaphore
from time import time_ns

from prometheus_client import Counter

from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version, load_stored_version
from retrim.serving.request_log import Line
from retrim.serving.request_rows import rows_of_json
from retrim.serving.served import ServedVersion, serve_version

LOGGER = logging.getLogger("retrim.serve")
MOST_WAITING = 256
LARGEST = 256 << 10
"""Bytes of a request that has shadows, at most: so what waits is 64 MiB at most."""


def shadows_of(workspace: Workspace, who: Sequence[str]) -> list[int]:
    """Versions that answer as shadows now: never the live one, each once."""
    live = find_live_version(workspace)
    if live is None:
        return []
    numbers: list[int | None] = []
    for name in who:
        if name == "previous":
            numbers.append(live.previous)
        elif name == "challenger":
            newest = max((row.version for row in workspace.store.versions(workspace.model)), default=0)
            numbers.append(newest if newest > live.version else None)
        else:
            numbers.append(int(name))
    return [number for number in dict.fromkeys(numbers) if number is not None and number != live.version]


class Shadows:
    """Answers the requests of a server by the shadows that there are at the moment.

    Args:
        counter: Counts requests by their fate, taken or dropped.
    """

    def __init__(
        self,
        workspace_of: Callable[[], Workspace],
        who: Sequence[str],
        keep: Callable[[Line], None],
        counter: Counter,
    ) -> None:
        self._workspace_of, self._who, self._keep, self._counter = workspace_of, who, keep, counter
        self._thread, self._room = ThreadPoolExecutor(1, "shadows"), BoundedSemaphore(MOST_WAITING)
        self.versions: dict[int, ServedVersion] = {}

    def offer(self, body: bytes, request: str, token: str | None) -> None:
        """Has the shadows answer a request later, if there is room; returns at once, and never fails."""
        has_room = len(body) <= LARGEST and self._room.acquire(blocking=False)
        self._counter.labels("taken" if has_room else "dropped").inc()
        if has_room:
            with suppress(RuntimeError):  # it was stopped meanwhile
                self._thread.submit(self._answer, body, request, token).add_done_callback(
                    lambda _: self._room.release()
                )

    def stop(self) -> None:
        """Ends after the answer that is under way; what waits has no shadow."""
        self._thread.shutdown(cancel_futures=True)

    def look(self) -> None:
        """Loads versions that are to answer by now, and lets go of the others; what fails is tried at the next look."""
        try:
            workspace = self._workspace_of()
            numbers = shadows_of(workspace, self._who)
        except Exception as error:  # noqa: BLE001  the store is away, or a file cannot be read: the next look may
            LOGGER.warning("the shadow versions cannot be looked up: %s", error)
            return
        versions = {number: self.versions[number] for number in numbers if number in self.versions}
        for number in numbers:
            if number not in versions:
                try:
                    versions[number] = serve_version(workspace, load_stored_version(workspace, number))
                except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
                    LOGGER.warning("version %s cannot answer as a shadow: %s", number, error)
        self.versions = versions

    def _answer(self, body: bytes, request: str, token: str | None) -> None:
        for number, version in self.versions.items():
            try:
                answers = version.answer(rows_of_json(body), request)
                self._keep((number, request, time_ns() // 1000, answers, "shadow", token))
            except Exception as error:  # noqa: BLE001  as above
                LOGGER.warning("shadow version %s cannot answer request %s: %s", number, request, error)
