"""Estimators by name: what one fits, loads and can be trained for, and which code of custom models may run.

A custom model is `own:PATH` in params.yaml and `own:PATH@SHA256` everywhere else, so that a recipe says which code it
uses. Nothing runs whose bytes were not named first.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from typing import Literal, Protocol

import numpy as np

from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView, Matrix
from retrim.stats.plugins import Plugin, PluginRegistry

OWN = "own:"
CODE_FILE = "own_model.py"
"""The code, in the folder of a model that it made."""
CODE: PluginRegistry[bytes] = PluginRegistry("code of a custom model")
"""By SHA-256. What stands here may run: a file of this workspace, or of a bundle whose hash is recorded here."""
NAMED = re.compile(r"own:(?P<path>[^@]+\.py)(?:@(?P<digest>[0-9a-f]{64}))?")
Link = Literal["identity", "log", "chance", "log odds", "shares", "log shares"]
"""What raw scores are: the prediction itself, or its logarithm (counts); the chance of the positive class, or its log
odds; shares of the classes before they are made to sum to 1, or their logarithms."""
Hyperparameters = Mapping[str, int | float | str | bool | None]
"""Values by name, as a search draws them."""
Losses = Mapping[str, Mapping[str, str]]
"""By task, by loss without what stands after its `@`: what a kind minimises for it."""


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
class FitTask:
    """How a model is fitted, beside its rows.

    Args:
        rounds: Of boosting; fewer where the rows of `stop` (matrix, actual) show no gain for `patience` rounds.
        threads: Changes no result.
        weights: How often each row counts, above 0, shape (n,); None: once.
    """

    loss: str
    hyperparameters: Hyperparameters
    rounds: int
    seed: int
    threads: int
    weights: np.ndarray | None = None
    stop: tuple[Matrix, np.ndarray] | None = None
    patience: int = 0


@dataclass(frozen=True)
class FittedModel:
    """A model, and the rounds of boosting it kept."""

    model: Model
    rounds: int


class Estimator(Protocol):
    """Fits and loads models of one kind."""

    def fit(self, view: FeatureView, matrix: Matrix, actual: np.ndarray, task: FitTask) -> FittedModel:
        """A matrix of very many rows can be read in slices alone: who needs it whole takes `np.asarray(matrix)`."""

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Model:
        """The model that `Model.files` described."""

    def check_space(self, names: Iterable[str]) -> None:
        """Refuses names that are none of its own, are set by retrim, or stand there twice under two names."""

    def check_aim(self, task: str, loss: str) -> None:
        """Refuses a task or a loss that it cannot be trained for, and says what it can be."""


def is_own(model: str) -> bool:
    return model.startswith(OWN)


def parts_of(model: str) -> tuple[str, str | None]:
    """Path and SHA-256 of an own model's name; None where it does not say the latter.

    Raises:
        BadInputError: It is no such name, or the path leads out of the workspace.
    """
    named = NAMED.fullmatch(model)
    path = "" if named is None else str(named["path"])
    parts = path.split("/")
    if named is None or "\\" in path or any(part in ("", ".", "..") or part.startswith(".git") for part in parts):
        raise BadInputError(
            f"train.model: {model!r} is not own:PATH or own:PATH@SHA256 with the PATH of a .py file in the workspace; "
            "write, for example, own:models/my_model.py"
        )
    return path, named["digest"]


def trust(code: bytes) -> str:
    """Lets code run in this process; gives its SHA-256."""
    digest = sha256(code).hexdigest()
    if digest not in CODE:
        CODE.register(digest)(code)
    return digest


def code_in(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The code among the files of a bundle, by SHA-256."""
    codes = [content for name, content in sorted(files.items()) if name.rpartition("/")[2] == CODE_FILE]
    return {sha256(content).hexdigest(): content for content in codes}


def trust_all(files: Mapping[str, bytes]) -> None:
    """Lets the code of a bundle run whose bytes were checked against what is recorded here."""
    for content in code_in(files).values():
        trust(content)


class Estimators(PluginRegistry[Estimator]):
    """The registered estimators, and any file of the workspace that is named as one."""

    def entry(self, name: str) -> Plugin[Estimator]:
        if not is_own(name):
            _register_shipped()
            return super().entry(name)
        from retrim.training.custom import CustomEstimator

        kind = CustomEstimator(name)
        return Plugin(name, kind, kind.facts)

    def __contains__(self, name: object) -> bool:
        _register_shipped()
        return super().__contains__(name)

    def __iter__(self) -> Iterator[Plugin[Estimator]]:
        _register_shipped()
        return super().__iter__()


def _register_shipped() -> None:
    """Imports the modules that enter themselves; each of them imports this one."""
    from retrim.training import linear, trees  # noqa: F401


MODELS = Estimators("model")
"""With each name its `tasks`, and whether another seed gives another model (`seeded`)."""


def aim_at(kind: str, losses: Losses, task: str, loss: str) -> tuple[str, float | None]:
    """What a kind minimises for a loss, and the value after its `@`.

    Raises:
        BadInputError: It has no such task, or cannot train for this loss.
    """
    name, _, value = loss.partition("@")
    known = losses.get(task, {})
    if name not in known:
        can = f"choose one of: {', '.join(known)}"
        if not known:
            can = f"choose a different train.model, because {kind} supports only {' or '.join(losses)} tasks"
        raise BadInputError(f"judge.loss: {kind} cannot train for {loss!r} on a {task} target; {can}")
    return known[name], float(value) if value else None


def check_classes(task: str, classes: int) -> None:
    """Refuses a multiclass model of fewer than two classes."""
    if task == "multiclass" and classes < 2:
        raise RefusedError(
            f"a multiclass model needs at least 2 classes, but the training rows have only {classes}; wait until "
            "rows of a second class are mature"
        )


def check_target(kind: str, actual: np.ndarray) -> None:
    """Refuses targets beyond single precision: LightGBM keeps them so, and squares of larger ones are infinite."""
    largest = float(np.abs(actual).max(initial=0))
    if largest > float(np.finfo(np.float32).max):
        raise BadInputError(
            f"the target has values up to {largest:.3g}, but {kind} supports only numbers up to 3.4e38; convert the "
            "target to a larger unit"
        )


def check_counts(actual: np.ndarray) -> None:
    """Refuses targets below 0, which are no counts."""
    if actual.min(initial=0) < 0:
        raise BadInputError(
            f"judge.loss: poisson needs target values of 0 or more, but the smallest is {actual.min():g}; choose mse "
            "or mae"
        )


def check_names(kind: str, names: list[str], known: list[str]) -> None:
    """Refuses a search space whose names are not the kind's own, or lack one of them."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; choose from: {', '.join(known)}"
            raise BadInputError(f"tune.space: {name!r} is not a parameter of {kind}{hint}")
    for name in known:
        if name not in names:
            raise BadInputError(f"tune.space: {kind} needs {name!r}; add it with bounds or choices")
