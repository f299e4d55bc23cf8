"""Receipts by command: check one, and show the key that they are signed with."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from retrim.cli_base import AsJson, example, house_here

app = typer.Typer(help="Receipts of proofs: signed records of a rebuild.")


@app.command("verify", epilog=example("retrim receipt verify var/receipts/bike-v1-0123456789ab.json"))
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt, as `retrim reproduce N --prove` leaves it.")],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="The public key that must have signed: its text, or a file with it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a receipt is what was signed, and by whom.

    Names the field that was changed, and ends with exit code 1 then. Without --key it must be signed with the key of
    this workspace or one of proof.trusted_keys in params.yaml.
    """
    from retrim import screens
    from retrim.errors import BadInputError
    from retrim.ops.receipts import verify_receipt

    house = None
    with suppress(BadInputError):  # a receipt can be checked anywhere
        house = house_here()
    found = verify_receipt(house, file, key=key)
    record = found.as_record()
    if as_json:
        screens.show_json(record)
        return
    answer = "identical" if record["identical"] else "different"
    at = screens.moment(record["proved_at"])
    said = f"valid: version {record['version']} of {record['model']}, {answer}, proved {at}"
    screens.OUT.print(f"{said}; signed by {found.signer[:16]} ({found.whose})", highlight=False, markup=False)


@app.command("key", epilog=example("retrim receipt key"))
def key(as_json: AsJson = False) -> None:
    """Print the public key of this workspace and its fingerprint.

    Receipts and exports are signed with its private half, var/keys/signing.key: made at first use, and nobody else's.
    Whoever trusts it writes the first line under proof.trusted_keys.
    """
    from retrim import screens

    public = house_here().keys.public
    if as_json:
        screens.show_json({"public": str(public), "fingerprint": public.fingerprint})
    else:
        print(public)  # noqa: T201  so that a shell can take it
        screens.ERR.print(f"fingerprint (SHA-256): {public.fingerprint}", highlight=False)
