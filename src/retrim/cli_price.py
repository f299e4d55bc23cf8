"""`retrim price`: what a retraining costs, turned into the price that the account is held against."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, example, house_here

app = typer.Typer()


@app.command(epilog=example("retrim price --cost 40 --per-unit 0.02 --currency EUR"))
def price(
    cost: Annotated[float, typer.Option("--cost", help="Of one retraining: compute, review, churn.")],
    per_unit: Annotated[
        float,
        typer.Option("--per-unit", help="What one unit of mean loss costs, held over one usual check's rows."),
    ],
    currency: Annotated[str, typer.Option("--currency", help="Its name.")] = "EUR",
    as_json: AsJson = False,
) -> None:
    """Turn what a retraining costs into the price of the account.

    Prints it in the loss and in money, and the lines for params.yaml; writes nothing.
    """
    from retrim import screens
    from retrim.ops.price import price_of

    found = price_of(house_here(), cost=cost, per_unit=per_unit, currency=currency)
    if as_json:
        screens.show_json(found.as_record())
        return
    money = found.money
    screens.show_facts(
        [
            ("in the loss", f"{money.price:.6g} {found.loss} x checks"),
            ("in first losses", None if found.first_losses is None else f"{found.first_losses:.4g}"),
            (
                "in money",
                f"{money.cost:.6g} {currency}; one unit over one check is worth {money.per_unit:.6g} {currency}",
            ),
        ]
    )
    screens.OUT.print(found.sentence, highlight=False, markup=False)
    screens.OUT.print("In params.yaml, under account, in the place of the lines there:", highlight=False)
    for line in found.lines:
        screens.OUT.print(f"  {line}", highlight=False, markup=False)
