"""What the commands share: options, the workspace, times, the panels of the help, and how a command ends."""

import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import retrim
from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.files import WorkspacePaths, claimed, collect_seldom, lightgbm_alone, login, uncollected, workspaces

if TYPE_CHECKING:
    import pandas as pd

    from retrim.adapters.prefect_server import PrefectApi, Server
    from retrim.decision.history import RunOutcome
    from retrim.lineage.workspace import Workspace
    from retrim.training.mode import Mode

LONGEST = 9  # digits of a version's number: a database holds no whole number of any length
LAST_YEAR = 9999  # of the standard library, which writes times out; no time that is given may lie in it
INTERRUPTED = 130  # what the CLI library makes of Ctrl-C
STOPPED = "stopped; the next `retrim check` or `retrim retrain` finishes a retraining that was in progress"
UNKNOWN_COMMAND = re.compile(r"No such command '([^']*)'")
OTHER_NAMES = {
    "predictions": "predict --show",
    "report": "status --html FILE",
    "restore": "backup SRC --restore DIR",
    "schedule": "up --only schedule",
    "ui": "up --only ui",
    "upgrade": "new --upgrade DIR",
}
"""What somebody may look for under another name."""
PANELS = {
    "Begin": "demo new init profile example",
    "Every day": "ingest check retrain predict serve status why settings",
    "Operate": "alerts backup doctor token up",
    "Groups": "batch policy versions",
}
"""Where each command stands in the help."""


def option(spelling: str, text: str, **more: Any) -> Any:
    """An option as its help spells it, such as `--at TIME`."""
    name, _, metavar = spelling.partition(" ")
    return typer.Option(name, metavar=metavar or None, help=text, **more)


def argument(metavar: str, text: str, **more: Any) -> Any:
    return typer.Argument(metavar=metavar, help=text, **more)


def example(command: str) -> str:
    """What stands below a command's help."""
    return f"For example: [bold]{command}[/]"


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"retrim {retrim.__version__}")  # noqa: T201  the answer itself
        raise typer.Exit


def version_number(text: str | int) -> int:
    if not str(text).isdecimal() or len(str(text)) > LONGEST:
        raise BadInputError(f"{text!r} is not a version number, such as 7; list the versions with `retrim versions`")
    return int(text)


AsJson = Annotated[bool, option("--json", "Print the record as JSON and nothing else.")]
Now = Annotated[str | None, option("--now TIME", "Use this time (UTC) instead of the current time. For replays.")]
Reason = Annotated[str, option("--reason", "The reason, which is stored with the record.")]
By = Annotated[
    str,
    option(
        "--by NAME",
        "Your name, which is stored with the record, and beside it your login name. Default: your login name.",
        default_factory=login,
        parser=claimed,
        show_default=False,
    ),
]
Query = Annotated[str | None, option("--query SQL", "If the rows are in a database: the query that returns them.")]
Table = Annotated[str | None, option("--table NAME", "If the rows are in a database: the table to read.")]
Folders = Annotated[list[Path] | None, argument("[DIR ...]", "Workspaces, or folders with workspaces.")]
Version = Annotated[int, argument("N", "Number of the version.", parser=version_number)]
AnyVersion = Annotated[int | None, argument("[N]", "Number of the version.", parser=version_number)]
PredictingVersion = Annotated[
    int | None, option("--version N", "The version that predicts. Default: the live version.", parser=version_number)
]


def workspace_here() -> "Workspace":
    from retrim.lineage.workspace import open_workspace

    return open_workspace(Path.cwd())


def several_workspaces(folders: list[Path] | None) -> "list[WorkspacePaths]":
    """The workspaces of these folders; none named: those in this one, if it is in no workspace; else none."""
    if folders:
        return workspaces(folders)
    try:
        WorkspacePaths.find(Path.cwd())
    except BadInputError:
        with suppress(BadInputError):  # the error of no workspace says more
            return workspaces([Path.cwd()])
    return []


def tell_at_end() -> None:
    """When a command has ended, sends what people are to be told, if the environment names any."""
    if not any(os.environ.get(name) for name in ("RETRIM_ALERTS", "RETRIM_ALERTS_FILE")):
        return
    from retrim.alerting.telling import tell_people_quietly

    with suppress(RetrimError):  # what is wrong with the workspace the command has said, or it was of none
        tell_people_quietly(workspace_here(), now=as_time(None))


