"""The command line: how retrim is asked.

Exit codes: 0 done, 1 the answer is no, 2 wrong use or bad input, 3 failed.
"""

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from retrim.cli import alerts, data, operate, policy, predict, render, serve, start, status, versions
from retrim.cli import explain as _explain  # noqa: F401  adds its commands to the groups
from retrim.cli.base import (
    AsJson,
    By,
    Now,
    Reason,
    argument,
    arrange,
    as_time,
    example,
    flows_of,
    option,
    past_time,
    retrain_now,
    run,
    show_version,
    tell_at_end,
    workspace_here,
)
from retrim.errors import BadInputError, UnknownNameError
from retrim.files import login

if TYPE_CHECKING:
    import pandas as pd

    from retrim.lineage.workspace import Workspace
    from retrim.training.mode import Mode

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
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep a tabular model accurate as its data changes.

    retrim retrains when a retraining pays for itself, promotes a model only on evidence, and rebuilds any version.
    Every command has its own --help. Try these commands first: demo, status, why.
    """
    context.call_on_close(tell_at_end)


@app.command(epilog=example("retrim demo"))
def demo(as_json: AsJson = False) -> None:
    """Replay two years of bike trips, in about 10 minutes.

    The demo trains on the first months, then checks every two weeks and retrains when a retraining pays for itself. It
    runs in a clone, var/demo/. Your branch, tags and data are not changed.
    """
    from retrim.cli.demo import show_demo
    from retrim.reports.demo import make_workspace

    workspace = make_workspace(workspace_here())
    with flows_of(workspace):
        from retrim_flows.demo import replay

        with render.progress():
            beats = list(replay(workspace))
    show_demo(workspace, beats, as_json=as_json)


@app.command(epilog=example("retrim check --now 2012-03-01"))
def check(
    now: Now = None,
    dry_run: Annotated[
        bool, option("--dry-run", "Decide without acting: print decision and evidence, and store nothing.")
    ] = False,
    audit: Annotated[
        bool, option("--audit", "Instead of a check: verify that checks counted each landed row once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the landed rows, and retrain if that pays for itself.

    The command tests for drift, measures the champion's loss and probes what a fresh model would gain. Then it decides
    whether to retrain. `retrim why` shows the evidence.

    With --dry-run no check is recorded, no alert is sent, no row is counted and no run starts. A check of the same
    moment afterwards decides the same. The exit code is 0, whatever the decision.

    With --audit, each landed row has to have been tested for drift by one check, and the loss of each mature row to
    have been measured once and to count once towards the accumulated gain. Rows that arrived after --now wait. A row is
    exempt if a live version was trained or evaluated on it, if it is a correction, or if data.rows excludes it. If rows
    are missing or were counted twice, the command lists them and the exit code is 1.
    """
    from retrim.cli.answers import resumed_runs
    from retrim.cli.screens.decisions import check_report
    from retrim.retraining.retrain import check_at_once

    if audit:
        if dry_run:
            raise BadInputError("--audit decides nothing; leave out --dry-run")
        _audit(as_time(now), as_json=as_json)
        return
    workspace, at = workspace_here(), past_time(now)
    if dry_run:
        _check_dry(workspace, at, as_json=as_json)
        return
    checked = check_at_once(workspace, by=login(), now=at)
    if checked is None:
        with flows_of(workspace):
            from retrim_flows.check import check as check_flow

            with render.progress():
                done = check_flow(at.isoformat())
            assert done is not None  # a moment that is given is checked
            checked, run, finished = done.check, done.run, done.resumed
    else:
        run, finished = None, []
    resumed = resumed_runs(workspace, finished)
    answer = {
        "check": checked,
        "run": run,
        "resumed": resumed,
    }
    render.show(answer, check_report(checked, run, resumed), as_json=as_json)


