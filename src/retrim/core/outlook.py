"""When the probe is asked: only where what it may find could change the decision."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from retrim.core.account import Account

RISE = 0.5  # share of a rise of the champion's loss that a refit may be free of
STRAYS = 1.0  # standard errors by which the gain of a check may exceed what the newest probe found
LONGEST = 8  # checks with new rows without a probe, at most: a gain that shows in no loss is found by then


@dataclass(frozen=True)
class Outlook:
    """What the account may hold by now, had the rows that wait for a probe been judged.

    Args:
        gain: What the newest probe of this champion found, in mean loss; 0 before its first.
        error: Standard error of such a gain over one usual check; None before any probe.
        loss: The champion's mean loss at that probe, or on its first new rows; None before these.
        more: What the rows since may add to the account, at most.
        checks: That brought these rows.
    """

    gain: float = 0.0
    error: float | None = None
    loss: float | None = None
    more: float = 0.0
    checks: int = 0

    def with_rows(self, loss: float, *, share: float) -> "Outlook":
        """The outlook once more rows wait.

        Args:
            loss: The champion's mean loss on them.
            share: Rows over those of a usual check.
        """
        before = loss if self.loss is None else self.loss
        plausible = max(self.gain, 0.0) + RISE * max(loss - before, 0.0) + STRAYS * (self.error or 0.0)
        return replace(self, loss=before, more=self.more + share * plausible, checks=self.checks + 1)

    def needs_probe(self, account: Account, price: float, *, errors: float, ahead: float) -> bool:
        """Whether a probe of the rows that wait could find that the account pays, or nobody knows.

        Args:
            account: Without these rows.
            price: Of a retraining.
            errors: Standard errors of itself that the account must exceed.
            ahead: Usual checks of rows whose labels are not due yet.
        """
        if not self.checks:
            return False
        if self.error is None or self.checks >= LONGEST:
            return True
        most = account.balance + self.more + ahead * max(self.gain, 0.0)
        return most > price and most > errors * account.error

    def probed(self, gain: float, *, error: float, loss: float, share: float) -> "Outlook":
        """The outlook after a probe.

        Args:
            gain: What it found on the rows that it judged, in mean loss.
            error: Standard error of that.
            loss: The champion's mean loss on them.
            share: These rows over those of a usual check.
        """
        return Outlook(gain, float(error * share**0.5), loss)

    def of_next(self) -> "Outlook":
        """That of another champion: it has lost nothing to a refit yet, and its rows are as noisy."""
        return Outlook(error=self.error)

    def as_record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Outlook":
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})
