"""Policies played over a loss matrix, check by check, with the accumulated gain, rules and gate that run live."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.decision.accumulated_gain import EMPTY, AccumulatedGain, Band, reference_band
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
from retrim.stats.bootstrap import mean_error
from retrim.stats.windows import keep_back
from retrim.table.data import DataParams
from retrim.training.classes import fit_balanced
from retrim.training.estimators import MODELS
from retrim.training.recipe import Recipe, TrainParams
from retrim.training.tuning import Dimension, TuneParams

COUNTED = 5  # of that many windows one has to count, and three in all
ALMOST = 0.1  # of a window: labels that come sooner count as immediate
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
        self, setting: "Setting", live: LiveModel, *, model: int, until: int, probed: Sequence[int] | None = None
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
        kinds, shown = _distinct_kinds(setting, origin), None
        if probed is not None:
            shown = _shown(setting, kinds, live, probed, before=_first(matrix, cells), last=until - 1)
        sums = {kind: matrix.sums[kind, origin, cells] for kind in kinds}
        return self._judged(matrix, live, cells, sums, shown)

    def preview(self, setting: "Setting", live: LiveModel, *, window: int, probed: Sequence[int]) -> GatePreview | None:
        """What the gate would say of the probe's refits on the newest rows of a window."""
        matrix = setting.matrix
        if min(matrix.rows[window], self.rows) < self.gate.min_rows:
            return None
        of_window = np.flatnonzero(matrix.cut.window == window)
        ceiling = _newest(matrix, of_window, self.rows)
        size = self._size(setting, live, probed, before=_first(matrix, ceiling), last=window)
        cells = _newest(matrix, of_window, size.rows)
        is_judging = np.isin(of_window, cells)
        kinds = _distinct_kinds(setting, max(window - setting.delays.labels, 0) * matrix.cut.blocks)
        sums = {kind: setting.probe_sums(window, kind)[is_judging] for kind in kinds}
        shown = _shown(setting, kinds, live, probed, before=_first(matrix, cells), last=window)
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

    def deferred(self, setting: "Setting", *, judged: int, check: int) -> int | None:
        """The check to which a run is put off until `gate.min_rows` labelled rows have come since the last one.

        Returns:
            The first check that has them, or the number of windows where none has; None where this one has.
        """
        windows = setting.matrix.windows
        come = np.concatenate([[0.0], np.cumsum(setting.matrix.rows)])
        by_check = come[np.maximum(np.arange(windows) - setting.delays.labels, 0)]
        enough = by_check - by_check[judged] >= self.gate.min_rows
        return None if enough[check] else next((later for later in range(check, windows) if enough[later]), windows)

    def _size(self, setting: "Setting", live: LiveModel, probed: Sequence[int], *, before: int, last: int) -> Size:
        """The newest rows that judge, as a run would choose them.

        A model that is released as it was judged leaves out the ceiling's rows in the matrix, and those judge it,
        whatever a run would choose.
        """
        matrix = setting.matrix
        kinds = _distinct_kinds(setting, max(matrix.origin(last - setting.delays.labels), 0))
        shown, early = (
            _shown(setting, kinds, live, probed, before=cell, last=last) for cell in (len(matrix.cut.window), before)
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


def _shown(
    setting: "Setting", kinds: Sequence[int], live: LiveModel, probed: Sequence[int], *, before: int, last: int
) -> list[ShownEvidence]:
    """What the probes up to window `last` showed on the cells before `before`."""
    matrix = setting.matrix
    shown: list[ShownEvidence] = []
    for window in probed:
        cells = np.flatnonzero(matrix.cut.window == window)
        is_before = cells < before
        cells = cells[is_before]
        if not len(cells) or window > last:
            break
        sums = {matrix.kinds[kind]: setting.probe_sums(window, kind)[is_before] for kind in kinds}
        refits: dict[str, np.ndarray] = {name: matrix.means_of_parts(cells, losses) for name, losses in sums.items()}
        champion = matrix.means_of_parts(cells, matrix.sums[live.kind, matrix.origin(live.model), cells])
        shown.append(ShownEvidence((), champion, refits, float(matrix.cut.rows[cells].sum()) / len(champion)))
    return shown


def _distinct_kinds(setting: "Setting", origin: int) -> list[int]:
    """The training windows whose models were made from different rows: of the same rows the first."""
    by_rows: dict[int, int] = {}
    for kind in setting.kinds:
        by_rows.setdefault(int(setting.matrix.fitted_rows[kind, origin]), kind)
    return list(by_rows.values())


def _newest(matrix: LossMatrix, cells: np.ndarray, rows: int) -> np.ndarray:
    """Those of some cells, ascending, that lie for the most part in their newest `rows` rows."""
    from_end = matrix.cut.rows[cells][::-1]
    return cells[len(cells) - int((np.cumsum(from_end) - from_end / 2 <= rows).sum()) :]


def _first(matrix: LossMatrix, cells: np.ndarray) -> int:
    """The first of some cells; behind the last one where there is none."""
    return int(cells[0]) if len(cells) else len(matrix.cut.window)


@dataclass(frozen=True)
class Setting:
    """What every policy is played under.

    Args:
        matrix: Losses.
        kinds: Places of the training windows that a retraining may choose between.
        delays: What keeps a model behind.
        blocks: Blocks of the probe.
        moments: When each window begins, and the last ends: a check is at the end of each.
        judging: The gate that a retraining has to pass; None: every one is released.
        labels_until: When the newest label had matured by each moment; None: they come all the time.
    """

    matrix: LossMatrix
    kinds: tuple[int, ...]
    delays: PolicyDelays
    blocks: int
    moments: Sequence[pd.Timestamp]
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


Drifted = Callable[[LiveModel, int], tuple[str, ...] | None]
"""Columns over a threshold in a window, against the rows that a model was made from; None: too few rows to look at."""


@dataclass(frozen=True)
class PlayedRules:
    """The rules that decide in a backtest, as a check has them. No loss is estimated, nobody releases what is held.

    Args:
        triggers: As params.yaml has them; where `gain` is among the rules, checks probe.
        retraining_cost: In mean loss times checks.
        errors: Standard errors of itself that the accumulated gain must exceed.
        ahead: Checks like the newest ones that are added before it is held to the retraining cost.
        seed: Of the draws of reference bands.
        drifted: What the drift tests say; None where no rule looks at it.
        probes_if_needed: Whether a check probes as with `probe.when: needed`: while something is up, else seldom. A
            matrix knows neither naive baselines nor drift, so the loss beside its band decides alone.
    """

    triggers: TriggerParams
    retraining_cost: float
    errors: float
    ahead: float
    seed: int
    drifted: Drifted | None = None
    probes_if_needed: bool = False

    @property
    def probes(self) -> bool:
        return "gain" in self.triggers.rules


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
    again: float

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


def play_policy(setting: Setting, policy: PlayedRules | Collection[int]) -> PlayedPolicy:
    """Walks through the windows: what serves, what a check sees, what it starts.

    Args:
        policy: The rules that decide, or the checks that retrain, whatever is seen.
    """
    matrix = setting.matrix
    walk = _Walk(
        LiveModel(0, setting.kinds[0], 0), [PastRun("1", setting.moments[setting.begin], "promoted", (), None)]
    )
    losses, balances = np.zeros(matrix.windows), np.zeros(matrix.windows)
    for check in range(matrix.windows):
        if check > setting.begin:
            if isinstance(policy, PlayedRules):
                _check(setting, walk, policy, check)
            elif check in policy:
                _retrain(setting, walk, check, (), debit=0.0)
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
        probed=walk.probed_rows,
        again=0.0 if setting.judging is None else setting.judging.again,
    )


