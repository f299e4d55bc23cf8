"""What is wrong with an installation, and what to do: one ordered list of examinations, each a small function."""

import importlib.metadata
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import pandas as pd

import retrim
from retrim.adapters import git
from retrim.adapters.environment import other_versions
from retrim.adapters.landing_zone import Landing
from retrim.adapters.mlflow_server import bind
from retrim.adapters.prefect_server import PrefectApi, answers, known_server, orphans
from retrim.adapters.sql_table import count_rows
from retrim.alerting.telling import addresses_of
from retrim.checking.due import missed_times
from retrim.decision.model_health import HealthLevel
from retrim.decision.run_params import ScheduleParams
from retrim.environment import IN_FILES, PREFIX, Env
from retrim.errors import BadInputError, RetrimError
from retrim.files import CORES_VARIABLE, WorkspacePaths, count_cores
from retrim.lineage.locks import is_alive
from retrim.lineage.own_code import lock_of, require_running_code
from retrim.lineage.prediction_copy import TABLE
from retrim.lineage.workspace import Workspace
from retrim.operations.backup import place_of_backups
from retrim.operations.backup_parts import PRIVATE_KEY
from retrim.operations.backup_store import BackupStore
from retrim.operations.parts import read_installation
from retrim.operations.supervise import log_of, look_at_parts, runs_now
from retrim.reading.address import address_of
from retrim.reports.health import find_health
from retrim.settings import load_params

OK, WARNING, CRITICAL = HealthLevel.OK, HealthLevel.WARNING, HealthLevel.CRITICAL
LEAST_FREE, LITTLE_FREE = 500e6, 5e9
"""Bytes: below the first a retraining fails, below the second it soon may."""
SKEW_SECONDS = 5.0
LATE = pd.Timedelta("1h")
STALE = pd.Timedelta("1h")
OLD_BACKUP = pd.Timedelta("7D")
PYTHONS = ((3, 11), (3, 13))
OTHER_VARIABLES = ("RETRIM_OWNERS", "RETRIM_RUN_DIRECTORY", "RETRIM_TRIALS", "RETRIM_START_OFFSET")
"""Read from the environment, and no address of a store."""
Said = Iterator[tuple[HealthLevel, str, str]]


class NoSettingsError(Exception):
    """An examination needs settings that do not load, which the examination of settings says."""


@dataclass(frozen=True)
class Finding:
    """The result of one examination.

    Args:
        check: What was examined.
        level: `ok`, `warning` or `critical`.
        said: What was found.
        cure: What to do; empty if nothing is wrong.
    """

    check: str
    level: HealthLevel
    said: str
    cure: str = ""


@dataclass(frozen=True)
class Examined:
    """What is examined.

    Args:
        folder: Whose `retrim up` should run: the workspace, or the folder that holds it.
    """

    paths: WorkspacePaths
    folder: Path
    now: pd.Timestamp

    @cached_property
    def workspace(self) -> Workspace:
        """With its settings.

        Raises:
            NoSettingsError: They do not load.
        """
        try:
            return Workspace(self.paths, load_params(self.paths.params), Env())
        except (RetrimError, OSError) as error:
            raise NoSettingsError from error


@dataclass(frozen=True)
class Diagnosis:
    """All findings about one workspace.

    Args:
        workspace: Folder of the workspace.
        level: Level of the most severe finding.
        findings: Findings, in the order of the examinations.
    """

    workspace: str
    level: HealthLevel
    findings: tuple[Finding, ...]


def examine(
    paths: WorkspacePaths, folder: Path, *, now: pd.Timestamp, only: Collection[str] | None = None
) -> Diagnosis:
    """Examines one workspace; an examination that fails itself is a finding too.

    Args:
        folder: Whose `retrim up` should run; where none ever did, the folder above is looked at too.
        only: Names of examinations; None: all.
    """
    above = read_installation(folder) is None and read_installation(folder.parent) is not None
    examined = Examined(paths, folder.parent if above else folder, now)
    findings: list[Finding] = []
    for name, look in EXAMINATIONS:
        if only is not None and name not in only:
            continue
        try:
            answers_given = list(look(examined))
        except NoSettingsError:
            continue
        except Exception as error:  # noqa: BLE001  whatever it is: the others are made all the same
            answers_given = [(CRITICAL, " ".join(str(error).split()), "correct what the message describes")]
        findings += [Finding(name, *given) for given in answers_given]
    level = max((finding.level for finding in findings), key=lambda level: level.exit_code, default=OK)
    return Diagnosis(str(paths.root), level, tuple(findings))


