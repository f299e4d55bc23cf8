"""What every policy of a backtest is played under, and the gate that a retraining has to pass there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.decision.band import Band, reference_band
from retrim.decision.policy_backtest import LossMatrix, PolicyDelays
from retrim.decision.probe import GatePreview, ProbeReading
from retrim.gate.losses import judge
from retrim.gate.size import KEPT_BACK, Size, size_for
from retrim.gate.support import ShownEvidence, support_of
from retrim.gate.verdict import GateParams, Verdict
from retrim.stats.bootstrap import mean_error

DRAWS = 500  # of a reference band


@dataclass(frozen=True)
class LiveModel:
    """A model that serves.

    Args:
        model: Index in the loss matrix: the window before which its training rows end.
        kind: Index of its training window.
        decided: Check that decided the retraining, and first window that it serves; 0 for the first model.
    """

    model: int
    kind: int
    decided: int


@dataclass(frozen=True)
class Setting:
    """What every policy is played under.

    Args:
        kinds: Indices of the training windows that a retraining may choose between.
        moments: When each window begins, and the last ends: a check is at the end of each.
        judging: The gate that a retraining has to pass; None: every one is released.
        labels_until: When the newest label had matured by each moment; None: they come all the time.
    """

    matrix: LossMatrix
    kinds: tuple[int, ...]
    delays: PolicyDelays
    blocks: int
    moments: Sequence[pd.Timestamp]
    judging: "GateSimulation | None"
    labels_until: Sequence[pd.Timestamp] | None = None

    @property
    def begin(self) -> int:
        """The first window that counts. At its check the newest rows with labels end where the first model's do.

        Before it the first model knows labels that nobody had, and a retraining could only make it anew.
        """
        return min(self.delays.labels, self.matrix.windows - 1)

    @property
    def totals(self) -> np.ndarray:
        """`LossMatrix.totals` of the training windows to choose from; 0 where a window does not count."""
        totals = self.matrix.totals[list(self.kinds)]
        totals[:, :, : self.begin] = 0.0
        return totals

    def probe_sums(self, window: int, kind: int) -> np.ndarray:
        """What the probe's refits lose in each cell of a window."""
        return self.matrix.probe_sums(window, kind, labels=self.delays.labels, blocks=self.blocks)

    def probe_origins(self, window: int) -> np.ndarray:
        """The blocks before which the refits of a probe are made, shape (blocks of the probe,)."""
        cut = self.matrix.cut
        fits = np.arange(self.blocks) * cut.blocks // self.blocks
        return np.asarray(np.maximum((window - self.delays.labels) * cut.blocks + fits, 0))

    def first_band(self, live: LiveModel, *, seed: int) -> Band | None:
        """The band of the first window that a model has not seen."""
        losses = self.matrix.part_means(live.model, live.kind, live.model)
        return reference_band(losses, rows=len(losses), block_rows=1, draws=DRAWS, seed=seed)

    def read(self, live: LiveModel, window: int) -> ProbeReading:
        """The probe's reading of a window: the live model against refits before each block.

        On the parts of either parity, the training window counts that does best on the others.
        """
        matrix = self.matrix
        champion = matrix.model_sums(window, live.kind, live.model)
        sums = np.array([self.probe_sums(window, kind) for kind in self.kinds])
        cells = matrix.cut.window == window
        cell_rows, part = matrix.cut.rows[cells], matrix.cut.part[cells]
        is_odd = part % 2 == 1
        refit = sums[0]
        if is_odd.any() and not is_odd.all():
            best_on_even, best_on_odd = (int(np.argmin(sums[:, half].sum(axis=1))) for half in (~is_odd, is_odd))
            refit = np.where(is_odd, sums[best_on_even], sums[best_on_odd])
        rows = int(cell_rows.sum())
        gains = np.bincount(part, weights=champion - refit) / np.bincount(part, weights=cell_rows)
        return ProbeReading.of_newest(
            rows=rows,
            apart=0,
            weight=1.0,
            champion_loss=float(champion.sum() / rows),
            probe_loss=float(refit.sum() / rows),
            error=mean_error(gains, block_rows=1),
        )

    def best_kind(self, window: int) -> int:
        """The training window that did best on the newest labelled window, as the gate would find."""
        if len(self.kinds) == 1 or window < 0:
            return self.kinds[0]
        return self.kinds[int(np.argmin([self.probe_sums(window, kind).sum() for kind in self.kinds]))]

    def distinct_kinds(self, origin: int) -> list[int]:
        """The training windows whose models were made from different rows: of the same rows the first."""
        by_rows: dict[int, int] = {}
        for kind in self.kinds:
            by_rows.setdefault(int(self.matrix.fitted_rows[kind, origin]), kind)
        return list(by_rows.values())

    def evidence_before(
        self, cell: int, kinds: Sequence[int], live: LiveModel, probed: Sequence[int], *, last: int
    ) -> list[ShownEvidence]:
        """What the probes up to window `last` showed on the cells before one."""
        matrix = self.matrix
        shown: list[ShownEvidence] = []
        for window in probed:
            cells = np.flatnonzero(matrix.cut.window == window)
            is_before = cells < cell
            cells = cells[is_before]
            if not len(cells) or window > last:
                break
            refits: dict[str, np.ndarray] = {
                matrix.kinds[kind]: matrix.means_of_parts(cells, self.probe_sums(window, kind)[is_before])
                for kind in kinds
            }
            champion = matrix.means_of_parts(cells, matrix.sums[live.kind, matrix.origin(live.model), cells])
            block_rows = float(matrix.cut.rows[cells].sum()) / len(champion)
            shown.append(ShownEvidence((), champion, refits, block_rows))
        return shown