@dataclass
class _Walk:
    """Where a walk stands; changed step by step, and seen by nobody else."""

    live: LiveModel
    runs: list[PastRun]
    accumulated_gain: AccumulatedGain = EMPTY
    past: list[PastCheck] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    waited: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    served: list[LiveModel] = field(default_factory=list)
    watch: ProbeWatch = field(default_factory=ProbeWatch)
    waiting: list[int] = field(default_factory=list)  # windows that no probe has counted yet
    probed: list[int] = field(default_factory=list)  # windows on which the live model's checks have judged refits
    preview: GatePreview | None = None
    probed_rows: int = 0

    @property
    def version(self) -> int:
        return sum(run.state == "promoted" for run in self.runs)

    def note_run(
        self, state: str, rules: tuple[str, ...], moment: pd.Timestamp, until: pd.Timestamp | None = None
    ) -> None:
        self.runs.append(PastRun(str(len(self.runs) + 1), moment, state, rules, until))


def _check(setting: Setting, walk: _Walk, rules: PlayedRules, check: int) -> None:
    """A check: its evidence, the decision, and the retraining that this starts."""
    matrix, live, moment = setting.matrix, walk.live, setting.moments[check]
    window = check - 1 - setting.delays.labels
    deposited, loss, band = None, None, None
    if window >= live.model:
        deposited = _probe(setting, walk, rules, window) if rules.probes else None
        measured = walk.served[window] if setting.delays.labels else live  # what served it, where labels come later
        loss = matrix.mean_loss(measured.model, measured.kind, window)
        band = setting.first_band(live, seed=rules.seed) if window > live.model else None
    drifted = None if rules.drifted is None else rules.drifted(live, check - 1)
    history = summarise_checks(
        CheckHistory(tuple(walk.runs), tuple(walk.past), ()), champion=walk.version, drifted=drifted
    )
    evidence = Evidence(
        now=moment,
        champion=walk.version,
        accumulated_gain=walk.accumulated_gain,
        deposited=deposited,
        retraining_cost=rules.retraining_cost,
        errors=rules.errors,
        ahead=rules.ahead,
        pending=float(matrix.share[max(window + 1, 0) : check].sum()),
        preview=walk.preview,
        loss=loss,
        estimate=None,
        band=band,
        labels_until=(setting.labels_until or setting.moments)[check],
        **vars(history),
    )
    decision = decide(evidence, rules.triggers)
    walk.waited += decision.outcome == "held"
    walk.stopped.update(() if decision.stopped is None else (decision.stopped,))
    balance = walk.accumulated_gain.balance
    walk.past.append(PastCheck(moment, walk.version, drifted, decision.held, (), balance, rules.retraining_cost))
    if decision.outcome == "retrain":
        _retrain(setting, walk, check, decision.fired, debit=rules.retraining_cost)


