"""A workspace that is laid in the folder of an installation while that runs, or can be opened again: it is served, too.

A thread of the worker looks. supervisord reads its configuration anew at SIGHUP and has the pages begin again, the
worker ends to begin with all workspaces, and the prediction server goes on: it takes in the new one by itself.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrim.adapters.prefect_server import share_note
from retrim.errors import BadInputError, BusyError, RetrimError
from retrim.files import WorkspacePaths, workspaces
from retrim.lineage.locks import held_locks, is_alive
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
        installation = installation_at(self.folder)
        new = self.settled([root for root in new_roots(installation, self.served) if self._can_be_served(root)])
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


def new_roots(installation: Installation, served: Sequence[Workspace]) -> list[str]:
    """Workspaces that it does not serve and could: of a name of their own, without a schedule.

    They lie below its folder, or were left out when it began.

    Args:
        installation: The installation.
        served: The workspaces that it serves.
    """
    if installation.is_alone:
        return []
    names, roots, found = {each.model for each in served}, {str(each.paths.root) for each in served}, []
    below = (str(paths.root) for paths in workspaces([Path(installation.folder)]))
    for root in dict.fromkeys((*installation.roots, *below)):
        new = None if root in roots else _opened(root)
        if new is not None and new.model not in names and _is_free(new):
            names.add(new.model)
            found.append(root)
    return found


def _is_free(workspace: Workspace) -> bool:
    """Whether a worker that begins could hold its schedule: else it would be left out, and looked at for ever."""
    with suppress(BusyError, OSError):
        if not is_alive(workspace, "schedule"):
            with held_locks(workspace, "schedule"):
                return True
    return False


def take_in(installation: Installation, new: list[str]) -> Installation:
    """Notes new workspaces as served, if they are not noted, and in each of them the Prefect server that runs."""
    planned = plan_installation(
        [WorkspacePaths(Path(root)) for root in dict.fromkeys((*installation.roots, *new))],
        Path(installation.folder),
        ports=installation.ports,
        prefect_url=installation.prefect_url,
    )
    write_config(planned)
    if planned.prefect_url is None:
        known = [root for root in installation.roots if root not in new]
        first, *others = (WorkspacePaths(Path(root)).prefect for root in (*known[:1], *new))
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
