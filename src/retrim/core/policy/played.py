"""What a policy is played under, what it sees and answers at a check, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.core.account import Account
from retrim.core.history import Past
from retrim.core.policy.judging import Judging
from retrim.core.policy.matrix import Delays, LossMatrix
from retrim.core.preview import Preview
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
        judging: The gate that a retraining has to pass; None: every one is released.
        labels_until: When the newest label had matured by each moment; None: they come all the time.
    """

    matrix: LossMatrix
    kinds: tuple[int, ...]
    delays: Delays
    blocks: int
    moments: Sequence[pd.Timestamp]
    first_window: int
    judging: Judging | None
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
class Seen:
    """What a check sees.

    Args:
        check: Its number: it stands before the window of that number.
        window: The newest window whose labels are known; None while there is none.
        live: The model that serves.
        measured: That whose loss on the window is watched: what served it, where labels come later; else `live`.
        reading: What the probe read; None where it was not asked or nothing had matured.
        preview: What the gate would say of its refits; None likewise, and where every retraining is released.
        account: After the deposit.
        deposited: What was put in.
        past: Runs and checks before.
    """

    check: int
    window: int | None
    live: Live
    measured: Live
    reading: Reading | None
    preview: Preview | None
    account: Account
    deposited: Account | None
    past: Past


@dataclass(frozen=True)
class Answer:
    """Whether a check starts a retraining, and what is remembered of it.

    Args:
        retrain: Whether it does.
        waits: Whether it is a person's to start.
        debit: What a refusal takes from the account.
        rules: Rules that start it.
        held: Rules whose alarm waits for a person.
        drifted: Columns that drifted; None where there was nothing to look at.
        stopped: The guard that kept a rule from a retraining; None where none did.
    """

    retrain: bool
    waits: bool = False
    debit: float = 0.0
    rules: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    drifted: tuple[str, ...] | None = None
    stopped: str | None = None


Asks = Callable[[Seen], Answer]


@dataclass(frozen=True)
class Spaced:
    """What tells whether a probe could change the decision, as `probe.when: needed` asks.

    Args:
        price: Of a retraining, in mean loss times checks.
        errors: Standard errors of itself that the account must exceed.
    """

    price: float
    errors: float


@dataclass(frozen=True)
class Played:
    """What came of a policy.

    Args:
        checks: Those that started a retraining that was paid for, ascending: promoted or refused.
        refused: Those whose retraining the gate refused.
        waited: Checks at which a retraining was a person's to start, and nobody was there.
        stopped: Checks at which a guard kept a rule from a retraining, by guard.
        served: The model that served each window, shape (windows,).
        losses: Mean loss times share of each window, shape (windows,); 0 before the first that counts.
        balances: The account after each check, shape (windows,); the first stands before any check.
        probed: Rows that all fits of the probe were made from.
        fitted: Rows that all retrainings were made from.
        again: What fitting a promoted recipe once more costs, as a share of a retraining; 0 where none is.
    """

    checks: tuple[int, ...]
    refused: tuple[int, ...]
    waited: int
    stopped: Mapping[str, int]
    served: tuple[Live, ...]
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

    def paid(self, price: float) -> dict[int, float]:
        """What each check paid that started a retraining, a promoted recipe's second fit included."""
        return {check: price * (1 + self.again * (check not in self.refused)) for check in self.checks}

    def cost(self, price: float) -> float:
        """Loss and what the retrainings cost, in mean loss times checks."""
        return self.loss + sum(self.paid(price).values())
