"""Minds the schedule beside its worker: a server of ours that died is started again, what was cut short is put back.

What people are to be told is sent by a thread of its own: a receiver may be slow.
"""

import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import pandas as pd

from retrim.adapters.prefect_server import Server
from retrim.alerting.telling import tell_people
from retrim.lineage.workspace import Workspace
from retrim.retraining.recover import end_hung_runs
from retrim_flows.missed import take_up_again

LOGGER = logging.getLogger("retrim.schedule")
LOOK_SECONDS = 0.5
TAKE_UP_SECONDS = 30.0
TELL_SECONDS = 5.0
FAILED = "watching the schedule%s failed; retrim tries again: %s"


class Watchman:
    """A thread beside the worker.

    Args:
        workspaces: Those that the worker serves.
        server: The server, if it is ours to start again.
    """

    def __init__(self, workspaces: Sequence[Workspace], server: Server | None) -> None:
        self.workspaces, self.server = workspaces, server
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._mind, name="watchman", daemon=True),
            threading.Thread(target=self._tell, name="messenger", daemon=True),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _tell(self) -> None:
        told = [workspace for workspace in self.workspaces if workspace.env.tells]
        while told and not self._over.wait(TELL_SECONDS):
            for workspace in told:
                if self._over.is_set():
                    return
                try:
                    tell_people(workspace, now=pd.Timestamp.now("UTC").floor("s"))
                except Exception as error:  # noqa: BLE001  whatever it is: it is tried again
                    LOGGER.warning("alerts could not be sent; retrim tries again: %s", error)

    def _mind(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            try:
                revived = self.server is not None and self.server.revive()
                if revived:
                    print("the Prefect server had stopped; it was restarted", flush=True)
                if revived or time.monotonic() - looked > TAKE_UP_SECONDS:
                    looked = time.monotonic()
                    for workspace in self.workspaces:
                        self._end_hung_runs(workspace)
                    take_up_again(self.workspaces, at_start=False)
            except Exception as error:  # noqa: BLE001  whatever it is: minding goes on
                LOGGER.warning(FAILED, "", error)

    def _end_hung_runs(self, workspace: Workspace) -> None:
        try:
            end_hung_runs(workspace, now=pd.Timestamp.now("UTC").floor("s"))
        except Exception as error:  # noqa: BLE001  the others are minded all the same
            LOGGER.warning(FAILED, f" of {workspace.model}", error)
