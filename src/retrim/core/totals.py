"""What a model has cost up to a check: loss, retrainings, and probes, in mean loss times checks."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Totals:
    """Sums since the first version went live.

    Args:
        checks: Checks that measured a loss.
        loss: Mean loss times the window's rows over those of a usual check, added up.
        retrainings: Runs that were promoted or refused after the first version.
        retrainings_cost: Their prices.
        probes: Checks that probed.
        probes_cost: What those cost.
    """

    checks: int
    loss: float
    retrainings: int
    retrainings_cost: float
    probes: int
    probes_cost: float

    @property
    def without_probes(self) -> float:
        """Loss and retrainings."""
        return self.loss + self.retrainings_cost

    @property
    def with_probes(self) -> float:
        """Loss, retrainings and probes."""
        return self.without_probes + self.probes_cost

    def after(
        self, *, loss: float | None, share: float, probe_cost: float | None, retrainings: int, price: float
    ) -> "Totals":
        """The sums after one more check.

        Args:
            loss: Mean loss it measured; None if it measured none.
            share: Rows of its window divided by rows of a usual check.
            probe_cost: What its probe cost; None if it did not probe.
            retrainings: How many there have been in all by now.
            price: Of those that are new.
        """
        return Totals(
            checks=self.checks + (loss is not None),
            loss=self.loss + (0.0 if loss is None else loss * share),
            retrainings=retrainings,
            retrainings_cost=self.retrainings_cost + price * (retrainings - self.retrainings),
            probes=self.probes + (probe_cost is not None),
            probes_cost=self.probes_cost + (probe_cost or 0.0),
        )

    def as_record(self) -> dict[str, Any]:
        sums = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**sums, "without_probes": self.without_probes, "with_probes": self.with_probes}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Totals":
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})


NOTHING = Totals(0, 0.0, 0, 0.0, 0, 0.0)
