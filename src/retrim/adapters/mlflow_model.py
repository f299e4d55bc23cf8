"""The code that MLflow keeps beside a model: loads the bundle from text, so nothing is unpickled.

MLflow copies this file into the model and runs it whenever the model is loaded.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from retrim.stats.codec import from_record
from retrim.table.derived_columns import CalendarFeatures
from retrim.training.bundle import CALENDAR, Predictor, load_predictor, refuse_altered
from retrim.training.estimators import trust_all


class BundleModel(PythonModel):
    """A bundle's predictor, with its own preprocessing, behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        root = Path(context.artifacts["bundle"])
        files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        content = {name: path.read_bytes() for name, path in files.items()}
        refuse_altered(content)
        trust_all(content)  # whoever loads a model of MLflow runs code beside it: this very file
        self._predictor: Predictor = load_predictor(content)
        given = content.get(CALENDAR)
        self._calendar = None if given is None else from_record(CalendarFeatures, json.loads(given))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame:
        """Predictions of rows: shape (n,); a column a class for a multiclass task."""
        rows = model_input if self._calendar is None else self._calendar.put_into(model_input)
        predicted = self._predictor.predict(rows)
        if predicted.ndim == 1:
            return predicted
        return pd.DataFrame(predicted, columns=list(self._predictor.view.classes))


set_model(BundleModel())
