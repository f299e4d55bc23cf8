"""Commands of those who keep an installation running."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrim.card.report import Table
from retrim.cli import render
from retrim.cli.base import (
    AsJson,
    Folders,
    argument,
    as_time,
    example,
    flows_at,
    option,
    scheduler_of,
    several_workspaces,
    workspace_here,
)
from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.files import WorkspacePaths

if TYPE_CHECKING:
    import pandas as pd

    from retrim.operations.backup_record import BackupMade
    from retrim.operations.parts import Installation

app = typer.Typer()
PREFECT_PORT, UI_PORT, SERVE_PORT = 4200, 5000, 8000
WAIT_SECONDS = 120


def _port(name: str, text: str) -> Any:
    return option(name, f"{text} 0: the port used last time, or any free port.", min=0, max=65535)


@app.command(epilog=example("retrim up ~/models"))
def up(
    folders: Folders = None,
    port: Annotated[int, _port("--port", "Port of the page.")] = UI_PORT,
    serve_port: Annotated[int, _port("--serve-port", "Port of the prediction server.")] = SERVE_PORT,
    prefect_port: Annotated[int, _port("--prefect-port", "Port of Prefect.")] = PREFECT_PORT,
    show: Annotated[bool, option("--show", "Show what runs and where, and start nothing.")] = False,
    only: Annotated[
        str | None, option("--only WHAT", "Run only the schedule or the ui (the pages), in this terminal.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run all services until Ctrl-C: schedule, pages, predictions.

    The command runs one Prefect server, one worker that executes the schedules, the status page with MLflow, and the
    prediction server. They serve this workspace or, if you pass DIR, all workspaces in DIR. The prediction server waits
    until a version is live. Each flow run uses its workspace as working directory, and the .venv of that workspace if
    there is one.

    A part that exits is restarted. If it keeps exiting soon after its start, the pauses before a restart grow longer.
    All parts listen on 127.0.0.1 only. The output of each goes to a file in var/up. If RETRIM_PREFECT_URL or
    RETRIM_MLFLOW_URL is the address of a server, retrim uses that server instead of starting its own.

    --only schedule runs a Prefect server and a worker for this workspace. --only ui serves the status page and MLflow
    or, if you pass DIR, the status pages of several workspaces, without MLflow, models that need a person first. The
    pages ask for a password, whose file is printed. On the status page you can approve or reject a version,
    acknowledge a decision on hold, roll back, retrain, and land a quarantined batch. Each action needs a reason.
    """
    from retrim.environment import Env
    from retrim.operations.parts import Ports, plan_installation, write_installation
    from retrim.operations.supervise import (
        become_supervisor,
        open_each,
        refuse_other_schedules,
        refuse_taken_ports,
        take_installation,
    )

    if only == "ui":
        from retrim.cli.page_server import serve_pages

        serve_pages(folders, port)
        return
    if only == "schedule":
        _run_schedule_here(folders)
        return
    roots, folder = _places(folders)
    if only is not None:
        _run_part(only, folder)
        return
    if show:
        _show(folder, as_json=as_json)
        return
    ports = Ports(prefect_port, port, serve_port)
    planned = plan_installation(roots, folder, ports=ports, prefect_url=Env().prefect_url)
    lock = take_installation(planned)
    refuse_other_schedules(open_each(planned, say=render.print_now))
    refuse_taken_ports(planned)
    write_installation(planned)
    _show(folder, as_json=as_json, starting=True)
    become_supervisor(planned, lock)


def _places(folders: list[Path] | None) -> "tuple[list[WorkspacePaths], Path]":
    """The workspaces, and the folder whose installation they are."""
    roots = several_workspaces(folders)
    if not roots:
        here = WorkspacePaths.find(Path.cwd())
        return [here], here.root
    folder = (folders[0] if folders else Path.cwd()).resolve()
    return roots, folder


