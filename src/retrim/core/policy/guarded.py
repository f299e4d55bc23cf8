"""What each guard of the account costs on history: the same policy played once more without it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from retrim.core.policy.named import Wanted, account
from retrim.core.policy.played import Played, Setting

NEVER = 1_000_000  # refusals running: as many as no history has checks
WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "hold": {"refusals_to_hold": NEVER},
    "cooldown": {"cooldown_checks": 0},
    "circle": {"loop_checks": 0},
    "budget": {"budget": None},
}
"""The settings under `triggers` that switch a guard off; the gate is switched off by releasing every retraining."""


@dataclass(frozen=True)
class GuardCost:
    """A guard that kept the account from a retraining, or the gate that refused one.

    Args:
        guard: Which.
        stopped: Checks at which it kept a run from being started.
        refused: Of the gate: runs that it refused.
        cost: Of the policy with it, in mean loss times checks.
        without: Of the same policy without it.
    """

    guard: str
    stopped: int
    refused: int
    cost: float
    without: float

    @property
    def share(self) -> float:
        """What it cost, as a share of the policy's cost without it; below zero where it saved."""
        return (self.cost - self.without) / self.without

    def as_record(self) -> dict[str, Any]:
        return {
            "guard": self.guard,
            "stopped": self.stopped,
            "refused": self.refused,
            "cost": self.cost,
            "without": self.without,
        }


def guard_costs(wanted: Wanted, setting: Setting, *, price: float) -> tuple[GuardCost, ...]:
    """Each guard that the account of params.yaml met on a history, the one that cost most first.

    Args:
        wanted: Settings.
        setting: The history.
        price: Of a retraining, in mean loss times checks.
    """
    own = account(wanted, wanted.price)
    played = own.play(setting)
    met = {guard: count for guard, count in played.stopped.items() if guard in (*WITHOUT, "gate")}
    if played.refused:
        met.setdefault("gate", 0)
    found = [
        GuardCost(
            guard,
            stopped,
            len(played.refused) if guard == "gate" else 0,
            played.cost(price),
            _without(guard, wanted, setting).cost(price),
        )
        for guard, stopped in met.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.without, each.guard)))


def _without(guard: str, wanted: Wanted, setting: Setting) -> Played:
    if guard == "gate":
        setting = replace(setting, judging=None)
    else:
        wanted = replace(wanted, triggers=wanted.triggers.model_copy(update=WITHOUT[guard]))
    return account(wanted, wanted.price).play(setting)
