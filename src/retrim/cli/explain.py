"""Explanations by command: why a prediction, what is new in a version, a version's card."""

from pathlib import Path
from typing import Annotated

from retrim.cli import render
from retrim.cli.base import AsJson, Version, argument, as_time, example, option, version_number, workspace_here
from retrim.cli.versions import versions_app


@versions_app.command(epilog=example("retrim versions explain 2012-03-01T08:00 --top 5"))
def explain(
    what: Annotated[
        str,
        argument(
            "ROW | PREDICTION",
            "What to explain: the key of a landed row, KEY@N for the stored prediction of version N, a "
            "request id (or KEY@ID for one of its rows), a row as JSON, or a file that contains a row as JSON.",
        ),
    ],
    version: Annotated[
        int | None,
        option(
            "--version N",
            "The version whose prediction is explained. Default: the live version.",
            parser=version_number,
        ),
    ] = None,
    top: Annotated[int, option("--top K", "Number of features to show, largest contribution first.", min=1)] = 10,
    asked: Annotated[str | None, option("--class NAME", "The class to explain. Default: the predicted class.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what each feature contributes to a prediction.

    The contributions add up to the raw score, which is the prediction itself or, for a class, its log odds. A stored
    prediction is explained by the version that made it, from the features as they were known at that time.
    """
    from retrim.cli.screens.versions import explanation_report
    from retrim.reports.explain import explain as op

    explained = op(workspace_here(), what, version=version, asked=asked, now=as_time(None))
    render.show(explained, explanation_report(explained, top=top), as_json=as_json)


@versions_app.command(epilog=example("retrim versions diff 1 2"))
def diff(
    older: Annotated[int, argument("N", "Number of a version.", parser=version_number)],
    newer: Annotated[int, argument("M", "Number of the version to compare it with.", parser=version_number)],
    top: Annotated[
        int, option("--top K", "Number of rows to show, largest difference between the predictions first.", min=1)
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions.

    The command compares data, code, settings, features and packages. On the newest holdout rows that neither version
    has seen, it also compares metrics by slice and lists the rows whose predictions differ most. A note says what
    cannot be compared.
    """
    from retrim.cli.screens.versions import diff_report
    from retrim.reports.version_diff import diff as op

    explanation = op(workspace_here(), older, newer, top=top, now=as_time(None))
    render.show(explanation, diff_report(explanation), as_json=as_json)


@versions_app.command(epilog=example("retrim versions card 2 --to card.html"))
def card(
    version: Version,
    to: Annotated[Path | None, option("--to FILE", "Where to write the card. Default: print it.")] = None,
    as_html: Annotated[bool, option("--html", "Write one HTML page with charts. Default: Markdown.")] = False,
) -> None:
    """Write the current model card of a version.

    The card states the purpose, data, verdict, metrics by slice, calibration, feature importance, fairness by group,
    releases, drift since the training, lineage and known limits, with the source of each figure. If the name of FILE
    ends in .html, the card is an HTML page.
    """
    from retrim.release.card import make_card, write_card

    workspace = workspace_here()
    as_html = as_html or (to is not None and to.suffix.lower() in (".html", ".htm"))
    if to is not None:
        render.OUT.print(f"written: {write_card(workspace, version, to=to, as_html=as_html)}")
        return
    pages = make_card(workspace, version, pictures=None)
    print(pages.html if as_html else pages.markdown, end="")  # noqa: T201  the answer itself
