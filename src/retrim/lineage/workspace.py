"""The workspace that a use case works in: its paths, settings and adapters, what it tells, and clones of it."""

import logging
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from retrim.adapters import dvc, git
from retrim.adapters.database import iso
from retrim.adapters.landing_zone import Landing
from retrim.adapters.signing import Keys
from retrim.adapters.store import Store
from retrim.decision.alerts import KIND_FACTS, AlertKind, Severity, is_to_be_told
from retrim.decision.check_record import AskedRun
from retrim.decision.stored_rows import AlertRow, DecisionRow, as_text
from retrim.environment import Env
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths, make_private_folder
from retrim.lineage.own_code import lock_of, require_running_code
from retrim.lineage.prediction_log import PredictionLog
from retrim.reading.address import address_of, is_address
from retrim.settings import Params, load_params

if TYPE_CHECKING:
    from retrim.adapters.mlflow_registry import ModelRegistry
    from retrim.lineage.landing_address import LandingAddress

ALERTS_LOGGER = logging.getLogger("retrim.alerts")
PROGRESS_LOGGER = logging.getLogger("retrim.progress")
TRIAL = re.compile(r"trial (\d+) of (\d+): loss (\S+)")
TRIAL_LOG = re.compile(r"trial log (\S+)")
PERSON, SETTLEMENT, PAUSE, MUTE = "person", "settlement", "pause", "mute"
"""Sources of decisions beside the checks."""
BESIDE_RUNS = (PAUSE, MUTE)
"""Those that start nothing by themselves."""


@dataclass(frozen=True)
class Workspace:
    """A workspace with its settings; adapters are opened when first asked for.

    Args:
        mirrored: Whether git and MLflow follow what the store says is live; not those of a copy for a dry run.
    """

    paths: WorkspacePaths
    params: Params
    env: Env
    mirrored: bool = True

    @property
    def model(self) -> str:
        return self.params.data.model

    @property
    def store_url(self) -> str:
        return self.env.store_url or f"sqlite:///{self.paths.var / 'retrim.db'}"

    @cached_property
    def store(self) -> Store:
        make_private_folder(self.paths.var)
        return Store(self.store_url)

    @cached_property
    def predictions(self) -> PredictionLog:
        where = self.env.predictions or str(self.paths.var / "predictions")
        return PredictionLog(where, self.model, self.paths.var / "predictions.lock")

    @cached_property
    def landing(self) -> Landing:
        """What has landed. Where that is of record at an address, what is not here yet is fetched now, once."""
        if self.landing_address is not None:
            self.landing_address.catch_up()
        return Landing(self.paths.landing, self.landing_address)

    @cached_property
    def landing_address(self) -> "LandingAddress | None":
        return landing_address_of(self.paths, self.model, self.env)

    @property
    def keys(self) -> Keys:
        return Keys(self.paths.keys)

    @property
    def mlflow_url(self) -> str:
        return self.env.mlflow_url or f"sqlite:///{self.paths.var / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> str:
        """The folder or address for the files of MLflow's runs.

        Raises:
            BadInputError: A user, password or token stands in it: MLflow keeps it in its database, and shows it.
        """
        where = self.env.mlflow_artifacts
        if where is not None and is_address(where) and address_of(where).secrets:
            raise BadInputError(
                f"RETRIM_MLFLOW_ARTIFACTS contains a user name, a password or a token ({address_of(where).shown}), "
                "which MLflow would store and show; remove it from the address, and set it in an environment variable "
                "of the protocol, such as AWS_SECRET_ACCESS_KEY"
            )
        return where or str(self.paths.var / "mlflow")

    @cached_property
    def registry(self) -> "ModelRegistry":
        from retrim.adapters.mlflow_registry import ModelRegistry

        make_private_folder(self.paths.var)
        return ModelRegistry(self.mlflow_url, self.mlflow_artifacts, self.model)


def open_workspace(start: Path) -> Workspace:
    """The workspace that holds `start`; its `var/` is closed to others, whoever made it."""
    workspace = WorkspacePaths.find(start)
    make_private_folder(workspace.var)
    return Workspace(workspace, load_params(workspace.params), Env())


def record_alert(
    workspace: Workspace,
    kind: AlertKind,
    text: str,
    *,
    now: pd.Timestamp,
    about: str = "",
    ended: pd.Timestamp | None = None,
) -> bool:
    """Records that something happened, to be told to people; False if it is not told, as it was before.

    Args:
        ended: When the same was over last, by the clock; None: it is not known to have been.
    """
    identity = sha256(f"{workspace.model}\0{kind}\0{text}".encode()).hexdigest()[:16]
    recorded = clock()
    row = AlertRow(identity, workspace.model, str(kind), iso(now), text, about, iso(recorded))

    def is_told(same_words: str | None, same_matter: str | None) -> bool:
        words, matter = (None if at is None else pd.Timestamp(at) for at in (same_words, same_matter))
        return is_to_be_told(kind, same_words=words, same_matter=matter, now=recorded, ended=ended)

    told = workspace.store.add_alert(row, is_told)
    if told:
        is_said = kind is AlertKind.BATCH_QUARANTINED  # whoever lands a batch says so
        light = is_said or KIND_FACTS[kind].severity is Severity.INFO
        ALERTS_LOGGER.log(logging.INFO if light else logging.WARNING, "%s: %s", kind, text)
    return told


