"""Drift by command: verify the rate of false alarms."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, example, house_here

app = typer.Typer(help="Drift alarms: verify their rate.")


@app.callback()
def about() -> None:
    """Drift alarms: verify their rate."""


@app.command(epilog=example("retrim drift verify"))
def verify(
    splits: Annotated[int, typer.Option("--splits", metavar="N", min=2, help="Parts that are held out.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Verify how often a check without drift raises an alarm.

    Holds out parts of the champion's own history, calibrates on the rest, looks at windows from what was held out, and
    prints the rate asked (drift.alarms), the rate achieved, and its interval. A page with pictures is written under
    var/drift/.
    """
    from retrim import screens
    from retrim.ops.verify import verify_alarms
    from retrim.ops.verify_page import write_page

    house = house_here()
    done = verify_alarms(house, splits=splits, checks=100)
    if as_json:
        screens.show_json(done.as_record())
        write_page(house, done)
        return
    found = done.found
    low, high = found.interval
    screens.OUT.print(
        f"asked: {done.wanted}, which is {found.asked:.2%} of checks of {found.rows} rows\n"
        f"achieved: {found.achieved:.2%}, 95 % interval {low:.2%} to {high:.2%}, in {found.checks} checks on the "
        f"history of version {done.version}\n"
        f"{found.promise}: that history covers 1 in {found.reach:.0f}",
        highlight=False,
    )
    if not found.season:
        screens.OUT.print(
            f"no season was taken out: the history covers {found.years:.1f} years. From 4 years on (3 for a check) "
            "what comes back each year is told from drift; until then rows of another season raise alarms",
            highlight=False,
        )
    if low > found.asked:
        screens.OUT.print(
            "more than asked: parts of that history do not look like the others (a season, a trend, a break), and rows "
            "like them will raise alarms as often",
            highlight=False,
        )
    for test in done.together:
        low, high = test.interval
        screens.OUT.print(
            f"all features together, {test.test}: asked {test.asked:.2%}, achieved {test.achieved:.2%}, 95 % interval "
            f"{low:.2%} to {high:.2%}, on {test.windows} windows of that history; {test.promise}",
            highlight=False,
        )
    page = write_page(house, done)
    screens.OUT.print(f"the page: {page.relative_to(house.workspace.root)}", highlight=False, markup=False)
