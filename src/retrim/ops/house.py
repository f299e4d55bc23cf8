"""The house a use case works in: workspace, settings, and the adapters at their addresses."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from retrim.adapters.landing import Landing
from retrim.adapters.predictions import PredictionLog
from retrim.adapters.signing import Keys
from retrim.adapters.store import Store
from retrim.files import make_private_folder
from retrim.paths import Workspace
from retrim.settings import Env, Params, load_params

if TYPE_CHECKING:
    from retrim.adapters.registry import Registry


@dataclass(frozen=True)
class House:
    """A workspace with its settings; adapters are opened when first asked for."""

    workspace: Workspace
    params: Params
    env: Env

    @property
    def model(self) -> str:
        return self.params.data.model

    @cached_property
    def store(self) -> Store:
        make_private_folder(self.workspace.var)
        return Store(self.env.store_url or f"sqlite:///{self.workspace.var / 'retrim.db'}")

    @cached_property
    def predictions(self) -> PredictionLog:
        return PredictionLog(self.store)

    @cached_property
    def landing(self) -> Landing:
        return Landing(self.workspace.landing)

    @property
    def keys(self) -> Keys:
        return Keys(self.workspace.keys)

    @property
    def mlflow_url(self) -> str:
        return self.env.mlflow_url or f"sqlite:///{self.workspace.var / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> str:
        return self.env.mlflow_artifacts or str(self.workspace.var / "mlflow")

    @cached_property
    def registry(self) -> "Registry":
        from retrim.adapters.registry import Registry

        make_private_folder(self.workspace.var)
        return Registry(self.mlflow_url, self.mlflow_artifacts, self.model)


def open_house(start: Path) -> House:
    """The house of the workspace that holds `start`; its `var/` is closed to others, whoever made it."""
    workspace = Workspace.find(start)
    make_private_folder(workspace.var)
    return House(workspace, load_params(workspace.params), Env())
