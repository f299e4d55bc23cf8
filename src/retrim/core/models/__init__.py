"""Kinds of model by name. A kind fits and loads; a model predicts and gives its files."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from retrim.core.plugins import Registry
from retrim.core.view import FeatureView


class Model(Protocol):
    """A fitted model."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Predictions: shape (n,) for a regression or binary task, (n, classes) for a multiclass one."""

    def files(self) -> dict[str, bytes]:
        """Names and bytes of all that `ModelKind.load` needs; text only."""

    def gains(self) -> np.ndarray:
        """How much each feature helped, shape (features,), 0 or more."""


@dataclass(frozen=True)
class Fitted:
    """A model, and the rounds it kept."""

    model: Model
    rounds: int


class ModelKind(Protocol):
    """Fits and loads models of one kind."""

    def fit(
        self,
        view: FeatureView,
        matrix: np.ndarray,
        actual: np.ndarray,
        *,
        loss: str,
        hyperparameters: dict[str, Any],
        rounds: int,
        weights: np.ndarray | None,
        stop: tuple[np.ndarray, np.ndarray] | None,
        patience: int,
        seed: int,
        threads: int,
    ) -> Fitted:
        """Fits `rounds` rounds, or fewer when `stop` (matrix, actual) sees no gain for `patience` rounds.

        A row counts as often as its weight says, above 0, shape (n,); None: once.
        """

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Model:
        """The model that `Model.files` described."""

    def check_space(self, names: Iterable[str]) -> None:
        """Refuses hyperparameters that it would pass over without a word.

        Raises:
            BadInputError: A name is none of its own, is set by retrim, or stands there twice under two names.
        """


MODELS: Registry[ModelKind] = Registry("model")

from retrim.core.models import gbm as _gbm  # noqa: E402  registers itself

__all__ = ["MODELS", "Fitted", "Model", "ModelKind", "_gbm"]
