"""Policies side by side: what each would have cost, against the best schedule in hindsight."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.policy.hindsight import Schedule, best
from retrim.core.policy.periodic import Periodic, periodic
from retrim.core.policy.play import play
from retrim.core.policy.played import Asks, Played, Setting, Spaced


@dataclass(frozen=True)
class Policy:
    """A policy that can be tried, and the settings that switch it on.

    Args:
        name: As `retrim policy set` takes it.
        changes: Values of params.yaml by dotted key; None for one that is shown for comparison only.
        asks: What it asks at each check, for a history.
        probes: Whether it needs the probe.
        spaced: Where the probe is asked only if it could change the decision; None: at every check.
    """

    name: str
    changes: Mapping[str, Any] | None
    asks: Callable[[Setting], Asks]
    probes: bool
    spaced: Spaced | None = None

    def play(self, setting: Setting) -> Played:
        """What comes of it on a history."""
        return play(setting, self.asks(setting), probes=self.probes, spaced=self.spaced)


@dataclass(frozen=True)
class Outcome:
    """What a policy would have cost.

    Args:
        policy: Which.
        played: Window by window.
        price: Of a retraining, in mean loss times checks.
        hindsight: The best schedule under the same delays.
        probe_cost: Price of the probe's own fits: price times their rows over those of a retraining.
        periodic: The periodic policy of as many retrainings.
    """

    policy: Policy
    played: Played
    price: float
    hindsight: Schedule
    probe_cost: float
    periodic: Periodic

    @property
    def cost(self) -> float:
        """Loss summed over the windows and the price of each retraining, in mean loss times checks."""
        return self.played.cost(self.price)

    @property
    def ratio(self) -> float:
        """Cost over that of the best schedule in hindsight, the probe's own cost left out; 1 or more."""
        return self.cost / self.hindsight.cost(self.price)

    @property
    def ratio_with_probe(self) -> float:
        """The same with the probe's own cost."""
        return (self.cost + self.probe_cost) / self.hindsight.cost(self.price)


def compare(setting: Setting, policies: Sequence[Policy], *, price: float, fits_per_retraining: float) -> list[Outcome]:
    """Every policy over one history.

    Args:
        setting: Losses, delays, training windows.
        policies: Any number: none of them needs another fit.
        price: Of a retraining, in mean loss times checks.
        fits_per_retraining: Fits of one retraining for each training window: 1 is the model alone; a search has more.
    """
    found = best(setting.totals, setting.delays, price=price)
    calendar: dict[int, Periodic] = {}
    outcomes = []
    for policy in policies:
        played = policy.play(setting)
        if played.retrainings not in calendar:
            calendar[played.retrainings] = periodic(setting, played.retrainings, price=price)
        cost = price * played.probed / (usual_fit(setting) * fits_per_retraining)
        outcomes.append(Outcome(policy, played, price, found, cost, calendar[played.retrainings]))
    return outcomes


def usual_fit(setting: Setting) -> float:
    """Rows that a model of each training window is made from, on average over the windows, summed."""
    matrix = setting.matrix
    return float(np.mean(matrix.fitted_rows[np.ix_(list(setting.kinds), matrix.origins.tolist())], axis=1).sum())