def as_time(text: str | None) -> "pd.Timestamp":
    import pandas as pd

    if text is None:
        return pd.Timestamp.now(tz="UTC").floor("s")
    given = pd.to_datetime(text, format="ISO8601", errors="coerce")  # read loosely, "5" is a day of this month
    if not isinstance(given, pd.Timestamp):
        raise BadInputError(f"{text!r} is not a time; write 2012-05-01 or 2012-05-01T12:00, in UTC")
    at = (given.tz_localize("UTC") if given.tzinfo is None else given.tz_convert("UTC")).as_unit("us")
    if not 1 <= at.year < LAST_YEAR:
        raise BadInputError(f"{text!r} is out of range; pass a time between the years 1 and {LAST_YEAR - 1}, in UTC")
    return at


def past_time(text: str | None) -> "pd.Timestamp":
    """A time that is not in the future: arrivals, checks and runs go forward, so a slip would block every later one."""
    given, now = as_time(text), as_time(None)
    if given > now:
        raise BadInputError(f"{text!r} is in the future; pass a time no later than now, {now.isoformat()}")
    return given


@contextmanager
def flows_of(workspace: "Workspace") -> Iterator[None]:
    """Makes flows importable and a Prefect server reachable: one is started under var/ if none is, and stopped.

    Raises:
        RetrimError: No server can be reached or started, or it went away.
    """
    from retrim.adapters import prefect_server

    with uncollected():
        lightgbm_alone()
    # A flow's error goes to Prefect's log; here the command tells it, once and without a traceback.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with (
        prefect_server.reachable(workspace.paths.prefect, workspace.env.prefect_url) as api,
        flows_at(workspace.paths.prefect, workspace.paths.root, api),
    ):
        try:
            yield
        except Exception as error:
            if isinstance(error, RetrimError) or api.answers():
                raise
            raise RetrimError(
                f"the Prefect server at {api.url} no longer responds; check that it is running. The next "
                "`retrim check` or `retrim retrain` finishes the interrupted run"
            ) from error


def retrain_now(
    workspace: "Workspace", at: "pd.Timestamp", *, mode: "Mode | None", by: str, reason: str
) -> "tuple[RunOutcome, list[str]]":
    """A person's retraining as of a moment, and the decisions whose killed runs were finished first."""
    from retrim.checking.mode import mode_now
    from retrim.cli import render
    from retrim.lineage.workspace import ask_for_run, decision_of, report_progress
    from retrim.retraining.retrain import outcome_of, retrain_at_once

    deferred = retrain_at_once(workspace, as_of=at, mode=mode, by=by, reason=reason, now=as_time(None))
    if deferred is not None:
        return deferred, []
    chosen = mode_now(workspace)
    why = f"{chosen.mode} ({chosen.reason})" if mode in (None, chosen.mode) else f"{mode} (--mode)"
    with render.progress():
        report_progress(f"a new version of {workspace.model} from the rows as of {at:%Y-%m-%d %H:%M}; mode: {why}")
        report_progress("each stage runs whose rows, settings or code changed; starting Prefect")
        with flows_of(workspace):
            from retrim_flows.maintain import put_right
            from retrim_flows.retrain import retrain

            decision = decision_of(workspace, at)
            finished = put_right(workspace, at)
            # One that was killed and asked for again with the same words has just been finished.
            ended = outcome_of(workspace, decision) if decision in finished else None
            if ended is None:
                ask_for_run(workspace, as_of=at, by=by, reason=reason, now=as_time(None))
                ended = retrain(decision, at.isoformat(), mode)
            return ended, finished


@contextmanager
def scheduler_of(workspace: "Workspace") -> "Iterator[Server | None]":
    """As `flows_of`, once a workspace; gives the server if it is ours to mind."""
    from retrim.adapters import prefect_server
    from retrim.lineage.locks import held_locks

    with ExitStack() as stack:
        stack.enter_context(held_locks(workspace, "schedule"))
        server = None
        if workspace.env.prefect_url is None:
            server = stack.enter_context(prefect_server.own(workspace.paths.prefect, pages=True))
            stack.enter_context(flows_at(workspace.paths.prefect, workspace.paths.root, server.api))
        else:
            api = stack.enter_context(prefect_server.reachable(workspace.paths.prefect, workspace.env.prefect_url))
            stack.enter_context(flows_at(workspace.paths.prefect, workspace.paths.root, api))
        yield server


