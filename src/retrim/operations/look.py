"""How the parts of an installation are: what supervisord said last, and whether each answers at its address."""

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from retrim.lineage.locks import is_alive
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.operations.parts import Installation, Part, parts_of
from retrim.operations.supervise import read_states, runs_now

SECONDS = 2


@dataclass(frozen=True)
class PartSeen:
    """A part, as it was found.

    Args:
        name: What it is called.
        state: `runs`, `starts`, `ended` or `off`.
        since: Since when, as far as supervisord knows it.
        address: Where it answers; empty: nowhere.
        login: The file that holds its login; empty: it asks for none on this machine.
        starts: How often it was started since `retrim up` began; 0 where systemd starts it.
    """

    name: str
    state: str
    since: str
    address: str
    login: str
    starts: int

    @property
    def said(self) -> str:
        """In words."""
        again = f", started {self.starts} times" if self.starts > 1 else ""
        return f"{self.state}{again}"


def look_at_parts(installation: Installation) -> list[PartSeen]:
    """Every part, in order."""
    states = read_states(installation) if runs_now(installation) else {}
    seen = []
    for part in parts_of(installation):
        state = states.get(part.name)
        answers = _answers(installation, part)
        said = "runs" if answers else "off" if state is None else "ended" if state.state == "BACKOFF" else "starts"
        since = "" if state is None else pd.Timestamp(state.since, unit="s", tz="UTC").isoformat(timespec="seconds")
        starts = 0 if state is None else state.starts
        seen.append(PartSeen(part.name, said, since, part.address or "", part.login or "", starts))
    return seen


def _answers(installation: Installation, part: Part) -> bool:
    """Whether something listens at its address; of the worker, whether it holds the schedule of a workspace."""
    if part.address is None:
        return any(has_schedule(root) for root in installation.roots)
    place = urlsplit(part.address)
    try:
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=SECONDS):
            return True
    except OSError:
        return False


def has_schedule(root: str) -> bool:
    """Whether somebody carries out the schedule of a workspace."""
    workspace: Workspace
    try:
        workspace = open_workspace(Path(root))
    except Exception:  # noqa: BLE001  what is wrong with it doctor says
        return False
    return is_alive(workspace, "schedule")
