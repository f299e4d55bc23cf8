"""Versions between two workspaces: out in one signed file, in through the checks and the gate of the other."""

from pathlib import Path
from typing import Annotated

import typer

from retrim.cli_base import AsJson, By, Now, Version, example, house_here, past_time

app = typer.Typer()


@app.command("export", epilog=example("retrim export 3 --to bike-v3.tar"))
def export(
    version: Version,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where to; default var/exports/<model>-v<N>.tar.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a version into one signed file.

    Its bundle with verdict, lineage, lock, envelope and newest receipt, signed with the key of this workspace. The
    same version in the same state gives the same bytes. Prove it before, so that a receipt goes along.
    """
    from retrim import screens
    from retrim.ops.export import export as op

    made = op(house_here(), version, to=to)
    if as_json:
        screens.show_json(made.as_record())
        return
    proved = "with a receipt" if made.proved else "without a receipt: prove it before with `retrim reproduce N --prove`"
    screens.OUT.print(f"version {version} exported, {proved}", highlight=False, markup=False)
    print(made.file)  # noqa: T201  so that a shell can take it


@app.command("import", epilog=example("retrim import bike-v3.tar"))
def import_(
    file: Annotated[Path, typer.Argument(help="A file that `retrim export` wrote in another workspace.")],
    by: By,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why you approve it, where release.approval asks a person.")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Take in a version that another workspace exported.

    Its key must stand under proof.trusted_keys in params.yaml. Signature, hashes and reference rows are checked, then
    this workspace's gate judges it on rows here that it has not seen, against the champion here. It goes live only if
    it passes; with too few rows it is deferred, and nothing is kept. Exit code 1 unless it went live.
    """
    from retrim import screens
    from retrim.ops.imports import import_version

    done = import_version(house_here(), file, by=by, approval=reason, now=past_time(now))
    record = done.as_record()
    if as_json:
        screens.show_json(record)
    else:
        what = "" if done.version is None else f" as version {done.version}"
        screens.OUT.print(f"{done.state}{what}: {done.reason}", highlight=False, markup=False)
        for line in (*done.environment, done.proof):
            screens.OUT.print(f"  {line}", highlight=False, markup=False)
    raise typer.Exit(0 if done.state == "promoted" else 1)
