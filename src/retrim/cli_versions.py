"""Versions by command: list them, rebuild one, go back to one, work on the next by hand."""

from typing import Annotated, Any

import typer

from retrim.cli_base import AsJson, Version, as_time, example, house_here, version_number

app = typer.Typer()


@app.command(epilog=example("retrim versions --json"))
def versions(as_json: AsJson = False) -> None:
    """List the versions: aliases, tag, date, hash, the gate's word."""
    from retrim import screens
    from retrim.answers import version_records

    records = version_records(house_here())
    if as_json:
        screens.show_json(records)
        return
    if not records:
        screens.OUT.print("no version yet; make the first: retrim retrain", highlight=False)
        return
    rows = [
        (
            r["version"],
            ", ".join(r["aliases"]),
            screens.moment(r["as_of"]),
            r["model_sha256"][:8],
            r["probation"] or "",
            r["verdict"],
        )
        for r in records
    ]
    screens.show_table(("version", "alias", "as of", "model", "probation", "verdict"), rows, brief_last=True)


@app.command(epilog=example("retrim reproduce 1 --prove"))
def reproduce(
    version: Version,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="From raw data, without any cache, in an environment built from the recorded lock."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a version; say whether it is identical.

    In a fresh room. Ends with exit code 1 if anything differs, and says what.
    """
    from retrim import screens
    from retrim.ops.reproduce import reproduce as op

    def say(line: str) -> None:
        if not as_json and line:
            screens.ERR.print(line, style="dim", highlight=False, markup=False)

    rebuilt = op(house_here(), version, prove=prove, say=say)
    if as_json:
        screens.show_json(rebuilt.as_record())
    else:
        how = "proved" if prove else "rebuilt"
        answer = "identical" if rebuilt.identical else "different"
        screens.OUT.print(f"version {version} {how}: {answer}; stages run: {', '.join(rebuilt.executed)}")
        for difference in rebuilt.differences:
            screens.OUT.print(f"  {difference}", highlight=False, markup=False)
    raise typer.Exit(0 if rebuilt.identical else 1)


@app.command(epilog=example("retrim rollback --to 1 --reason 'complaints from the north'"))
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the release.")],
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", parser=version_number, help="Default: the version before.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version live again.

    Its stored bundle is checked against the recorded hash before.
    """
    from retrim import screens
    from retrim.ops.release import rollback as op

    moved = op(house_here(), to, reason=reason, now=as_time(None))
    if as_json:
        screens.show_json(moved.as_record())
    else:
        screens.OUT.print(f"version {moved.version} is live again, {moved.previous} was before", highlight=False)


@app.command(epilog=example('cd "$(retrim room --as-of 2012-03-01)" && dvc repro'))
def room(
    as_of: Annotated[str, typer.Option("--as-of", metavar="TIME", help="The moment the room pretends is now.")],
    mode: Annotated[str | None, typer.Option(help="search, warm or refit; default as a run of then.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run room to work in by hand; print its path.

    As of a date: cd into it and run dvc repro.
    """
    from retrim import screens
    from retrim.errors import UnknownNameError
    from retrim.ops.rooms import open_room_by_hand

    if mode not in (None, "search", "warm", "refit"):
        raise UnknownNameError("mode", str(mode), ("search", "warm", "refit"))
    chosen: Any = mode
    made = open_room_by_hand(house_here(), as_of=as_time(as_of), mode=chosen)
    if as_json:
        screens.show_json(made.as_record())
        return
    for name in made.untracked:
        screens.ERR.print(f"untracked file taken along: {name}", highlight=False, markup=False)
    print(made.folder)  # noqa: T201  so that a shell can use it: cd "$(retrim room --as-of ...)"
