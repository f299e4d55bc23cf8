"""The command line: how retrim is asked.

Exit codes: 0 done, 1 the answer is no, 2 wrong use or bad input, 3 failed.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from retrim.cli_base import AsJson, Now, Reason, as_time, flows_of, house_here, past_time, scheduler_of
from retrim.cli_quarantine import app as quarantine_app

app = typer.Typer(
    name="retrim",
    help="Keeps a tabular model right while the world moves: retrains when it pays, promotes on proof, "
    "rebuilds any version.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(quarantine_app, name="quarantine", no_args_is_help=True)


def main() -> None:
    """Runs a command and ends with its exit code."""
    from retrim.errors import RetrimError

    try:
        app(standalone_mode=False)
    except RetrimError as error:
        _fail(str(error), error.exit_code)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # wrong use, told by the CLI library
            _fail(error.format_message(), 2)
        if type(error).__name__ == "Abort":
            _fail("stopped", 3)
        raise


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


@app.command()
def demo(as_json: AsJson = False) -> None:
    """Replay two real years of bike rentals: train, check every two weeks, retrain when it pays. About 4 minutes.

    Works in a clone of this workspace, var/demo/; your branch, tags and data stay as they are.
    """
    from retrim import screens
    from retrim.demo_screen import show
    from retrim.ops.demo import make_workspace

    house = make_workspace(house_here())
    with flows_of(house):
        from flows.demo import replay

        with screens.progress():
            beats = list(replay(house))
    show(house, beats, as_json=as_json)


@app.command()
def ingest(
    file: Annotated[Path, typer.Argument(help="CSV, gzipped CSV or Parquet with the columns of params.yaml.")],
    labels: Annotated[bool, typer.Option("--labels", help="The file holds labels of rows landed before.")] = False,
    correction: Annotated[
        bool, typer.Option("--correction", help="Rows with known keys replace the earlier ones.")
    ] = False,
    arrived: Annotated[
        str | None, typer.Option("--arrived", metavar="TIME", help="When it arrived (UTC), if not now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Land a batch, or set it aside with a report if it breaks the contract. The same file twice changes nothing."""
    from retrim import screens
    from retrim.ops.ingest import land, land_labels

    house = house_here()
    land_it = land_labels if labels else land
    landed = land_it(
        file, workspace=house.workspace, data=house.params.data, now=past_time(arrived), correction=correction
    )
    if as_json:
        screens.show_json(landed.as_record())
    elif landed.outcome == "quarantined":
        screens.ERR.print(f"quarantined: batch {landed.batch}, {file.name}", highlight=False)
        for fault in landed.faults:
            screens.ERR.print(f"  {fault}; {fault.cure}", highlight=False, markup=False)
        screens.ERR.print(f"look at it: retrim quarantine show {landed.batch}", highlight=False)
    else:
        screens.OUT.print(f"{landed.outcome}: {landed.rows} rows, batch {landed.batch}", highlight=False)
    raise typer.Exit(2 if landed.outcome == "quarantined" else 0)


@app.command()
def check(now: Now = None, as_json: AsJson = False) -> None:
    """Look at what has landed: drift, the champion's loss, the probe, the account. Retrains if the decision says so."""
    from retrim import screens
    from retrim.answers import show_check

    house, at = house_here(), as_time(now)
    with flows_of(house):
        from flows.monitor import monitor

        with screens.progress():
            done = monitor(at.isoformat())
    if as_json:
        screens.show_json(done)
    else:
        show_check(done)


