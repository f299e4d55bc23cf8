"""What the commands share: options, the house, times, and a Prefect server for those that run flows."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from retrim.adapters.prefect_server import Server
    from retrim.ops.house import House

AsJson = Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")]
Now = Annotated[str | None, typer.Option("--now", metavar="TIME", help="Pretend it is this moment (UTC), for replays.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the record.")]


def house_here() -> "House":
    from retrim.ops.house import open_house

    return open_house(Path.cwd())


def as_time(text: str | None) -> "pd.Timestamp":
    import pandas as pd

    from retrim.errors import BadInputError

    if text is None:
        return pd.Timestamp.now(tz="UTC").floor("s")
    try:
        given = pd.Timestamp(text)
    except ValueError as error:
        raise BadInputError(f"{text!r} is no time; write 2012-05-01 or 2012-05-01T12:00") from error
    return given.tz_localize("UTC") if given.tzinfo is None else given.tz_convert("UTC")


def past_time(text: str | None) -> "pd.Timestamp":
    """A time that is not in the future: arrivals only go forward, so a slip would block every later one."""
    from retrim.errors import BadInputError

    given = as_time(text)
    if given > as_time(None):
        raise BadInputError(f"{text!r} is in the future; a batch has arrived by now, or earlier")
    return given


@contextmanager
def flows_of(house: "House") -> Iterator[None]:
    """Makes flows importable and a Prefect server reachable: one is started under var/ if none is, and stopped."""
    from retrim.adapters import prefect_server

    with prefect_server.reachable(house.workspace.prefect, house.env.prefect_url) as url, _flows_at(house, url):
        yield


@contextmanager
def scheduler_of(house: "House") -> "Iterator[Server | None]":
    """As `flows_of`, once a workspace; gives the server if it is ours to mind."""
    from retrim.adapters import prefect_server
    from retrim.ops.signs import held

    with ExitStack() as stack:
        stack.enter_context(held(house, "schedule"))
        server = None
        if house.env.prefect_url is None:
            server = stack.enter_context(prefect_server.own(house.workspace.prefect))
            stack.enter_context(_flows_at(house, server.url))
        else:
            stack.enter_context(flows_of(house))
        yield server


@contextmanager
def _flows_at(house: "House", url: str) -> Iterator[None]:
    from retrim.adapters import prefect_server

    os.environ.update(prefect_server.settings(house.workspace.prefect, url))
    os.chdir(house.workspace.root)
    sys.path.insert(0, str(house.workspace.root))
    from flows.recovery import of_workspace

    with of_workspace(house):
        yield
