"""A replay in one sentence: what both sides lost, how often they retrained, and what that cost at the price."""

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Cost:
    """What one side cost.

    Args:
        loss: Sum of the loss over all rows.
        promoted: Runs that ended so; each is paid for.
        refused: The same.
        restored: Former champions that came back: free.
        held: Checks that waited for a person.
        probes: What the probes took, in mean loss x checks, each at the price of its own side.
        again: What fitting a promoted recipe once more costs, as a share of a retraining.
    """

    loss: float
    promoted: int
    refused: int
    restored: int
    held: int
    probes: float
    again: float = 0.0

    @property
    def retrainings(self) -> int:
        return self.promoted + self.refused

    def total(self, *, usual_rows: int, price: float) -> float:
        """Loss and retrainings, in mean loss x checks; the probes left out."""
        return self.loss / usual_rows + price * (self.retrainings + self.again * self.promoted)


@dataclass(frozen=True)
class Summary:
    """Both sides over the replayed time.

    Args:
        since: From when on rows count.
        until: Until when, and by when their labels had to have come.
        loss: Name of the loss.
        rows: Rows that both were judged on.
        usual_rows: Rows of a usual check.
        price: Of a retraining, in units of the loss; that of the workspace, on both sides.
        history: What history cost.
        replay: What the replay cost.
        compared: Moments at which both sides decided.
        differing: Those of them at which they decided otherwise.
    """

    since: pd.Timestamp
    until: pd.Timestamp
    loss: str
    rows: int
    usual_rows: int
    price: float
    history: Cost
    replay: Cost
    compared: int
    differing: int

    @property
    def sentence(self) -> str:
        """The whole in a sentence with its figures."""
        decisions = f"Decisions differ at {self.differing} of {_count(self.compared, 'moment')}"
        if not self.rows:
            return f"{decisions}; no row both happened and matured in the replayed time, so there is no loss."
        mine, other = self._totals
        if f"{mine:.4g}" == f"{other:.4g}":
            verdict = "the same"
        else:
            verdict = f"{abs(other - mine):.4g} {'less' if other < mine else 'more'} in the replay"
        return (
            f"From {_day(self.since)} to {_day(self.until)}, over {self.rows:,} rows, {self.loss} was "
            f"{self.history.loss / self.rows:.4g} in history with {_retrained(self.history)}, and "
            f"{self.replay.loss / self.rows:.4g} in the replay with {_retrained(self.replay)}. At a price of "
            f"{self.price:.4g} a retraining the whole cost, in mean loss x checks, was {mine:.4g} and {other:.4g}: "
            f"{verdict} ({mine + self.history.probes:.4g} and {other + self.replay.probes:.4g} with the probes). "
            f"{decisions}."
        )

    @property
    def _totals(self) -> tuple[float, float]:
        mine, other = (side.total(usual_rows=self.usual_rows, price=self.price) for side in (self.history, self.replay))
        return mine, other

    def as_record(self) -> dict[str, Any]:
        totals = self._totals
        return {
            "loss": self.loss,
            "rows": self.rows,
            "price": self.price,
            "compared": self.compared,
            "differing": self.differing,
            **{
                name: {
                    "loss": side.loss / self.rows if self.rows else None,
                    "retrainings": side.retrainings,
                    "promoted": side.promoted,
                    "refused": side.refused,
                    "restored": side.restored,
                    "held": side.held,
                    "cost": total,
                    "cost_with_probes": total + side.probes,
                }
                for name, side, total in zip(("history", "replay"), (self.history, self.replay), totals, strict=True)
            },
        }


def _retrained(side: Cost) -> str:
    said = _count(side.retrainings, "retraining")
    if side.retrainings:
        said += f" ({side.promoted} promoted, {side.refused} refused)"
    return said if not side.restored else f"{said} and {side.restored} restored"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _day(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%d %H:%M}"