@app.command()
def retrain(
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="The moment the run pretends is now; default now.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="search, warm or refit; default as params.yaml says under retrain.")
    ] = None,
    reason: Reason = "asked for by a person",
    as_json: AsJson = False,
) -> None:
    """Retrain now, whatever the rules say: a run room, all stages, the gate. Also releases a held decision."""
    from retrim import screens
    from retrim.errors import UnknownNameError
    from retrim.ops.person import ask_for_run, decision_of
    from retrim.ops.retrain import outcome_of

    if mode not in (None, "search", "warm", "refit"):
        raise UnknownNameError("mode", str(mode), ("search", "warm", "refit"))
    house, at = house_here(), as_time(as_of)
    with flows_of(house):
        from flows.maintain import maintain
        from flows.retrain import retrain as flow

        with screens.progress():
            finished = maintain(at.isoformat())
            decision = decision_of(house, at)
            # One that was killed and asked for again with the same words has just been finished.
            ended = outcome_of(house, decision) if decision in finished else None
            if ended is None:
                ask_for_run(house, as_of=at, reason=reason, now=as_time(None))
                outcome = flow(decision, at.isoformat(), mode)
            else:
                outcome = ended.as_record()
    if as_json:
        screens.show_json(outcome)
    else:
        screens.OUT.print(f"{outcome['state']}: {outcome['reason']}", highlight=False)
        if outcome["version"] is not None:
            screens.OUT.print(f"version {outcome['version']}; see `retrim versions`, `make ui`", highlight=False)
    raise typer.Exit(0 if outcome["state"] == "promoted" else 1)


@app.command()
def score(now: Now = None, as_json: AsJson = False) -> None:
    """Write the champion's predictions for landed rows into the store, each row once a version."""
    from retrim import screens
    from retrim.ops.score import score as op

    scored = op(house_here(), now=as_time(now))
    if as_json:
        screens.show_json(scored.as_record())
    else:
        screens.OUT.print(f"version {scored.version}: {scored.written} predictions written", highlight=False)


@app.command()
def versions(as_json: AsJson = False) -> None:
    """List the versions of the model: aliases, tag, as-of date, hash, and what the gate said."""
    from retrim import screens
    from retrim.answers import version_records

    records = version_records(house_here())
    if as_json:
        screens.show_json(records)
        return
    rows = [
        (r["version"], ", ".join(r["aliases"]), r["tag"], r["as_of"], r["model_sha256"][:12], r["verdict"])
        for r in records
    ]
    screens.show_table(("version", "aliases", "tag", "as of", "model", "verdict"), rows)


@app.command()
def why(
    which: Annotated[str | None, typer.Argument(metavar="[DATE | DECISION]", help="Default: the last one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a decision was taken: the evidence, what every rule said, and what came of it."""
    from retrim import screens
    from retrim.answers import decision_record, show_decision

    record = decision_record(house_here(), which)
    if as_json:
        screens.show_json(record)
    else:
        show_decision(record)


@app.command()
def reproduce(
    version: Annotated[int, typer.Argument(help="Number of the version.")],
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="From raw data, without any cache, in an environment built from the recorded lock."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a version in a fresh room and say whether it is identical, or what differs."""
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


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the release.")],
    to: Annotated[int | None, typer.Option("--to", metavar="N", help="Default: the version before.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version live again, after its bundle was checked and loaded."""
    from retrim import screens
    from retrim.ops.release import rollback as op

    moved = op(house_here(), to, reason=reason, now=as_time(None))
    if as_json:
        screens.show_json(moved.as_record())
    else:
        screens.OUT.print(f"version {moved.version} is live again, {moved.previous} was before", highlight=False)


@app.command()
def room(
    as_of: Annotated[str, typer.Option("--as-of", metavar="TIME", help="The moment the room pretends is now.")],
    mode: Annotated[str | None, typer.Option(help="search, warm or refit; default as a run of then.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run room of a date to work in by hand: cd into it and run `dvc repro`. Prints its path."""
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


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say on one screen what is live since when, the last check, the account against the price, and what comes next."""
    from retrim import screens
    from retrim.answers import show_status, status_record

    record = status_record(house_here(), now=as_time(None))
    if as_json:
        screens.show_json(record)
    else:
        show_status(record)


@app.command()
def schedule() -> None:
    """Run the schedule of params.yaml here until stopped: a Prefect server, its deployments and a worker."""
    house = house_here()
    with scheduler_of(house) as server:
        from flows.deploy import run_schedule

        run_schedule(house, server)
