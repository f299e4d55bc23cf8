"""Versions by command: list them, rebuild or prove one, go back to one, work on the next by hand."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrim.cli_base import AsJson, By, Now, Version, as_time, example, house_here, past_time, version_number

if TYPE_CHECKING:
    from retrim.ops.house import House

app = typer.Typer()
NO_REMOTE = (
    "no DVC remote is set, so a clone of this repository cannot rebuild a version; set one: "
    "`dvc remote add -d NAME ADDRESS`, `git commit -m 'a DVC remote' .dvc/config`; runs push to it from then on. "
    "To push a version that is there, name the remote beside the commits, "
    "`dvc remote add --local -d NAME ADDRESS`, then `git checkout TAG && dvc checkout && dvc push`"
)


@app.command(epilog=example("retrim versions --json"))
def versions(as_json: AsJson = False) -> None:
    """List the versions: alias, date, hash, last proof, gate's word."""
    from retrim import screens
    from retrim.answers import version_records

    house = house_here()
    records = version_records(house)
    if as_json:
        screens.show_json(records)
        return
    if not records:
        screens.OUT.print("no version yet; make the first: retrim retrain", highlight=False)
        return
    withdrawn = any(r["withdrawn"] for r in records)
    rows = [
        (
            r["version"],
            ", ".join(r["aliases"]),
            screens.moment(r["as_of"]),
            r["model_sha256"][:8],
            "differed" if r["last_differed"] else screens.moment(r["last_proved"]) or "never",
            r["probation"] or "",
            *([", ".join(r["withdrawn"])] if withdrawn else []),
            _word_on(r),
        )
        for r in records
    ]
    told = ("probation", *(["made with withdrawn"] if withdrawn else []), "verdict")
    screens.show_table(("version", "alias", "as of", "model", "last proved", *told), rows, brief_last=True)
    _note_remote(house)


def _note_remote(house: "House") -> None:
    """Says where a clone could rebuild nothing, and how to set that right."""
    from retrim import screens
    from retrim.adapters.pipeline import has_remote

    if not has_remote(house.workspace.root):
        screens.ERR.print(NO_REMOTE, style="dim", highlight=False, markup=False, soft_wrap=True)


def _word_on(record: dict[str, Any]) -> str:
    """The gate's word; that of the release checks, or of a person, where they refused what the gate let pass."""
    checks, asked = record["release_checks"], record["approval"]
    if asked is not None and asked["answer"] != "approved":
        return f"{asked['answer']}: {asked.get('reason', 'for a person to approve or reject')}"
    return str(record["verdict"] if checks is None or checks["passed"] else checks["reason"])


@app.command(epilog=example("retrim reproduce 1 --prove"))
def reproduce(
    version: Version,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="From raw data, without any cache, in an environment built from the recorded lock."
        ),
    ] = False,
    chain: Annotated[
        bool, typer.Option("--chain", help="With --prove: its champion first, that one's, and so on to version 1.")
    ] = False,
    skip_proved: Annotated[
        bool, typer.Option("--skip-proved", help="With --chain: leave out those that were proved here before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a version; say whether it is identical.

    In a fresh room. Ends with exit code 1 if anything differs, and says what. A proof ends with a signed receipt.
    """
    from retrim import screens
    from retrim.errors import BadInputError
    from retrim.ops.proof import PERSON, prove_chain
    from retrim.ops.proof import prove as prove_one
    from retrim.ops.reproduce import reproduce as op

    def say(line: str) -> None:
        if not as_json and line:
            screens.ERR.print(line, style="dim", highlight=False, markup=False)

    if (chain and not prove) or (skip_proved and not chain):
        raise BadInputError(
            "--chain proves, and --skip-proved is for chains; write `retrim reproduce N --prove --chain`"
        )
    house, now = house_here(), as_time(None)
    if not prove:
        rebuilt = op(house, version, say=say)
        record = rebuilt.as_record()
        all_identical = rebuilt.identical
    elif chain:
        proof, before = prove_chain(house, version, skip_proved=skip_proved, now=now, say=say)
        record = {**proof.as_record(), "ancestors": [each.as_record() for each in before]}
        all_identical = all(each.rebuilt.identical for each in (proof, *before))
    else:
        proof = prove_one(house, version, reason=PERSON, now=now, gently=False, say=say)
        record = {**proof.as_record(), "ancestors": []}
        all_identical = proof.rebuilt.identical
    if as_json:
        screens.show_json(record)
    else:
        for each in (*record.get("ancestors", ()), record):
            _show_rebuilt(each, prove=prove)
        _note_remote(house)
    raise typer.Exit(0 if all_identical else 1)


def _show_rebuilt(record: dict[str, Any], *, prove: bool) -> None:
    from retrim import screens

    answer = "identical" if record["identical"] else "different"
    said = f"version {record['version']} {'proved' if prove else 'rebuilt'}: {answer}"
    screens.OUT.print(f"{said}; stages run: {', '.join(record['executed']) or 'none'}", highlight=False)
    for difference in record["differences"]:
        screens.OUT.print(f"  {difference}", highlight=False, markup=False)
    if prove:
        largest = record["largest_difference"]
        shown = "not known" if largest is None else f"{largest:g}"
        screens.OUT.print(f"  largest difference of predictions on the judged rows: {shown}", highlight=False)
        screens.OUT.print(f"  receipt: {record['receipt']}", highlight=False, markup=False, soft_wrap=True)


@app.command(epilog=example("retrim rollback --to 1 --reason 'complaints from the north'"))
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the release.")],
    by: By,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", parser=version_number, help="Default: the version before.")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version live again.

    Before, its stored bundle is checked against the recorded hash, loaded in a fresh process and asked its reference
    rows. After it nothing starts by itself, until a person says so (retrim retrain, retrim settle) or enough rows
    have matured.
    """
    from retrim import screens
    from retrim.ops.release import rollback as op

    moved = op(house_here(), to, by=by, reason=reason, now=past_time(now))
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
