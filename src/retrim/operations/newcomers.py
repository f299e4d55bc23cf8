"""A workspace that is laid in the folder of an installation while that runs: it is served, too.

A thread of the worker looks. supervisord reads its configuration anew at SIGHUP and has the pages begin again, the
worker ends to begin with all workspaces, and the prediction server goes on: it takes in the new one by itself.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrim.adapters.prefect_server import share_note
from retrim.errors import BadInputError, RetrimError
from retrim.files import WorkspacePaths, workspaces
from retrim.lineage.locks import is_alive
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.operations.parts import (
    UP,
    Installation,
    installation_at,
    plan_installation,
    refuse_strange_name,
    write_installation,
)
from retrim.operations.supervise import PID, write_config
from retrim.settings import Env

LOOK_SECONDS = 20.0


@dataclass
class Newcomers:
    """Looks for new workspaces every now and then, and counts one that it has seen twice: it is laid by then.

    Args:
        folder: Of the installation.
        served: Workspaces that the worker serves.
        say: Prints a line.
    """

    folder: Path
    served: list[Workspace]
    say: Callable[[str], None]
    _seen: set[str] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Looks in a thread of its own, where supervisord has started this process."""
        threading.Thread(target=self._watch, name="newcomers", daemon=True).start()

    def _watch(self) -> None:
        supervisor = os.getppid()
        while _noted_pid(self.folder) == supervisor:
            time.sleep(LOOK_SECONDS)
            try:
                if self.look():
                    os.kill(supervisor, signal.SIGHUP)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
            except Exception as error:  # noqa: BLE001  a folder that goes, a file half written: it is looked at again
                self._say_once(f"the search for new workspaces failed: {error}")

    def look(self) -> bool:
        """Takes in what is new, where no run is under way; says whether there was any."""
        installation, names = installation_at(self.folder), {each.model for each in self.served}
        new = self.settled([root for root in new_roots(installation, names) if self._can_be_served(root)])
        if not new or any(each.store.runs(each.model, state="running") for each in self.served):
            return False
        self.say(f"new workspaces: {', '.join(new)}; the worker and the pages are restarted")
        take_in(installation, new)
        return True

    def _can_be_served(self, root: str) -> bool:
        try:
            refuse_strange_name(root)
        except BadInputError as error:
            self._say_once(f"a new workspace is left out until this error is corrected: {error}")
            return False
        return True

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def settled(self, found: list[str]) -> list[str]:
        """Those that were there at the look before, too."""
        before, self._seen = self._seen, set(found)
        return [root for root in found if root in before]


def new_roots(installation: Installation, served: Collection[str]) -> list[str]:
    """Workspaces below its folder that it does not serve and could: of a name of their own, without a schedule.

    Args:
        installation: The installation.
        served: Names of the models that it serves.
    """
    if installation.is_alone:
        return []
    names, found = set(served), []
    for paths in workspaces([Path(installation.folder)]):
        new = None if str(paths.root) in installation.roots else _opened(str(paths.root))
        if new is not None and new.model not in names and not is_alive(new, "schedule"):
            names.add(new.model)
            found.append(str(paths.root))
    return found


def take_in(installation: Installation, new: list[str]) -> Installation:
    """Notes new workspaces as served, and in each of them the Prefect server that runs."""
    planned = plan_installation(
        [WorkspacePaths(Path(root)) for root in (*installation.roots, *new)],
        Path(installation.folder),
        ports=installation.ports,
        prefect_url=installation.prefect_url,
        mlflow_url=Env().mlflow_url,
    )
    write_config(planned)
    if planned.prefect_url is None:
        first, *others = (WorkspacePaths(Path(root)).prefect for root in (installation.roots[0], *new))
        share_note(first, others)
    write_installation(planned)  # last: what it notes is not looked at again
    return planned


def _opened(root: str) -> Workspace | None:
    """A workspace; None where it cannot be opened, which `retrim doctor` tells."""
    with suppress(RetrimError, OSError):
        return open_workspace(Path(root))
    return None


def _noted_pid(folder: Path) -> int | None:
    """The process of supervisord, as it noted it; None: systemd supervises, or nobody."""
    with suppress(OSError, ValueError):
        return int((folder / UP / PID).read_text(encoding="utf-8"))
    return None