@contextmanager
def flows_at(home: Path, folder: Path, api: "PrefectApi") -> Iterator[None]:
    """Makes flows importable, which find this server with its state in `home`, and works in `folder`."""
    from retrim.adapters import prefect_server

    os.environ.update(prefect_server.settings(home, api.url))
    if api.login is not None:
        os.environ[prefect_server.LOGIN_VARIABLE] = api.login  # a worker's flow runs inherit it
    os.chdir(folder)
    beside = Path(retrim.__file__).parents[2] / "flows"  # of a checkout; a wheel carries them as a package of its own
    if beside.is_dir():
        sys.path.insert(0, str(beside))
    with uncollected():
        from retrim_flows.context import flushed

    with flushed():
        yield


def run(app: typer.Typer) -> NoReturn:
    """Runs a command and ends with its exit code: 0 done, 1 the answer is no, 2 wrong use or bad input, 3 failed."""
    collect_seldom()
    for stream in (sys.stdout, sys.stderr):  # a name of a file or a column may hold what the terminal cannot show
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: what was started is stopped
    try:
        # It gives back the code of a typer.Exit, and does not raise it.
        ended = app(prog_name="retrim", standalone_mode=False)
        sys.stdout.flush()
        if ended == INTERRUPTED:
            _fail(STOPPED, 3)
    except RetrimError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(STOPPED, 3)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(3)
    except Exception as error:  # noqa: BLE001  the last one to see it: every end has its code
        name = type(error).__name__
        if name == "NoArgsIsHelpError":  # the help was asked for by giving nothing, and was printed
            sys.exit(0)
        if name == "Abort":
            _fail(STOPPED, 3)
        if hasattr(error, "format_message"):
            message = _wrong_use(error)
            _fail(str(message), message.exit_code)
        if isinstance(error, OSError) and error.errno is not None:
            where = "" if error.filename is None else f" at {error.filename}"
            _fail(f"{str(error.strerror).lower()}{where}; check the disk and its permissions, then try again", 3)
        traceback.print_exc()
        _fail(f"{name}: {error}; this is a bug in retrim: report it with the lines above", 3)
    sys.exit(ended if isinstance(ended, int) else 0)


def _wrong_use(error: Any) -> "RetrimError":
    """What the CLI library says of a call it cannot read, in our form: what was found, what is known, what to do."""
    context, message = getattr(error, "ctx", None), str(error.format_message()).strip()
    if context is not None and (match := UNKNOWN_COMMAND.match(message)):
        elsewhere = _elsewhere(match[1], context)
        if elsewhere:
            return BadInputError(f"unknown command {match[1]!r}; use {' or '.join(elsewhere)}")
        return UnknownNameError("command", match[1], context.command.commands)
    problem = message[:1].lower() + message[1:].rstrip(".")
    return BadInputError(f"{problem}; see `{context.command_path} --help`" if context is not None else problem)


def _elsewhere(name: str, context: Any) -> list[str]:
    """The commands that somebody may mean who asks for one that stands in a group, or that has another name here."""
    if context.parent is not None:
        return []
    groups = {group: getattr(command, "commands", {}) for group, command in context.command.commands.items()}
    commands = [OTHER_NAMES[name]] if name in OTHER_NAMES else []
    return [
        f"`retrim {command}`"
        for command in [*commands, *(f"{group} {name}" for group in groups if name in groups[group])]
    ]


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


def arrange(within: typer.Typer) -> None:
    """Puts each command of an app, and of the apps in it that have no name, into its panel of the help."""
    panels = {name: panel for panel, names in PANELS.items() for name in names.split()}
    for command in within.registered_commands:
        assert command.callback is not None
        command.rich_help_panel = panels.get(command.name or command.callback.__name__, "More")
    for group in within.registered_groups:
        if isinstance(group.name, str):
            group.rich_help_panel = panels.get(group.name, "More")
        elif group.typer_instance is not None:
            arrange(group.typer_instance)
