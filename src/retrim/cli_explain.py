"""Explanations by command: why a prediction, what is new in a version, a version's card."""

from pathlib import Path
from typing import Annotated

import typer

from retrim.cli_base import AsJson, Version, as_time, example, house_here, version_number

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


@app.command(epilog=example("retrim diff 1 2"))
def diff(
    older: Annotated[int, typer.Argument(metavar="N", parser=version_number, help="A version ...")],
    newer: Annotated[int, typer.Argument(metavar="M", parser=version_number, help="... and another.")],
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Rows shown, those that moved most.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Say what changed between two versions.

    Data, code, parameters, features, packages; then metrics by slice and the rows that moved most, both on the newest
    judging block that neither was trained on. What cannot be told is said.
    """
    from retrim import screens
    from retrim.diff_screen import show_diff
    from retrim.ops.diff import diff as op

    record = op(house_here(), older, newer, top=top, now=as_time(None))
    if as_json:
        screens.show_json(record)
    else:
        show_diff(record)


@app.command(epilog=example("retrim card 2 --to card.html"))
def card(
    version: Version,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write it there; else it is printed.")] = None,
    as_html: Annotated[bool, typer.Option("--html", help="One HTML page with its pictures; else Markdown.")] = False,
) -> None:
    """Write the model card of a version, as things stand now.

    Use, data, verdict, metrics by slice, calibration, importance, releases, drift since, lineage, known limits; every
    table names the source of its figures. A FILE that ends in .html is HTML.
    """
    from retrim import screens
    from retrim.ops.card import make_card, write_card

    house = house_here()
    as_html = as_html or (to is not None and to.suffix.lower() in (".html", ".htm"))
    if to is not None:
        screens.OUT.print(f"written: {write_card(house, version, to=to, as_html=as_html)}", highlight=False)
        return
    pages = make_card(house, version, pictures=None)
    print(pages.html if as_html else pages.markdown, end="")  # noqa: T201  the answer itself
