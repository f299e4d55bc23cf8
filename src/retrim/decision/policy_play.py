"""The gate in a backtest: challengers and champion on rows that neither has seen, read off the loss matrix.

What a policy is played under, what it sees and answers at a check, and what came of it.

How late labels come in windows, and whether enough windows are left to tell policies apart.

A policy played over a loss matrix: check by check, with the very accumulated gain and the very decision that run live.

Who decides at a check of a backtest: given dates, or the rules that run live, fed records of the same shape.

The best schedule in hindsight: no policy under the same delays can cost less.

The recipe of a backtest where no version is live: the middle of the search space, and rounds by early stopping.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.decision.accumulated_gain import EMPTY, AccumulatedGain, Band, BandParams, reference_band
from retrim.decision.history import CheckHistory, PastCheck, PastRun, summarise_checks
from retrim.decision.policy_backtest import LossMatrix, PolicyDelays, WindowCuts
from retrim.decision.probe import GatePreview, ProbeResult, ProbeWatch, Signs
from retrim.decision.rules import Evidence, TriggerParams, decide
from retrim.errors import RefusedError
from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.gate.losses import judge
from retrim.gate.size import KEPT_BACK, Size, size_for
from retrim.gate.support import ShownEvidence, support_of
from retrim.gate.verdict import GateParams, Verdict
from retrim.stats.windows import keep_back
from retrim.table.data import DataParams
from retrim.training.classes import fit_balanced
from retrim.training.estimators import MODELS
from retrim.training.recipe import Recipe, TrainParams
from retrim.training.tuning import Dimension, TuneParams


@dataclass(frozen=True)
class ChampionLife:
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
class GateSimulation:
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
        life: ChampionLife | None = None,
    ) -> Verdict:
        """The gate's verdict on model `model` of the best of some training windows.

        Args:
            life: Its probes, where the accumulated gain started the run; None: what they showed does not count.
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
        self,
        matrix: LossMatrix,
        kinds: Sequence[int],
        champion: tuple[int, int],
        life: ChampionLife,
        *,
        before: int,
        last: int,
    ) -> Size:
        """The newest rows that judge, as a run would choose them.

        A model that is released as it was judged leaves out the ceiling's rows in the matrix, and those judge it,
        whatever a run would choose.
        """
        own = self._apart(matrix, kinds, max(matrix.origin(last - life.labels), 0))
        shown, early = (
            self._shown(matrix, own, champion, life, before=each, last=last)
            for each in (len(matrix.cut.window), before)
        )
        rows = matrix.cut.rows.sum() / len(np.unique(matrix.cut.window * len(matrix.cut.window) + matrix.cut.part))
        known = int(matrix.cut.cells[np.searchsorted(matrix.cut.window, last, side="right")])
        size = self.sized(shown, early, tries=len(own), block_rows=round(float(rows)), there=known // KEPT_BACK)
        return size if self.apart else replace(size, rows=self.rows)

    def sized(
        self, shown: Sequence[ShownEvidence], early: Sequence[ShownEvidence], *, tries: int, block_rows: int, there: int
    ) -> Size:
        """The newest rows that judge, from what the checks of a champion's life showed.

        Args:
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
            there=there,
        )

    def judged(
        self, challengers: Mapping[str, np.ndarray], champion: np.ndarray, shown: Sequence[ShownEvidence] | None
    ) -> Verdict:
        """The gate's verdict on mean losses of parts, shape (parts,), in time order.

        Args:
            shown: What the checks of its life showed on rows before; None: no check started the run.
        """
        most = 0.0 if self.gate.non_inferiority is None else self.gate.non_inferiority.most
        return judge(
            challengers,
            champion,
            {},
            self.gate.model_copy(update={"min_rows": 2}),  # of parts; rows are asked for before a run is judged
            draws=self.draws,
            block_rows=1,
            uses=0.0,
            support=None if shown is None else {kind: support_of(shown, kind, most=most) for kind in challengers},
        )

    def preview(
        self, matrix: LossMatrix, kinds: Sequence[int], champion: tuple[int, int], *, window: int, life: ChampionLife
    ) -> GatePreview | None:
        """What the gate would say of the probe's refits on the newest rows of a window."""
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
        return GatePreview(verdict.promote, verdict.reason, size.short)

    def _shown(
        self,
        matrix: LossMatrix,
        kinds: Sequence[int],
        champion: tuple[int, int],
        life: ChampionLife,
        *,
        before: int,
        last: int,
    ) -> list[ShownEvidence]:
        """What the probes up to window `last` showed on the cells before `before`."""
        live, live_kind = champion
        shown: list[ShownEvidence] = []
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
            shown.append(ShownEvidence((), its, refits, float(matrix.cut.rows[cells[kept]].sum()) / len(its)))
        return shown

    def deferred(self, matrix: LossMatrix, delays: PolicyDelays, *, judged: int, check: int) -> int | None:
        """The check to which a run is put off until `gate.min_rows` labelled rows have come since the last one.

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
        matrix: Losses.
        kinds: Places of the training windows that a retraining may choose between.
        delays: What keeps a model behind.
        blocks: Blocks of the probe.
        moments: When each window begins, and the last ends: a check is at the end of each.
        first_window: Place of its first window in the whole history.
        judging: The gate that a retraining has to pass; None: every one is released.
        labels_until: When the newest label had matured by each moment; None: they come all the time.
    """

    matrix: LossMatrix
    kinds: tuple[int, ...]
    delays: PolicyDelays
    blocks: int
    moments: Sequence[pd.Timestamp]
    first_window: int
    judging: GateSimulation | None
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
        found = self.matrix.totals[list(self.kinds)]
        found[:, :, : self.begin] = 0.0
        return found


@dataclass(frozen=True)
class PolicyView:
    """What a check sees.

    Args:
        check: Its number: it stands before the window of that number.
        window: The newest window whose labels are known; None while there is none.
        live: The model that serves.
        measured: That whose loss on the window is watched: what served it, where labels come later; else `live`.
        reading: What the probe read; None where it was not asked or nothing had matured.
        preview: What the gate would say of its refits; None likewise, and where every retraining is released.
        accumulated_gain: After the deposit.
        deposited: What was put in.
        past: Runs and checks before.
    """

    check: int
    window: int | None
    live: LiveModel
    measured: LiveModel
    reading: ProbeResult | None
    preview: GatePreview | None
    accumulated_gain: AccumulatedGain
    deposited: AccumulatedGain | None
    past: CheckHistory


@dataclass(frozen=True)
class PolicyAnswer:
    """Whether a check starts a retraining, and what is stored with the answer.

    Args:
        retrain: Whether it starts a retraining.
        waits: Whether a person has to start it.
        debit: Amount that a refusal takes from the accumulated gain.
        rules: Rules that start the retraining.
        held: Rules whose alarm waits for a person.
        drifted: Columns that drifted; None if drift was not tested.
        stopped: The guard that stopped a retraining; None if none did.
    """

    retrain: bool
    waits: bool = False
    debit: float = 0.0
    rules: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    drifted: tuple[str, ...] | None = None
    stopped: str | None = None


Asks = Callable[[PolicyView], PolicyAnswer]


@dataclass(frozen=True)
class ProbeSpacing:
    """When the probe runs with `probe.when: needed`: while something is up, else seldom.

    A loss matrix knows neither naive baselines nor drift, so the loss beside its band decides alone.

    Args:
        retraining_cost: In mean loss times checks.
        band: How far above its band a loss is too high.
        errors: Number of its own standard errors that a gain must exceed to be sure.
        seed: Of the bands' draws.
    """

    retraining_cost: float
    band: BandParams
    errors: float
    seed: int


@dataclass(frozen=True)
class PlayedPolicy:
    """The course of a policy through a backtest.

    Args:
        checks: Checks that started a retraining that was paid for, promoted or refused, ascending.
        refused: Checks whose retraining the gate refused.
        waited: Checks at which a person would have had to start the retraining.
        stopped: Number of checks at which a guard stopped a retraining, by guard.
        served: The model that serves each window, shape (windows,).
        losses: Mean loss times share of each window, shape (windows,); 0 before the first window that counts.
        balances: Accumulated gain after each check, shape (windows,); the first entry is the balance before any check.
        probed: Training rows, over all fits of the probe.
        fitted: Training rows, over all retrainings.
        again: Cost of fitting a promoted recipe again, as a share of a retraining; 0 if that is not done.
    """

    checks: tuple[int, ...]
    refused: tuple[int, ...]
    waited: int
    stopped: Mapping[str, int]
    served: tuple[LiveModel, ...]
    losses: np.ndarray
    balances: np.ndarray
    probed: int
    fitted: int
    again: float = 0.0

    @property
    def loss(self) -> float:
        return float(self.losses.sum())

    @property
    def retrainings(self) -> int:
        return len(self.checks)

    def paid(self, retraining_cost: float) -> dict[int, float]:
        """What each check paid that started a retraining, a promoted recipe's second fit included."""
        return {check: retraining_cost * (1 + self.again * (check not in self.refused)) for check in self.checks}

    def cost(self, retraining_cost: float) -> float:
        """Loss and what the retrainings cost, in mean loss times checks."""
        return self.loss + sum(self.paid(retraining_cost).values())

    def costs(self, retraining_cost: float) -> np.ndarray:
        """The same by window, shape (windows,); a retraining is paid in the window that it would first serve."""
        costs = self.losses.copy()
        for check, price in self.paid(retraining_cost).items():
            costs[check] += price
        return costs


COUNTED = 5  # of that many windows one has to count, and three in all
ALMOST = 0.1  # of a window: labels that come sooner count as immediate


def require_seen(delay: int, windows: int, span: pd.Timedelta) -> None:
    """Refuses a history of which labels come too late for anything to be said.

    Raises:
        RefusedError: Too few windows are left that tell policies apart.
    """
    left, least = max(windows - delay, 0), max(windows // COUNTED, 3)
    if left < least:
        raise RefusedError(
            f"labels arrive {delay} windows late ({span / pd.Timedelta(1, 'D'):.3g} days per window), so only {left} "
            f"of {windows} windows can be used to compare policies, but {least} are needed; wait for more history, "
            "or set the label delay with --label-delay"
        )


def label_delay(event: pd.Series, came: pd.Series, span: pd.Timedelta) -> int:
    """Windows until labels are known.

    Args:
        event: Of each row, shape (n,).
        came: When its label was due and known, shape (n,).
    """
    return int(max(np.ceil(pd.Timedelta((came - event).median()) / span - ALMOST), 0))


def newest_labels(came: pd.Series, moments: Sequence[pd.Timestamp]) -> list[pd.Timestamp]:
    """When the newest label had come by each moment; before the first of them, the moment itself.

    Args:
        moments: Ascending.
    """
    ordered = came.sort_values(ignore_index=True)
    places = ordered.searchsorted(pd.Series(moments), side="right")
    return [ordered.iloc[place - 1] if place else moment for place, moment in zip(places, moments, strict=True)]


def known_from(event: pd.Series, came: pd.Series, cut: WindowCuts, *, delay: int) -> np.ndarray:
    """The first block, counted through all windows, before which a fit may know the label of each row, shape (n,).

    A fit before a block is made `delay` windows after it: a label that had not come by then, though it was due, cannot
    be known to it. Where the answer decides how late labels come, what is left is no fair sample, here as it is live.

    Args:
        event: Of each row, in total order, shape (n,).
        came: When its label was due and known, shape (n,).
    """
    begins = event.iloc[cut.starts].reset_index(drop=True)
    return np.asarray(begins.searchsorted(came, side="left") - delay * cut.blocks)


def play_policy(setting: Setting, asks: Asks, *, probes: bool, spaced: ProbeSpacing | None = None) -> PlayedPolicy:
    """Walks through the windows: what serves, what a check sees, what it starts.

    Args:
        spaced: Where it is asked only if it could change the decision; None: at every check.
    """
    matrix, delays = setting.matrix, setting.delays
    walk = _Walk(LiveModel(0, setting.kinds[0], 0), setting.moments[setting.begin])
    losses, balances = np.zeros(matrix.windows), np.zeros(matrix.windows)
    for check in range(matrix.windows):
        if check > setting.begin:
            window = check - 1 - delays.labels
            seen = _look(setting, walk, check, window if window >= 0 else None, probes=probes, spaced=spaced)
            answer = asks(seen)
            walk.note(seen, answer, setting.moments[check])
            if answer.retrain:
                _retrain(setting, walk, check, answer)
        if check >= setting.begin:
            losses[check] = matrix.totals[walk.live.kind, walk.live.model, check]
        balances[check] = walk.accumulated_gain.balance
        walk.served.append(walk.live)
    return PlayedPolicy(
        checks=tuple(walk.checks),
        refused=tuple(walk.refused),
        waited=walk.waited,
        stopped=dict(walk.stopped),
        served=tuple(walk.served),
        losses=losses,
        balances=balances,
        probed=walk.probed,
        fitted=walk.fitted,
        again=0.0 if setting.judging is None else setting.judging.again,
    )


@dataclass
class _Walk:
    """Where a walk stands; changed step by step, and seen by nobody else."""

    live: LiveModel
    begun: pd.Timestamp
    accumulated_gain: AccumulatedGain = EMPTY
    version: int = 1
    runs: list[PastRun] = field(default_factory=list)
    past: list[PastCheck] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    waited: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    served: list[LiveModel] = field(default_factory=list)
    watch: ProbeWatch = field(default_factory=ProbeWatch)
    waits: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    said: GatePreview | None = None
    probed: int = 0
    fitted: int = 0

    def __post_init__(self) -> None:
        self.runs.append(PastRun("1", self.begun, "promoted", (), None))

    def note_run(
        self, state: str, rules: tuple[str, ...], moment: pd.Timestamp, until: pd.Timestamp | None = None
    ) -> None:
        self.runs.append(PastRun(str(len(self.runs) + 1), moment, state, rules, until))

    def promote(self, live: LiveModel) -> None:
        self.live, self.accumulated_gain = live, EMPTY
        self.watch, self.waits, self.shown, self.said = ProbeWatch(), [], [], None
        self.version += 1

    def note(self, seen: PolicyView, answer: PolicyAnswer, moment: pd.Timestamp) -> None:
        self.accumulated_gain = seen.accumulated_gain
        self.waited += answer.waits
        self.stopped.update(() if answer.stopped is None else (answer.stopped,))
        balance, retraining_cost = seen.accumulated_gain.balance, answer.debit
        self.past.append(PastCheck(moment, self.version, answer.drifted, answer.held, (), balance, retraining_cost))


def _retrain(setting: Setting, walk: _Walk, check: int, answer: PolicyAnswer) -> None:
    """A run as of a check: deferred where too few rows have come to judge it, refused by the gate, or on its way."""
    matrix, delays, judging = setting.matrix, setting.delays, setting.judging
    moment, known, model = setting.moments[check], check - delays.labels, max(check - delays.age, 0)
    kind, passed = best_kind(setting, known - 1), True
    if judging is not None:
        until = judging.deferred(matrix, delays, judged=walk.live.decided, check=check)
        if until is not None:
            walk.note_run("deferred", answer.rules, moment, setting.moments[until])
            return
        champion, life = (walk.live.model, walk.live.kind), None
        if "gain" in answer.rules:
            life = _life(setting, walk)
        verdict = judging.verdict(matrix, setting.kinds, champion, model=model, until=known, life=life)
        kind, passed = matrix.kinds.index(verdict.winner), verdict.promote
    walk.checks.append(check)
    walk.fitted += sum(int(matrix.fitted_rows[each, matrix.origin(model)]) for each in setting.kinds)
    if not passed:
        walk.note_run("refused", answer.rules, moment)
        walk.refused.append(check)
        walk.accumulated_gain = walk.accumulated_gain.debit(answer.debit)
        return
    walk.note_run("promoted", answer.rules, moment)
    walk.promote(LiveModel(model, kind, check))


def _look(
    setting: Setting, walk: _Walk, check: int, window: int | None, *, probes: bool, spaced: ProbeSpacing | None
) -> PolicyView:
    reading, accumulated_gain, deposited = None, walk.accumulated_gain, None
    if probes and window is not None and window >= walk.live.model:
        matrix = setting.matrix
        walk.waits.append(window)
        if spaced is not None:
            walk.watch = walk.watch.after_rows(_signs(setting, walk.live, window, spaced))
        has_new_rows = _origins(setting, window).max() > matrix.origin(walk.live.model)
        if has_new_rows and (spaced is None or walk.watch.asks):
            reading = _probe(setting, walk, window)
            all_rows = float(matrix.share[walk.waits].sum())
            accumulated_gain = accumulated_gain.deposit(reading.gain, error=reading.error, share=all_rows)
            deposited = AccumulatedGain(reading.gain * all_rows, (reading.error * all_rows) ** 2)
            short = 0.0 if spaced is None else spaced.retraining_cost - accumulated_gain.balance
            walk.watch = _answered(setting, walk.watch, window, reading, spaced, short=short)
            walk.waits = []
    past = CheckHistory(tuple(walk.runs), tuple(walk.past), ())
    measured = walk.served[window] if window is not None and setting.delays.labels else walk.live
    return PolicyView(check, window, walk.live, measured, reading, walk.said, accumulated_gain, deposited, past)


def _signs(setting: Setting, live: LiveModel, window: int, spaced: ProbeSpacing) -> Signs:
    """What makes a check probe: the loss of the window beside the band of the model's first one."""
    matrix, first = setting.matrix, live.model
    loss = matrix.mean_loss(live.model, live.kind, window)
    band = first_band(setting, live, seed=spaced.seed) if window > first else None
    top = None if band is None else band.top(spaced.band)
    return Signs(
        start=setting.moments[window],
        loss=loss,
        is_high=top is not None and loss > top,
        excess=0.0 if band is None else max(loss - band.centre, 0.0),
        ceiling=max(top / band.centre, 1.0) if band is not None and top is not None and band.centre > 0 else 1.0,
        is_drifting=None,
    )


def first_band(setting: Setting, live: LiveModel, *, seed: int) -> Band | None:
    """The band of the first window that a model has not seen."""
    losses = setting.matrix.part_means(live.model, live.kind, live.model)
    return reference_band(losses, rows=len(losses), block_rows=1, draws=DRAWS, seed=seed)


def _answered(
    setting: Setting, watch: ProbeWatch, window: int, reading: ProbeResult, spaced: ProbeSpacing | None, *, short: float
) -> ProbeWatch:
    """The watch after a probe: a refit with rows from after the change that surely does not help answers it."""
    since = setting.moments[window - setting.delays.labels]
    return watch.after_probe(
        reading.newest_gain,
        reading.newest_error,
        errors=0.0 if spaced is None else spaced.errors,
        loss=reading.champion_loss,
        is_learned=watch.changed is not None and watch.changed < since,
        short=short,
    )


def _probe(setting: Setting, walk: _Walk, window: int) -> ProbeResult:
    """A probe of the newest window, which stands for those that waited too; the walk notes what it leaves behind."""
    matrix = setting.matrix
    newest = read(setting, walk.live, window)
    waiting = int(matrix.rows[walk.waits[:-1]].sum())
    walk.shown.append(window)
    walk.probed += probe_rows(setting, window)
    if setting.judging is not None:
        champion, life = (walk.live.model, walk.live.kind), _life(setting, walk)
        walk.said = setting.judging.preview(matrix, setting.kinds, champion, window=window, life=life)
    return newest.with_waiting(waiting, earlier=walk.watch.gain)


def _life(setting: Setting, walk: _Walk) -> ChampionLife:
    return ChampionLife(tuple(walk.shown), setting.delays.labels, setting.blocks)


def read(setting: Setting, live: LiveModel, window: int) -> ProbeResult:
    """The probe's reading of a window: the live model against refits before each block.

    On the parts of either parity, the training window counts that does best on the others.
    """
    matrix = setting.matrix
    champion = matrix.model_sums(window, live.kind, live.model)
    sums = np.array(
        [matrix.probe_sums(window, kind, labels=setting.delays.labels, blocks=setting.blocks) for kind in setting.kinds]
    )
    is_odd = matrix.cut.part[matrix.cut.window == window] % 2 == 1
    refit = sums[0]
    if is_odd.any() and not is_odd.all():
        best_on_even, best_on_odd = (int(np.argmin(sums[:, half].sum(axis=1))) for half in (~is_odd, is_odd))
        refit = np.where(is_odd, sums[best_on_even], sums[best_on_odd])
    return matrix.reading(window, champion, refit)


def probe_rows(setting: Setting, window: int) -> int:
    """Rows that the probe's fits of a window are made from, all training windows together."""
    origins = _origins(setting, window).tolist()
    return int(setting.matrix.fitted_rows[np.ix_(list(setting.kinds), origins)].sum())


def _origins(setting: Setting, window: int) -> np.ndarray:
    """The blocks before which the refits of a probe are made, shape (blocks of the probe,)."""
    cut = setting.matrix.cut
    fits = np.arange(setting.blocks) * cut.blocks // setting.blocks
    return np.asarray(np.maximum((window - setting.delays.labels) * cut.blocks + fits, 0))


def best_kind(setting: Setting, window: int) -> int:
    """The training window that did best on the newest labelled window, as the gate would find."""
    if len(setting.kinds) == 1 or window < 0:
        return setting.kinds[0]
    of = [
        setting.matrix.probe_sums(window, kind, labels=setting.delays.labels, blocks=setting.blocks).sum()
        for kind in setting.kinds
    ]
    return setting.kinds[int(np.argmin(of))]


Drifted = Callable[[LiveModel, int], tuple[str, ...] | None]
"""Columns over a threshold in a window, against the rows that a model was made from; None: too few rows to look at."""


def at_checks(checks: Collection[int]) -> Asks:
    """Retrains at these checks, whatever is seen."""
    wanted = frozenset(checks)
    return lambda seen: PolicyAnswer(retrain=seen.check in wanted)


def every(number: int, windows: int) -> Asks:
    """Retrains at every check that is a multiple of `number`."""
    return at_checks(range(number, windows, number))


def by_rules(
    setting: Setting,
    triggers: TriggerParams,
    *,
    retraining_cost: float,
    errors: float,
    ahead: float,
    drifted: Drifted | None,
    seed: int,
) -> Asks:
    """Asks `retrim.decision.rules.decide`, as a check does.

    No loss is estimated in a backtest, and nobody releases what is held.

    Args:
        drifted: What the drift tests say; None where no rule looks at it.
    """

    def ask(seen: PolicyView) -> PolicyAnswer:
        live, window = seen.live, seen.window
        found = None if drifted is None else drifted(live, seen.check - 1)
        version = sum(run.state == "promoted" for run in seen.past.runs)
        loss, band = None, None
        if window is not None and window >= live.model:
            loss = setting.matrix.mean_loss(seen.measured.model, seen.measured.kind, window)
            band = first_band(setting, live, seed=seed) if window > live.model else None
        evidence = Evidence(
            now=setting.moments[seen.check],
            champion=version,
            accumulated_gain=seen.accumulated_gain,
            deposited=seen.deposited,
            retraining_cost=retraining_cost,
            errors=errors,
            ahead=ahead,
            pending=float(setting.matrix.share[0 if window is None else window + 1 : seen.check].sum()),
            preview=seen.preview,
            loss=loss,
            estimate=None,
            band=band,
            labels_until=(setting.labels_until or setting.moments)[seen.check],
            **vars(summarise_checks(seen.past, champion=version, drifted=found)),
        )
        decision = decide(evidence, triggers)
        return PolicyAnswer(
            retrain=decision.outcome == "retrain",
            waits=decision.outcome == "held",
            debit=retraining_cost,
            rules=decision.fired,
            held=decision.held,
            drifted=found,
            stopped=decision.stopped,
        )

    return ask


DRAWS = 500  # of a reference band


@dataclass(frozen=True)
class Schedule:
    """Checks at which a retraining is decided, and the resulting loss.

    Args:
        checks: For each decision, the window that follows it, ascending.
        loss: Sum over all windows of mean loss times share.
    """

    checks: tuple[int, ...]
    loss: float

    def cost(self, retraining_cost: float) -> float:
        return self.loss + retraining_cost * len(self.checks)

    def costs(self, totals: np.ndarray, retraining_cost: float, delays: PolicyDelays) -> np.ndarray:
        """The same by window, shape (windows,); `totals` and `delays` are those that the schedule was sought for."""
        costs = np.zeros(totals.shape[1])
        starts = [0, *self.checks]
        for check, start, end in zip((0, *self.checks), starts, [*starts[1:], None], strict=True):
            losses = totals[:, max(check - delays.age, 0), start:end]
            costs[start:end] = losses[np.argmin(losses.sum(axis=1))]
            costs[start] += retraining_cost if check else 0.0
        return costs


def best_in_hindsight(totals: np.ndarray, delays: PolicyDelays, *, retraining_cost: float) -> Schedule:
    """The cheapest schedule, looking back: which retrainings, and the best training window for each.

    A retraining decided before window `t` is of model `t - labels - held_back`, and live from window `t` on.

    Args:
        totals: `LossMatrix.totals`, of the training windows that may be chosen, shape (kinds, windows, windows).

    Returns:
        The cheapest; of equals one with the fewest retrainings.

    Source:
        Dynamic programming over the last decision, as Bellman (1957) has it; the state is the model that is live.
    """
    n = totals.shape[1]
    until = _sums_between(totals)
    # cost_from[t]: cheapest cost of all windows from the going-live of the decision t on, its cost included.
    cost_from = np.full(n + 1, np.inf)
    count_from = np.zeros(n + 1, dtype="int64")
    then: list[int | None] = [None] * (n + 1)
    for check in range(n - 1, -1, -1):
        model = max(check - delays.age, 0)
        options: list[tuple[float, int, int | None]] = [(until(model, check, n), 0, None)]
        for later in range(check + 1, n):
            cost = until(model, check, later) + cost_from[later]
            options.append((cost, int(count_from[later]), later))
        cost, count, then[check] = min(options, key=lambda option: (option[0], option[1]))
        count_from[check] = count + (1 if check else 0)
        cost_from[check] = cost + (retraining_cost if check else 0.0)
    checks: list[int] = []
    at = then[0]
    while at is not None:
        checks.append(at)
        at = then[at]
    return Schedule(tuple(checks), float(cost_from[0] - retraining_cost * len(checks)))


def _sums_between(totals: np.ndarray) -> "WindowSums":
    return WindowSums(np.concatenate([np.zeros((*totals.shape[:2], 1)), np.nancumsum(totals, axis=2)], axis=2))


@dataclass(frozen=True)
class WindowSums:
    """Loss of a model, of its best training window, over windows `[first, last)`."""

    running: np.ndarray

    def __call__(self, model: int, first: int, last: int) -> float:
        of_kind = self.running[:, model, last] - self.running[:, model, first]
        return float(of_kind.min())


def usual_recipe(
    first: pd.DataFrame,
    data: DataParams,
    tune: TuneParams,
    train: TrainParams,
    steps: Sequence[StepParams] = (),
    *,
    loss: str,
    threads: int,
) -> Recipe:
    """A recipe from settings and the first rows alone.

    Args:
        threads: Of the fit; changes no result.

    Raises:
        ValueError: The first part is too short to stop on.
        BadInputError: The search space is that of another kind of model.
    """
    MODELS[train.model].check_space(tune.space)
    middle = {name: _middle(dimension) for name, dimension in tune.space.items()}
    fit, stop = keep_back(np.arange(len(first)), share=tune.stop_share)
    fitted, watched = first.iloc[fit], first.iloc[stop]
    view = FeatureView.learn(fitted, data, steps)
    laid = view.training(fitted)
    found = fit_balanced(
        train.model,
        train.balance,
        view,
        laid.matrix,
        view.actual(fitted.iloc[laid.places]),
        loss=loss,
        hyperparameters=middle,
        rounds=tune.max_rounds,
        weights=None,
        stop=(view.matrix(watched), view.actual(watched)),
        patience=tune.patience,
        seed=train.seed,
        threads=threads,
    )
    return Recipe(train.model, loss, middle, max(found.rounds, 1), train.seed, balance=train.balance)


def _middle(dimension: Dimension) -> Any:
    """The middle of a range, of its logarithms on a log scale; of choices the first."""
    low, high = dimension.low, dimension.high
    if dimension.choices is not None or low is None or high is None:
        return (dimension.choices or (None,))[0]
    middle = float(np.sqrt(low * high)) if dimension.log else (low + high) / 2
    return round(middle) if isinstance(low, int) and isinstance(high, int) else middle
