"""The gate in a backtest: challengers and champion on rows that neither has seen, read off the loss matrix."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrim.core.gate import GateParams, Shown, Size, Verdict, judge, size_for, support_of
from retrim.core.policy.matrix import Delays, LossMatrix
from retrim.core.preview import Preview


@dataclass(frozen=True)
class Life:
    """What a champion's checks have probed.

    Args:
        windows: Those that they have judged refits on, ascending.
        labels: Windows until labels are known.
        blocks: Blocks of the probe.
    """

    windows: Sequence[int]
    labels: int
    blocks: int


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
        apart: Blocks before the newest labels that the judged model leaves out, at most, where another is released
            that is fitted once more on all rows; 0: what is judged is released, and the matrix says what it leaves out.
        again: What that second fit costs, as a share of a retraining.
    """

    gate: GateParams
    rows: int
    draws: int
    apart: int = 0
    again: float = 0.0

    def verdict(
        self,
        matrix: LossMatrix,
        kinds: Sequence[int],
        champion: tuple[int, int],
        *,
        model: int,
        until: int,
        life: Life | None = None,
    ) -> Verdict:
        """The gate's verdict on model `model` of the best of some training windows.

        Args:
            matrix: Losses.
            kinds: Places of the training windows that compete; those of the same rows count once.
            champion: Model and place of the training window of the one that is live.
            model: The challengers' place: their training rows end where this window begins.
            until: Windows before this one have labels.
            life: Its probes, where the account started the run; None: what they showed does not count.
        """
        live, live_kind = champion
        origin = max(matrix.origin(model) - self.apart, 0)
        unseen = self._unseen(matrix, origin, champion, until=until)
        cells = self._newest(matrix, unseen, self.rows)
        if life is not None and self.apart:
            size = self.size(matrix, kinds, champion, life, before=_first(matrix, cells), last=until - 1)
            origin = max(matrix.origin(model) - math.ceil(self.apart * size.rows / self.rows), 0)
            cells = self._newest(matrix, self._unseen(matrix, origin, champion, until=until), size.rows)
        own = self._apart(matrix, kinds, origin)
        shown = None
        if life is not None:
            shown = self._shown(matrix, own, champion, life, before=_first(matrix, cells), last=until - 1)
        return self.judged(
            {matrix.kinds[kind]: matrix.means_of_parts(cells, matrix.sums[kind, origin, cells]) for kind in own},
            matrix.means_of_parts(cells, matrix.sums[live_kind, matrix.origin(live), cells]),
            shown,
        )

    def _unseen(self, matrix: LossMatrix, origin: int, champion: tuple[int, int], *, until: int) -> np.ndarray:
        """The cells that neither a model made before `origin` nor the champion has seen, and that have labels."""
        begin = int(matrix.cut.starts[max(origin, matrix.origin(champion[0]))])
        return np.flatnonzero((matrix.cut.window < until) & (matrix.cut.cells[:-1] >= begin))

    def size(
        self, matrix: LossMatrix, kinds: Sequence[int], champion: tuple[int, int], life: Life, *, before: int, last: int
    ) -> Size:
        """The newest rows that judge, as a run would choose them.

        A model that is released as it was judged leaves out the ceiling's rows in the matrix, and those judge it.

        Args:
            matrix: Losses.
            kinds: Places of the training windows that compete.
            champion: As for `verdict`.
            life: The champion's probes.
            before: The first cell of the ceiling's rows.
            last: The newest window whose labels are known.
        """
        if not self.apart:
            return Size(self.rows)
        own = self._apart(matrix, kinds, max(matrix.origin(last - life.labels), 0))
        shown, early = (
            self._shown(matrix, own, champion, life, before=each, last=last)
            for each in (len(matrix.cut.window), before)
        )
        rows = matrix.cut.rows.sum() / len(np.unique(matrix.cut.window * len(matrix.cut.window) + matrix.cut.part))
        return self.sized(shown, early, tries=len(own), block_rows=round(float(rows)))

    def sized(self, shown: Sequence[Shown], early: Sequence[Shown], *, tries: int, block_rows: int) -> Size:
        """The newest rows that judge, from what the checks of a champion's life showed.

        Args:
            shown: Of each check, the newest rows too.
            early: The same of rows before the ceiling's alone.
            tries: Challengers.
            block_rows: Rows of a block.
        """
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
            there=self.rows,
        )

    def judged(
        self, challengers: Mapping[str, np.ndarray], champion: np.ndarray, shown: Sequence[Shown] | None
    ) -> Verdict:
        """The gate's verdict on mean losses of parts, shape (parts,), in time order.

        Args:
            challengers: By training window.
            champion: The champion's.
            shown: What the checks of its life showed on rows before; None: no check started the run.
        """
        most = 0.0 if self.gate.harm is None else self.gate.harm.most
        return judge(
            challengers,
            champion,
            {},
            self.gate.model_copy(update={"min_rows": 2}),  # of parts; rows are asked for before a run is judged
            draws=self.draws,
            block_rows=1,
            uses=0.0,
            weights=None,
            support=None if shown is None else {kind: support_of(shown, kind, most=most) for kind in challengers},
        )

    def preview(
        self, matrix: LossMatrix, kinds: Sequence[int], champion: tuple[int, int], *, window: int, life: Life
    ) -> Preview | None:
        """What the gate would say of the probe's refits on the newest rows of a window.

        Args:
            matrix: Losses.
            kinds: Places of the training windows.
            champion: As for `verdict`.
            window: Newest window whose labels are known.
            life: The champion's probes.
        """
        if min(matrix.rows[window], self.rows) < self.gate.min_rows:
            return None
        of_window = np.flatnonzero(matrix.cut.window == window)
        ceiling = self._newest(matrix, of_window, self.rows)
        size = self.size(matrix, kinds, champion, life, before=_first(matrix, ceiling), last=window)
        cells = self._newest(matrix, of_window, size.rows)
        kept = np.isin(of_window, cells)
        own = self._apart(matrix, kinds, max(window - life.labels, 0) * matrix.cut.blocks)
        sums = {kind: matrix.probe_sums(window, kind, labels=life.labels, blocks=life.blocks)[kept] for kind in own}
        live, live_kind = champion
        verdict = self.judged(
            {matrix.kinds[kind]: matrix.means_of_parts(cells, each) for kind, each in sums.items()},
            matrix.means_of_parts(cells, matrix.sums[live_kind, matrix.origin(live), cells]),
            self._shown(matrix, own, champion, life, before=_first(matrix, cells), last=window),
        )
        return Preview(verdict.promote, verdict.reason)

    def _shown(
        self,
        matrix: LossMatrix,
        kinds: Sequence[int],
        champion: tuple[int, int],
        life: Life,
        *,
        before: int,
        last: int,
    ) -> list[Shown]:
        """What the probes up to window `last` showed on the cells before `before`."""
        live, live_kind = champion
        shown: list[Shown] = []
        for window in life.windows:
            cells = np.flatnonzero(matrix.cut.window == window)
            kept = cells < before
            if not kept.any() or window > last:
                break
            refits: dict[str, np.ndarray] = {}
            for kind in kinds:
                sums = matrix.probe_sums(window, kind, labels=life.labels, blocks=life.blocks)
                refits[matrix.kinds[kind]] = matrix.means_of_parts(cells[kept], sums[kept])
            its = matrix.means_of_parts(cells[kept], matrix.sums[live_kind, matrix.origin(live), cells[kept]])
            shown.append(Shown((), its, refits, float(matrix.cut.rows[cells[kept]].sum()) / len(its)))
        return shown

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

    def _newest(self, matrix: LossMatrix, cells: np.ndarray, rows: int) -> np.ndarray:
        """Those of some cells, ascending, that lie for the most part in their newest `rows` rows."""
        own = matrix.cut.rows[cells][::-1]
        return cells[len(cells) - int((np.cumsum(own) - own / 2 <= rows).sum()) :]


def _first(matrix: LossMatrix, cells: np.ndarray) -> int:
    """The first of some cells; behind the last one where there is none."""
    return int(cells[0]) if len(cells) else len(matrix.cut.window)
