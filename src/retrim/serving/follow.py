"""Follows the champion: a new one is loaded and tried beside the old one, which answers until it is ready."""

import logging
import threading
from collections.abc import Callable

import pandas as pd

from retrim.alerting import AlertKind
from retrim.errors import RefusedError, RetrimError
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.canary import end_canary, newest_canary
from retrim.release.versions import find_live_version, load_champion, load_stored_version
from retrim.serving.canary import CanaryAnswers
from retrim.serving.served import serve_version
from retrim.serving.server import Serving

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 1
"""Between two looks at what is live: one row of the store is read."""
RETRY_SECONDS = 60
"""After which a version that could not be loaded is tried again."""


class Follower:
    """Keeps a server at the live version.

    Args:
        open_here: Opens the workspace; anew for each version, as settings change with it.
        serving: What answers.
        now: The clock.
    """

    def __init__(self, open_here: Callable[[], Workspace], serving: Serving, now: Callable[[], pd.Timestamp]) -> None:
        self._open, self._serving, self._now = open_here, serving, now
        self._workspace = open_here()
        self._seen = self._head()
        self._again: pd.Timestamp | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="champion", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # the server goes on with what it has
                LOGGER.exception("what is live could not be looked up; it is tried again")

    def _head(self) -> str | None:
        head = self._workspace.store.release_head(self._workspace.model)
        return None if head is None else head.digest

    def look(self) -> None:
        """Swaps the live version in if it is another one, and keeps the old one if it cannot answer; the canary too."""
        self._look_at_live(now := self._now())
        self._look_at_canary(now)

    def _look_at_canary(self, now: pd.Timestamp) -> None:
        """Has the canary answer that a person began, and ends one that is over."""
        serving, going = self._serving, newest_canary(self._workspace)
        before = serving.canary
        if before is not None and before.over is not None:
            serving.canary = None
            end_canary(self._workspace, before.canary, *before.over, now=now)
        elif going is None or going.ended is not None:
            serving.canary = None
        elif going.against != serving.served.version:
            live = find_live_version(self._workspace)
            if live is None or live.version != going.against:
                end_canary(self._workspace, going, "replaced", "another version went live", now=now)
        elif before is None or before.canary != going:
            serving.canary, workspace = None, self._open()
            try:
                served = serve_version(workspace, load_stored_version(workspace, going.version))
            except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
                end_canary(workspace, going, "errors", f"it cannot be loaded: {error}", now=now)
            else:
                serving.canary = CanaryAnswers(going, served, serving.metrics.note_canary)

    def _look_at_live(self, now: pd.Timestamp) -> None:
        head = self._head()
        if head == self._seen and (self._again is None or now < self._again):
            return
        self._seen, self._again = head, None
        workspace = self._open()
        live = find_live_version(workspace)
        number = None if live is None else live.version
        if number == self._serving.served.version:
            self._serving.behind = None
            return
        try:
            found = load_champion(workspace)
            if found is None:
                raise RefusedError("no version is live any more")
            self._serving.swap(serve_version(workspace, found))
        except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
            self._again = now + pd.Timedelta(RETRY_SECONDS, "s")
            self._serving.behind = f"version {number} is live and could not be loaded"
            why = str(error) if isinstance(error, RetrimError) else f"{type(error).__name__}: {error}"
            text = (
                f"the server cannot load version {number}, which is live: {why}; version "
                f"{self._serving.served.version} goes on answering"
            )
            LOGGER.warning("%s", text)
            record_alert(workspace, AlertKind.FLOW_FAILED, text, now=now, about="serve")
        else:
            LOGGER.info("version %s answers", number)