def _show(folder: Path, *, as_json: bool, starting: bool = False) -> None:
    """One screen: every part with its state, its address and how a person gets in."""
    from retrim.operations.parts import installation_at
    from retrim.operations.supervise import look_at_parts

    parts = look_at_parts(installation_at(folder))
    rows = [(part.name, "starting" if starting else part.state, part.address, part.login) for part in parts]
    heads = ("part", "state", "address", "log in with")
    render.show({"parts": parts}, (Table("", heads, tuple(rows)),), as_json=as_json)
    if starting and not as_json:
        render.OUT.print(f"output of the parts: {folder / 'var' / 'up' / '*.log'}; stop with Ctrl-C")


def _run_part(name: str, folder: Path) -> None:
    """What supervisord starts: the Prefect server or the worker."""
    from retrim.adapters import prefect_server
    from retrim.operations.parts import installation_at

    installation = installation_at(folder)
    if name == "prefect":
        homes = [WorkspacePaths(Path(root)).prefect for root in installation.roots]
        prefect_server.become_server(installation.prefect_home, installation.prefect_api, noted_at=homes)
    elif name == "worker":
        _run_worker(installation)
    else:
        raise UnknownNameError("service", name, ("schedule", "ui"))


def _run_schedule_here(folders: list[Path] | None) -> None:
    if folders:
        raise BadInputError("--only schedule is for the workspace you are in; leave out DIR, or run `retrim up DIR`")
    workspace = workspace_here()
    with scheduler_of(workspace) as server:
        from retrim_flows.worker import run_schedule, schedule_of

        run_schedule(schedule_of(workspace), server)


def _run_worker(installation: "Installation") -> None:
    """The worker, once Prefect answers."""
    from contextlib import ExitStack

    from retrim.operations.supervise import hold_schedules, open_each

    home, api = installation.prefect_home, installation.prefect_api
    with ExitStack() as stack:
        workspaces = hold_schedules(open_each(installation, say=render.print_now), stack, say=render.print_now)
        _wait_for(api.answers, api.url)
        stack.enter_context(flows_at(home, Path(installation.folder), api))
        from retrim_flows.worker import WorkerSchedule, run_schedule, schedule_of

        alone = installation.is_alone
        schedule = (
            schedule_of(workspaces[0]) if alone else WorkerSchedule(tuple(workspaces), "retrim", home, spread=True)
        )
        run_schedule(schedule, None)


def _wait_for(claim: Callable[[], bool], url: str) -> None:
    import time

    deadline = time.monotonic() + WAIT_SECONDS
    while not claim():
        if time.monotonic() > deadline:
            raise RetrimError(f"no Prefect server responded at {url} within {WAIT_SECONDS} s; read var/up/prefect.log")
        time.sleep(0.5)


