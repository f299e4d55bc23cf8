"""A setting tried by command."""

from typing import Annotated, Any

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer()


def assignments(texts: list[str]) -> dict[str, Any]:
    """Values by dotted key, from `KEY=VALUE`, the value as params.yaml would have it."""
    import yaml

    from retrim.errors import BadInputError

    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise BadInputError(f"{text!r} sets nothing; write KEY=VALUE, such as train.windows=[sliding]")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:
            said = " ".join(str(error).split())
            raise BadInputError(f"{key.strip()}: {value!r} cannot be read as YAML: {said}") from error
    return found


@app.command(name="try", epilog=example("retrim try 'data.history.features=[{of: trips, lag: 24h}]'"))
def try_settings(
    settings: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Keys of params.yaml, dotted, and values for them.")
    ],
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Rows that matured by then (UTC); default: now.")
    ] = None,
    origins: Annotated[
        int | None, typer.Option("--origins", metavar="N", min=1, help="Refits of either; default: backtest.origins.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try settings by backtest, beside those that are there.

    The champion's recipe (else the middle of tune.space) is refitted at several origins with and without them, and
    both are compared as the gate would: on the same rows, paired, with an interval, by slice. Writes nothing.
    """
    from retrim import screens
    from retrim.effect_screen import show_effect
    from retrim.ops.effect import effect_of

    changes = assignments(settings)
    house = house_here()
    with screens.progress():
        record = effect_of(house, changes, origins=origins, now=as_time(as_of)).as_record()
    if as_json:
        screens.show_json(record)
    else:
        show_effect(record)