def _settings(examined: Examined) -> Said:
    params = load_params(examined.paths.params)
    suite = examined.paths.root / params.data.suite
    if not suite.is_file():
        yield CRITICAL, f"the suite {params.data.suite} is missing", "restore it from git"
    else:
        yield OK, f"params.yaml loads, model {params.data.model}", ""


def _variables(examined: Examined) -> Said:
    known = [f"{PREFIX}{name.upper()}" for name in Env.model_fields] + [CORES_VARIABLE, *OTHER_VARIABLES]
    known += [f"{PREFIX}{name.upper()}_FILE" for name in IN_FILES]
    strange = [name for name in os.environ if name.startswith(PREFIX) and name not in known]
    for name in strange:
        near = get_close_matches(name, known, n=1)
        hint = f"rename it to {near[0]}" if near else "unset it"
        yield WARNING, f"the environment variable {name} is set, but nothing reads it", hint
    if not strange:
        yield OK, f"{count_cores()} cores may be used", ""


def _versions(examined: Examined) -> Said:
    require_running_code(lock_of(examined.paths))
    python = sys.version_info[:2]
    versions = f"retrim {retrim.__version__}, Python {python[0]}.{python[1]}"
    if not PYTHONS[0] <= python <= PYTHONS[1]:
        yield WARNING, f"{versions}, which retrim is not tested with", "use Python 3.11, 3.12 or 3.13"
    else:
        yield OK, versions, ""


def _packages(examined: Examined) -> Said:
    if not examined.paths.lock.is_file():
        yield WARNING, "there is no requirements.lock, so versions cannot be rebuilt", "retrim new --upgrade ."
        return
    others = other_versions(examined.paths.lock)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        yield WARNING, f"{'; '.join(others[:3])}{more}", "pip install -r requirements.lock, or retrim new --upgrade ."
    else:
        count = len(list(importlib.metadata.distributions()))
        yield OK, f"the versions of the {count} installed packages match requirements.lock", ""


def _git(examined: Examined) -> Said:
    root = examined.paths.root
    git.require_repository(root)
    lock = root / ".git" / "index.lock"
    if lock.exists() and examined.now - pd.Timestamp(lock.stat().st_mtime, unit="s", tz="UTC") > STALE:
        yield CRITICAL, f"{lock} was left by a killed git process", f"rm {lock}"
    for name in ("MERGE_HEAD", "rebase-merge", "rebase-apply"):
        if (root / ".git" / name).exists():
            text = "a merge or rebase is in progress, so runs use the files as they are now"
            yield WARNING, text, "finish or abort the merge or rebase"
    for hook in sorted((root / ".git" / "hooks").glob("*")):
        if hook.is_file() and hook.suffix != ".sample" and not os.access(hook, os.X_OK):
            yield WARNING, f"git skips the hook {hook.name}, which is not executable", f"chmod +x {hook}"
    yield OK, f"at commit {git.git(root, 'rev-parse', '--short', 'HEAD')}", ""


def _disk(examined: Examined) -> Said:
    place = examined.paths.var if examined.paths.var.is_dir() else examined.paths.root
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free"
    cure = "retrim versions gc; see docs/how-to/running.md, Bounds"
    level = CRITICAL if free < LEAST_FREE else WARNING if free < LITTLE_FREE else OK
    yield level, text, "" if level is OK else cure


def _writable(examined: Examined) -> Said:
    with tempfile.TemporaryFile(dir=examined.paths.var if examined.paths.var.is_dir() else examined.paths.root):
        yield OK, "var/ can be written", ""


