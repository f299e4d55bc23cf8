"""The gate in a backtest: challengers and champion on rows that neither has seen, read off the loss matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrim.core.gate import GateParams, Verdict, judge
from retrim.core.policy.matrix import Delays, LossMatrix
from retrim.core.preview import Preview, preview


@dataclass(frozen=True)
class Judging:
    """How a retraining is judged before it is released.

    The matrix has losses by part and not by row: the gate is given the mean loss of each part (as many rows as are
    taken together when an error is computed), and each is a block of its bootstrap. The naive floors are left out:
    the matrix does not know them.

    Args:
        gate: Thresholds.
        rows: Newest rows that judge, at most: `split.judge_rows`.
        draws: Bootstrap draws.
    """

    gate: GateParams
    rows: int
    draws: int

    def verdict(
        self, matrix: LossMatrix, kinds: Sequence[int], champion: tuple[int, int], *, model: int, until: int
    ) -> Verdict:
        """The gate's verdict on model `model` of the best of some training windows.

        Args:
            matrix: Losses.
            kinds: Places of the training windows that compete; those of the same rows count once.
            champion: Model and place of the training window of the one that is live.
            model: The challengers' place: their training rows end where this window begins.
            until: Windows before this one have labels.
        """
        live, live_kind = champion
        begin = int(matrix.cut.starts[max(matrix.origin(model), matrix.origin(live))])
        cells = self._newest(matrix, np.flatnonzero((matrix.cut.window < until) & (matrix.cut.cells[:-1] >= begin)))
        sums = {
            matrix.kinds[kind]: matrix.sums[kind, matrix.origin(model), cells]
            for kind in self._apart(matrix, kinds, matrix.origin(model))
        }
        return judge(
            {kind: matrix.means_of_parts(cells, each) for kind, each in sums.items()},
            matrix.means_of_parts(cells, matrix.sums[live_kind, matrix.origin(live), cells]),
            {},
            self.gate.model_copy(update={"min_rows": 2}),  # of parts; rows are asked for before a run is judged
            draws=self.draws,
            block_rows=1,
            uses=0.0,
            weights=None,
        )

    def preview(
        self,
        matrix: LossMatrix,
        kinds: Sequence[int],
        champion: tuple[int, int],
        *,
        window: int,
        labels: int,
        blocks: int,
    ) -> Preview | None:
        """What the gate would say of the probe's refits on the newest rows of a window.

        Args:
            matrix: Losses.
            kinds: Places of the training windows.
            champion: As for `verdict`.
            window: Newest window whose labels are known.
            labels: Windows until labels are known.
            blocks: Blocks of the probe.
        """
        of_window = np.flatnonzero(matrix.cut.window == window)
        cells = self._newest(matrix, of_window)
        kept = np.isin(of_window, cells)
        sums = {
            matrix.kinds[kind]: matrix.probe_sums(window, kind, labels=labels, blocks=blocks)[kept]
            for kind in self._apart(matrix, kinds, max(window - labels, 0) * matrix.cut.blocks)
        }
        live, live_kind = champion
        return preview(
            {kind: matrix.means_of_parts(cells, each) for kind, each in sums.items()},
            matrix.means_of_parts(cells, matrix.sums[live_kind, matrix.origin(live), cells]),
            self.gate,
            rows=int(min(matrix.rows[window], self.rows)),
            draws=self.draws,
            block_rows=1,
        )

    def deferred(self, matrix: LossMatrix, delays: Delays, *, judged: int, check: int) -> int | None:
        """The check to which a run is put off until `gate.min_rows` labelled rows have come since the last one.

        Args:
            matrix: Losses.
            delays: What keeps labels behind.
            judged: Check as of which the champion was judged.
            check: The run's.

        Returns:
            The first check that has them, or the number of windows where none has; None where this one has.
        """
        come = np.concatenate([[0.0], np.cumsum(matrix.rows)])
        since = come[max(judged - delays.labels, 0)]

        def enough(at: int) -> bool:
            return bool(come[max(at - delays.labels, 0)] - since >= self.gate.min_rows)

        if enough(check):
            return None
        return next((each for each in range(check + 1, matrix.windows) if enough(each)), matrix.windows)

    def _apart(self, matrix: LossMatrix, kinds: Sequence[int], origin: int) -> list[int]:
        """The training windows whose models were made from different rows: of the same rows the first."""
        own: dict[int, int] = {}
        for kind in kinds:
            own.setdefault(int(matrix.fitted_rows[kind, origin]), kind)
        return list(own.values())

    def _newest(self, matrix: LossMatrix, cells: np.ndarray) -> np.ndarray:
        """Those of some cells, ascending, that lie for the most part in their newest rows."""
        own = matrix.cut.rows[cells][::-1]
        return cells[len(cells) - int((np.cumsum(own) - own / 2 <= self.rows).sum()) :]
