"""What was live when, and the log of every move of the champion."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer()
log_app = typer.Typer(help="The release log: every move of the champion, chained by hashes.")


@app.command(epilog=example("retrim live --at 2012-03-01"))
def live(
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="The moment (UTC); default now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which version is live, or was at a moment.

    As the release log has it. Ends with exit code 1 if none was.
    """
    import pandas as pd

    from retrim import screens
    from retrim.ops.release import live as op

    found = op(house_here(), before=as_time(at) + pd.Timedelta("1s"))
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
            r["sequence"],
            screens.moment(r["at"]),
            r["version"],
            r["action"],
            (r["seal"] or "none")[:12],
            r["by"],
            r["reason"],
        )
        for r in records
    ]
    screens.show_table(("row", "at", "version", "action", "seal", "by", "reason"), rows, brief_last=True)


@log_app.command("verify", epilog=example("retrim log verify"))
def log_verify(
    seal: Annotated[
        str | None, typer.Option("--seal", metavar="HEX", help="A seal noted before, which must still be there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no row of the log was changed, added or taken away.

    Ends with exit code 1 and names the first row that is not what was sealed. Note the last seal elsewhere: with
    --seal it proves later that no row was taken away at the end, either.
    """
    from retrim import screens
    from retrim.ops.release_log import verify_log

    found = verify_log(house_here(), kept=seal)
    if as_json:
        screens.show_json(found.as_record())
    else:
        last = f"; the last seal is {found.seal}" if found.seal else ""
        older = f", the first {found.unsealed} before there were seals" if found.unsealed else ""
        screens.OUT.print(f"{found.rows} rows, as they were sealed{older}{last}", highlight=False, soft_wrap=True)
