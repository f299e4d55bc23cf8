"""Whether every landed row was counted once."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer()


@app.command(epilog=example("retrim audit"))
def audit(
    now: Annotated[
        str | None, typer.Option("--now", metavar="TIME", help="Rows that arrive later wait; default: the clock.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the balance of rows: landed = tested + waiting + exempt.

    Each landed row is tested for drift by one check. Each matured row is measured once and enters the account once.
    Exempt are rows that a live version was made or judged with, rows that replace others, rows that data.rows leaves
    out, and rows that come after the row they are part of was counted. Names rows that are missing or counted twice,
    and ends with exit code 1 if there are any.
    """
    from retrim import screens
    from retrim.audit_screen import show_audit
    from retrim.ops.audit import audit as op

    done = op(house_here(), now=as_time(now))
    if as_json:
        screens.show_json(done.as_record())
    else:
        show_audit(done)
    if not done.holds:
        raise typer.Exit(1)
