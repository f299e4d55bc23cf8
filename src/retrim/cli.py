"""The command line: how retrim is asked.

Exit codes: 0 done, 1 the answer is no, 2 wrong use or bad input, 3 failed.
"""

from typing import Annotated, cast, get_args

import typer

from retrim.cli_approval import app as approval_app
from retrim.cli_audit import app as audit_app
from retrim.cli_base import (
    AsJson,
    By,
    Now,
    Reason,
    as_time,
    example,
    flows_of,
    house_here,
    past_time,
    scheduler_of,
    show_version,
)
from retrim.cli_batch import app as batch_app
from retrim.cli_drift import app as drift_app
from retrim.cli_errors import run
from retrim.cli_exchange import app as exchange_app
from retrim.cli_explain import app as explain_app
from retrim.cli_fairness import app as fairness_app
from retrim.cli_gc import app as gc_app
from retrim.cli_ingest import app as ingest_app
from retrim.cli_init import app as init_app
from retrim.cli_panels import arrange
from retrim.cli_policy import app as policy_app
from retrim.cli_price import app as price_app
from retrim.cli_profile import app as profile_app
from retrim.cli_quarantine import app as quarantine_app
from retrim.cli_receipts import app as receipts_app
from retrim.cli_releases import app as releases_app
from retrim.cli_releases import log_app
from retrim.cli_replay import app as replay_app
from retrim.cli_settle import app as settle_app
from retrim.cli_status import app as status_app
from retrim.cli_try import app as try_app
from retrim.cli_ui import app as ui_app
from retrim.cli_versions import app as versions_app

