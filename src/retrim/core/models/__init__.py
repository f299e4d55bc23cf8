"""Kinds of model by name. A kind fits and loads; a model predicts and gives its files."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from retrim.core.own_code import is_own
from retrim.core.plugins import Entry, Registry
from retrim.core.row_matrix import Matrix
from retrim.core.view import FeatureView

Link = Literal["identity", "log", "chance", "log odds", "shares", "log shares"]
"""What raw scores are: the prediction itself, or its logarithm (counts); the chance of the positive class, or its log
odds; shares of the classes before they are made to sum to 1, or their logarithms."""


class Model(Protocol):
    """A fitted model."""

    @property
    def link(self) -> Link:
        """What its raw scores are."""

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Predictions: shape (n,) for a regression or binary task, (n, classes) for a multiclass one."""

    def files(self) -> dict[str, bytes]:
        """Names and bytes of all that `ModelKind.load` needs; text only."""

    def gains(self) -> np.ndarray:
        """How much each feature helped, shape (features,), 0 or more."""

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """Raw scores: shape (n, 1), or (n, classes) for a multiclass task. `outputs` makes predictions of them."""

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """What each feature adds to each raw score of a row, exactly: the sum over the last axis is `scores`.

        Returns:
            Shape (n, 1 or classes, features + 1); the last is the base value, the score of the average training row.

        Raises:
            RefusedError: A model of these hyperparameters has no exact contributions.
        """


def outputs(scores: np.ndarray, link: Link) -> np.ndarray:
    """Predictions of raw scores: shape (n,), or (n, classes) where the link is `shares` or `log shares`."""
    if link == "identity":
        return np.asarray(scores[:, 0])
    if link == "log":
        return np.asarray(np.exp(scores[:, 0]))
    if link == "chance":
        return np.asarray(np.clip(scores[:, 0], 0.0, 1.0))
    if link == "shares":
        held = np.maximum(scores, 0.0)
        whole = held.sum(axis=1, keepdims=True)
        return np.asarray(np.where(whole > 0, held / np.where(whole > 0, whole, 1.0), 1 / scores.shape[1]))
    if link == "log odds":
        with np.errstate(over="ignore"):  # the chance is 0 then
            return np.asarray(1 / (1 + np.exp(-scores[:, 0])))
    grown = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


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
        matrix: Matrix,
        actual: np.ndarray,
        *,
        loss: str,
        hyperparameters: dict[str, Any],
        rounds: int,
        weights: np.ndarray | None,
        stop: tuple[Matrix, np.ndarray] | None,
        patience: int,
        seed: int,
        threads: int,
    ) -> Fitted:
        """Fits `rounds` rounds, or fewer when `stop` (matrix, actual) sees no gain for `patience` rounds.

        A row counts as often as its weight says, above 0, shape (n,); None: once. A matrix of very many rows can be
        read in slices alone: a kind that needs it whole begins with `np.asarray(matrix)`.
        """

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Model:
        """The model that `Model.files` described."""

    def check_space(self, names: Iterable[str]) -> None:
        """Refuses hyperparameters that it would pass over without a word.

        Raises:
            BadInputError: A name is none of its own, is set by retrim, or stands there twice under two names.
        """

    def check_aim(self, task: str, loss: str) -> None:
        """Refuses a task or a loss that it cannot be trained for.

        Raises:
            BadInputError: Says what it can be trained for.
        """


class Kinds(Registry[ModelKind]):
    """The registered kinds, and any file of the workspace that is named as one."""

    def entry(self, name: str) -> Entry[ModelKind]:
        if not is_own(name):
            return super().entry(name)
        from retrim.core.models.own import OwnKind

        kind = OwnKind(name)
        return Entry(name, kind, kind.facts)

    def __getitem__(self, name: str) -> ModelKind:
        if not is_own(name):
            return super().__getitem__(name)
        from retrim.core.models.own import OwnKind

        return OwnKind(name)


MODELS = Kinds("model")
"""With each name its `tasks`, and whether another seed gives another model (`seeded`)."""

from retrim.core.models import forest as _forest  # noqa: E402  registers itself
from retrim.core.models import gbm as _gbm  # noqa: E402  registers itself
from retrim.core.models import linear as _linear  # noqa: E402  registers linear and logistic
from retrim.core.models import stack as _stack  # noqa: E402  registers itself

__all__ = ["MODELS", "Fitted", "Link", "Model", "ModelKind", "_forest", "_gbm", "_linear", "_stack", "outputs"]
