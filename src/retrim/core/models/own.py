"""A model of one's own: a file of the workspace with `fit`, `predict`, `save` and `load`, behind the same protocol."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retrim.core.canonical import to_json
from retrim.core.models import Fitted, Link, outputs
from retrim.core.models.aims import check_classes, check_names
from retrim.core.models.own_file import call, constant
from retrim.core.models.skops_form import one_form
from retrim.core.own_code import CODE, CODE_FILE, parts_of
from retrim.core.row_matrix import Matrix
from retrim.core.table import ColumnType
from retrim.core.view import FeatureView
from retrim.errors import BadInputError, RefusedError

CONTENT_FILE, FACTS_FILE = "own_model.bin", "own_model.json"
LINKS: dict[str, Link] = {"regression": "identity", "binary": "chance", "multiclass": "shares"}
LOOKED_AT, MOST_COLUMNS = 256, 200
"""Training rows, spread evenly, whose predictions are looked at, and columns up to which each one's weight is."""


@dataclass(frozen=True)
class About:
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
        return [place for place, kind in enumerate(self.columns.values()) if kind == "category"]


@dataclass(frozen=True)
class Own:
    """A fitted model of one's own.

    Args:
        code: The file.
        path: Where it lies in the workspace, for messages.
        made: What `fit` or `load` gave.
        task: regression, binary or multiclass.
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
        return dict(self._files)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        """The code, what `save` gives, and what is known of the columns.

        Raises:
            BadInputError: `save` gives no bytes, or `load` makes another model of them.
        """
        if self.stored is not None:
            return self.stored
        content = call(self.code, self.path, "save", self.made)
        if not isinstance(content, bytes | bytearray):
            raise BadInputError(f"{self.path}: save gives {type(content).__name__}; give bytes, such as skops.io.dumps")
        kept = one_form(bytes(content))
        again = Own(self.code, self.path, call(self.code, self.path, "load", kept), *self._shape, None, None)
        rows = self._looked_at
        if not np.array_equal(again.predict(rows), self.predict(rows)):
            raise BadInputError(f"{self.path}: load gives a model that predicts otherwise than the one that was saved")
        facts = {"gains": [float(gain) for gain in self.gains()]}
        return {CODE_FILE: self.code, CONTENT_FILE: kept, FACTS_FILE: to_json(facts)}

    @property
    def _shape(self) -> tuple[str, int, int]:
        return self.task, self.classes, self.width

    def gains(self) -> np.ndarray:
        """How far predictions of training rows move where a column's cells change rows, shape (columns,).

        0 of all where there are more than `MOST_COLUMNS`.
        """
        if self.stored is not None:
            return np.array(json.loads(self.stored[FACTS_FILE])["gains"], dtype="float64")
        return self._weights

    @cached_property
    def _weights(self) -> np.ndarray:
        rows, found = self._looked_at, np.zeros(self.width)
        if len(rows) < 2 or self.width > MOST_COLUMNS:
            return found
        known = self.predict(rows)
        for place in range(self.width):
            turned = rows.copy()
            turned[:, place] = np.roll(turned[:, place], len(rows) // 2)
            found[place] = np.abs(self.predict(turned) - known).mean()
        return found

    @property
    def _looked_at(self) -> np.ndarray:
        return np.empty((0, self.width)) if self.rows is None else self.rows

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """What `predict` of the file gives, checked.

        Raises:
            BadInputError: Another shape, a value that is no number, or chances that are none.
        """
        wide = self.task == "multiclass"
        shape = (len(matrix), self.classes) if wide else (len(matrix),)
        if not len(matrix):
            return np.empty((0, self.classes if wide else 1))
        given = call(self.code, self.path, "predict", self.made, matrix.copy())
        try:
            found = np.asarray(given, dtype="float64")
        except (TypeError, ValueError, OverflowError) as error:
            raise BadInputError(
                f"{self.path}: predict gives {type(given).__name__}; give an array of numbers"
            ) from error
        if found.shape != shape:
            raise BadInputError(f"{self.path}: predict gives shape {found.shape}; a {self.task} task has {shape}")
        if not np.isfinite(found).all():
            wrong = int((~np.isfinite(found)).sum())
            raise BadInputError(
                f"{self.path}: predict gives {wrong} values that are missing or infinite, of {found.size}"
            )
        if self.task != "regression" and (found.min() < 0 or found.max() > 1 + 1e-9):
            raise BadInputError(f"{self.path}: predict gives {found.min():g} to {found.max():g}; chances are 0 to 1")
        if wide and np.abs(found.sum(axis=1) - 1).max() > 1e-6:
            raise BadInputError(f"{self.path}: the chances of a row sum to {found.sum(axis=1).max():g}; they sum to 1")
        return found if wide else found[:, None]

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        raise RefusedError(f"{self.path}: a model of one's own has no exact contributions")


@dataclass(frozen=True)
class OwnKind:
    """Fits and loads what a file of the workspace makes. It takes no rounds, and passes `stop` over.

    Args:
        name: `own:PATH@SHA256`.
    """

    name: str

    @property
    def path(self) -> str:
        return parts_of(self.name)[0]

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
        self.check_aim(view.task, loss)
        check_classes(view.task, len(view.classes))
        if not len(matrix):
            raise BadInputError(f"{self.path} refuses 0 rows; wait for more rows")
        matrix = np.asarray(matrix)
        kinds: dict[str, ColumnType] = {
            name: "category" if place in view.categorical else kind
            for place, (name, kind) in enumerate(view.columns.items())
        }
        about = About(kinds, view.task, view.classes, loss, dict(hyperparameters), weights, seed, threads)
        code = self._code()
        made = call(code, self.path, "fit", matrix.copy(), actual.copy(), about, said=f" refuses {len(matrix)} rows")
        places = np.linspace(0, len(matrix) - 1, min(len(matrix), LOOKED_AT)).round().astype("int64")
        model = Own(code, self.path, made, view.task, len(view.classes), matrix.shape[1], None, matrix[places])
        return Fitted(model, 1)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Own:
        """The stored model, by the code that is stored with it, where that may run here.

        Raises:
            RefusedError: It may not.
        """
        code = self._code()
        if files.get(CODE_FILE) != code:
            raise RefusedError(f"the code beside the stored model is not {self.name}; it was altered")
        made = call(code, self.path, "load", files[CONTENT_FILE])
        known = {name: files[name] for name in (CODE_FILE, CONTENT_FILE, FACTS_FILE)}
        return Own(code, self.path, made, view.task, len(view.classes), len(view.columns), known, None)

    def check_space(self, names: Iterable[str]) -> None:
        check_names(self.path, list(names), sorted(constant(self._code(), self.path, "HYPERPARAMETERS")))

    def check_aim(self, task: str, loss: str) -> None:
        losses = constant(self._code(), self.path, "LOSSES")
        known = losses.get(task, ())
        if loss.partition("@")[0] not in known:
            can = ", ".join(f"{each}: {'/'.join(names)}" for each, names in losses.items())
            raise BadInputError(f"judge.loss: {self.path} cannot train a {task} for {loss!r}; LOSSES has {can}")

    @property
    def facts(self) -> dict[str, Any]:
        """As a registered kind has them; whether the seed matters, nobody knows."""
        return {"tasks": tuple(constant(self._code(), self.path, "LOSSES")), "seeded": None}

    def _code(self) -> bytes:
        path, digest = parts_of(self.name)
        if digest is None or digest not in CODE:
            said = "" if digest is None else f" with SHA-256 {digest[:12]}"
            raise RefusedError(
                f"{path}{said} is code that nothing here stands for, and it is not run; look at it, and name it as "
                "train.model in params.yaml if it is yours"
            )
        return CODE[digest]
