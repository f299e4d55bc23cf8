"""The loss matrix of a policy backtest: what a model made before each window would have lost on every later one.

The history is cut into a first part and windows, these into blocks for the probe and into cells. A *cell* is the finest
part whose losses are kept: the blocks that a probe judges one by one, and the parts whose means give a reading its
standard error, are both unions of cells.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.errors import RefusedError
from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.stats.bootstrap import error_parts
from retrim.stats.codec import Numbers
from retrim.stats.metrics import row_losses
from retrim.stats.plugins import Seed, SettingsSection
from retrim.stats.windows import past_of
from retrim.table.data import DataParams
from retrim.training.recipe import Recipe, WindowKind, WindowLengths, fit_recipe

COUNTED = 5  # of that many windows one has to count, and three in all
ALMOST = 0.1  # of a window: labels that come sooner count as immediate


class PolicyParams(SettingsSection):
    """How policies are tried on the history that has landed."""

    windows: int = Field(
        exclude=True,
        default=50,
        ge=5,
        description=(
            "number of windows into which the history after its first part is split; each window stands "
            "for a check; `--windows` overrides this setting"
        ),
    )
    first: float = Field(
        exclude=True,
        default=0.2,
        gt=0,
        lt=1,
        description=(
            "share of the rows, oldest first, that the first model is trained on; a first model needs enough history"
        ),
    )
    seed: Seed = Field(default=7, description="seed of the draws of reference bands and of the fits")


@dataclass(frozen=True)
class WindowCuts:
    """Where windows, blocks and cells begin, as row numbers of a table in total order.

    Args:
        blocks: Blocks of each window.
        starts: First row of every block, shape (windows * blocks,). The first is the end of the first part.
        cells: First row of every cell, and the end of the table, shape (cells + 1,).
        window: Window of each cell, shape (cells,).
        block: Block of each cell within its window, shape (cells,).
        part: Part of each cell within its window, as the standard error takes rows together, shape (cells,).
    """

    blocks: int
    starts: np.ndarray
    cells: np.ndarray
    window: np.ndarray
    block: np.ndarray
    part: np.ndarray

    @property
    def windows(self) -> int:
        return len(self.starts) // self.blocks

    @property
    def rows(self) -> np.ndarray:
        """Rows of each cell, shape (cells,)."""
        return np.diff(self.cells)

    def first_cell(self, origin: int) -> int:
        """The cell that begins where block `origin`, counted through all windows, begins."""
        return int(np.searchsorted(self.cells, self.starts[origin]))


def equal_rows(n: int, *, first: int, windows: int) -> np.ndarray:
    """Edges of `windows` windows of nearly equal rows after the first `first` rows, shape (windows + 1,)."""
    return np.asarray(first + np.round(np.arange(windows + 1) * (n - first) / windows), dtype="int64")


def cut(edges: np.ndarray, *, blocks: int, block_rows: int) -> WindowCuts:
    """Windows between `edges`, each cut into blocks and cells.

    Args:
        edges: First row of each window, and the end of the table, ascending, shape (windows + 1,).

    Raises:
        RefusedError: A window has fewer rows than blocks.
    """
    starts: list[int] = []
    cells: list[int] = []
    labels: list[tuple[int, int, int]] = []
    for number, (begin, end) in enumerate(pairwise(edges)):
        n = int(end - begin)
        if n < blocks:
            raise RefusedError(f"window {number + 1} has {n} rows, fewer than its {blocks} blocks; lower --windows")
        by_block = _starts(np.array_split(np.arange(n), blocks))
        by_part = _starts(error_parts(n, block_rows=block_rows))
        fine = np.union1d(by_block, by_part)
        starts.extend(int(begin + at) for at in by_block)
        cells.extend(int(begin + at) for at in fine)
        block = np.searchsorted(by_block, fine, side="right") - 1
        part = np.searchsorted(by_part, fine, side="right") - 1
        labels.extend((number, int(b), int(p)) for b, p in zip(block, part, strict=True))
    window, block, part = np.array(labels, dtype="int64").T
    return WindowCuts(blocks, np.array(starts), np.array([*cells, int(edges[-1])]), window, block, part)


def _starts(parts: list[np.ndarray]) -> np.ndarray:
    return np.array([part[0] for part in parts])


@dataclass(frozen=True)
class FitJob:
    """One fit: the training window, and the block (counted through all windows) that it is made just before."""

    kind: WindowKind
    origin: int


@dataclass(frozen=True)
class FitLosses(FitJob):
    """What a fit lost on the cells after its origin; a line of the log of fits.

    Args:
        fitted_rows: Rows it was fitted on.
        sums: Loss summed over the rows of each cell from the origin's on, in order.
    """

    fitted_rows: int
    sums: Numbers

    @property
    def job(self) -> FitJob:
        return FitJob(self.kind, self.origin)


def jobs(cut: WindowCuts, kinds: tuple[WindowKind, ...]) -> list[FitJob]:
    """Every fit that the matrix needs, those before whole windows first."""
    origins = sorted(range(len(cut.starts)), key=lambda origin: (origin % cut.blocks != 0, origin))
    return [FitJob(kind, origin) for origin in origins for kind in kinds]


@dataclass(frozen=True)
class FitInputs:
    """What every fit of a backtest is made from.

    Args:
        known: The first block before which a fit may know each row, shape (n,); None: labels come with their rows.
    """

    table: pd.DataFrame
    cut: WindowCuts
    recipe: Recipe
    data: DataParams
    sliding_rows: int
    steps: Sequence[StepParams] = ()
    at_event: bool = False
    known: np.ndarray | None = None

    def score(self, job: FitJob) -> FitLosses:
        """Fits the recipe, on one thread, on what was due before the job's origin; scores it on every later row."""
        table, start = self.table, int(self.cut.starts[job.origin])
        past = past_of(table["_event"], table["_event" if self.at_event else "_due"], start)
        if self.known is not None:
            past = past[self.known[past] <= job.origin]
        take = WindowLengths(self.sliding_rows).rows(past, job.kind)
        # All the past, as a run does, whatever the window.
        view = FeatureView.learn(table.iloc[past], self.data, self.steps)
        model = fit_recipe(self.recipe, view, table, take=take, past=past, threads=1)
        later = table.iloc[start:]
        losses = row_losses(self.recipe.loss, view.actual(later), model.predict(view.matrix(later)))
        begins = self.cut.cells[self.cut.first_cell(job.origin) : -1] - start
        return FitLosses(job.kind, job.origin, len(take), np.add.reduceat(losses, begins))


