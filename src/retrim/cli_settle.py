"""A person's answer by command: what is held needs no retraining."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, By, Now, example, house_here, past_time

app = typer.Typer()


@app.command(epilog=example("retrim settle --reason 'a fair in town, over by Monday'"))
def settle(
    reason: Annotated[str, typer.Option("--reason", help="Why nothing has to be retrained; it is kept.")],
    by: By,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Settle what is held, without a retraining.

    A held alarm is answered until it goes quiet; one that comes up again later is a new one. Refused runs are counted
    anew. Who, when and why is kept: retrim why. Ends with exit code 1 if nothing is held.
    """
    from retrim import screens
    from retrim.ops.settle import settle as op

    done = op(house_here(), reason=reason, by=by, now=past_time(now))
    if as_json:
        screens.show_json(done.as_record())
        return
    what = f"{' and '.join(done.rules)} is answered while it stays up" if done.rules else "checks go on"
    screens.OUT.print(f"settled by {done.by}: {what}", highlight=False, markup=False)
    screens.OUT.print(f"kept as: retrim why {done.id}", highlight=False)
