"""Lists the MLflow runs that no version needs, and erases them."""

import shutil
from collections.abc import Collection, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from retrim.adapters.mlflow_registry import ModelRegistry
from retrim.adapters.mlflow_server import is_server
from retrim.adapters.mlflow_tracking import PARENT, RUN, all_pages, artifact_folder
from retrim.errors import RetrimError

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Leftover:
    """An MLflow run that no version needs, and why; 0 bytes if its files are not on this disk."""

    id: str
    bytes: int
    why: str


def leftovers(registry: ModelRegistry, failed: set[str], refused: Collection[str] = ()) -> Iterator[Leftover]:
    """MLflow runs that no version needs: deleted, of failed retrainings, or trials of versions refused long ago.

    Args:
        failed: Ids of the runs that failed.
        refused: Ids of the runs whose versions were refused long ago.
    """
    from mlflow.entities import ViewType

    with registry.wrapped("list runs"):
        needed = {version.run for version in registry.versions()}
        if registry.client.get_experiment_by_name(f"retrim/{registry.model}") is None:
            return
        every: list[Run] = all_pages(
            lambda token: registry.client.search_runs([registry.experiment], "", ViewType.ALL, page_token=token)
        )
    dead = {run.info.run_id for run in every if run.data.tags.get(RUN) in failed and run.info.run_id not in needed}
    judged = {run.info.run_id for run in every if run.data.tags.get(RUN) in refused}
    for run in every:
        number, parent = run.info.run_id, run.data.tags.get(PARENT)
        if number in needed:
            continue
        if run.info.lifecycle_stage == "deleted":
            why = "it is marked as deleted"
        elif number in dead or parent in dead:
            why = "its retraining failed"
        elif parent in judged:
            why = "its version was refused long ago; a summary of its trials is kept"
        else:
            continue
        yield Leftover(number, sum(path.stat().st_size for path in _files(run)), why)


def erase(registry: ModelRegistry, number: str) -> None:
    """Deletes an MLflow run with its metrics and files for good; does nothing if it does not exist.

    Raises:
        RetrimError: The run is on an MLflow server, or MLflow cannot delete it.
    """
    from mlflow.cli import gc
    from mlflow.exceptions import MlflowException

    if is_server(registry.tracking_url):
        raise RetrimError(
            f"the MLflow server at {registry.shown} cannot delete runs over the network; run `mlflow gc` on the "
            "machine of that server"
        )
    with registry.wrapped(f"delete run {number}"):
        try:
            run = registry.client.get_run(number)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return
            raise
        folder = _folder_of(run)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if run.info.lifecycle_stage != "deleted":
            registry.client.delete_run(number)
        store = ["--backend-store-uri", registry.tracking_url, "--tracking-uri", registry.tracking_url]
        with redirect_stdout(StringIO()):
            gc.main([*store, "--run-ids", number], standalone_mode=False)


def _folder_of(run: "Run") -> Path | None:
    """The folder of a run on this disk; None if it is elsewhere."""
    artifacts = artifact_folder(run)
    return None if artifacts is None else artifacts.parent


def _files(run: "Run") -> list[Path]:
    folder = _folder_of(run)
    return [] if folder is None else [path for path in folder.rglob("*") if path.is_file()]
