"""Alerts by command: what people were told, and whether their addresses take it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli.base import AsJson, By, Now, Reason, as_time, example, workspace_here

if TYPE_CHECKING:
    from retrim.alerting.telling import Sending

alerts_app = typer.Typer(help="List alerts, send pending ones, and test the addresses.", invoke_without_command=True)


@alerts_app.callback(epilog=example("retrim alerts --json"))
def alerts(
    context: typer.Context,
    number: Annotated[
        int, typer.Option("--last", metavar="N", min=1, help="Number of alerts to list, newest first.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """List the alerts sent, and who has not been reached yet."""
    if context.invoked_subcommand is not None:
        return
    from retrim.cli import render
    from retrim.cli.answers import find_alerts
    from retrim.stats.codec import to_record

    found = find_alerts(workspace_here())[-number:]
    if as_json:
        render.show_json({"alerts": [to_record(each) for each in found]})
        return
    rows = [
        (render.moment(each.at), each.severity, ", ".join(each.sent_to) or "nobody", f"{each.kind}: {each.text}")
        for each in found
    ]
    render.show_table(("at", "severity", "sent to", "what"), rows, brief_last=True)


@alerts_app.command("test", epilog=example("retrim alerts test"))
def send_test_messages(as_json: AsJson = False) -> None:
    """Send a test message to each address, and report failures.

    The addresses come from RETRIM_ALERTS and RETRIM_ALERTS_FILE. The exit code is 1 if a message could not be sent.
    """
    from retrim.alerting.telling import send_test

    _show_sent(send_test(workspace_here(), now=as_time(None)), as_json=as_json)


@alerts_app.command(epilog=example("retrim alerts send"))
def send(as_json: AsJson = False) -> None:
    """Send the alerts that are due, as the schedule would.

    If you do not run the schedule, run this command from a timer such as cron. The exit code is 1 if an alert could not
    be sent to an address.
    """
    from retrim.alerting.telling import tell_people

    _show_sent(tell_people(workspace_here(), now=as_time(None)), as_json=as_json)


@alerts_app.command(epilog=example('retrim alerts acknowledge loss_above_expected --until 2026-12-24 --reason "known"'))
def acknowledge(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="loss_above_expected, worse_than_naive, segment_worse, suspicious_batch or holds_withdrawn_batch.",
        ),
    ],
    reason: Reason,
    by: By,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Until when (UTC). Default: for seven days."),
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Neither send nor count warnings of a kind for a while.

    `retrim status` goes on to show them. For suspicious_batch, the batches that have landed by now are answered for
    good, and later ones warn again after that time.
    """
    import pandas as pd

    from retrim.cli import render
    from retrim.release.acknowledged import acknowledge_kind

    moment = as_time(now)
    ends = moment + pd.Timedelta("7D") if until is None else as_time(until)
    made = acknowledge_kind(workspace_here(), kind, until=ends, by=by, reason=reason, now=moment)
    if as_json:
        render.show_json(made)
    else:
        said = f"acknowledged until {made.until:%Y-%m-%d %H:%M}: {made.kind}"
        render.OUT.print(said, highlight=False, markup=False)


def _show_sent(sendings: "Sequence[Sending]", *, as_json: bool) -> None:
    from retrim.cli import render
    from retrim.stats.codec import to_record

    if as_json:
        render.show_json({"sent": [to_record(each) for each in sendings]})
    else:
        for each in sendings:
            said = "sent" if each.error is None else f"failed: {each.error}"
            render.OUT.print(f"{each.address}: {said}", highlight=False, markup=False)
        if not sendings:
            render.OUT.print("no alert is due", highlight=False)
    raise typer.Exit(0 if all(each.error is None for each in sendings) else 1)
