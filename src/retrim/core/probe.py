"""The probe: what a model retrained before the newest rows would have lost on them, against the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from retrim.core.frames import rows_at
from retrim.core.metrics import row_losses
from retrim.core.prepare import StepParams
from retrim.core.resample import mean_error
from retrim.core.section import Section, check_span
from retrim.core.table import DataParams
from retrim.core.training import Recipe, WindowKind, fit_recipe, in_parallel, training_rows
from retrim.core.view import FeatureView
from retrim.core.windows import past_of, spans

EVERY, DRIFT = "every", "drift"


def _is_when(text: str) -> str:
    return text if text in (EVERY, DRIFT) else check_span(text)


class ProbeParams(Section):
    """The cheap refit that asks whether retraining would pay."""

    blocks: int = Field(ge=1, description="blocks of the newest window, each judged by a fit on what was due before it")
    min_rows: int = Field(ge=2, description="mature rows a check needs before it says anything")
    sample_rows: int | None = Field(ge=2, description="rows that a refit is fitted on, at most; null: all of its past")
    when: Annotated[str, AfterValidator(_is_when)] = Field(description="every, drift, or a span since the last probe")

    def is_asked(self, *, drifted: bool, waited: pd.Timedelta) -> bool:
        """Whether a check probes. Rows it does not probe wait for the next probe, and are counted then.

        Args:
            drifted: Whether this check found drift.
            waited: Since the last probe, or since the champion was made.
        """
        if self.when in (EVERY, DRIFT):
            return self.when == EVERY or drifted
        return waited >= pd.Timedelta(self.when)


@dataclass(frozen=True)
class Reading:
    """What the probe read off the newest mature rows.

    Args:
        rows: Rows judged.
        champion_loss: The champion's mean loss on them.
        probe_loss: That of the refits, each on what was due before its block.
        error: Standard error of the mean difference, blocks of rows taken together.
    """

    rows: int
    champion_loss: float
    probe_loss: float
    error: float

    @property
    def gain(self) -> float:
        """What retraining would have saved, in mean loss; negative if it would have cost."""
        return self.champion_loss - self.probe_loss

    def as_record(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "champion_loss": self.champion_loss,
            "probe_loss": self.probe_loss,
            "gain": self.gain,
            "error": self.error,
        }


def reading_of(champion_losses: np.ndarray, losses: np.ndarray, *, block_rows: int) -> Reading:
    """The reading, from the loss of champion and refits on each row, both shape (n,), n at least 1.

    Args:
        champion_losses: The champion's.
        losses: The refits'.
        block_rows: Rows that belong together when the error is computed.
    """
    return Reading(
        rows=len(losses),
        champion_loss=float(champion_losses.mean()),
        probe_loss=float(losses.mean()),
        error=mean_error(champion_losses - losses, block_rows=block_rows),
    )


def refit_losses(
    table: pd.DataFrame,
    newest: np.ndarray,
    recipe: Recipe,
    data: DataParams,
    params: ProbeParams,
    steps: Sequence[StepParams] = (),
    *,
    window: WindowKind,
    sliding_rows: int,
    cores: int,
) -> np.ndarray:
    """Refits the champion's recipe block by block through the newest rows, and gives its loss on each, shape (n,).

    Args:
        table: Mature rows in total order with `_event` and `_due`.
        newest: Row numbers of the rows to judge, ascending, shape (n,), n at least 1.
        recipe: The champion's.
        data: What the table is; the view is learned anew, as a retraining would.
        params: Blocks.
        steps: What prepares the features, as a retraining would.
        window: The champion's training window.
        sliding_rows: Rows of a sliding one.
        cores: Cores to use; changes no result.
    """
    parts = spans(len(newest), params.blocks)
    pasts = fitted_rows(table, newest, params, window=window, sliding_rows=sliding_rows)

    def losses_of(job: tuple[np.ndarray, np.ndarray], threads: int) -> np.ndarray:
        part, past = job
        judged, known = table.iloc[newest[part]], past_of(table["_event"], table["_due"], newest[part[0]])
        # All the past, as a run does: a window may hold one class.
        view = FeatureView.learn(rows_at(table, known), data, steps)
        model = fit_recipe(recipe, view, table, take=past, past=known, threads=threads)
        return row_losses(recipe.loss, view.actual(judged), model.predict(view.matrix(judged)))

    return np.concatenate(in_parallel(losses_of, list(zip(parts, pasts, strict=True)), cores=cores))


def fitted_rows(
    table: pd.DataFrame, newest: np.ndarray, params: ProbeParams, *, window: WindowKind, sliding_rows: int
) -> list[np.ndarray]:
    """The row numbers that each block's refit is fitted on; a sample of them lies evenly over the past.

    Args:
        table: As for `refit_losses`.
        newest: Likewise.
        params: Blocks and sample.
        window: The champion's training window.
        sliding_rows: Rows of a sliding one.
    """
    pasts = []
    for part in spans(len(newest), params.blocks):
        past = past_of(table["_event"], table["_due"], newest[part[0]])
        rows = training_rows(past, window, sliding_rows=sliding_rows)
        if params.sample_rows is not None and len(rows) > params.sample_rows:
            rows = rows[np.linspace(0, len(rows) - 1, params.sample_rows).round().astype("int64")]
        pasts.append(rows)
    return pasts