@dataclass(frozen=True)
class GateSimulation:
    """How a retraining is judged before it is released.

    The matrix has losses by part and not by row: the gate is given the mean loss of each part (as many rows as are
    taken together when an error is computed), and each is a block of its bootstrap. The naive floors are left out:
    the matrix does not know them.

    Args:
        rows: Newest rows that judge, at most: `split.judge_rows`.
        apart: Blocks before the newest labels that the judged fit leaves out, at most, where a final fit on all rows
            is released; 0: what is judged is released, and the matrix says what it leaves out.
    """

    gate: GateParams
    rows: int
    draws: int
    apart: int = 0

    def verdict(
        self, setting: Setting, live: LiveModel, *, model: int, until: int, probed: Sequence[int] | None = None
    ) -> Verdict:
        """The gate's verdict on model `model` of the best of the training windows.

        Args:
            probed: Windows on which the live model's checks have judged refits, ascending, where the accumulated gain
                started the run; None: what they showed does not count.
        """
        matrix = setting.matrix
        origin = max(matrix.origin(model) - self.apart, 0)
        cells = self._unseen(matrix, origin, live, until=until, rows=self.rows)
        if probed is not None and self.apart:
            size = self._size(setting, live, probed, before=_first(matrix, cells), last=until - 1)
            origin = max(matrix.origin(model) - math.ceil(self.apart * size.rows / self.rows), 0)
            cells = self._unseen(matrix, origin, live, until=until, rows=size.rows)
        kinds, shown = setting.distinct_kinds(origin), None
        if probed is not None:
            shown = setting.evidence_before(_first(matrix, cells), kinds, live, probed, last=until - 1)
        return self._judged(matrix, live, cells, {kind: matrix.sums[kind, origin, cells] for kind in kinds}, shown)

    def preview(self, setting: Setting, live: LiveModel, *, window: int, probed: Sequence[int]) -> GatePreview | None:
        """What the gate would say of the probe's refits on the newest rows of a window."""
        matrix = setting.matrix
        if min(matrix.rows[window], self.rows) < self.gate.min_rows:
            return None
        of_window = np.flatnonzero(matrix.cut.window == window)
        ceiling = _newest(matrix, of_window, self.rows)
        size = self._size(setting, live, probed, before=_first(matrix, ceiling), last=window)
        cells = _newest(matrix, of_window, size.rows)
        is_judging = np.isin(of_window, cells)
        kinds = setting.distinct_kinds(max(window - setting.delays.labels, 0) * matrix.cut.blocks)
        shown = setting.evidence_before(_first(matrix, cells), kinds, live, probed, last=window)
        sums = {kind: setting.probe_sums(window, kind)[is_judging] for kind in kinds}
        verdict = self._judged(matrix, live, cells, sums, shown)
        return GatePreview(verdict.promote, verdict.reason, size.short)

    def sized(
        self, shown: Sequence[ShownEvidence], early: Sequence[ShownEvidence], *, tries: int, block_rows: int, there: int
    ) -> Size:
        """The newest rows that judge, from what the checks of a champion's life showed; `block_rows` of a block."""
        return size_for(
            shown,
            early,
            self.gate,
            tries=tries,
            uses=0.0,
            eased=True,
            block_rows=block_rows,
            least=self.gate.min_rows,
            most=self.rows,
            there=there,
        )

    def deferred(self, setting: Setting, *, judged: int, check: int) -> int | None:
        """The check to which a run is put off until `gate.min_rows` labelled rows have come since the last one.

        Returns:
            The first check that has them, or the number of windows where none has; None where this one has.
        """
        windows = setting.matrix.windows
        landed = np.concatenate([[0.0], np.cumsum(setting.matrix.rows)])
        by_check = landed[np.maximum(np.arange(windows) - setting.delays.labels, 0)]
        enough = by_check - by_check[judged] >= self.gate.min_rows
        return None if enough[check] else next((later for later in range(check, windows) if enough[later]), windows)

    def _size(self, setting: Setting, live: LiveModel, probed: Sequence[int], *, before: int, last: int) -> Size:
        """The newest rows that judge, as a run would choose them.

        A model that is released as it was judged leaves out the ceiling's rows in the matrix, and those judge it,
        whatever a run would choose.
        """
        matrix = setting.matrix
        kinds = setting.distinct_kinds(max(matrix.origin(last - setting.delays.labels), 0))
        shown, early = (
            setting.evidence_before(cell, kinds, live, probed, last=last) for cell in (len(matrix.cut.window), before)
        )
        rows = matrix.cut.rows.sum() / len(np.unique(matrix.cut.window * len(matrix.cut.window) + matrix.cut.part))
        known = int(matrix.cut.cells[np.searchsorted(matrix.cut.window, last, side="right")])
        size = self.sized(shown, early, tries=len(kinds), block_rows=round(float(rows)), there=known // KEPT_BACK)
        return size if self.apart else replace(size, rows=self.rows)

    def _judged(
        self,
        matrix: LossMatrix,
        live: LiveModel,
        cells: np.ndarray,
        sums: Mapping[int, np.ndarray],
        shown: Sequence[ShownEvidence] | None,
    ) -> Verdict:
        """The gate's verdict on some cells, from what each training window's model loses in them.

        Args:
            shown: What the checks of the champion's life showed on rows before; None: no check started the run.
        """
        challengers: dict[str, np.ndarray] = {
            matrix.kinds[kind]: matrix.means_of_parts(cells, losses) for kind, losses in sums.items()
        }
        most = 0.0 if self.gate.non_inferiority is None else self.gate.non_inferiority.most
        return judge(
            challengers,
            matrix.means_of_parts(cells, matrix.sums[live.kind, matrix.origin(live.model), cells]),
            {},
            self.gate.model_copy(update={"min_rows": 2}),  # of parts; rows are asked for before a run is judged
            draws=self.draws,
            block_rows=1,
            uses=0.0,
            support=None if shown is None else {kind: support_of(shown, kind, most=most) for kind in challengers},
        )

    def _unseen(self, matrix: LossMatrix, origin: int, live: LiveModel, *, until: int, rows: int) -> np.ndarray:
        """The newest labelled cells that neither a model made before `origin` nor the champion has seen."""
        begin = int(matrix.cut.starts[max(origin, matrix.origin(live.model))])
        return _newest(matrix, np.flatnonzero((matrix.cut.window < until) & (matrix.cut.cells[:-1] >= begin)), rows)


def _newest(matrix: LossMatrix, cells: np.ndarray, rows: int) -> np.ndarray:
    """Those of some cells, ascending, that lie for the most part in their newest `rows` rows."""
    from_end = matrix.cut.rows[cells][::-1]
    return cells[len(cells) - int((np.cumsum(from_end) - from_end / 2 <= rows).sum()) :]


def _first(matrix: LossMatrix, cells: np.ndarray) -> int:
    """The first of some cells; behind the last one where there is none."""
    return int(cells[0]) if len(cells) else len(matrix.cut.window)
