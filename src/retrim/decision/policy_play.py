"""Policies played over a loss matrix, check by check, with the accumulated gain, rules and gate that run live."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.history import CheckHistory, PastCheck, PastRun, summarise_checks
from retrim.decision.policy_gate import LiveModel, Setting
from retrim.decision.probe import GatePreview
from retrim.decision.probe_watch import ProbeWatch, Signs
from retrim.decision.rules import decide
from retrim.decision.triggers import Evidence, TriggerParams

Drifted = Callable[[LiveModel, int], tuple[str, ...] | None]
"""Columns over a threshold in a window, against the rows that a model was made from; None: too few rows to look at."""


@dataclass(frozen=True)
class PlayedRules:
    """The rules that decide in a backtest, as a check has them. No loss is estimated, nobody releases what is held.

    Args:
        triggers: As params.yaml has them; where `gain` is among the rules, checks probe.
        retraining_cost: In mean loss times checks.
        errors: Standard errors of itself that the accumulated gain must exceed.
        seed: Of the draws of reference bands.
        drifted: What the drift tests say; None where no rule looks at it.
        probes_if_needed: Whether a check probes as with `probe.when: needed`: while something is up, else seldom. A
            matrix knows neither naive baselines nor drift, so the loss beside its band decides alone.
    """

    triggers: TriggerParams
    retraining_cost: float
    errors: float
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
    """

    checks: tuple[int, ...]
    refused: tuple[int, ...]
    waited: int
    stopped: Mapping[str, int]
    served: tuple[LiveModel, ...]
    losses: np.ndarray
    balances: np.ndarray
    probed: int

    @property
    def loss(self) -> float:
        return float(self.losses.sum())

    def cost(self, retraining_cost: float) -> float:
        """Loss and what the retrainings cost, in mean loss times checks."""
        return self.loss + retraining_cost * len(self.checks)

    def costs(self, retraining_cost: float) -> np.ndarray:
        """The same by window, shape (windows,); a retraining is paid in the window that it would first serve."""
        costs = self.losses.copy()
        costs[list(self.checks)] += retraining_cost
        return costs


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
    )


@dataclass
class _Walk:
    """Where a walk stands; changed step by step, and seen by nobody else."""

    live: LiveModel
    runs: list[PastRun]
    accumulated_gain: AccumulatedGain = field(default_factory=AccumulatedGain.empty)
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
        debit: Amount that a refusal takes from the accumulated gain.
    """
    delays, judging = setting.delays, setting.judging
    moment, known, model = setting.moments[check], check - delays.labels, max(check - delays.age, 0)
    kind, is_promoted = setting.best_kind(known - 1), True
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
    walk.live, walk.accumulated_gain = LiveModel(model, kind, check), AccumulatedGain.empty()
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
    newest = setting.read(live, window)
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
