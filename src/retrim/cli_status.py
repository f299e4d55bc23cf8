"""What is live and what comes next, here or everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer()


@app.command(epilog=example("retrim status"))
def status(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR ...]", help="With --all: workspaces, or folders of some.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Every model of these, and of their stores.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say on one screen what is live and what comes next.

    Since when it is live, the last check, the account against the price, the last decision, the next scheduled run.
    With --all a line a model: live version, last check, and what waits, is late or went wrong.
    """
    from retrim import screens
    from retrim.errors import BadInputError

    if everywhere:
        from retrim.ops.everywhere import everywhere as look
        from retrim.status_screen import show_places

        places = [place.as_record() for place in look(folders or [], here=Path.cwd(), now=as_time(None))]
        screens.show_json({"models": places}) if as_json else show_places(places)
        return
    if folders:
        raise BadInputError(f"{folders[0]}: status is of the workspace you are in; of others with --all")
    from retrim.answers import status_record
    from retrim.status_screen import show_status

    record = status_record(house_here(), now=as_time(None))
    if as_json:
        screens.show_json(record)
    else:
        show_status(record)