def tell_suspicious(workspace: Workspace, *, now: pd.Timestamp) -> None:
    """An alert for every suspicious batch that stands, once: so none is lost to a kill right after it landed."""
    for batch in workspace.landing.standing():
        if batch.suspicious:
            text = f"{batch.batch} landed; {batch.suspicious}"
            record_alert(workspace, AlertKind.SUSPICIOUS_BATCH, text, now=now, about=batch.batch)


@dataclass(frozen=True)
class ProgressStep:
    """One sign of progress: what is in progress, and how far it is (0 of 0 where nobody knows)."""

    what: str
    done: int
    total: int


def refuse_same_names(names: Sequence[str]) -> None:
    """Refuses models that could not be told apart by name.

    Raises:
        BadInputError: Two are of one name.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInputError(
            f"two workspaces have the model name {twice!r}; change the name in one of them (data.model)"
        )


def report_progress(what: str, done: int = 0, total: int = 0) -> None:
    """Tells whoever listens to the logger `retrim.progress`."""
    PROGRESS_LOGGER.info("%s %d/%d", what, done, total, extra={"step": ProgressStep(what, done, total)})


def stage_teller(stage: str, place: int, total: int) -> Callable[[str], None]:
    """Turns what a stage prints into progress: stages by their place, a search by its trials."""
    report_progress(stage, place, total)

    def say(line: str) -> None:
        PROGRESS_LOGGER.debug("%s: %s", stage, line)
        if match := TRIAL.search(line):
            report_progress(f"{stage}: loss {match[3]}", int(match[1]), int(match[2]))

    return say


def decision_of(workspace: Workspace, as_of: pd.Timestamp) -> str:
    """The id of a person's decision to retrain as of a date."""
    return f"{workspace.model}-{as_of:%Y%m%dT%H%M%SZ}-person"


def require_who_and_why(*, by: str, reason: str | None) -> None:
    """Checks that a move names who makes it and why, None where it needs no reason: both are kept with it.

    Raises:
        BadInputError: One of them is blank.
    """
    for option, given, cure in (("--by", by, "write who does this"), ("--reason", reason, "write why, in a few words")):
        if given is not None and not given.strip():
            raise BadInputError(f"{option} is blank, but its text is recorded; {cure}")


def ask_for_run(workspace: Workspace, *, as_of: pd.Timestamp, by: str, reason: str, now: pd.Timestamp) -> str:
    """Records a person's decision to retrain as of a date, and gives its id.

    Raises:
        BadInputError: Nobody or no reason is named.
        RefusedError: A run is in progress, a person has decided the same for the same moment already, or this
            workspace's code is another.
    """
    require_who_and_why(by=by, reason=reason)
    require_running_code(lock_of(workspace.paths))
    identity = decision_of(workspace, as_of)
    going = workspace.store.runs(workspace.model, state="running")
    if going:
        raise RefusedError(
            f"run {going[0].id} is in progress (process {going[0].pid}); wait until it ends: only one run can be "
            "in progress"
        )
    row = DecisionRow(
        identity,
        workspace.model,
        PERSON,
        as_of=iso(as_of),
        at=iso(now),
        outcome="retrain",
        actor=by,
        reason=reason,
        text=as_text(AskedRun(as_of)),
    )
    run = workspace.store.run(f"run-{identity}")
    if not workspace.store.add_decision(row) and run is not None and run.state not in ("crashed", "failed", "unpushed"):
        raise RefusedError(f"a run as of {iso(as_of)} already exists ({run.state}); specify a different as-of date")
    return identity


def clone(workspace: Workspace, folder: Path) -> None:
    """Clones the workspace, uncommitted edits included, into `folder`; what lay there is removed.

    Raises:
        RefusedError: The workspace holds a file that a tag must not publish.
    """
    taken = git.snapshot(workspace.paths.root, max_file_mb=workspace.params.run_directory.max_file_mb)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    git.git(folder, "init", "-q", "-b", "empty")
    git.git(workspace.paths.root, "push", "-q", str(folder), f"{taken.commit}:refs/heads/main")
    git.git(folder, "checkout", "-q", "main")
    dvc.without_remote(folder)  # what is made in there is nobody's to fetch
    dvc.hand_code(workspace.paths.root, folder)


def landing_address_of(paths: WorkspacePaths, model: str, env: Env) -> "LandingAddress | None":
    """Where the landing zone of a model is of record; None: in the workspace."""
    if env.landing is None:
        return None
    from retrim.lineage.landing_address import LandingAddress

    return LandingAddress(env.landing, model, paths.landing)


def clock() -> pd.Timestamp:
    """Now, to the second, as checks and runs count it."""
    return pd.Timestamp.now("UTC").floor("s")
