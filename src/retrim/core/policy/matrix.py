"""The loss matrix: what a model made before each window would have lost on every later one, and what a probe reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retrim.core.policy.cut import Cut
from retrim.core.policy.fitting import Scored
from retrim.core.probe import Reading
from retrim.core.resample import mean_error
from retrim.core.training import WindowKind


@dataclass(frozen=True)
class Delays:
    """What keeps a model behind, in windows.

    Args:
        labels: Windows between the end of one and the moment its labels are known.
        deployment: Windows between a decision and its model being live.
        held_back: Windows kept back from training for the gate, beyond the labels.
    """

    labels: int
    deployment: int
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
        kinds: Training windows.
        cut: Windows, blocks and cells.
        sums: Loss summed over each cell's rows; NaN before a fit's origin; shape (kinds, windows * blocks, cells).
        fitted_rows: Rows each fit was made from, shape (kinds, windows * blocks).
        usual_rows: Rows of a usual check: a window of n rows counts n / usual_rows.
        back: Blocks before a window that its model leaves out, for the gate to judge it on.
    """

    kinds: tuple[WindowKind, ...]
    cut: Cut
    sums: np.ndarray
    fitted_rows: np.ndarray
    usual_rows: float
    back: int

    @classmethod
    def of(
        cls, kinds: tuple[WindowKind, ...], cut: Cut, scored: Iterable[Scored], *, usual_rows: float, back: int
    ) -> "LossMatrix":
        """The matrix of all jobs of `cut`, in any order.

        Raises:
            ValueError: A fit is missing.
        """
        sums = np.full((len(kinds), len(cut.starts), len(cut.window)), np.nan)
        fitted = np.zeros((len(kinds), len(cut.starts)), dtype="int64")
        for each in scored:
            place = kinds.index(each.job.kind)
            sums[place, each.job.origin, cut.first_cell(each.job.origin) :] = each.sums
            fitted[place, each.job.origin] = each.fitted_rows
        if not np.isfinite(sums[:, :, -1]).all():
            raise ValueError("a fit of the loss matrix is missing")
        return cls(kinds, cut, sums, fitted, usual_rows, back)

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
        return self.rows / self.usual_rows

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
        return np.asarray(by_window / self.usual_rows)

    def part(self, first: int, last: int) -> "LossMatrix":
        """The windows `[first, last)` as a history of their own: its first model is the one made before `first`."""
        kept = np.flatnonzero((self.cut.window >= first) & (self.cut.window < last))
        blocks = slice(first * self.cut.blocks, last * self.cut.blocks)
        inner = Cut(
            blocks=self.cut.blocks,
            starts=self.cut.starts[blocks],
            cells=self.cut.cells[kept[0] : kept[-1] + 2],
            window=self.cut.window[kept] - first,
            block=self.cut.block[kept],
            part=self.cut.part[kept],
        )
        fitted = self.fitted_rows[:, blocks]
        return LossMatrix(self.kinds, inner, self.sums[:, blocks, kept], fitted, self.usual_rows, self.back)

    def probe_sums(self, window: int, kind: int, *, labels: int, blocks: int) -> np.ndarray:
        """What a probe of a window loses in each of its cells, each block judged by a fit on what was due before it.

        Args:
            window: Newest window whose labels are known.
            kind: Place of the training window.
            labels: Windows until labels are known: the fit that judges a block is as many windows older than it.
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
        place = np.unique(named, return_inverse=True)[1]
        return np.asarray(np.bincount(place, weights=sums) / np.bincount(place, weights=self.cut.rows[cells]))

    def reading(self, window: int, champion: np.ndarray, probe: np.ndarray) -> Reading:
        """The reading of a window, from the sums of champion and probe in each of its cells."""
        cells = self.cut.window == window
        rows, part = self.cut.rows[cells], self.cut.part[cells]
        count = int(rows.sum())
        means = np.bincount(part, weights=champion - probe) / np.bincount(part, weights=rows)
        return Reading(
            rows=count,
            apart=0,
            weight=1.0,
            champion_loss=float(champion.sum() / count),
            probe_loss=float(probe.sum() / count),
            newest_error=mean_error(means, block_rows=1),
        )
