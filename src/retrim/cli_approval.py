"""A person's answer by command: whether a version that waits goes live."""

from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli_base import AsJson, By, Now, Version, example, house_here, past_time

if TYPE_CHECKING:
    from retrim.ops.approval import Answer

app = typer.Typer()
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept with the version.")]


@app.command(epilog=example("retrim approve 3 --reason 'looked at the slices with Ines'"))
def approve(version: Version, reason: Why, by: By, now: Now = None, as_json: AsJson = False) -> None:
    """Let a version that waits for a person go live.

    Where release.approval asks for it, what the gate promotes waits first. All release checks are held to again, and
    the champion has to be the one it was judged against. Ends with exit code 1 if it does not go live, and says why.
    Killed, it is finished by the same command. The word holds for its recipe fitted once more, too.
    """
    from retrim import screens
    from retrim.ops.approval import approve as op
    from retrim.ops.refit_after import refit_waiting

    house = house_here()
    answer = op(house, version, by=by, reason=reason, now=past_time(now))
    _show(answer, "is live", as_json=as_json)
    if not as_json and refit_waiting(house) is not None:
        screens.OUT.print("the next check fits its recipe once more, on all mature rows", highlight=False)


@app.command(epilog=example("retrim reject 3 --reason 'the north is worse'"))
def reject(version: Version, reason: Why, by: By, now: Now = None, as_json: AsJson = False) -> None:
    """Refuse a version that waits for a person.

    What is live stays. The account is debited, and refusals are counted, as for one that the gate refuses.
    Nobody's answer by the date that `retrim status` shows is a no as well.
    """
    from retrim.ops.approval import reject as op

    answer = op(house_here(), version, by=by, reason=reason, now=past_time(now))
    _show(answer, "is refused", as_json=as_json)


def _show(answer: "Answer", what: str, *, as_json: bool) -> None:
    from retrim import screens

    if as_json:
        screens.show_json(answer.as_record())
    else:
        screens.OUT.print(f"version {answer.version} {what}: {answer.words}", highlight=False, markup=False)