@dataclass(frozen=True)
class PolicyDelays:
    """What keeps a model behind, in windows.

    Args:
        labels: Windows between the end of one and the moment its labels are known.
        held_back: Windows kept back from training for the gate, beyond the labels.
    """

    labels: int
    held_back: int

    @property
    def age(self) -> int:
        """Windows between the moment of a decision and the newest row its model may be trained on."""
        return self.labels + self.held_back


@dataclass(frozen=True)
class LossMatrix:
    """Losses of every fit on every later cell.

    Model `i` is made `back` blocks before window `i`, counted from 0: the first is made from the first part alone.

    Args:
        sums: Loss summed over each cell's rows; NaN before a fit's origin; shape (kinds, windows * blocks, cells).
        fitted_rows: Rows each fit was made from, shape (kinds, windows * blocks).
        usual_rows: Rows of a usual check: a window of n rows counts n / usual_rows.
        back: Blocks before a window that its model leaves out, for the gate to judge it on.
    """

    kinds: tuple[WindowKind, ...]
    cut: WindowCuts
    sums: np.ndarray
    fitted_rows: np.ndarray
    rows_per_check: float
    back: int

    @classmethod
    def of(
        cls,
        kinds: tuple[WindowKind, ...],
        cut: WindowCuts,
        scored: Iterable[FitLosses],
        *,
        rows_per_check: float,
        back: int,
    ) -> "LossMatrix":
        """The matrix of all jobs of `cut`, in any order.

        Raises:
            ValueError: A fit is missing.
        """
        sums = np.full((len(kinds), len(cut.starts), len(cut.window)), np.nan)
        fitted = np.zeros((len(kinds), len(cut.starts)), dtype="int64")
        for fit in scored:
            kind = kinds.index(fit.kind)
            sums[kind, fit.origin, cut.first_cell(fit.origin) :] = fit.sums
            fitted[kind, fit.origin] = fit.fitted_rows
        if not np.isfinite(sums[:, :, -1]).all():
            raise ValueError("a fit is missing in the loss matrix; run the backtest again")
        return cls(kinds, cut, sums, fitted, rows_per_check, back)

    @property
    def windows(self) -> int:
        return self.cut.windows

    @cached_property
    def rows(self) -> np.ndarray:
        """Rows of each window, shape (windows,)."""
        return np.bincount(self.cut.window, weights=self.cut.rows)

    @property
    def share(self) -> np.ndarray:
        """Usual checks that each window counts for, shape (windows,)."""
        return self.rows / self.rows_per_check

    def origin(self, model: int) -> int:
        """The block, counted through all windows, that a model's training rows end before."""
        return max(model * self.cut.blocks - self.back, 0)

    @property
    def origins(self) -> np.ndarray:
        """That of every model, shape (windows,)."""
        return np.maximum(np.arange(self.windows) * self.cut.blocks - self.back, 0)

    @cached_property
    def totals(self) -> np.ndarray:
        """Mean loss times share of model i on window j, shape (kinds, windows, windows); NaN where j is before i."""
        begins = np.searchsorted(self.cut.window, np.arange(self.windows))
        by_window = np.add.reduceat(self.sums[:, self.origins], begins, axis=2)
        return np.asarray(by_window / self.rows_per_check)

    def probe_sums(self, window: int, kind: int, *, labels: int, blocks: int) -> np.ndarray:
        """What a probe of a window loses in each of its cells, each block judged by a fit on what was due before it.

        Args:
            blocks: Blocks of the probe, at most those of the cut.
        """
        cells = np.flatnonzero(self.cut.window == window)
        fits = self.cut.block[cells] * blocks // self.cut.blocks * self.cut.blocks // blocks
        origins = np.maximum((window - labels) * self.cut.blocks + fits, 0)
        return np.asarray(self.sums[kind, origins, cells])

    def model_sums(self, window: int, kind: int, model: int) -> np.ndarray:
        """What model `model` loses in each cell of a window that is not before it."""
        return np.asarray(self.sums[kind, self.origin(model), self.cut.window == window])

    def mean_loss(self, model: int, kind: int, window: int) -> float:
        """Mean loss of a model on the rows of a window that is not before it."""
        return float(self.totals[kind, model, window] / self.share[window])

    def part_means(self, model: int, kind: int, window: int) -> np.ndarray:
        """Mean losses of a model on the parts of a window that are taken together when an error is computed."""
        return self.means_of_parts(np.flatnonzero(self.cut.window == window), self.model_sums(window, kind, model))

    def means_of_parts(self, cells: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The same from losses summed over each of some cells, ascending; of a part that lies in them partly, that."""
        named = self.cut.window[cells] * len(self.cut.window) + self.cut.part[cells]
        part = np.unique(named, return_inverse=True)[1]
        return np.asarray(np.bincount(part, weights=sums) / np.bincount(part, weights=self.cut.rows[cells]))


def require_seen(delay: int, windows: int, span: pd.Timedelta) -> None:
    """Refuses a history of which labels come too late for anything to be said.

    Raises:
        RefusedError: Too few windows are left that tell policies apart.
    """
    left, least = max(windows - delay, 0), max(windows // COUNTED, 3)
    if left < least:
        raise RefusedError(
            f"labels arrive {delay} windows late ({span / pd.Timedelta(1, 'D'):.3g} days per window), so only {left} "
            f"of {windows} windows can be used to compare policies, but {least} are needed; wait for more history"
        )


def label_delay(event: pd.Series, known: pd.Series, span: pd.Timedelta) -> int:
    """Windows until labels are known.

    Args:
        event: Of each row, shape (n,).
        known: When its label was due and known, shape (n,).
    """
    return int(max(np.ceil(pd.Timedelta((known - event).median()) / span - ALMOST), 0))


def newest_labels(known: pd.Series, moments: Sequence[pd.Timestamp]) -> list[pd.Timestamp]:
    """When the newest label had come by each moment; before the first of them, the moment itself.

    Args:
        moments: Ascending.
    """
    ordered = known.sort_values(ignore_index=True)
    counts = ordered.searchsorted(pd.Series(moments), side="right")
    return [ordered.iloc[count - 1] if count else moment for count, moment in zip(counts, moments, strict=True)]


def known_from(event: pd.Series, known: pd.Series, cut: WindowCuts, *, delay: int) -> np.ndarray:
    """The first block, counted through all windows, before which a fit may know the label of each row, shape (n,).

    A fit before a block is made `delay` windows after it: a label that had not come by then, though it was due, cannot
    be known to it. Where the answer decides how late labels come, what is left is no fair sample, here as it is live.

    Args:
        event: Of each row, in total order, shape (n,).
        known: When its label was due and known, shape (n,).
    """
    begins = event.iloc[cut.starts].reset_index(drop=True)
    return np.asarray(begins.searchsorted(known, side="left") - delay * cut.blocks)
