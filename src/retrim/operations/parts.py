"""The parts of an installation: what runs for one workspace or many, with which command, at which address."""

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from retrim.adapters.prefect_server import LOGIN, LOGIN_VARIABLE, PrefectApi, free_port
from retrim.errors import BadInputError, RetrimError
from retrim.files import RETRIM, WorkspacePaths, keep_password, make_private_folder, write_private
from retrim.stats.codec import from_record, to_record

UP = Path("var") / "up"
NOTE, PASSWORD = "installation.json", "prefect-password"
HOST = "127.0.0.1"
STRANGE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|\s[#;]|[\s\\]$")
"""What supervisord would take for the end of a line, or of a value, within the name of a folder."""


@dataclass(frozen=True)
class Ports:
    prefect: int
    ui: int
    serve: int


@dataclass(frozen=True)
class Installation:
    """What one `retrim up` runs.

    Args:
        folder: Of the workspace, or of the workspaces; its own state is in `var/up` below it.
        prefect_url: A Prefect server that somebody else runs; None: one is a part.
    """

    folder: str
    roots: tuple[str, ...]
    ports: Ports
    prefect_url: str | None

    @property
    def up(self) -> Path:
        """The private folder with its state and its log."""
        return Path(self.folder) / UP

    @property
    def prefect_home(self) -> Path:
        """Where Prefect keeps its state: in a workspace that is alone, where its commands keep it too."""
        return WorkspacePaths(Path(self.folder)).prefect

    @property
    def port_options(self) -> dict[str, int]:
        """The port of each part by the option that sets it."""
        prefect = {"--prefect-port": self.ports.prefect} if self.prefect_url is None else {}
        return {"--port": self.ports.ui, "--serve-port": self.ports.serve, **prefect}

    @property
    def is_alone(self) -> bool:
        """Whether it is of one workspace, in its own folder."""
        return self.roots == (self.folder,)

    @cached_property
    def prefect_api(self) -> PrefectApi:
        """The Prefect server, with its login."""
        if self.prefect_url is not None:
            return PrefectApi(self.prefect_url, os.environ.get(LOGIN_VARIABLE))
        password = keep_password(self.up / PASSWORD)
        return PrefectApi(f"http://{HOST}:{self.ports.prefect}/api", f"{LOGIN}:{password}")


@dataclass(frozen=True)
class Part:
    """Something that runs all the time.

    Args:
        command: Arguments after the program.
        address: Where it answers; None: it has none.
        login: Where the login lies that it asks for; None: it asks for none on this machine.
    """

    name: str
    command: tuple[str, ...]
    address: str | None = None
    login: str | None = None

    @property
    def line(self) -> tuple[str, ...]:
        return (*RETRIM, *self.command)


def parts_of(installation: Installation) -> list[Part]:
    """All parts, in the order in which they are listed; what somebody else runs is none of them."""
    here, ports, roots = installation.folder, installation.ports, installation.roots
    parts = []
    if installation.prefect_url is None:
        login = WorkspacePaths(Path(roots[0])).prefect / "login"
        parts.append(Part("prefect", ("up", "--only", "prefect", here), f"http://{HOST}:{ports.prefect}", str(login)))
    parts.append(Part("worker", ("up", "--only", "worker", here)))
    password = str(WorkspacePaths(Path(roots[0])).ui_password)
    named = () if installation.is_alone else roots
    parts.append(
        Part(
            "ui", ("up", "--only", "ui", *named, "--port", str(ports.ui)), f"http://{HOST}:{ports.ui}/retrim", password
        )
    )
    serve = ("serve", *named, "--port", str(ports.serve), "--wait")
    parts.append(Part("serve", serve, f"http://{HOST}:{ports.serve}"))
    return parts


def plan_installation(
    roots: Sequence[WorkspacePaths], folder: Path, *, ports: Ports, prefect_url: str | None
) -> Installation:
    """What will run. A port of 0 is replaced by the one that was taken last time, or one that is free.

    Raises:
        BadInputError: A folder has a name that the configuration of supervisord cannot hold.
    """
    for place in (str(folder), *(str(root.root) for root in roots)):
        if STRANGE.search(place):
            raise BadInputError(
                f"{place!r} has a control character, a # or ; after a space, or a space or backslash at its end, "
                "which supervisord misreads; rename the folder"
            )
    paths = tuple(str(root.root) for root in roots)
    last = read_installation(folder)
    known = Ports(0, 0, 0) if last is None else last.ports
    chosen = Ports(
        prefect=ports.prefect or known.prefect or free_port(),
        ui=ports.ui or known.ui or free_port(),
        serve=ports.serve or known.serve or free_port(),
    )
    return Installation(str(folder), paths, chosen, prefect_url)


def write_installation(installation: Installation) -> None:
    """Notes it, for its parts and for who asks what runs here; makes its passwords, or two parts would at once."""
    make_private_folder(installation.up)
    for root in installation.roots:
        with suppress(OSError):  # one that cannot be written is left out, and keeps the others from nothing
            keep_password(WorkspacePaths(Path(root)).ui_password)
    if installation.prefect_url is None:
        keep_password(installation.up / PASSWORD)
    write_private(installation.up / NOTE, json.dumps(to_record(installation)).encode())


def read_installation(folder: Path) -> Installation | None:
    """What was noted last in a folder; None: nothing."""
    with suppress(OSError, ValueError, RetrimError):
        return from_record(Installation, json.loads((folder / UP / NOTE).read_text(encoding="utf-8")))
    return None


def installation_at(folder: Path) -> Installation:
    """What was noted last in a folder.

    Raises:
        BadInputError: Nothing was noted.
    """
    installation = read_installation(folder)
    if installation is None:
        raise BadInputError(f"`retrim up` was never started for {folder}; start it with `retrim up {folder}`")
    return installation
