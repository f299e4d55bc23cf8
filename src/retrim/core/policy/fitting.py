"""The fits behind a loss matrix: one a training window and block, scored on everything that came later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.core.metrics import row_losses
from retrim.core.policy.cut import Cut
from retrim.core.prepare import StepParams
from retrim.core.table import DataParams
from retrim.core.training import Recipe, WindowKind, fit_recipe, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import past_of


@dataclass(frozen=True)
class Job:
    """One fit: the training window, and the block (counted through all windows) that it is made just before."""

    kind: WindowKind
    origin: int


@dataclass(frozen=True)
class Scored:
    """What a fit lost on the cells after its origin.

    Args:
        job: Which fit.
        sums: Loss summed over the rows of each cell from the origin's on, in order.
        fitted_rows: Rows it was fitted on.
    """

    job: Job
    sums: np.ndarray
    fitted_rows: int


def jobs(cut: Cut, kinds: tuple[WindowKind, ...]) -> list[Job]:
    """Every fit that the matrix needs, those before whole windows first."""
    origins = sorted(range(len(cut.starts)), key=lambda origin: (origin % cut.blocks != 0, origin))
    return [Job(kind, origin) for origin in origins for kind in kinds]


def score_job(
    job: Job,
    table: pd.DataFrame,
    cut: Cut,
    recipe: Recipe,
    data: DataParams,
    steps: Sequence[StepParams] = (),
    *,
    sliding_rows: int,
    threads: int,
    at_event: bool = False,
    known: np.ndarray | None = None,
) -> Scored:
    """Fits the recipe on what was due before the job's origin, and scores it on every later row.

    Args:
        job: Which fit.
        table: Mature rows in total order with `_event` and `_due`.
        cut: Windows, blocks and cells of the table.
        recipe: What is fitted, each time on other rows.
        data: What the table is; the view is learned anew, as a retraining would.
        steps: What prepares the features, learned anew likewise.
        sliding_rows: Rows of a sliding training window.
        threads: Of the fit; changes no result.
        at_event: Whether labels count as known at their event, as where a delay in windows keeps the fits back. Steps
            go by when they were due all the same.
        known: The first block before which a fit may know each row, shape (n,); None: labels come with their rows.
    """
    start = int(cut.starts[job.origin])
    past = past_of(table["_event"], table["_event" if at_event else "_due"], start)
    if known is not None:
        past = past[known[past] <= job.origin]
    take = training_rows(past, job.kind, sliding_rows=sliding_rows)
    # All the past, as a run does, whatever the window.
    view = FeatureView.learn(table.iloc[past], data, steps)
    model = fit_recipe(recipe, view, table, take=take, past=past, threads=threads)
    later = table.iloc[start:]
    losses = row_losses(recipe.loss, view.actual(later), model.predict(view.matrix(later)))
    begins = cut.cells[cut.first_cell(job.origin) : -1] - start
    return Scored(job, np.add.reduceat(losses, begins), len(take))
