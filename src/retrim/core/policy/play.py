"""A policy played over a loss matrix: check by check, with the very account and the very decision that run live."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from retrim.core.account import EMPTY, Account
from retrim.core.history import Past, PastCheck, PastRun
from retrim.core.policy.matrix import Delays, LossMatrix
from retrim.core.probe import Reading


@dataclass(frozen=True)
class Live:
    """A model that serves, or is on its way.

    Args:
        model: Its place in the matrix: the window before which its training rows end.
        kind: Place of its training window.
        since: First window that it serves.
        decided: Check that asked for it; 0 for the first.
    """

    model: int
    kind: int
    since: int
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
    """

    matrix: LossMatrix
    kinds: tuple[int, ...]
    delays: Delays
    blocks: int
    moments: Sequence[pd.Timestamp]
    first_window: int


@dataclass(frozen=True)
class Seen:
    """What a check sees.

    Args:
        check: Its number: it stands before the window of that number.
        window: The newest window whose labels are known; None while there is none.
        live: The model that serves.
        reading: What the probe read; None where it was not asked or nothing had matured.
        account: After the deposit.
        deposited: What was put in.
        past: Runs and checks before.
    """

    check: int
    window: int | None
    live: Live
    reading: Reading | None
    account: Account
    deposited: Account | None
    past: Past


@dataclass(frozen=True)
class Answer:
    """Whether a check starts a retraining, and what is remembered of it."""

    retrain: bool
    rules: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    drifted: tuple[str, ...] | None = None


Asks = Callable[[Seen], Answer]


@dataclass(frozen=True)
class Played:
    """What came of a policy.

    Args:
        checks: Those that started a retraining, ascending.
        served: The model that served each window, shape (windows,).
        losses: Mean loss times share of each window, shape (windows,).
        balances: The account after each check, shape (windows,); the first stands before any check.
        probed: Rows that all fits of the probe were made from.
        fitted: Rows that all retrainings were made from.
    """

    checks: tuple[int, ...]
    served: tuple[Live, ...]
    losses: np.ndarray
    balances: np.ndarray
    probed: int
    fitted: int

    @property
    def loss(self) -> float:
        return float(self.losses.sum())

    @property
    def retrainings(self) -> int:
        return len(self.checks)

    def cost(self, price: float) -> float:
        """Loss and the price of each retraining, in mean loss times checks."""
        return self.loss + price * self.retrainings


def play(setting: Setting, asks: Asks, *, probes: bool) -> Played:
    """Walks through the windows: what serves, what a check sees, what it starts.

    Args:
        setting: Matrix, delays, training windows.
        asks: The policy.
        probes: Whether the probe is asked at every check.
    """
    matrix, delays = setting.matrix, setting.delays
    walk = _Walk(Live(0, setting.kinds[0], 0, 0), setting.moments[0])
    losses, balances = np.zeros(matrix.windows), np.zeros(matrix.windows)
    for check in range(matrix.windows):
        if walk.coming is not None and walk.coming.since <= check:
            walk.promote()
        if check:
            window = check - 1 - delays.labels
            seen = _look(setting, walk, check, window if window >= 0 else None, probes=probes)
            answer = asks(seen)
            walk.note(seen, answer, setting.moments[check])
            if answer.retrain and walk.coming is None and check + delays.deployment < matrix.windows:
                kind = best_kind(setting, window)
                coming = Live(max(check - delays.age, 0), kind, check + delays.deployment, check)
                walk.start(coming, answer.rules, setting.moments[check])
                walk.fitted += sum(int(matrix.fitted_rows[k, coming.model * matrix.cut.blocks]) for k in setting.kinds)
                if coming.since == check:
                    walk.promote()
        losses[check] = matrix.totals[walk.live.kind, walk.live.model, check]
        balances[check] = walk.account.balance
        walk.served.append(walk.live)
    return Played(tuple(walk.checks), tuple(walk.served), losses, balances, walk.probed, walk.fitted)


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
    served: list[Live] = field(default_factory=list)
    best: int | None = None
    probed: int = 0
    fitted: int = 0

    def __post_init__(self) -> None:
        self.runs.append(PastRun("1", self.begun, "promoted", (), None))

    def start(self, coming: Live, rules: tuple[str, ...], moment: pd.Timestamp) -> None:
        self.coming = coming
        self.checks.append(coming.decided)
        self.runs.append(PastRun(str(self.version + 1), moment, "running", rules, None))

    def promote(self) -> None:
        assert self.coming is not None
        self.live, self.coming, self.account = self.coming, None, EMPTY
        self.version += 1
        self.runs[-1] = replace(self.runs[-1], state="promoted")

    def note(self, seen: Seen, answer: Answer, moment: pd.Timestamp) -> None:
        self.account = seen.account
        self.past.append(PastCheck(moment, self.version, answer.drifted, answer.held))


def _look(setting: Setting, walk: _Walk, check: int, window: int | None, *, probes: bool) -> Seen:
    reading, account, deposited = None, walk.account, None
    if probes and window is not None and window >= walk.live.model:
        matrix = setting.matrix
        # The training window that did best at the probe before: the best of several on the same rows were luck in part.
        reading = read(setting, walk.live, window, kind=walk.live.kind if walk.best is None else walk.best)
        share = float(matrix.share[window])
        account = account.deposit(reading.gain, error=reading.error, share=share)
        deposited = Account(reading.gain * share, (reading.error * share) ** 2)
        walk.best = best_kind(setting, window)
        walk.probed += probe_rows(setting, window)
    past = Past(tuple(walk.runs), tuple(walk.past), ())
    return Seen(check, window, walk.live, reading, account, deposited, past)


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
