"""The time machine by command."""

from pathlib import Path
from typing import Annotated

import typer

from retrim.cli_base import AsJson, example, flows_of, house_here, past_time

app = typer.Typer()


@app.command(epilog=example("retrim replay --from 2012-03-01 --with other-params.yaml"))
def replay(
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Decisions from this moment on are taken anew (UTC).")
    ],
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="The last moment that is repeated; default: all.")
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="Other settings: a params.yaml, or only what differs from it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay your history under other settings, and compare.

    The real flows at the moments at which checks were made, with the batches as they arrived, in a clone under
    var/replay/: decisions and loss side by side, and why they differ. A retraining takes as long as it does.
    Branch, tags, data and store of this workspace stay as they are.
    """
    from retrim import screens
    from retrim.ops.replay import alone, make_replay
    from retrim.ops.replay_report import report
    from retrim.ops.signs import held
    from retrim.replay_screen import show

    house = house_here()
    since_time = past_time(since)
    with held(house, "replay"), screens.progress():
        asked = make_replay(
            house,
            since=since_time,
            until=None if until is None else past_time(until),
            other=settings,
            url=house.env.prefect_url,
        )
        alone()
        with flows_of(asked.there):
            from flows.replay import replay as flow

            flow(asked)
        done = report(asked)
    if as_json:
        screens.show_json(done.as_record())
    else:
        show(done)
