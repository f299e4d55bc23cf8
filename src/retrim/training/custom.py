"""Custom models: a file of the workspace with `fit`, `predict`, `save` and `load`, behind the common protocol."""

import ast
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from traceback import extract_tb
from types import ModuleType
from typing import Any

import numpy as np

from retrim.errors import BadInputError, RefusedError
from retrim.features.transformers import one_form
from retrim.features.view import FeatureView, Matrix
from retrim.stats.codec import to_json
from retrim.table.data import ColumnType
from retrim.training.estimators import (
    CODE,
    CODE_FILE,
    FitTask,
    FittedModel,
    Link,
    check_classes,
    check_names,
    outputs,
    parts_of,
)

FUNCTIONS = ("fit", "predict", "save", "load")
CONSTANTS = ("HYPERPARAMETERS", "LOSSES")
UNPICKLE = ("cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve")
CONTENT_FILE, FACTS_FILE = "own_model.bin", "own_model.json"
LINKS: dict[str, Link] = {"regression": "identity", "binary": "chance", "multiclass": "shares"}
LOOKED_AT, MOST_COLUMNS = 256, 200
"""Training rows, spread evenly, whose predictions are looked at, and columns up to which each one's weight is."""


@lru_cache(maxsize=64)
def module_of(code: bytes, path: str) -> ModuleType:
    """The file, run once; refused where it unpickles, lacks a function, or has a constant of another shape."""
    try:
        tree = ast.parse(code, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInputError(f"{path} is not valid Python ({error}); correct it") from error
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.partition(".")[0] in UNPICKLE:
                raise BadInputError(f"{path} imports {name}, but retrim never loads pickles; use skops.io instead")
    module = ModuleType(f"retrim_own_model_{sha256(code).hexdigest()[:16]}")
    # Dataclasses look up the module of a class by its name, so that it has one that nothing else has.
    sys.modules[module.__name__] = module
    try:
        exec(compile(tree, path, "exec"), module.__dict__)  # noqa: S102  code that the workspace names as its own
    except (Exception, SystemExit) as error:  # a file that ends the process would end retrim without a word
        sys.modules.pop(module.__name__, None)
        fault = f"{type(error).__name__}: {error}"
        raise BadInputError(f"{_place(path, error)}: the import fails with {fault}; correct the file") from error
    lacking = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    lacking += [name for name in CONSTANTS if not hasattr(module, name)]
    if lacking:
        raise BadInputError(f"{path} lacks {', '.join(lacking)}; add them as docs/how-to/own-model.md describes")
    _check_constants(module, path)
    return module


def _check_constants(module: ModuleType, path: str) -> None:
    names, losses = (getattr(module, name) for name in CONSTANTS)
    if not _are_names(names):
        raise BadInputError(
            f"{path}: HYPERPARAMETERS is {str(names)[:80]!r}; set it to a tuple of names, such as ('depth', 'rate'), "
            "or to () if there are none"
        )
    shaped = isinstance(losses, dict) and _are_names(tuple(losses)) and all(map(_are_names, losses.values()))
    if not shaped:
        raise BadInputError(
            f"{path}: LOSSES is {str(losses)[:80]!r}; set it to the losses of each task, such as {{'regression': "
            "('mse', 'mae')}"
        )


def _are_names(given: Any) -> bool:
    """Whether it is several names; a text is one, and its signs are none."""
    return isinstance(given, tuple | list | set | frozenset) and all(isinstance(name, str) for name in given)


def constant(code: bytes, path: str, name: str) -> Any:
    return getattr(module_of(code, path), name)


def call(code: bytes, path: str, name: str, *arguments: Any, said: str = "") -> Any:
    """What a function of the file gives; what it raises is a person's mistake, and is told with its line."""
    function: Callable[..., Any] = getattr(module_of(code, path), name)
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        fault = f"{name}{said} fails with {type(error).__name__}: {error}"
        raise BadInputError(f"{_place(path, error)}: {fault}; correct the function") from error


def _place(path: str, error: BaseException) -> str:
    """The file, and the newest of its lines that an error went through."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path


@dataclass(frozen=True)
class FitContext:
    """What `fit` is told beside matrix and target.

    Args:
        columns: Columns of the matrix and their types, in its order: number, integer or category. A category is
            its code, NaN where it is missing or was never seen in training.
        task: regression, binary or multiclass.
        classes: Names of the classes by code; for a binary task the last is the positive one.
        loss: What `judge.loss` says, such as mae or log_loss.
        hyperparameters: Of this trial, as `tune.space` names them.
        weights: How often each row counts, shape (n,); None: once.
        seed: The same seed must give the same model.
        threads: That it may use; they must not change the model.
    """

    columns: dict[str, ColumnType]
    task: str
    classes: tuple[str, ...]
    loss: str
    hyperparameters: dict[str, Any]
    weights: np.ndarray | None
    seed: int
    threads: int

    @property
    def categorical(self) -> list[int]:
        """Places of the categories in the matrix."""
        return [number for number, kind in enumerate(self.columns.values()) if kind == "category"]


@dataclass(frozen=True)
class CustomModel:
    """A fitted model of one's own.

    Args:
        path: Where its code lies in the workspace, for messages.
        made: What `fit` or `load` gave.
        classes: How many.
        width: Columns of the matrix.
        stored: What it was loaded from; None for one that was just fitted.
        rows: Training rows to look at; None for one that was loaded.
    """

    code: bytes
    path: str
    made: Any
    task: str
    classes: int
    width: int
    stored: dict[str, bytes] | None
    rows: np.ndarray | None

    @property
    def link(self) -> Link:
        return LINKS[self.task]

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        """The code, what `save` gives, and what is known of the columns.

        Raises:
            BadInputError: `save` gives no bytes, or `load` makes another model of them.
        """
        return dict(self._files)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        if self.stored is not None:
            return self.stored
        content = call(self.code, self.path, "save", self.made)
        if not isinstance(content, bytes | bytearray):
            fault = f"{self.path}: save returns a value of type {type(content).__name__}"
            raise BadInputError(f"{fault}; return bytes, for example from skops.io.dumps")
        stored = one_form(bytes(content))
        again = replace(self, made=call(self.code, self.path, "load", stored), rows=None)
        rows = self._looked_at
        if not np.array_equal(again.predict(rows), self.predict(rows)):
            raise BadInputError(
                f"{self.path}: load returns a model whose predictions differ from those of the saved one; make save "
                "store everything that predict uses"
            )
        facts = to_json({"gains": self.gains().tolist()})
        return {CODE_FILE: self.code, CONTENT_FILE: stored, FACTS_FILE: facts}

    def gains(self) -> np.ndarray:
        """How far predictions of training rows move where a column's cells change rows, shape (columns,)."""
        if self.stored is not None:
            return np.array(json.loads(self.stored[FACTS_FILE])["gains"], dtype="float64")
        return self._weights

    @cached_property
    def _weights(self) -> np.ndarray:
        rows, moves = self._looked_at, np.zeros(self.width)
        if len(rows) < 2 or self.width > MOST_COLUMNS:
            return moves
        known = self.predict(rows)
        for column in range(self.width):
            turned = rows.copy()
            turned[:, column] = np.roll(turned[:, column], len(rows) // 2)
            moves[column] = np.abs(self.predict(turned) - known).mean()
        return moves

    @property
    def _looked_at(self) -> np.ndarray:
        return np.empty((0, self.width)) if self.rows is None else self.rows

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """What `predict` of the file gives, checked.

        Raises:
            BadInputError: Another shape, a value that is not a number, or chances that are none.
        """
        wide = self.task == "multiclass"
        shape = (len(matrix), self.classes) if wide else (len(matrix),)
        if not len(matrix):
            return np.empty((0, self.classes if wide else 1))
        given = call(self.code, self.path, "predict", self.made, matrix.copy())
        try:
            scores = np.asarray(given, dtype="float64")
        except (TypeError, ValueError, OverflowError) as error:
            raise BadInputError(
                f"{self.path}: predict returns a {type(given).__name__} that cannot be read as numbers ({error}); "
                "return an array of numbers, not of labels"
            ) from error
        if scores.shape != shape:
            raise BadInputError(
                f"{self.path}: predict returns an array of shape {scores.shape}, but a {self.task} task needs shape "
                f"{shape}"
            )
        if not np.isfinite(scores).all():
            wrong = int((~np.isfinite(scores)).sum())
            raise BadInputError(
                f"{self.path}: {wrong} of {scores.size} values that predict returns are missing or infinite; return "
                "finite numbers"
            )
        if self.task != "regression" and (scores.min() < 0 or scores.max() > 1 + 1e-9):
            raise BadInputError(
                f"{self.path}: predict returns values from {scores.min():g} to {scores.max():g}; return probabilities "
                "between 0 and 1"
            )
        if wide and np.abs(scores.sum(axis=1) - 1).max() > 1e-6:
            raise BadInputError(
                f"{self.path}: the probabilities of a row sum to {scores.sum(axis=1).max():g}; make each row sum to 1"
            )
        return scores if wide else scores[:, None]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        raise RefusedError(
            f"{self.path}: a custom model has no exact contributions; to explain predictions, train a version with "
            "a different estimator"
        )


@dataclass(frozen=True)
class CustomEstimator:
    """Fits and loads what a file of the workspace makes. It takes no rounds, and passes `stop` over."""

    name: str

    @property
    def path(self) -> str:
        return parts_of(self.name)[0]

    def fit(self, view: FeatureView, matrix: Matrix, actual: np.ndarray, task: FitTask) -> FittedModel:
        self.check_aim(view.task, task.loss)
        check_classes(view.task, len(view.classes))
        if not len(matrix):
            raise BadInputError(f"{self.path} cannot be trained on 0 rows; wait for more rows")
        matrix = np.asarray(matrix)
        kinds: dict[str, ColumnType] = {
            name: "category" if number in view.categorical else kind
            for number, (name, kind) in enumerate(view.columns.items())
        }
        about = FitContext(
            columns=kinds,
            task=view.task,
            classes=view.classes,
            loss=task.loss,
            hyperparameters=dict(task.hyperparameters),
            weights=task.weights,
            seed=task.seed,
            threads=task.threads,
        )
        code = self._code()
        fitted = call(code, self.path, "fit", matrix.copy(), actual.copy(), about, said=f" on {len(matrix)} rows")
        places = np.linspace(0, len(matrix) - 1, min(len(matrix), LOOKED_AT)).round().astype("int64")
        model = CustomModel(
            code, self.path, fitted, view.task, len(view.classes), matrix.shape[1], None, matrix[places]
        )
        return FittedModel(model, 1)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> CustomModel:
        """The stored model, by the code that is stored with it, where that may run here."""
        code = self._code()
        if files.get(CODE_FILE) != code:
            raise RefusedError(
                f"the code stored with the model differs from {self.name}: it was altered; restore the bundle from a "
                "backup"
            )
        loaded = call(code, self.path, "load", files[CONTENT_FILE])
        known = {name: files[name] for name in (CODE_FILE, CONTENT_FILE, FACTS_FILE)}
        return CustomModel(code, self.path, loaded, view.task, len(view.classes), len(view.columns), known, None)

    def check_space(self, names: Iterable[str]) -> None:
        check_names(self.path, list(names), sorted(constant(self._code(), self.path, "HYPERPARAMETERS")))

    def check_aim(self, task: str, loss: str) -> None:
        losses = constant(self._code(), self.path, "LOSSES")
        known = losses.get(task, ())
        if loss.partition("@")[0] not in known:
            can = ", ".join(f"{name}: {'/'.join(names)}" for name, names in losses.items())
            raise BadInputError(
                f"judge.loss: {self.path} cannot train for {loss!r} on a {task} target; choose one of its LOSSES "
                f"({can})"
            )

    @property
    def facts(self) -> dict[str, Any]:
        """As a registered kind has them; whether the seed matters, nobody knows."""
        return {"tasks": tuple(constant(self._code(), self.path, "LOSSES")), "seeded": None}

    def _code(self) -> bytes:
        path, digest = parts_of(self.name)
        if digest is None or digest not in CODE:
            which = "" if digest is None else f" with SHA-256 {digest[:12]}"
            raise RefusedError(
                f"{path}{which} is not run, because params.yaml does not refer to it; read the code and, if you trust "
                f"it, set train.model to own:{path} in params.yaml"
            )
        return CODE[digest]