@app.command(epilog=example("retrim backup /backups/bike"))
def backup(
    where: Annotated[
        str | None,
        argument(
            "[DEST]",
            "Where backups lie: a folder, or a URL such as s3://bucket/bike. Default: the model's folder in "
            "RETRIM_BACKUP.",
        ),
    ] = None,
    verify: Annotated[
        bool, option("--verify", "Read all backups at DEST and name damaged files; back up nothing.")
    ] = False,
    listed: Annotated[bool, option("--list", "List the backups at DEST; back up nothing.")] = False,
    into: Annotated[
        Path | None, option("--restore DIR", "Restore a workspace from DEST into an empty or new folder.")
    ] = None,
    at: Annotated[
        str | None,
        option(
            "--at TIME", "With --restore: the newest backup made at or before this time (UTC). Default: the newest."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        option("--without FILE", "With --restore: leave out a file that is damaged. Can be passed several times."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back up this workspace, even while it is in use, or restore one.

    A backup contains the git repository with its tags, the store, MLflow, the landing zone, the DVC cache and the
    predictions. Files that are already at DEST are not copied again. Keys and passwords are not included; the output
    names them. A part of the files at DEST is read again each day, all of them within 28 days; damaged ones are copied
    anew.

    --restore makes a workspace from a backup, at any path or on any machine. Every file is checked against its SHA-256.
    If a file is missing or damaged, the error names it and nothing is restored;
    --without leaves it out.
    """
    from retrim.operations.backup import back_up_here

    if verify + listed + (into is not None) > 1 or ((at or without) and into is None):
        raise BadInputError("pass one of --verify, --list and --restore DIR; --at and --without only with --restore")
    if verify:
        _verify_backups(where, as_json=as_json)
        return
    if into is not None or listed:
        if where is None:
            raise BadInputError("DEST is missing; pass the folder or address that backups were written to")
        if into is None:
            _list_backups(where, as_json=as_json)
        else:
            _restore(where, into, until=None if at is None else as_time(at), without=without or (), as_json=as_json)
        return
    with render.progress():
        backup = back_up_here(workspace_here(), where)
    _show_backup(backup, as_json=as_json)


def _show_backup(backup: "BackupMade", *, as_json: bool) -> None:
    for place in backup.damaged:
        render.say(f"{place} at {backup.where} is damaged, and no file of the workspace has that content any more")
    whole, fresh = render.size(backup.size), render.size(backup.new_bytes)
    text = (
        f"backup {backup.name} at {backup.where}\n"
        f"{backup.files:,} files, {whole}; newly copied: {backup.new_files:,} files, {fresh}\nnot included:"
    )
    render.show(backup, text, as_json=as_json)
    if not as_json:
        render.show_table(("what", "why"), [(secret.what, secret.why) for secret in backup.left_out])


def _verify_backups(where: str | None, *, as_json: bool) -> None:
    from retrim.operations.backup import verify_backups

    with render.progress():
        verified = verify_backups(workspace_here(), where)
    if not verified:
        raise BadInputError("DEST has no backup; pass the folder or address that backups were written to")
    rows = tuple((render.moment(one.at), f"{one.files:,}", "\n".join(one.damaged) or "none") for one in verified)
    render.show({"backups": verified}, (Table("", ("at", "files", "damaged"), rows),), as_json=as_json)
    damaged = [backup for backup in verified if backup.damaged]
    if damaged:
        raise RetrimError(
            f"{len(damaged)} of {len(verified)} backups are damaged, the newest of them for example in "
            f"{damaged[-1].damaged[0]}; make a new backup to an empty DEST, and check the disk"
        )


def _list_backups(where: str, *, as_json: bool) -> None:
    from retrim.operations.restore import list_backups

    backups = list_backups(where)
    rows = tuple((render.moment(one.at), one.model, f"{one.files:,}", render.size(one.size)) for one in backups)
    render.show({"backups": backups}, (Table("", ("at", "model", "files", "size"), rows),), as_json=as_json)


def _restore(where: str, folder: Path, *, until: "pd.Timestamp | None", without: Sequence[str], as_json: bool) -> None:
    from retrim.environment import Env
    from retrim.operations.restore import restore_backup

    with render.progress():
        done = restore_backup(where, folder, until=until, env=Env(), without=without)
    restored = f"restored {done.folder} as of {render.moment(done.at)}: {done.files:,} files, {render.size(done.size)}"
    render.show(done, "\n".join((restored, *(f"to do: {task}" for task in done.to_do))), as_json=as_json)


@app.command(epilog=example("retrim doctor"))
def doctor(
    folders: Folders = None,
    everything: Annotated[bool, option("--all", "Also show checks that found no problem.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find problems in this workspace, and explain how to fix them.

    The command checks settings, environment variables, the versions of retrim and Python, packages, git, disk, clock,
    permissions of private files, store, landing zone, predictions, MLflow, Prefect, the parts of `retrim up` with their
    ports, schedules, backups, alerts, and the health of the model. It changes nothing. The exit code is 0 if there is
    no problem, 1 for a warning, and 2 for a critical problem.
    """
    from retrim.decision.model_health import HealthLevel
    from retrim.operations.doctor import examine

    roots, folder = _places(folders)
    diagnoses = [examine(root, folder, now=as_time(None)) for root in roots]
    report: list[str | Table] = []
    for diagnosis in diagnoses:
        wrong = [line for line in diagnosis.findings if everything or line.level is not HealthLevel.OK]
        rows = tuple((line.level, line.check, line.said, line.cure) for line in wrong)
        table = Table("", ("level", "check", "found", "to do"), rows)
        report += [f"{diagnosis.workspace}: {diagnosis.level}", *([table] if rows else [])]
    render.show({"workspaces": diagnoses}, tuple(report), as_json=as_json)
    raise typer.Exit(max(diagnosis.level.exit_code for diagnosis in diagnoses))
