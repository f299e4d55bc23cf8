"""What was live when, and the log of every move of the champion."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer()
log_app = typer.Typer(help="The release log: every move of the champion, signed.")


@app.command(epilog=example("retrim live --as-of 2012-03-01"))
def live(
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="The moment (UTC); default now.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="The same by what --now and --as-of pretended.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which version is live, or was at a moment.

    As the release log has it. If moves were made with --now or --as-of, as in a replay, --at goes by the clock and
    --as-of by the pretended moment. Ends with exit code 1 if none was live.
    """
    import pandas as pd

    from retrim import screens
    from retrim.errors import BadInputError
    from retrim.ops.live import live as live_as_of
    from retrim.ops.live import live_at

    if at is not None and as_of is not None:
        raise BadInputError("--at and --as-of are both given; give one: --at goes by the clock")
    house = house_here()
    if as_of is None:
        found = live_at(house, as_time(at))
    else:
        found = live_as_of(house, before=as_time(as_of) + pd.Timedelta("1s"))
    if as_json:
        screens.show_json(None if found is None else found.as_record())
    elif found is None:
        screens.OUT.print("no version was live", highlight=False)
    else:
        since = screens.moment(found.since)
        screens.OUT.print(
            f"version {found.version}, since {since}, by {found.by}: {found.reason}", highlight=False, markup=False
        )
    raise typer.Exit(0 if found is not None else 1)


@log_app.command("show", epilog=example("retrim log show"))
def log_show(as_json: AsJson = False) -> None:
    """List every move: which version, by which action, who, why."""
    from retrim import screens
    from retrim.ops.release_log import release_log

    records = release_log(house_here())
    if as_json:
        screens.show_json(records)
        return
    if not records:
        screens.OUT.print("nothing was released yet; make version 1: retrim retrain", highlight=False)
        return
    rows = [
        (
            record["sequence"],
            screens.moment(record["at"]),
            screens.moment(record["as_of"]),
            record["version"],
            record["action"],
            record["by"],
            record["digest"][:12],
            record["reason"],
        )
        for record in records
    ]
    heads = ("row", "at", "as of", "version", "action", "by", "digest", "reason")
    screens.show_table(heads, rows, brief_last=True)


@log_app.command("verify", epilog=example("retrim log verify"))
def log_verify(
    head: Annotated[
        str | None, typer.Option("--head", metavar="HEX", help="A digest noted before, which must still be there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no row was changed, moved, added or taken away.

    Each row is signed over the row before, and so are their count and the last of them. A copy of each row lies in git,
    as a tag: retrim/MODEL/log/N. Ends with exit code 1 and names the first row that is not what was signed.
    Push the tags, or note the last digest elsewhere: --head asks for it later.
    """
    from retrim import screens
    from retrim.ops.release_log import verify_log

    found = verify_log(house_here(), kept=head)
    if as_json:
        screens.show_json(found.as_record())
        return
    in_git = "copies of all" if found.in_git == found.rows else f"copies of {found.in_git}"
    last = f", {in_git} in git; the last digest is {found.head}" if found.head else ""
    screens.OUT.print(f"{found.rows} rows, as they were signed{last}", highlight=False, soft_wrap=True)
