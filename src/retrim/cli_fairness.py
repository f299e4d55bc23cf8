"""Fairness by command: error rates by group, before and after mitigation, and proxies of forbidden columns."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, example, house_here, version_number

app = typer.Typer()


@app.command(epilog=example("retrim fairness 3"))
def fairness(
    version: Annotated[
        int | None, typer.Argument(metavar="[N]", parser=version_number, help="Default: the live version.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show error rates by group, and what tells a forbidden column.

    As the version's verdict has them: challenger, the same before mitigation, champion. What is looked at stands in
    params.yaml under fairness.
    """
    from retrim import screens
    from retrim.fairness_screen import show_fairness
    from retrim.ops.fairness import fairness_record

    record = fairness_record(house_here(), version)
    if as_json:
        screens.show_json(record)
    else:
        show_fairness(record)
