"""Explanations by command: why a prediction, what is new in a version, a version's card."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here, version_number

app = typer.Typer()


@app.command(epilog=example("retrim explain 2012-03-01T08:00 --top 5"))
def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ROW | PREDICTION",
            help="Key of a landed row; KEY@N: what version N predicted then; a row as JSON, or a file with one.",
        ),
    ],
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", parser=version_number, help="Default: the live version.")
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Features shown, the weightiest.")] = 10,
    asked: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="The class to explain; default the predicted one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what each feature adds to a prediction, exactly.

    The parts sum to the raw score: the prediction, or the log odds of a class. A stored prediction is explained
    by the version that made it, from the features as they were known then.
    """
    from retrim import screens
    from retrim.explain_screen import show_explanation
    from retrim.ops.explain import explain as op

    record = op(house_here(), what, version=version, asked=asked, now=as_time(None)).as_record()
    if as_json:
        screens.show_json(record)
    else:
        show_explanation(record, top=top)
