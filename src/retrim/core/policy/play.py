"""A policy played over a loss matrix: check by check, with the very account and the very decision that run live."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from retrim.core.account import EMPTY, Account
from retrim.core.history import Past, PastCheck, PastRun
from retrim.core.outlook import Outlook
from retrim.core.policy.judging import Life
from retrim.core.policy.played import Answer, Asks, Live, Played, Seen, Setting, Spaced
from retrim.core.preview import Preview
from retrim.core.probe import Reading


def play(setting: Setting, asks: Asks, *, probes: bool, spaced: Spaced | None = None) -> Played:
    """Walks through the windows: what serves, what a check sees, what it starts.

    Args:
        setting: Matrix, delays, training windows.
        asks: The policy.
        probes: Whether the probe is asked.
        spaced: Where it is asked only if it could change the decision; None: at every check.
    """
    matrix, delays = setting.matrix, setting.delays
    walk = _Walk(Live(0, setting.kinds[0], 0, 0), setting.moments[setting.begin])
    losses, balances = np.zeros(matrix.windows), np.zeros(matrix.windows)
    for check in range(matrix.windows):
        if walk.coming is not None and walk.coming.since <= check:
            walk.promote()
        if check > setting.begin:
            window = check - 1 - delays.labels
            seen = _look(setting, walk, check, window if window >= 0 else None, probes=probes, spaced=spaced)
            answer = asks(seen)
            walk.note(seen, answer, setting.moments[check])
            if answer.retrain and walk.coming is None and check + delays.deployment < matrix.windows:
                _retrain(setting, walk, check, answer)
        if check >= setting.begin:
            losses[check] = matrix.totals[walk.live.kind, walk.live.model, check]
        balances[check] = walk.account.balance
        walk.served.append(walk.live)
    return Played(
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

    live: Live
    begun: pd.Timestamp
    coming: Live | None = None
    account: Account = EMPTY
    version: int = 1
    runs: list[PastRun] = field(default_factory=list)
    past: list[PastCheck] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    waited: int = 0
    stopped: Counter[str] = field(default_factory=Counter)
    served: list[Live] = field(default_factory=list)
    best: int | None = None
    outlook: Outlook = field(default_factory=Outlook)
    waits: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    said: Preview | None = None
    probed: int = 0
    fitted: int = 0

    def __post_init__(self) -> None:
        self.runs.append(PastRun("1", self.begun, "promoted", (), None))

    def note_run(
        self, state: str, rules: tuple[str, ...], moment: pd.Timestamp, until: pd.Timestamp | None = None
    ) -> None:
        self.runs.append(PastRun(str(len(self.runs) + 1), moment, state, rules, until))

    def promote(self) -> None:
        assert self.coming is not None
        self.live, self.coming, self.account = self.coming, None, EMPTY
        self.outlook, self.waits, self.shown, self.said = self.outlook.of_next(), [], [], None
        self.version += 1
        self.runs[-1] = replace(self.runs[-1], state="promoted")

    def note(self, seen: Seen, answer: Answer, moment: pd.Timestamp) -> None:
        self.account = seen.account
        self.waited += answer.waits
        self.stopped.update(() if answer.stopped is None else (answer.stopped,))
        balance, price = seen.account.balance, answer.debit
        self.past.append(PastCheck(moment, self.version, answer.drifted, answer.held, (), balance, price))


def _retrain(setting: Setting, walk: _Walk, check: int, answer: Answer) -> None:
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
        if "account" in answer.rules:
            life = _life(setting, walk)
        verdict = judging.verdict(matrix, setting.kinds, champion, model=model, until=known, life=life)
        kind, passed = matrix.kinds.index(verdict.winner), verdict.promote
    walk.checks.append(check)
    walk.fitted += sum(int(matrix.fitted_rows[each, matrix.origin(model)]) for each in setting.kinds)
    if not passed:
        walk.note_run("refused", answer.rules, moment)
        walk.refused.append(check)
        walk.account = walk.account.debit(answer.debit)
        return
    walk.note_run("running", answer.rules, moment)
    walk.coming = Live(model, kind, check + delays.deployment, check)
    if walk.coming.since == check:
        walk.promote()


def _look(
    setting: Setting, walk: _Walk, check: int, window: int | None, *, probes: bool, spaced: Spaced | None
) -> Seen:
    reading, account, deposited = None, walk.account, None
    if probes and window is not None and window >= walk.live.model:
        matrix = setting.matrix
        loss, share = matrix.mean_loss(walk.live.model, walk.live.kind, window), float(matrix.share[window])
        walk.outlook = walk.outlook.with_rows(loss, share=share)
        walk.waits.append(window)
        if _needed(setting, walk, check, window, spaced):
            reading = _probe(setting, walk, window)
            all_rows = float(matrix.share[walk.waits].sum())
            account = account.deposit(reading.gain, error=reading.error, share=all_rows)
            deposited = Account(reading.gain * all_rows, (reading.error * all_rows) ** 2)
            walk.outlook = walk.outlook.probed(
                reading.newest_gain, error=reading.newest_error, loss=reading.champion_loss, share=share
            )
            walk.waits = []
    past = Past(tuple(walk.runs), tuple(walk.past), ())
    measured = walk.served[window] if window is not None and setting.delays.labels else walk.live
    return Seen(check, window, walk.live, measured, reading, walk.said, account, deposited, past)


def _needed(setting: Setting, walk: _Walk, check: int, window: int, spaced: Spaced | None) -> bool:
    if spaced is None:
        return True
    ahead = float(setting.matrix.share[window + 1 : check].sum())
    return walk.outlook.needs_probe(walk.account, spaced.price, errors=spaced.errors, ahead=ahead)


def _probe(setting: Setting, walk: _Walk, window: int) -> Reading:
    """A probe of the newest window, which stands for those that waited too; the walk notes what it leaves behind."""
    matrix = setting.matrix
    # The training window that did best at the probe before: the best of several on the same rows were luck in part.
    newest = read(setting, walk.live, window, kind=walk.live.kind if walk.best is None else walk.best)
    waiting = int(matrix.rows[walk.waits[:-1]].sum())
    walk.best = best_kind(setting, window)
    walk.shown.append(window)
    walk.probed += probe_rows(setting, window)
    if setting.judging is not None:
        champion, life = (walk.live.model, walk.live.kind), _life(setting, walk)
        walk.said = setting.judging.preview(matrix, setting.kinds, champion, window=window, life=life)
    return newest.with_waiting(waiting, earlier=walk.outlook.gain)


def _life(setting: Setting, walk: _Walk) -> Life:
    return Life(tuple(walk.shown), setting.delays.labels, setting.blocks)


def read(setting: Setting, live: Live, window: int, *, kind: int) -> Reading:
    """The probe's reading of a window: the live model against refits of training window `kind` before each block."""
    matrix = setting.matrix
    champion = matrix.model_sums(window, live.kind, live.model)
    refit = matrix.probe_sums(window, kind, labels=setting.delays.labels, blocks=setting.blocks)
    return matrix.reading(window, champion, refit)


def probe_rows(setting: Setting, window: int) -> int:
    """Rows that the probe's fits of a window are made from, all training windows together."""
    cut = setting.matrix.cut
    fits = np.arange(setting.blocks) * cut.blocks // setting.blocks
    origins = np.maximum((window - setting.delays.labels) * cut.blocks + fits, 0)
    return int(setting.matrix.fitted_rows[np.ix_(list(setting.kinds), origins.tolist())].sum())


def best_kind(setting: Setting, window: int) -> int:
    """The training window that did best on the newest labelled window, as the gate would find."""
    if len(setting.kinds) == 1 or window < 0:
        return setting.kinds[0]
    of = [
        setting.matrix.probe_sums(window, kind, labels=setting.delays.labels, blocks=setting.blocks).sum()
        for kind in setting.kinds
    ]
    return setting.kinds[int(np.argmin(of))]
