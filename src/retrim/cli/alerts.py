"""Alerts by command: what people were told, and whether their addresses take it."""

from typing import Annotated

import typer

from retrim.cli import render
from retrim.cli.base import AsJson, as_time, example, option, workspace_here
from retrim.errors import BadInputError

app = typer.Typer()


@app.command(epilog=example("retrim alerts --test"))
def alerts(
    number: Annotated[int, option("--last N", "Number of alerts to list, newest first.", min=1)] = 20,
    test: Annotated[bool, option("--test", "Send a test message to each address.")] = False,
    send: Annotated[
        bool, option("--send", "Send the alerts that are due, as the schedule would; for a timer such as cron.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the alerts sent, and who has not been reached yet.

    The addresses come from RETRIM_ALERTS and RETRIM_ALERTS_FILE. With --test or --send, the exit code is 1 if a message
    could not be sent.
    """
    from retrim.alerting.telling import send_test, tell_people
    from retrim.cli.answers import find_alerts

    if test and send:
        raise BadInputError("--test sends test messages and --send the alerts that are due; pass one of them")
    if test or send:
        sendings = (send_test if test else tell_people)(workspace_here(), now=as_time(None))
        lines = [f"{one.address}: {'sent' if one.error is None else f'failed: {one.error}'}" for one in sendings]
        render.show({"sent": sendings}, "\n".join(lines) or "no alert is due", as_json=as_json)
        raise typer.Exit(0 if all(one.error is None for one in sendings) else 1)
    listed = find_alerts(workspace_here())[-number:]
    rows = [
        (render.moment(one.at), one.severity, ", ".join(one.sent_to) or "nobody", f"{one.kind}: {one.text}")
        for one in listed
    ]
    heads = ("at", "severity", "sent to", "what")
    render.show_list({"alerts": listed}, heads, rows, none="no alert was raised", as_json=as_json)
