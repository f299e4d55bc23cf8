"""scikit-learn's transformers as steps, by name, fitted on each column by itself and kept by skops.

What skops writes is put into one form, as its own holds places in memory and the time: the same fit, the same bytes.
"""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal
from warnings import catch_warnings, simplefilter
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from pydantic import JsonValue

from retrim.errors import BadInputError, RefusedError
from retrim.features.step import (
    ANY,
    CATEGORIES,
    NUMBERS,
    STEPS,
    Frame,
    Kind,
    Kinds,
    PreprocessingStep,
    StepColumn,
    StepState,
    TrainingRows,
    counts_of,
    held,
    kind_of,
    known,
)
from retrim.stats.plugins import near_keys

SCHEMA = "schema.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
FIXED = {"copy", "dtype", "feature_name_combiner", "handle_unknown", "method", "sparse_output", "unknown_value"}
"""Parameters that nobody sets: with other values a step would fail on rows that training did not foresee."""
DIGITS = 6
"""Decimals of a power that are kept. Processors differ beyond them."""
TRUSTED = ["numpy.dtype"]
"""Types that a transformer may hold beside those that skops trusts by itself."""
OF_WORDS = {"missing_values": None, "strategy": "most_frequent"}
"""How an imputer takes a category."""
SAMPLES: dict[Kinds, tuple[np.ndarray, ...]] = {
    NUMBERS: (np.array([[0.0], [1.0], [3.0]]),),
    CATEGORIES: (np.array([["a"], ["b"]], dtype=object),),
    ANY: (np.array([[0.0], [1.0], [np.nan]]), np.array([["a"], ["b"], [None]], dtype=object)),
}
"""Columns that show whether a transformer takes its parameters."""
POWERS = (-5.0, 5.0)
"""Range of a power. Beyond it a transformed column can collapse to one number."""
SCALING, IMPUTING = "sklearn.preprocessing", "sklearn.impute"


def one_form(content: bytes) -> bytes:
    """The archive with its parts numbered in the order of their first mention; any other bytes as they are."""
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        schema = json.loads(files.pop(SCHEMA))
    except (BadZipFile, KeyError, ValueError):
        return content
    numbers: dict[Any, int] = {}
    names: dict[str, str] = {}
    numbered = _numbered(schema, numbers, names, files)
    archive_bytes = io.BytesIO()
    with ZipFile(archive_bytes, "w", ZIP_STORED) as archive:
        for old, new in names.items():
            archive.writestr(_entry(new), files[old])
        archive.writestr(_entry(SCHEMA), json.dumps(numbered, indent=2))
    return archive_bytes.getvalue()


def _numbered(node: Any, numbers: dict[Any, int], names: dict[str, str], files: dict[str, bytes]) -> Any:
    if isinstance(node, list):
        return [_numbered(item, numbers, names, files) for item in node]
    if not isinstance(node, dict):
        return node
    record: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            record[key] = numbers.setdefault(value, len(numbers))  # a number either way
        elif key == "file" and isinstance(value, str) and value in files:
            record[key] = names.setdefault(value, f"{len(names)}.{value.rpartition('.')[2]}")
        else:
            record[key] = _numbered(value, numbers, names, files)
    return record


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.create_system = 3  # else it says on which system it was written
    entry.external_attr = 0o600 << 16
    return entry


@dataclass(frozen=True)
class FittedColumns:
    """What skops writes of each column's transformer, in base64, and the levels that a category had in training.

    A column of which training knew no cell has no transformer, and stays as it is.
    """

    fitted: dict[str, str]
    levels: dict[str, tuple[str, ...]]

    @cached_property
    def transformers(self) -> dict[str, Any]:
        """The transformers by column; bytes that hold anything else are refused."""
        import skops.io

        loaded = {}
        for name, text in self.fitted.items():
            content = base64.b64decode(text)
            strange = sorted({*skops.io.get_untrusted_types(data=content)} - {*TRUSTED})
            transformer = None if strange else skops.io.loads(content, trusted=TRUSTED)
            if type(transformer).__name__ not in STEPS:
                raise RefusedError(
                    f"the stored step of column {name!r} holds what is no step "
                    f"({', '.join(strange) or type(transformer).__name__}); restore the bundle from a backup"
                )
            loaded[name] = transformer
        return loaded