def _check_dry(workspace: "Workspace", at: "pd.Timestamp", *, as_json: bool) -> None:
    from retrim.checking.dry_check import dry_check
    from retrim.cli.screens.decisions import dry_check_report

    with render.progress():
        checked = dry_check(workspace, by=login(), now=at)
    answer: dict[str, object] = {"check": checked, "run": None, "resumed": []}
    render.show(answer, dry_check_report(checked), as_json=as_json)


def _audit(now: "pd.Timestamp", *, as_json: bool) -> None:
    from retrim.checking.audit import audit
    from retrim.cli.screens.batches import audit_report

    balance = audit(workspace_here(), now=now)
    render.show(balance, audit_report(balance), as_json=as_json)
    if not balance.holds:
        raise typer.Exit(1)


@app.command(epilog=example("retrim retrain --as-of 2012-03-01 --mode search"))
def retrain(
    by: By,
    as_of: Annotated[str | None, option("--as-of TIME", "As-of date of the run. Default: now.")] = None,
    mode: Annotated[
        str | None,
        option(
            "--mode",
            "Mode: search, refit, or baseline (the best constant). Default: search for version 1, and the setting "
            "retrain.mode for later versions.",
        ),
    ] = None,
    reason: Reason = "asked for by a person",
    by_hand: Annotated[
        bool, option("--by-hand", "Only create the run directory, and print its path: you run its stages.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Retrain now, whatever the trigger rules say. This ends a hold.

    The command runs all stages and the gate. The exit code is 1 if the new version is refused, or has to wait for
    labels or for approval.

    With --by-hand, nothing is trained. The run directory contains the data and the champion as of a date: change into
    it, as in `cd "$(retrim retrain --by-hand)"`, and run `dvc repro`.
    """
    from retrim.cli.answers import resumed_runs
    from retrim.cli.screens.decisions import resumed_report
    from retrim.stats.codec import to_record
    from retrim.training.mode import Mode

    if mode not in (None, *get_args(Mode)):
        raise UnknownNameError("mode", str(mode), get_args(Mode))
    chosen = cast("Mode | None", mode)
    if by_hand:
        _open_run_directory(as_time(as_of), chosen, as_json=as_json)
        return
    workspace, at = workspace_here(), past_time(as_of)
    outcome, finished = retrain_now(workspace, at, mode=chosen, by=by, reason=reason)
    resumed = resumed_runs(workspace, finished)
    answer = to_record(outcome) | {"resumed": resumed}
    where = () if outcome.version is None else (f"version {outcome.version}; see `retrim versions`",)
    report = (*resumed_report(resumed), f"{outcome.state}: {outcome.reason}", *where)
    render.show(answer, report, as_json=as_json)
    raise typer.Exit(0 if outcome.state == "promoted" else 1)


def _open_run_directory(as_of: "pd.Timestamp", mode: "Mode | None", *, as_json: bool) -> None:
    from retrim.retraining.run_directory import open_run_directory_by_hand

    opened = open_run_directory_by_hand(workspace_here(), as_of=as_of, mode=mode)
    if as_json:
        render.show_json(opened)
        return
    for name in opened.untracked:
        render.ERR.print(f"untracked file copied: {name}")
    render.print_now(opened.folder)


@app.command(epilog=example("retrim why 2012-03-01"))
def why(
    which: Annotated[
        str | None, argument("[DATE | DECISION]", "Date or id of a decision. Default: the newest decision.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show why a decision was made, and what it led to.

    The command shows the evidence, the result of every rule, and the gate checks.
    """
    from retrim.cli.answers import find_decision
    from retrim.cli.screens.decisions import decision_report

    decision = find_decision(workspace_here(), which)
    render.show(decision, decision_report(decision), as_json=as_json)


for part in (start.app, data.app, predict.app, serve.app, status.app, operate.app, alerts.app, policy.settings_app):
    app.add_typer(part)
for name, group in {
    "batch": data.batch_app,
    "policy": policy.policy_app,
    "versions": versions.versions_app,
}.items():
    app.add_typer(group, name=name, no_args_is_help=name != "versions")

arrange(app)