def _retrain(setting: Setting, walk: _Walk, check: int, rules: tuple[str, ...], *, debit: float) -> None:
    """A run as of a check: deferred where too few rows have come to judge it, refused by the gate, or on its way.

    Args:
        rules: Those that start it.
        debit: Amount that a refusal takes from the accumulated gain.
    """
    delays, judging = setting.delays, setting.judging
    moment, known, model = setting.moments[check], check - delays.labels, max(check - delays.age, 0)
    kind, is_promoted = best_kind(setting, known - 1), True
    if judging is not None:
        until = judging.deferred(setting, judged=walk.live.decided, check=check)
        if until is not None:
            walk.note_run("deferred", rules, moment, setting.moments[until])
            return
        probed = walk.probed if "gain" in rules else None
        verdict = judging.verdict(setting, walk.live, model=model, until=known, probed=probed)
        kind, is_promoted = setting.matrix.kinds.index(verdict.winner), verdict.promote
    walk.checks.append(check)
    if not is_promoted:
        walk.note_run("refused", rules, moment)
        walk.refused.append(check)
        walk.accumulated_gain = walk.accumulated_gain.debit(debit)
        return
    walk.note_run("promoted", rules, moment)
    walk.live, walk.accumulated_gain = LiveModel(model, kind, check), EMPTY
    walk.watch, walk.waiting, walk.probed, walk.preview = ProbeWatch(), [], [], None


