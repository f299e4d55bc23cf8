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
        retrainings_cost: Their prices, and those of the second fits.
        probes: Checks that probed.
        probes_cost: What those cost.
        refits: Promoted recipes after the first version that were fitted once more.
    """

    checks: int
    loss: float
    retrainings: int
    retrainings_cost: float
    probes: int
    probes_cost: float
    refits: int = 0

    @property
    def without_probes(self) -> float:
        """Loss and retrainings."""
        return self.loss + self.retrainings_cost

    @property
    def with_probes(self) -> float:
        """Loss, retrainings and probes."""
        return self.without_probes + self.probes_cost

    def after(
        self,
        *,
        loss: float | None,
        share: float,
        probe_cost: float | None,
        retrainings: int,
        price: float,
        refits: int = 0,
        refit_share: float = 0.0,
    ) -> "Totals":
        """The sums after one more check.

        Args:
            loss: Mean loss it measured; None if it measured none.
            share: Rows of its window divided by rows of a usual check.
            probe_cost: What its probe cost; None if it did not probe.
            retrainings: How many there have been in all by now.
            price: Of those that are new.
            refits: How many promoted recipes have been fitted once more in all by now.
            refit_share: What each that is new costs, as a share of the price.
        """
        return Totals(
            checks=self.checks + (loss is not None),
            loss=self.loss + (0.0 if loss is None else loss * share),
            retrainings=retrainings,
            retrainings_cost=self.retrainings_cost
            + price * (retrainings - self.retrainings + refit_share * (refits - self.refits)),
            probes=self.probes + (probe_cost is not None),
            probes_cost=self.probes_cost + (probe_cost or 0.0),
            refits=refits,
        )

    def as_record(self) -> dict[str, Any]:
        sums = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**sums, "without_probes": self.without_probes, "with_probes": self.with_probes}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Totals":
        return cls(**{name: record.get(name, 0) for name in cls.__dataclass_fields__})  # before there were refits


NOTHING = Totals(0, 0.0, 0, 0.0, 0, 0.0)
