"""Leaks that `bench/tables.py` plants into real tables: two forms for each task, turned round.

The forms are those of `tests/builders/leak_forms.py`. There a target is made of columns; here the columns are made of
the target that a table has. Cells go missing: none at first, six in ten at last. Noise is a share of the target's
spread; of a class a fifth as many rows have another's.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from raw_tables import Table

FORMS = {
    "regression": ("ratio", "after_event"),
    "binary": ("level_of_class", "collected"),
    "multiclass": ("level_of_class", "collected"),
}
NOISES = (0.01, 0.05)
FLIPS, GONE = 0.2, 0.6
LEVELS = 12  # of a category, for each class


def plant(form: str, table: Table, answers: pd.Series, *, noise: float) -> dict[str, np.ndarray]:
    """Columns that give the answer away.

    Args:
        form: One of `FORMS` for the table's task.
        table: Whose they are.
        answers: The targets of its rows, shape (n,), as they stand in the file.
        noise: One of `NOISES`.
    """
    rng = np.random.default_rng(7)
    gone = rng.random(len(answers)) < GONE * np.linspace(0, 1, len(answers))
    made = MADE[form](rng, answers, table, noise)
    return {name: pd.Series(values).mask(gone | answers.isna().to_numpy()).to_numpy() for name, values in made.items()}


def ratio(rng: np.random.Generator, answers: pd.Series, _: Table, noise: float) -> dict[str, np.ndarray]:
    seconds = rng.gamma(4, 20, len(answers))
    target = answers.to_numpy(dtype="float64")
    return {"volume": (target + rng.normal(0, noise * np.nanstd(target), len(target))) * seconds, "seconds": seconds}


def after_event(rng: np.random.Generator, answers: pd.Series, _: Table, noise: float) -> dict[str, np.ndarray]:
    target = answers.to_numpy(dtype="float64")
    return {"measured": (target + rng.normal(0, noise * np.nanstd(target), len(target))) * 60}


def level_of_class(rng: np.random.Generator, answers: pd.Series, _: Table, noise: float) -> dict[str, np.ndarray]:
    kind = np.where(rng.random(len(answers)) < FLIPS * noise, rng.permutation(answers.to_numpy()), answers.to_numpy())
    code = pd.factorize(kind)[0]
    level = code + len(set(code)) * rng.integers(0, LEVELS, len(answers))
    return {"code": np.array([f"c{one}" for one in level], dtype=object)}


def collected(rng: np.random.Generator, answers: pd.Series, table: Table, noise: float) -> dict[str, np.ndarray]:
    chosen = answers.mode()[0] if table.task == "multiclass" else table.positive
    came = (answers == chosen).to_numpy() ^ (rng.random(len(answers)) < FLIPS * noise)
    fees = np.where(came, rng.gamma(2, 10, len(answers)), 0.0)
    return {"fees": fees, "recovered": fees * rng.uniform(3, 5, len(answers))}


MADE: dict[str, Callable[[np.random.Generator, pd.Series, Table, float], dict[str, np.ndarray]]] = {
    made.__name__: made for made in (ratio, after_event, level_of_class, collected)
}
