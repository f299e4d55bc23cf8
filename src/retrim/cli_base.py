"""What the commands share: options, the house, times, and a Prefect server for those that run flows."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrim.machine import login

if TYPE_CHECKING:
    import pandas as pd

    from retrim.adapters.prefect_api import PrefectApi
    from retrim.adapters.prefect_server import Server
    from retrim.ops.house import House

LONGEST = 9  # digits of a version's number: a database holds no whole number of any length
LAST_YEAR = 9999  # of the standard library, which writes times out; no time that is given may lie in it

AsJson = Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")]
Now = Annotated[str | None, typer.Option("--now", metavar="TIME", help="Pretend it is this moment (UTC), for replays.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the record.")]
By = Annotated[
    str,
    typer.Option(
        "--by", metavar="NAME", default_factory=login, show_default=False, help="Who does it; default: the login name."
    ),
]


def example(command: str) -> str:
    """What stands below a command's help."""
    return f"For example: [bold]{command}[/]"


def show_version(asked: bool) -> None:
    if asked:
        import retrim

        print(f"retrim {retrim.__version__}")  # noqa: T201  the answer itself
        raise typer.Exit


def version_number(text: str | int) -> int:
    from retrim.errors import BadInputError

    if not str(text).isdecimal() or len(str(text)) > LONGEST:
        raise BadInputError(f"{text!r} is no number of a version; write 7, list them with `retrim versions`")
    return int(text)


Version = Annotated[int, typer.Argument(metavar="N", parser=version_number, help="Number of the version.")]


def house_here() -> "House":
    from retrim.ops.house import open_house

    return open_house(Path.cwd())


def as_time(text: str | None) -> "pd.Timestamp":
    import pandas as pd

    from retrim.errors import BadInputError

    if text is None:
        return pd.Timestamp.now(tz="UTC").floor("s")
    given = pd.to_datetime(text, format="ISO8601", errors="coerce")  # read loosely, "5" is a day of this month
    if not isinstance(given, pd.Timestamp):
        raise BadInputError(f"{text!r} is no time; write 2012-05-01 or 2012-05-01T12:00, in UTC")
    at = (given.tz_localize("UTC") if given.tzinfo is None else given.tz_convert("UTC")).as_unit("us")
    if not 1 <= at.year < LAST_YEAR:
        raise BadInputError(f"{text!r} is too far away; write a time of the years 1 to {LAST_YEAR - 1}, in UTC")
    return at


def past_time(text: str | None) -> "pd.Timestamp":
    """A time that is not in the future: arrivals, checks and runs go forward, so a slip would block every later one."""
    from retrim.errors import BadInputError

    given, now = as_time(text), as_time(None)
    if given > now:
        raise BadInputError(f"{text!r} is in the future; give a time up to now, {now.isoformat()}")
    return given


@contextmanager
def flows_of(house: "House") -> Iterator[None]:
    """Makes flows importable and a Prefect server reachable: one is started under var/ if none is, and stopped.

    Raises:
        RetrimError: No server can be reached or started, or it went away.
    """
    from retrim.adapters import prefect_server
    from retrim.errors import RetrimError

    # A flow's error goes to Prefect's log; here the command tells it, once and without a traceback.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with prefect_server.reachable(house.workspace.prefect, house.env.prefect_url) as api, _flows_at(house, api):
        try:
            yield
        except Exception as error:
            if isinstance(error, RetrimError) or api.answers():
                raise
            raise RetrimError(
                f"the Prefect server at {api.url} does not answer any more; the next `retrim check` or "
                "`retrim retrain` finishes what was under way"
            ) from error


@contextmanager
def scheduler_of(house: "House") -> "Iterator[Server | None]":
    """As `flows_of`, once a workspace; gives the server if it is ours to mind."""
    from retrim.adapters import prefect_server
    from retrim.ops.signs import held

    with ExitStack() as stack:
        stack.enter_context(held(house, "schedule"))
        server = None
        if house.env.prefect_url is None:
            server = stack.enter_context(prefect_server.own(house.workspace.prefect, pages=True))
            stack.enter_context(_flows_at(house, server.api))
        else:
            api = stack.enter_context(prefect_server.reachable(house.workspace.prefect, house.env.prefect_url))
            stack.enter_context(_flows_at(house, api))
        yield server


@contextmanager
def _flows_at(house: "House", api: "PrefectApi") -> Iterator[None]:
    from retrim.adapters import prefect_server

    os.environ.update(prefect_server.settings(house.workspace.prefect, api.url))
    if api.login is not None:
        os.environ[prefect_server.LOGIN_VARIABLE] = api.login  # a worker's flow runs inherit it
    os.chdir(house.workspace.root)
    sys.path.insert(0, str(house.workspace.root))
    from flows.logs import flushed

    with flushed():
        yield
