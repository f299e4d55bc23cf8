"""Policies by command: try them on the history, and set one."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer(help="Try retraining policies on your history, and set one.")


def price_list(text: str) -> tuple[float, ...]:
    """Numbers above 0, separated by commas."""
    from retrim.errors import BadInputError

    try:
        prices = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInputError(f"--prices: {text!r} is no list of numbers; write such as 0.25,0.5,1") from error
    if not all(price > 0 for price in prices):
        raise BadInputError(f"--prices: {text!r} holds a price that is not above 0")
    return prices


@app.command(epilog=example("retrim policy backtest --windows 50 --prices 0.25,0.5,1"))
def backtest(
    windows: Annotated[int | None, typer.Option("--windows", metavar="N", min=5, help="Windows, each a check.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Oldest event that counts (UTC).")] = None,
    prices: Annotated[
        str | None, typer.Option("--prices", metavar="P,P", help="Prices the account is tried at, as account.price.")
    ] = None,
    label_delay: Annotated[
        int | None, typer.Option("--label-delay", metavar="N", min=0, help="Windows until labels are known.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try policies on the history that has landed.

    Fits a model a window once, then reads off what never retraining, the calendar, drift and performance rules,
    the account, and the best schedule in hindsight would have cost. Can be stopped and goes on where it was.
    The answer may be: do not retrain. Defaults stand in params.yaml under policy.
    """
    from retrim import screens
    from retrim.ops.policy import Asked
    from retrim.ops.policy import backtest as op
    from retrim.ops.policy_report import COLUMNS, facts, lines, report

    asked = Asked(
        windows=windows,
        since=None if since is None else as_time(since),
        prices=None if prices is None else price_list(prices),
        label_delay=label_delay,
    )
    house = house_here()
    with screens.progress():
        tried = op(house, asked, now=as_time(None))
        made = report(house, tried)
    if as_json:
        screens.show_json(tried.as_record())
        return
    screens.show_table(COLUMNS, lines(tried))
    screens.OUT.print()
    for fact in facts(tried):
        screens.OUT.print(fact, style="dim", highlight=False, markup=False)
    screens.OUT.print()
    screens.OUT.print(tried.choice.sentence, highlight=False, markup=False)
    screens.OUT.print(f"the page: {made.page.relative_to(house.workspace.root)}", highlight=False, markup=False)
    screens.OUT.print("switch one on: retrim policy set NAME", highlight=False)


@app.command(name="set", epilog=example("retrim policy set account-0.5"))
def set_policy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As the table of the newest backtest names it.")],
    as_json: AsJson = False,
) -> None:
    """Write a policy of the newest backtest into params.yaml.

    Changes the rule and what it needs, such as the price; all else, comments too, stays as it is.
    """
    from retrim import screens
    from retrim.ops.policy_set import set_policy as op

    changed = op(house_here(), name)
    if as_json:
        screens.show_json({"name": name, "changes": changed})
        return
    for key, (old, new) in changed.items():
        screens.OUT.print(f"{key}: {old} -> {new}", highlight=False, markup=False)
    if not changed:
        screens.OUT.print(f"params.yaml says so already: {name}", highlight=False, markup=False)