def _clock(examined: Examined) -> Said:
    with tempfile.NamedTemporaryFile(dir=examined.paths.root) as file:
        skew = Path(file.name).stat().st_mtime - time.time()
    if abs(skew) > SKEW_SECONDS:
        yield WARNING, f"the disk's clock differs from this machine's by {skew:.0f} s", "synchronise both with NTP"
    ahead = [file for file in Landing(examined.paths.landing).batches() if file.arrived > examined.now]
    if ahead:
        text = f"{len(ahead)} batches are dated after {examined.now.isoformat()}: the clock was ahead, or is behind now"
        path = ahead[0].path
        cure = f"set the clock; if it is right, remove {path} and its .sha256, and ingest the original file again"
        yield CRITICAL, text, f"{cure} (docs/how-to/landing.md, After the clock ran ahead)"
    else:
        yield OK, f"it is {examined.now.isoformat()}, and no batch is dated later", ""


def _permissions(examined: Examined) -> Said:
    open_to_others = [path for path in _private(examined) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    for path in open_to_others:
        yield CRITICAL, f"other users can read {path.relative_to(examined.folder)}", f"chmod go= {path}"
    if not open_to_others:
        yield OK, "only their owner can read private files", ""


def _private(examined: Examined) -> Iterator[Path]:
    paths = examined.paths
    named = [paths.var, paths.keys, paths.ui_password, paths.tokens, paths.prefect, paths.prefect / "login"]
    named += [paths.var / "retrim.db", paths.var / "mlflow.db", paths.prefect / "prefect.db"]
    up = examined.folder / "var" / "up"
    named += [up, up / "environment", *paths.keys.glob(PRIVATE_KEY)]
    named += [paths.root / alerts] if (alerts := Env().alerts_file) is not None else []
    return (path for path in named if path.exists() and path.is_relative_to(examined.folder))


def _store(examined: Examined) -> Said:
    workspace = examined.workspace
    decisions = workspace.store.decisions(workspace.model)
    yield OK, f"{workspace.store.shown}; decisions: {len(decisions)}", ""


def _landing(examined: Examined) -> Said:
    workspace = examined.workspace
    yield OK, f"landed files: {len(Landing(examined.paths.landing).batches())}", ""
    address = workspace.landing_address
    if address is not None:
        there, lacking = address.count()
        yield OK, f"{address.shown} can be reached; landed files there: {there}, of which not here yet: {lacking}", ""


def _predictions(examined: Examined) -> Said:
    workspace = examined.workspace
    yield OK, f"versions whose predictions can be read: {len(workspace.predictions.versions())}", ""
    table = workspace.env.predictions_table
    if table is not None:
        copied = count_rows(table, TABLE, where_is={"model": workspace.model}) or 0
        yield OK, f"{address_of(table).shown} can be reached; predictions in {TABLE}: {copied}", ""


def _mlflow(examined: Examined) -> Said:
    yield OK, f"registered versions: {len(examined.workspace.registry.versions())}", ""


def _prefect(examined: Examined) -> Said:
    workspace = examined.workspace
    url = workspace.env.prefect_url
    if url is not None and not answers(url):
        yield CRITICAL, f"no Prefect server responds at {url}", "start the server, or unset RETRIM_PREFECT_URL"
        return
    for number in orphans(workspace.paths.prefect):
        text = f"a Prefect server of this workspace (process {number}) still runs, but its command has ended"
        yield WARNING, text, f"kill {number}"
    api = known_server(workspace.paths.prefect, url)
    yield OK, "no server runs here; commands start one" if api is None else f"it responds at {api.pages_url}", ""


def _parts(examined: Examined) -> Said:
    installation = read_installation(examined.folder)
    if installation is None:
        yield OK, "`retrim up` was never started here", ""
        return
    if not runs_now(installation):
        yield WARNING, "no part of `retrim up` is running", f"retrim up {examined.folder}"
        return
    seen = look_at_parts(installation)
    for part in seen:
        if part.state != "runs" and part.name != "serve":
            log = log_of(installation, part.name)
            yield CRITICAL, f"the part {part.name} does not respond; its state is: {part.state}", f"read {log}"
    yield OK, f"{sum(part.state == 'runs' for part in seen)} of {len(seen)} parts are running", ""


def _ports(examined: Examined) -> Said:
    installation = read_installation(examined.folder)
    if installation is None or runs_now(installation):
        return
    for option, port in installation.port_options.items():
        try:
            bind(port).close()
        except BadInputError:
            yield WARNING, f"another process listens on port {port}", f"stop that process, or run retrim up {option} 0"


def _schedule(examined: Examined) -> Said:
    workspace = examined.workspace
    runs = is_alive(workspace, "schedule")
    begun = [name for name in ScheduleParams.flows() if workspace.store.done_until(workspace.model, name)]
    if not begun:
        yield WARNING, "no schedule has ever run here", "retrim up"
        return
    late = [name for name in begun if missed_times(workspace, name, until=examined.now - LATE)]
    if late:
        why = "the worker is behind" if runs else "no worker is running"
        yield CRITICAL, f"overdue: {', '.join(late)}; {why}", "read var/up/worker.log" if runs else "retrim up"
    elif not runs:
        yield WARNING, "no worker is running", "retrim up"
    else:
        last = max(pd.Timestamp(str(workspace.store.done_until(workspace.model, name))) for name in begun)
        yield OK, f"the worker is running; the last completed run was due at {last:%Y-%m-%d %H:%M} UTC", ""


def _deployed(examined: Examined) -> Said:
    workspace = examined.workspace
    api = known_server(workspace.paths.prefect, workspace.env.prefect_url)
    if api is None or not is_alive(workspace, "schedule"):
        return
    missing = [name for name in ScheduleParams.flows() if not _has_deployment(api, name, workspace.model)]
    if missing:
        yield CRITICAL, f"Prefect has no deployment of {', '.join(missing)}", "start `retrim up` again"
    else:
        yield OK, "every flow is deployed", ""


def _has_deployment(api: PrefectApi, flow: str, model: str) -> bool:
    try:
        return bool(api.ask(f"deployments/name/{flow}/{model}"))
    except OSError:
        return False


def _alerts(examined: Examined) -> Said:
    workspace = examined.workspace
    if not workspace.env.tells:
        cure = "set RETRIM_ALERTS or RETRIM_ALERTS_FILE, then run retrim alerts --test"
        yield WARNING, "no alert address is set", cure
        return
    yield OK, f"alerts go to {len(addresses_of(workspace))} addresses", ""


def _backups(examined: Examined) -> Said:
    workspace = examined.workspace
    place, planned = place_of_backups(workspace), workspace.params.schedule.backup
    if place is None and planned is not None:
        yield CRITICAL, "backups are scheduled, but no place is set", "set RETRIM_BACKUP where the schedule starts"
    elif place is None:
        yield WARNING, "no place for backups is set", "set RETRIM_BACKUP and schedule.backup"
    else:
        store = BackupStore(place)
        newest = store.newest()
        if newest is None:
            yield WARNING, f"{store.shown} contains no backup", "retrim backup"
        elif examined.now - newest > OLD_BACKUP:
            text = f"the newest backup is from {newest:%Y-%m-%d %H:%M} UTC"
            yield WARNING, text, "retrim backup, and set schedule.backup"
        else:
            yield OK, f"the newest backup is from {newest:%Y-%m-%d %H:%M} UTC", ""


def _health(examined: Examined) -> Said:
    workspace = examined.workspace
    health = find_health(workspace, now=examined.now)
    for finding in health.health:
        yield finding.level, finding.text, finding.do
    if not health.health:
        yield health.level, health.said[0], ""


EXAMINATIONS: Sequence[tuple[str, Callable[[Examined], Said]]] = (
    ("settings", _settings),
    ("variables", _variables),
    ("versions", _versions),
    ("packages", _packages),
    ("git", _git),
    ("disk", _disk),
    ("writable", _writable),
    ("permissions", _permissions),
    ("store", _store),
    ("landing zone", _landing),
    ("predictions", _predictions),
    ("MLflow", _mlflow),
    ("Prefect", _prefect),
    ("clock", _clock),
    ("parts", _parts),
    ("ports", _ports),
    ("schedule", _schedule),
    ("deployments", _deployed),
    ("alerts", _alerts),
    ("backups", _backups),
    ("model", _health),
)
"""What is looked at, in this order."""