def _probe(setting: Setting, walk: _Walk, rules: PlayedRules, window: int) -> AccumulatedGain | None:
    """What a probe of the newest window, which stands for those that waited too, puts into the accumulated gain.

    Returns:
        None where no refit would have new rows, or none is needed.
    """
    matrix, live = setting.matrix, walk.live
    walk.waiting.append(window)
    if rules.probes_if_needed:
        walk.watch = walk.watch.after_rows(_signs(setting, live, window, rules))
    origins = setting.probe_origins(window)
    if origins.max() <= matrix.origin(live.model) or (rules.probes_if_needed and not walk.watch.asks):
        return None
    newest = read(setting, live, window)
    walk.probed.append(window)
    walk.probed_rows += int(matrix.fitted_rows[np.ix_(list(setting.kinds), origins.tolist())].sum())
    if setting.judging is not None:
        walk.preview = setting.judging.preview(setting, live, window=window, probed=walk.probed)
    reading = newest.with_waiting(int(matrix.rows[walk.waiting[:-1]].sum()), earlier=walk.watch.gain)
    share = float(matrix.share[walk.waiting].sum())
    walk.accumulated_gain = walk.accumulated_gain.deposit(reading.gain, error=reading.error, share=share)
    since = setting.moments[window - setting.delays.labels]
    walk.watch = walk.watch.after_probe(
        reading.newest_gain,
        reading.newest_error,
        errors=rules.errors if rules.probes_if_needed else 0.0,
        loss=reading.champion_loss,
        # A refit with rows from after the change that surely does not help answers it.
        is_learned=walk.watch.changed is not None and walk.watch.changed < since,
        short=rules.retraining_cost - walk.accumulated_gain.balance if rules.probes_if_needed else 0.0,
    )
    walk.waiting = []
    return AccumulatedGain(reading.gain * share, (reading.error * share) ** 2)


def _signs(setting: Setting, live: LiveModel, window: int, rules: PlayedRules) -> Signs:
    """What makes a check probe: the loss of the window beside the band of the model's first one."""
    loss = setting.matrix.mean_loss(live.model, live.kind, window)
    band = setting.first_band(live, seed=rules.seed) if window > live.model else None
    top = None if band is None else band.top(rules.triggers.band)
    return Signs(
        start=setting.moments[window],
        loss=loss,
        is_high=top is not None and loss > top,
        excess=0.0 if band is None else max(loss - band.centre, 0.0),
        ceiling=max(top / band.centre, 1.0) if band is not None and top is not None and band.centre > 0 else 1.0,
        is_drifting=None,
    )


def read(setting: Setting, live: LiveModel, window: int) -> ProbeResult:
    """The probe's reading of a window: the live model against refits before each block.

    On the parts of either parity, the training window counts that does best on the others.
    """
    matrix = setting.matrix
    champion = matrix.model_sums(window, live.kind, live.model)
    sums = np.array([setting.probe_sums(window, kind) for kind in setting.kinds])
    cells = matrix.cut.window == window
    cell_rows, part = matrix.cut.rows[cells], matrix.cut.part[cells]
    is_odd = part % 2 == 1
    refit = sums[0]
    if is_odd.any() and not is_odd.all():
        best_on_even, best_on_odd = (int(np.argmin(sums[:, half].sum(axis=1))) for half in (~is_odd, is_odd))
        refit = np.where(is_odd, sums[best_on_even], sums[best_on_odd])
    rows = int(cell_rows.sum())
    gains = np.bincount(part, weights=champion - refit) / np.bincount(part, weights=cell_rows)
    return ProbeResult(
        rows=rows,
        apart=0,
        weight=1.0,
        champion_loss=float(champion.sum() / rows),
        probe_loss=float(refit.sum() / rows),
        newest_error=mean_error(gains, block_rows=1),
    )


def best_kind(setting: Setting, window: int) -> int:
    """The training window that did best on the newest labelled window, as the gate would find."""
    if len(setting.kinds) == 1 or window < 0:
        return setting.kinds[0]
    return setting.kinds[int(np.argmin([setting.probe_sums(window, kind).sum() for kind in setting.kinds]))]


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
    running = np.concatenate([np.zeros((*totals.shape[:2], 1)), np.nancumsum(totals, axis=2)], axis=2)

    def loss_of(model: int, first: int, last: int) -> float:
        return float((running[:, model, last] - running[:, model, first]).min())

    # cost_from[t]: cheapest cost of all windows from the going-live of the decision t on, its cost included.
    cost_from = np.full(n + 1, np.inf)
    count_from = np.zeros(n + 1, dtype="int64")
    then: list[int | None] = [None] * (n + 1)
    for check in range(n - 1, -1, -1):
        model = max(check - delays.age, 0)
        options: list[tuple[float, int, int | None]] = [(loss_of(model, check, n), 0, None)]
        for later in range(check + 1, n):
            cost = loss_of(model, check, later) + cost_from[later]
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
    found = fit_balanced(
        train.model,
        train.balance,
        view,
        view.training(fitted),
        view.actual(fitted),
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