app = typer.Typer(
    name="retrim",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point."""
    run(app)


@app.callback()
def about(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keeps a tabular model right while the world moves.

    Retrains when it pays, promotes on proof, rebuilds any version.
    Every command says more with --help. The first ones to try: demo, status, why.
    """


@app.command(epilog=example("retrim demo"))
def demo(as_json: AsJson = False) -> None:
    """Replay two years of bike trips, in about 4 minutes.

    Trains on the first months, checks every two weeks, retrains when it pays.
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


@app.command(epilog=example("retrim check --now 2012-03-01"))
def check(now: Now = None, as_json: AsJson = False) -> None:
    """Look at what has landed, decide, and retrain if that says so.

    Drift, the champion's loss, the probe, the account: what was seen is kept, see retrim why.
    """
    from retrim import screens
    from retrim.answers import resumed_records
    from retrim.decision_screen import show_check
    from retrim.machine import login
    from retrim.ops.at_once import check_at_once

    house, at = house_here(), past_time(now)
    checked = check_at_once(house, by=login(), now=at)
    if checked is None:
        with flows_of(house):
            from flows.monitor import monitor

            with screens.progress():
                done = monitor(at.isoformat())
    else:
        done = {"check": {**checked.as_record(), "fresh": checked.fresh}, "run": None, "resumed": []}
    done["resumed"] = resumed_records(house, done["resumed"])
    if as_json:
        screens.show_json(done)
    else:
        show_check(done)


@app.command(epilog=example("retrim retrain --as-of 2012-03-01 --mode search"))
def retrain(
    by: By,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="The moment the run pretends is now; default now.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="search, warm or refit; default as params.yaml says under retrain.")
    ] = None,
    reason: Reason = "asked for by a person",
    as_json: AsJson = False,
) -> None:
    """Retrain now, whatever the rules say; releases a held decision.

    A run room, all stages, the gate. Ends with exit code 1 if the new version is refused, or has to wait for labels or
    for a person's approval.
    """
    from retrim import screens
    from retrim.answers import resumed_records
    from retrim.core.modes import Mode
    from retrim.decision_screen import show_refit, show_resumed
    from retrim.errors import UnknownNameError
    from retrim.ops.at_once import retrain_at_once
    from retrim.ops.person import ask_for_run, decision_of
    from retrim.ops.retrain import outcome_of

    if mode not in (None, *get_args(Mode)):
        raise UnknownNameError("mode", str(mode), get_args(Mode))
    chosen = cast("Mode | None", mode)
    house, at = house_here(), past_time(as_of)
    deferred = retrain_at_once(house, as_of=at, mode=chosen, by=by, reason=reason, now=as_time(None))
    if deferred is None:
        with flows_of(house):
            from flows.maintain import maintain
            from flows.retrain import retrain as flow

            with screens.progress():
                decision = decision_of(house, at)
                finished = maintain(at.isoformat())
                # One that was killed and asked for again with the same words has just been finished.
                ended = outcome_of(house, decision) if decision in finished else None
                if ended is None:
                    ask_for_run(house, as_of=at, by=by, reason=reason, now=as_time(None))
                    outcome = flow(decision, at.isoformat(), chosen)
                else:
                    outcome = ended.as_record()
    else:
        outcome, finished = deferred.as_record(), []
    resumed = resumed_records(house, finished)
    if as_json:
        screens.show_json(outcome | {"resumed": resumed})
    else:
        show_resumed(resumed)
        screens.OUT.print(f"{outcome['state']}: {outcome['reason']}", highlight=False, markup=False)
        show_refit(outcome)
        if outcome["version"] is not None:
            sequel = outcome.get("refit") or {"state": None}
            version = (sequel if sequel["state"] == "promoted" else outcome)["version"]
            screens.OUT.print(f"version {version}; see `retrim versions`, `retrim ui`", highlight=False)
    raise typer.Exit(0 if outcome["state"] == "promoted" else 1)


@app.command(epilog=example("retrim score"))
def score(now: Now = None, as_json: AsJson = False) -> None:
    """Write the champion's predictions into the store.

    Of every landed row that it was not made from, once a version.
    """
    from retrim import screens
    from retrim.ops.score import score as op
    from retrim.words import lacks_in_words

    scored = op(house_here(), now=past_time(now))
    if as_json:
        screens.show_json(scored.as_record())
    elif scored.version is None:
        screens.OUT.print("no version is live, so nothing was scored; make version 1: retrim retrain", highlight=False)
    else:
        selected = f", {scored.selected} rows selected by its thresholds"
        decided = "" if scored.selected is None else selected
        if scored.lacks:
            screens.ERR.print(f"version {scored.version} lacks {lacks_in_words(list(scored.lacks))}", highlight=False)
        apart = f", {scored.left_out} rows left out by data.rows" if scored.left_out else ""
        said = f"version {scored.version}: {scored.written} predictions written{decided}{apart}"
        screens.OUT.print(said, highlight=False)
    raise typer.Exit(1 if scored.version is None else 0)


@app.command(epilog=example("retrim why 2012-03-01"))
def why(
    which: Annotated[str | None, typer.Argument(metavar="[DATE | DECISION]", help="Default: the last one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a decision was taken, and what came of it.

    The evidence, what every rule said, the gate's checks.
    """
    from retrim import screens
    from retrim.answers import decision_record
    from retrim.decision_screen import show_decision

    record = decision_record(house_here(), which)
    if as_json:
        screens.show_json(record)
    else:
        show_decision(record)


@app.command(epilog=example("retrim schedule"))
def schedule() -> None:
    """Run the schedule here until stopped with Ctrl-C.

    A Prefect server, the deployments of params.yaml and a worker; a server that dies is started again.
    """
    house = house_here()
    with scheduler_of(house) as server:
        from flows.deploy import run_schedule

        run_schedule(house, server)


app.add_typer(init_app)
app.add_typer(ingest_app)
app.add_typer(drift_app, name="drift", no_args_is_help=True)
app.add_typer(policy_app, name="policy", no_args_is_help=True)
app.add_typer(fairness_app)
app.add_typer(price_app)
app.add_typer(profile_app)
app.add_typer(replay_app)
app.add_typer(settle_app)
app.add_typer(status_app)
app.add_typer(try_app)
app.add_typer(ui_app)
app.add_typer(approval_app)
app.add_typer(audit_app)
app.add_typer(versions_app)
app.add_typer(receipts_app, name="receipt", no_args_is_help=True)
app.add_typer(releases_app)
app.add_typer(exchange_app)
app.add_typer(explain_app)
app.add_typer(gc_app)
app.add_typer(log_app, name="log", no_args_is_help=True)
app.add_typer(batch_app, name="batch", no_args_is_help=True)
app.add_typer(quarantine_app, name="quarantine", no_args_is_help=True)

arrange(app)
