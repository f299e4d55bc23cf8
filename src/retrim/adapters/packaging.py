"""A bundle as MLflow keeps a model: our code, the bundle's text, signature, example, requirements. Nothing pickled."""

from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from retrim.core.own_code import CODE_FILE

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

CODE = Path(__file__).with_name("mlflow_model.py")
# What loading a bundle imports. retrim itself is on no index, so it must not be asked for by name there.
NEEDED = ("lightgbm", "mlflow", "numpy", "optuna", "pandas", "pyarrow", "pydantic", "scikit-learn", "scipy")


def save_model(folder: Path, predicting: Path, view: Mapping[str, Any], example: pd.DataFrame) -> None:
    """Writes a model to `folder`.

    Args:
        folder: Made here.
        predicting: The files of a bundle that predicting takes.
        view: Record of its feature view.
        example: A few rows of the table.
    """
    import mlflow
    from mlflow.models import Model

    rows = example[[name for name, _ in _needed(view)]]
    times = [name for name, kind in _needed(view) if kind == "time"]
    rows = rows.assign(**{name: rows[name].dt.tz_convert(None) for name in times})  # MLflow takes no others
    mlflow.pyfunc.save_model(
        path=str(folder),
        python_model=str(CODE),
        artifacts={"bundle": str(predicting)},
        signature=_signature(view),
        input_example=rows,
        pip_requirements=[f"{name}=={installed(name)}" for name in (*NEEDED, *_of_own(predicting))],
    )
    record = Model.load(str(folder))
    python = record.flavors["python_function"]
    python["model_code_path"] = CODE.name  # MLflow loads by this name from the folder; where we had it concerns nobody
    python["artifacts"]["bundle"]["uri"] = python["artifacts"]["bundle"]["path"]
    record.save(str(folder / "MLmodel"))


def _of_own(predicting: Path) -> tuple[str, ...]:
    """What a model of one's own needs beside that, as far as is known: what docs/own-model.md keeps it with."""
    return ("skops",) if any(predicting.rglob(CODE_FILE)) else ()


def _signature(view: Mapping[str, Any]) -> "ModelSignature":
    """Features in, predictions out. Any feature may be missing, so whole numbers go as doubles; a time is in UTC."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    kinds = {
        "number": DataType.double,
        "integer": DataType.double,
        "category": DataType.string,
        "time": DataType.datetime,
    }
    given: list[ColSpec | TensorSpec] = [ColSpec(kinds[kind], name) for name, kind in _needed(view)]
    if view["task"] == "multiclass":
        given_back: list[ColSpec | TensorSpec] = [ColSpec(DataType.double, name) for name in view["classes"]]
        return ModelSignature(Schema(given), Schema(given_back))
    return ModelSignature(Schema(given), Schema([ColSpec(DataType.double)]))


def _needed(view: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and types of the columns that rows must have; the event's time is one where a step reads it."""
    features = [(feature["name"], feature["type"]) for feature in view["features"]]
    return features if view.get("time") is None else [*features, (view["time"], "time")]