@dataclass(frozen=True)
class SklearnStep(PreprocessingStep[FittedColumns]):
    """scikit-learn's transformer of this name, with its parameters as arguments."""

    path: str
    takes: Kinds
    gives: Kind | Literal["same", "gone"]
    usual: Mapping[str, Any]
    learned = FittedColumns

    def built(self, parameters: Mapping[str, Any]) -> Any:
        """The transformer, not fitted."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)(**{**self.usual, **parameters})

    def read(self, name: str, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        names = sorted({*self.built({}).get_params()} - FIXED)
        for argument in given:
            if argument not in names:
                near = near_keys(names, argument, most=1)[0]
                raise ValueError(f"{name} has no argument {argument!r}; did you mean {near!r}?")
        refused: list[str] = []
        for values in SAMPLES[self.takes]:  # the kinds of a column are not known yet: one that takes it is enough
            try:
                with catch_warnings():
                    simplefilter("ignore")  # of fewer rows than quantiles
                    self.built(_tuples(given)).fit(values)
                return dict(given)
            except (TypeError, ValueError) as error:
                refused.append(str(error))
        raise ValueError(f"{name}: {refused[0]}")

    def learn(self, past: TrainingRows, **parameters: Any) -> StepState[FittedColumns]:
        fitted: dict[str, str] = {}
        makes: dict[str, StepColumn] = {}
        drops = []
        for name, values in past.frame.items():
            if not known(values).any():
                makes[name] = StepColumn(kind_of(values), name, name)
                continue
            transformer = self._fitted(name, values, parameters)
            for column, result in _made(transformer, name, values[:1]).items():
                if makes.setdefault(column, StepColumn(kind_of(result), name, column)).of != name:
                    raise BadInputError(
                        f"prepare.steps: a step creates {column!r} from both {makes[column].of!r} and {name!r}; "
                        "rename one of the two"
                    )
            drops += [] if name in makes else [name]
            fitted[name] = _stored(transformer)
        levels = {name: tuple(sorted(counts_of(each))) for name, each in past.frame.items() if each.dtype == object}
        return StepState(FittedColumns(fitted, levels), tuple(makes.values()), drops=tuple(drops))

    def _fitted(self, name: str, values: np.ndarray, parameters: Mapping[str, Any]) -> Any:
        words = self.takes == ANY and values.dtype == object
        transformer = self.built({**(OF_WORDS if words else {}), **_tuples(parameters)})
        try:
            with catch_warnings(), np.errstate(all="ignore"):
                simplefilter("ignore")  # of fewer rows than quantiles, and of powers that it tries and leaves
                transformer.fit(values[:, None])
        except ValueError as error:
            raise BadInputError(
                f"prepare.steps: {type(transformer).__name__} cannot be fitted on {name!r} "
                f"({' '.join(str(error).split())}); change its "
                "arguments, or leave the column out"
            ) from error
        if hasattr(transformer, "lambdas_"):
            transformer.lambdas_ = np.clip(np.round(transformer.lambdas_, DIGITS), *POWERS)
        return transformer

    def apply(self, frame: Frame, state: FittedColumns) -> Frame:
        columns: Frame = {}
        for name, values in frame.items():
            transformer = state.transformers.get(name)
            columns |= {name: values} if transformer is None else _made(transformer, name, values)
        return columns


def _tuples(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of numbers as tuples, which scikit-learn wants of ranges."""
    ranges = {
        name: tuple(value)
        for name, value in parameters.items()
        if isinstance(value, list) and all(isinstance(item, int | float) for item in value)
    }
    return {**parameters, **ranges}


def _made(transformer: Any, of: str, values: np.ndarray) -> Frame:
    """What it makes of a column: the column itself, `COLUMN:missing`, or `COLUMN=LEVEL`."""
    short = {of: of, f"missingindicator_{of}": f"{of}:missing"}
    names = [str(name) for name in transformer.get_feature_names_out([of])]
    result = np.empty((0, len(names)), dtype=values.dtype)
    if len(values):
        with catch_warnings(), np.errstate(all="ignore"):
            simplefilter("ignore")  # of levels that training did not know
            result = transformer.transform(values.copy()[:, None])
    columns: Frame = {}
    for number, name in enumerate(names):
        column = short.get(name) or f"{of}={name.removeprefix(f'{of}_')}"
        text = result.dtype == object and column == of
        columns[column] = result[:, number] if text else held(result[:, number].astype("float64"))
    return columns


def _stored(transformer: Any) -> str:
    import skops.io

    return base64.b64encode(one_form(skops.io.dumps(transformer))).decode()


LISTED = (
    SklearnStep(f"{SCALING}.StandardScaler", NUMBERS, "same", {}),
    SklearnStep(f"{SCALING}.MinMaxScaler", NUMBERS, "same", {}),
    SklearnStep(f"{SCALING}.RobustScaler", NUMBERS, "same", {}),
    SklearnStep(f"{SCALING}.PowerTransformer", NUMBERS, "same", {"standardize": False}),
    SklearnStep(f"{SCALING}.QuantileTransformer", NUMBERS, "same", {"random_state": 0}),
    SklearnStep(f"{IMPUTING}.SimpleImputer", ANY, "same", {}),
    SklearnStep(f"{SCALING}.OneHotEncoder", CATEGORIES, "gone", {"handle_unknown": "ignore", "sparse_output": False}),
    SklearnStep(
        f"{SCALING}.OrdinalEncoder",
        CATEGORIES,
        "number",
        {"handle_unknown": "use_encoded_value", "unknown_value": np.nan},
    ),
)
"""Those that take a column by itself, and a missing cell of it."""
for _each in LISTED:
    STEPS.register(_each.path.rpartition(".")[2], takes=_each.takes, gives=_each.gives)(_each)
