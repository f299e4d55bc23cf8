"""Versions of another registry under their own numbers: bundles as they are, and empty places for those left behind."""

from pathlib import Path

from retrim.adapters.registry import Registry
from retrim.errors import RetrimError


def adopt(registry: Registry, number: int, bundle: Path | None, *, run: str, bundle_id: str | None) -> None:
    """Registers a version with the bundle that another registry holds. Numbers have to come one after the other.

    Args:
        registry: An empty one, or with the versions below `number`.
        number: Of the version, from 1.
        bundle: Its folder; None for one that nobody will load.
        run: Our id of the run that made it.
        bundle_id: Its digest; None where nothing is known of it.

    Raises:
        RetrimError: The registry gave it another number.
    """
    from mlflow.exceptions import MlflowException

    parent = registry.open_run(run, f"version {number}", {"retrim.adopted": "true"})
    with registry.wrapped(f"adopt version {number}"):
        try:
            registry.client.create_registered_model(registry.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        if bundle is not None:
            registry.client.log_artifacts(parent, str(bundle), "bundle")
        root = registry.client.get_run(parent).info.artifact_uri
        tags = {"run": run, **({} if bundle_id is None else {"bundle": bundle_id})}
        made = registry.client.create_model_version(registry.model, f"{root}/model", parent, tags=tags)
        registry.finish(parent, "FINISHED")
    if int(made.version) != number:
        raise RetrimError(f"version {number} was adopted as {made.version}; the registry was not empty")
