"""When a check probes: only where what the probe may find could change the decision."""

from dataclasses import dataclass, replace
from math import ceil

import pandas as pd

from retrim.decision.loss_comparison import NO_HELP
from retrim.stats.codec import Moment

SELDOM = 8  # checks with new rows of which one probes while nothing is up: a gain that shows in no loss is found then


@dataclass(frozen=True)
class Signs:
    """What a check measured of the champion before it decides whether to probe.

    Args:
        start: Event time of the first of its newly measured rows.
        loss: The champion's mean loss on them.
        is_high: Whether that is above the band of what was expected, or surely above a naive baseline.
        excess: How far it is above the expected loss, or above a naive baseline if that is further; 0 or more.
        ceiling: Top of that band, as a multiple of the expected loss; 1 or more.
        is_drifting: Whether the target or the predictions drift; None: too few rows to test.
    """

    start: pd.Timestamp
    loss: float
    is_high: bool
    excess: float
    ceiling: float
    is_drifting: bool | None


@dataclass(frozen=True)
class ProbeWatch:
    """Why the next check probes, or why it need not.

    Args:
        changed: Event time from which the table differs from what the champion was judged on; None: nothing says so.
        is_high: Whether the loss is too high.
        excess: By how much.
        is_drifting: Whether the target or the predictions drift.
        answered_loss: Loss at which a refit on enough rows after the change showed no gain; a higher one is a new
            change. None: no refit has answered.
        is_drift_answered: Whether such a refit has answered the drift.
        gain: Gain that the newest probe measured, in mean loss; 0 before the first.
        is_gain_sure: Whether that gain exceeded its standard errors.
        pays_after: Checks after which that gain, were it to go on, would pay for a retraining; 1 or more.
        checks: Checks that brought rows since the newest probe.
        lived: Checks that brought rows before it, since the champion went live or the table changed.
    """

    changed: Moment | None = None
    is_high: bool = False
    excess: float = 0.0
    is_drifting: bool = False
    answered_loss: float | None = None
    is_drift_answered: bool = False
    gain: float = 0.0
    is_gain_sure: bool = False
    pays_after: int = 1
    checks: int = 0
    lived: int = 0

    def after_rows(self, signs: Signs) -> "ProbeWatch":
        """The watch once a check has measured new rows."""
        is_drifting = self.is_drifting if signs.is_drifting is None else signs.is_drifting
        answered = self.answered_loss if signs.is_high else None
        is_higher = answered is not None and signs.loss > signs.ceiling * answered
        is_new = is_higher or (signs.is_high and not self.is_high)  # a drift that is seen later is the same change
        if is_higher:
            answered = None
        since = signs.start if is_new else self.changed or signs.start
        return replace(
            self,
            changed=since if signs.is_high or is_drifting else None,
            is_high=signs.is_high,
            excess=signs.excess,
            is_drifting=is_drifting,
            answered_loss=answered,
            is_drift_answered=self.is_drift_answered and is_drifting,
            checks=1 if is_new else self.checks + 1,
            lived=0 if is_new else self.lived,
        )

    @property
    def asks(self) -> bool:
        """Whether this check probes: something is up that no refit answered, a gain would pay by now, or it is time.

        It is time at the second, fourth and eighth check of a champion or after a change, then at every eighth: more
        rows teach soon what the first ones did not.
        """
        is_loss_open = self.is_high and self.answered_loss is None
        is_drift_open = self.is_drifting and not self.is_drift_answered
        is_gaining = self.is_gain_sure and self.checks >= self.pays_after
        is_time = self.checks >= min(SELDOM, max(self.lived, 1))
        return is_loss_open or is_drift_open or is_gaining or is_time

    def after_probe(
        self, gain: float, error: float, *, errors: float, loss: float, is_learned: bool, short: float
    ) -> "ProbeWatch":
        """The watch after a probe whose refit had new rows."""
        is_sure = gain > errors * error
        is_answer = is_learned and not is_sure and (not self.is_high or gain + errors * error < NO_HELP * self.excess)
        due = ceil(short / gain) if is_sure and short < SELDOM * gain else SELDOM
        return replace(
            self,
            answered_loss=loss if is_answer and self.is_high else self.answered_loss,
            is_drift_answered=self.is_drift_answered or (is_answer and self.is_drifting),
            gain=gain,
            is_gain_sure=is_sure,
            pays_after=max(due, 1),
            checks=0,
            lived=self.lived + self.checks,
        )
