"""The best schedule in hindsight: no policy under the same delays can cost less."""

from dataclasses import dataclass

import numpy as np

from retrim.core.policy.matrix import Delays


@dataclass(frozen=True)
class Schedule:
    """Checks at which a retraining was decided, and what came of it.

    Args:
        checks: Window before which each was decided, ascending.
        loss: Summed over all windows, mean loss times share.
    """

    checks: tuple[int, ...]
    loss: float

    def cost(self, price: float) -> float:
        return self.loss + price * len(self.checks)


def best(totals: np.ndarray, delays: Delays, *, price: float) -> Schedule:
    """The cheapest schedule, looking back: which retrainings, and the best training window for each.

    A retraining decided before window `t` is of model `t - labels - held_back`, and
    live from window `t + deployment` on; while it is on its way no other is decided.

    Args:
        totals: `LossMatrix.totals`, of the training windows that may be chosen, shape (kinds, windows, windows).
        delays: What keeps a model behind.
        price: Of a retraining, in mean loss times checks.

    Returns:
        The cheapest; of equals one with the fewest retrainings.

    Source:
        Dynamic programming over the last decision, as Bellman (1957) has it; the state is the model that is live.
    """
    n = totals.shape[1]
    wait = max(delays.deployment, 1)
    until = _sums_between(totals)
    # cost_from[t]: cheapest cost of all windows from the going-live of the decision t on, its price included.
    cost_from = np.full(n + 1, np.inf)
    count_from = np.zeros(n + 1, dtype="int64")
    then: list[int | None] = [None] * (n + 1)
    for check in range(n - 1 - delays.deployment, -1, -1):
        live = check + delays.deployment if check else 0
        model = max(check - delays.age, 0)
        options: list[tuple[float, int, int | None]] = [(until(model, live, n), 0, None)]
        first = check + wait if check else 1
        for later in range(first, n - delays.deployment):
            cost = until(model, live, later + delays.deployment) + cost_from[later]
            options.append((cost, int(count_from[later]), later))
        cost, count, then[check] = min(options, key=lambda option: (option[0], option[1]))
        count_from[check] = count + (1 if check else 0)
        cost_from[check] = cost + (price if check else 0.0)
    checks: list[int] = []
    at = then[0]
    while at is not None:
        checks.append(at)
        at = then[at]
    return Schedule(tuple(checks), float(cost_from[0] - price * len(checks)))


def _sums_between(totals: np.ndarray) -> "Sums":
    return Sums(np.concatenate([np.zeros((*totals.shape[:2], 1)), np.nancumsum(totals, axis=2)], axis=2))


@dataclass(frozen=True)
class Sums:
    """Loss of a model, of its best training window, over windows `[first, last)`."""

    running: np.ndarray

    def __call__(self, model: int, first: int, last: int) -> float:
        of_kind = self.running[:, model, last] - self.running[:, model, first]
        return float(of_kind.min())


def frontier(totals: np.ndarray, delays: Delays) -> list[tuple[int, float]]:
    """Retrainings and loss of the best schedules in hindsight, over prices from free to too dear; fewest first.

    Args:
        totals: As `best` takes it.
        delays: What keeps a model behind.
    """
    never = float(np.nansum(totals[:, 0], axis=1).min())
    free = best(totals, delays, price=0.0)
    found = {0: never, len(free.checks): free.loss}
    for price in np.geomspace(max(never - free.loss, 1e-12) / 1000, max(never - free.loss, 1e-12), FRONTIER_PRICES):
        schedule = best(totals, delays, price=float(price))
        found[len(schedule.checks)] = schedule.loss
    return sorted(found.items())


FRONTIER_PRICES = 25
