"""What holds of every run of a task with classes that ends in a verdict."""

import math
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.exhibits import Exhibits
from retrim.files import write_folder
from retrim.stats.metrics import CLIP
from retrim.training.bundle import load_predictor
from tests.builders.run_directory import Room

DEAREST = -math.log(CLIP)
"""The most that a row can cost in log loss, as one of a class that the model never saw does."""


def numbers(record: Any) -> list[float]:
    """Every number in a record."""
    if isinstance(record, dict):
        return [number for value in record.values() for number in numbers(value)]
    if isinstance(record, list):
        return [number for value in record for number in numbers(value)]
    return [float(record)] if isinstance(record, int | float) else []


def assert_whole(run_directory: Room) -> None:
    """All that the run says is finite, its losses lie within their bounds, and its pictures can be drawn."""
    verdict = run_directory.record("verdict/verdict.json")
    judged = pd.read_parquet(run_directory.paths.verdict / "judged.parquet").select_dtypes("number").to_numpy()
    rows = run_directory.view[run_directory.view["_part"] == "judge"]
    predicted = load_predictor(run_directory.bundle).predict(rows)
    classes = run_directory.record("features/view.json")["classes"]

    assert all(map(math.isfinite, numbers(verdict)))
    assert np.isfinite(judged).all()
    assert all(0 <= loss <= DEAREST + 1e-6 for loss in verdict["losses"].values())
    assert predicted.shape == ((len(rows), len(classes)) if predicted.ndim == 2 else (len(rows),))
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert predicted.ndim == 1 or np.allclose(predicted.sum(axis=1), 1)
    write_folder(run_directory.paths.root / "shown", run_directory.bundle)
    assert all(
        content.startswith(b"\x89PNG") for content in Exhibits(run_directory.paths.root / "shown").pictures().values()
    )
