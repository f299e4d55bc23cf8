"""Which policy to switch on: chosen on the first part of the history, reported on the rest.

A policy that waits for evidence and started no run on the first part cost there what never retraining did. It is not
chosen over never for what it did on the rest; where it is the one that is switched on as shipped, it stays, if it
ever started a run at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrim.core.policy.asks import at_checks
from retrim.core.policy.compare import Outcome, Policy, compare
from retrim.core.policy.hindsight import best
from retrim.core.policy.play import play
from retrim.core.policy.played import Setting
from retrim.core.resample import mean_bound

CHOSEN_ON = 0.6  # of the windows
NEVER = "never"


@dataclass(frozen=True)
class Choice:
    """The policy that was cheapest on the first part, and what it did on the rest, which did not choose it.

    Args:
        name: Of the policy.
        chosen_on: Windows of the first part.
        windows: Windows of the rest.
        retrainings: On the rest.
        cost: On the rest, in mean loss times checks, the probe's own left out.
        never: Cost on the rest of the model that was live when it began.
        hindsight: Cost on the rest of the best schedule.
        saved: What the policy saved a window, against never retraining.
        low: Saved at least, with 97.5 % confidence.
        high: Saved at most, with 97.5 % confidence.
        waited: Whether nothing was cheaper than never retraining on the first part, and the policy started no run.
    """

    name: str
    chosen_on: int
    windows: int
    retrainings: int
    cost: float
    never: float
    hindsight: float
    saved: float
    low: float
    high: float
    waited: bool

    @property
    def recommended(self) -> str:
        """The policy to switch on: never retraining, where the chosen one saved nothing on the rest."""
        return self.name if self.saved > 0 else NEVER

    @property
    def sentence(self) -> str:
        """What to do, with the figures it rests on."""
        first, rest = f"the first {self.chosen_on} windows", f"the last {self.windows}"
        if self.name == NEVER:
            could = f"the best schedule in hindsight would have cost {self.hindsight:.4g} on {rest}"
            return f"Do not retrain: on {first} nothing was cheaper; {could}, never retraining {self.never:.4g}."
        runs = f"{self.retrainings} retraining{'' if self.retrainings == 1 else 's'}"
        if self.saved <= 0:
            cost = f"{self.cost:.4g} with {runs} on {rest}, {self.never:.4g} without any"
            return f"Do not retrain yet: {self.name} was the cheapest on {first}, and cost {cost}."
        saved = f"saved {self.saved:.3g} a window (95 % interval {self.low:.3g} to {self.high:.3g})"
        figures = f"{self.cost:.4g} with {runs} against {self.never:.4g} without any; it {saved}"
        proof = "" if self.low > 0 else ", so it is not proven that it pays"
        if self.waited:
            why = f"on {first} nothing was cheaper than no retraining, and it started none"
            return f"Keep {self.name}: {why}; on {rest} it cost {figures}{proof}."
        return f"Use {self.name}, the cheapest on {first}: on {rest} it cost {figures}{proof}."


def split_at(windows: int) -> int:
    """Of the windows that count, those that choose; the others report."""
    return max(min(round(windows * CHOSEN_ON), windows - 2), 1)


def part_of(setting: Setting, first: int, last: int) -> Setting:
    """A history of its own in which the windows `[first, last)` count, begun with the newest model that could be made.

    Where labels come late it holds windows before `first` too, as far as there are any, which do not count.
    """
    first = max(first - setting.delays.labels, 0)
    return Setting(
        matrix=setting.matrix.part(first, last),
        kinds=setting.kinds,
        delays=setting.delays,
        blocks=setting.blocks,
        moments=setting.moments[first : last + 1],
        first_window=setting.first_window + first,
        judging=setting.judging,
        labels_until=None if setting.labels_until is None else setting.labels_until[first : last + 1],
    )


def choose(
    setting: Setting,
    policies: Sequence[Policy],
    *,
    shipped: str,
    price: float,
    fits_per_retraining: float,
    block: int,
    draws: int,
    seed: int,
) -> Choice:
    """The policy to recommend; of those that cost the same on the first part the one that stands first.

    Args:
        setting: The whole history, at least 3 windows that count.
        policies: Those that may be recommended; one of them is called `never`.
        shipped: Name of the policy that params.yaml switches on where nobody chose another.
        price: Of a retraining, in mean loss times checks.
        fits_per_retraining: As `compare` takes it.
        block: Windows that belong together in the bootstrap.
        draws: Bootstrap draws.
        seed: Of the bootstrap.
    """
    n = setting.matrix.windows
    at = setting.begin + split_at(n - setting.begin)
    first, rest = part_of(setting, 0, at), part_of(setting, at, n)
    outcomes = compare(first, policies, price=price, fits_per_retraining=fits_per_retraining)
    chosen: Outcome = min(outcomes, key=lambda outcome: outcome.cost)
    waiting = next((each for each in outcomes if each.policy.name == shipped), None)
    waited = False
    if chosen.policy.name == NEVER and waiting is not None and not waiting.played.checks:
        waited = bool(waiting.policy.play(rest).checks)
        chosen = waiting if waited else chosen
    played = chosen.policy.play(rest)
    never = play(rest, at_checks(()), probes=False)
    paid = np.zeros(rest.matrix.windows)
    for check, spent in played.paid(price).items():
        paid[check + setting.delays.deployment] = spent
    saved = (never.losses - played.losses - paid)[rest.begin :]

    def bound(values: np.ndarray) -> float:
        return mean_bound(values, confidence=0.975, block_rows=block, draws=draws, seed=seed)

    return Choice(
        name=chosen.policy.name,
        chosen_on=at - setting.begin,
        windows=n - at,
        retrainings=played.retrainings,
        cost=played.cost(price),
        never=never.loss,
        hindsight=best(rest.totals, rest.delays, price=price).cost(price),
        saved=float(saved.mean()),
        low=bound(saved),
        high=-bound(-saved),
        waited=waited,
    )
