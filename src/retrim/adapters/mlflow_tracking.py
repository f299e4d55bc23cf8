"""MLflow's runs: one per retraining, a child per trial, with parameters, metrics and pictures.

Runs are found again by our own tags, so writing twice writes once.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
from sqlalchemy.engine import make_url

from retrim.adapters.database import make_private_sqlite
from retrim.adapters.exhibits import MetricPoint, plain_name
from retrim.decision.stored_rows import Lineage
from retrim.errors import BadInputError, RetrimError
from retrim.reading.address import address_of
from retrim.stats.codec import from_record
from retrim.training.tuning import Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUN, TRIAL, BUNDLES, PUBLISHED = "retrim.run", "retrim.trial", "retrim.bundles", "retrim.published"
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
LOGGED = "mlflow.log-model.history"
SOURCE = {"mlflow.source.name": "retrim", "mlflow.source.type": "LOCAL"}
MOST_PARAMS, MOST_TEXT = 100, 5000  # of a batch; characters of a value: MLflow's limits, or below them
DIGEST = re.compile(r"[0-9a-f]{32,}")

# Read by MLflow while it is imported. A value already there wins.
for _name, _value in {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its own 7 take minutes before they say that no server is there
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}.items():
    os.environ.setdefault(_name, _value)


class Experiment:
    """The experiment of one model, `retrim/<model>`.

    Args:
        tracking_url: `sqlite:///<absolute path>`, another database, or the address of a server.
        artifacts: Folder or address for the files of runs.
    """

    def __init__(self, tracking_url: str, artifacts: str, model: str) -> None:
        self.tracking_url = tracking_url
        self.artifacts = artifacts
        self.model = model

    @property
    def shown(self) -> str:
        """The address of MLflow without secrets."""
        return address_of(self.tracking_url).shown

    @cached_property
    def client(self) -> "MlflowClient":
        if self.tracking_url.startswith("sqlite"):
            make_private_sqlite(make_url(self.tracking_url))
        import mlflow

        self.be_default()
        return mlflow.MlflowClient(self.tracking_url, self.tracking_url)

    def be_default(self) -> None:
        """Sets both addresses for the process: what has no client of its own then writes nothing into its folder."""
        import mlflow

        mlflow.set_tracking_uri(self.tracking_url)
        mlflow.set_registry_uri(self.tracking_url)

    @cached_property
    def experiment(self) -> str:
        """Id of the experiment; made by the first who asks."""
        from mlflow.exceptions import MlflowException

        name = f"retrim/{self.model}"
        with self.wrapped(f"open the experiment {name}"):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is not None:
                return str(experiment.experiment_id)
            location = self.artifacts if urlsplit(self.artifacts).scheme else Path(self.artifacts).resolve().as_uri()
            tags = {
                NOTE: f"Retrainings of {self.model}: one run per retraining, with one child run per search trial.",
                "mlflow.experimentKind": "custom_model_development",  # or the UI opens as if for language models
            }
            try:
                return str(self.client.create_experiment(name, f"{location.rstrip('/')}/{self.model}", tags))
            except MlflowException:  # someone else was first
                experiment = self.client.get_experiment_by_name(name)
                if experiment is None:
                    raise
                return str(experiment.experiment_id)

    def usual_folder(self, run: str, name: str) -> Path | None:
        """A folder of a run's files where the experiment lays them, found without MLflow; None where there is none."""
        if urlsplit(self.artifacts).scheme:
            return None
        folder = Path(self.artifacts).resolve() / self.model / run / "artifacts" / name
        return folder if folder.is_dir() else None

    def require_files(self) -> None:
        """Refuses to begin where files of runs would lie at a path that nobody reads: MLflow keeps the first one."""
        with self.wrapped("find the files of runs"):
            location = urlsplit(self.client.get_experiment(self.experiment).artifact_location)
        folder = Path(url2pathname(location.path))
        if location.scheme not in ("", "file") or folder.is_dir() or folder.parent == Path(self.artifacts).resolve():
            return
        raise RetrimError(
            f"MLflow keeps the files of {self.model} in {folder}, which does not exist, because the workspace was "
            "moved or is mounted at a different path. Move or mount it at its old path, or create the missing folder "
            "as a symbolic link to the folder that contains the files"
        )

    @contextmanager
    def wrapped(self, what: str) -> Iterator[None]:
        """Turns MLflow's errors into a `RetrimError` that says what it could not do."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError  # a broken database; an ImportError: a missing driver

        try:
            yield
        except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
            why = address_of(self.tracking_url).clean(_first_line(error))
            raise RetrimError(
                f"MLflow at {self.shown} could not {what}: {why}; check RETRIM_MLFLOW_URL, and check that the store "
                "or server can be reached"
            ) from error

    def open_run(self, run_id: str, name: str, tags: Mapping[str, str]) -> str:
        """MLflow's id of the run of one retraining: the one made before, set to running again, or a new one."""
        self.require_files()
        with self.wrapped(f"open run {run_id}"):
            runs = self._search(f"tags.`{RUN}` = '{quotable(run_id)}'")
            if not runs:
                ours = {RUN: run_id, **SOURCE}
                run = self.client.create_run(self.experiment, run_name=name, tags={**tags, **ours})
                return str(run.info.run_id)
            mlflow_run = str(runs[0].info.run_id)
            self.client.update_run(mlflow_run, status="RUNNING", name=name)
            for key, value in tags.items():
                self.client.set_tag(mlflow_run, key, value)
            return mlflow_run

    def log_trials(self, parent: str, trials: Sequence[Trial], known: set[int] | None) -> set[int]:
        """A child run of each trial, once; gives the numbers that are there now.

        Args:
            known: Numbers that are known to be there; None asks MLflow, and replaces child runs that a kill left half
                written or that an earlier attempt wrote with other figures.
        """
        with self.wrapped("log trials"):
            done = self._whole_trials(parent, trials) if known is None else set(known)
            for trial in trials:
                if trial.number not in done:
                    self._log_trial(parent, trial)
                    done.add(trial.number)
            return done

    def _whole_trials(self, parent: str, trials: Sequence[Trial]) -> set[int]:
        """Numbers of the trials whose child run is whole; drops every other child run."""
        expected = {trial.number: _shown(trial) for trial in trials}
        whole: set[int] = set()
        for run in self._search(f"tags.`{PARENT}` = '{parent}'"):
            number = int(run.data.tags[TRIAL])
            shown = (run.data.params, run.data.metrics.get("loss"))
            if run.info.status == "FINISHED" and shown == expected.get(number) and number not in whole:
                whole.add(number)
            else:
                self.client.delete_run(run.info.run_id)
        return whole

    def _log_trial(self, parent: str, trial: Trial) -> None:
        from mlflow.entities import Metric, Param

        tags = {PARENT: parent, TRIAL: str(trial.number), **SOURCE}
        run = self.client.create_run(self.experiment, run_name=f"trial {trial.number:03d}", tags=tags)
        at = run.info.start_time
        params, loss = _shown(trial)
        metrics = [Metric("loss", loss, at, 0)]
        metrics += [Metric("fold_loss", value, at, step) for step, value in enumerate(trial.losses)]
        metrics += [Metric("fold_rounds", float(rounds), at, step) for step, rounds in enumerate(trial.rounds)]
        self.client.log_batch(run.info.run_id, metrics, [Param(name, value) for name, value in params.items()])
        self.client.set_terminated(run.info.run_id, "FINISHED")

    def log_figures(
        self, parent: "Run", bundle_id: str, params: Mapping[str, str], points: Sequence[MetricPoint]
    ) -> None:
        """Parameters and metrics of a bundle; the same again changes nothing.

        MLflow never changes a parameter: those that differ from what a killed attempt logged to this run of another
        bundle get a number behind their name. Later metrics win.
        """
        from mlflow.entities import Metric, Param

        run_id = parent.info.run_id
        begun = list(dict.fromkeys([*filter(None, parent.data.tags.get(BUNDLES, "").split(",")), bundle_id]))
        self.client.set_tag(run_id, BUNDLES, ",".join(begun))
        place = begun.index(bundle_id)
        given = []
        for name, full in params.items():
            value = full[:MOST_TEXT]
            differs = parent.data.params.get(name, value) != value
            given.append(Param(f"{name}.{place + 1}" if differs else name, value))
        for start in range(0, len(given), MOST_PARAMS):
            self.client.log_batch(run_id, params=given[start : start + MOST_PARAMS])
        at = parent.info.start_time + place  # one moment for all, so that logging twice logs once
        self.client.log_batch(run_id, [Metric(point.metric, point.value, at, point.step) for point in points])

    def log_lineage(self, parent: str, lineage: Mapping[str, Any]) -> None:
        """What a run was made from, as tags; its snapshot and its data also where the UI looks for them.

        Digests are cut, or the UI shows nothing of a tag's name; lineage.json has them whole, and the lists of records.
        """
        from mlflow.entities import Dataset, DatasetInput

        for name, value in lineage.items():
            if not isinstance(value, list) or (value and all(isinstance(item, str) for item in value)):
                self.client.set_tag(parent, f"lineage.{name}", _short(str(value)))
        made_from = from_record(Lineage, lineage)
        if made_from.snapshot is not None:
            self.client.set_tag(parent, "mlflow.source.git.commit", made_from.snapshot)
        if made_from.raw_digest is not None:
            digest = _short(made_from.raw_digest)
            data = Dataset(name=f"{self.model} batches", digest=digest, source_type="dvc", source="data/raw.dvc")
            self.client.log_inputs(parent, [DatasetInput(data)])

    def list_model(self, run: "Run") -> None:
        """Lets MLflow's list of runs show the version that was registered from a run."""
        at = pd.Timestamp(run.info.start_time, unit="ms").isoformat(sep=" ")
        logged = {"artifact_path": "model", "run_id": run.info.run_id, "utc_time_created": at}
        self.client.set_tag(run.info.run_id, LOGGED, json.dumps([{**logged, "flavors": {"python_function": {}}}]))

    def finish(self, parent: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        with self.wrapped(f"end run {parent}"):
            self.client.set_terminated(parent, status)

    def end_open(self, run_id: str, status: Literal["FAILED", "KILLED"]) -> None:
        """Ends the open MLflow runs of a retraining: its own and those of its trials. Without any, it does nothing."""
        with self.wrapped(f"end the open MLflow runs of {run_id}"):
            for parent in self._search(f"tags.`{RUN}` = '{quotable(run_id)}'"):
                for run in (*self._search(f"tags.`{PARENT}` = '{parent.info.run_id}'"), parent):
                    if run.info.status == "RUNNING":
                        self.client.set_terminated(run.info.run_id, status)

    def _search(self, condition: str) -> list["Run"]:
        return all_pages(lambda token: self.client.search_runs([self.experiment], condition, page_token=token))


def artifact_folder(run: "Run") -> Path | None:
    """Where the files of a run lie; None where that is not on this disk."""
    root = urlsplit(run.info.artifact_uri)
    return Path(url2pathname(root.path)) if root.scheme in ("", "file") else None


def _shown(trial: Trial) -> tuple[dict[str, str], float]:
    return {plain_name(name): str(value) for name, value in trial.hyperparameters.items()}, trial.loss


def _short(value: str) -> str:
    return value[:12] if DIGEST.fullmatch(value) else value[:MOST_TEXT]


def all_pages(page: Callable[[str | None], Any]) -> list[Any]:
    """What all pages of an MLflow search hold."""
    items, token = [], None
    while True:
        part = page(token)
        items.extend(part)
        token = part.token
        if not token:
            return items


def quotable(value: str) -> str:
    """The value, if it may stand between quotes in an MLflow search."""
    if "'" in value:
        raise BadInputError(f"{value!r} contains a single quote, which MLflow cannot search for; remove the quote")
    return value


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
