"""Settings beside other settings: the keys whose values differ, and which of them bear on a rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Where the settings stand that a rule's answer hangs on, beside those of the models it looks at.
BEAR_ON: dict[str, tuple[str, ...]] = {
    "account": ("account.", "probe.", "judge.", "gate."),  # it asks what the gate would say
    "drift": ("drift.", "profile.", "triggers.drift_", "data.batch_every"),
    "schedule": ("triggers.every",),
    "performance": ("triggers.band", "probe.min_rows", "judge.", "gate.seed"),
    "estimate": ("triggers.band", "probe.min_rows", "judge.", "gate.seed"),
}
ASKED = ("triggers.rules", "triggers.max_wait")
HOLD_BACK = (
    "triggers.rules",
    "triggers.cooldown_checks",
    "triggers.loop_checks",
    "triggers.refusals_to_hold",
    "triggers.budget",
    "former.",
)
MAKE = ("data.columns.", "split.", "judge.", "tune.", "train.", "backtest.", "gate.", "retrain.", "profile.")


@dataclass(frozen=True)
class Change:
    """One key of params.yaml, dotted, with its value in history and in the replay; null where it is not there."""

    key: str
    history: Any
    replay: Any

    @property
    def sentence(self) -> str:
        return f"{self.key} is {_shown(self.history)} in history and {_shown(self.replay)} in the replay"

    def as_record(self) -> dict[str, Any]:
        return {"key": self.key, "history": self.history, "replay": self.replay}


def changes(history: Mapping[str, Any], replay: Mapping[str, Any]) -> tuple[Change, ...]:
    """The keys whose values differ, in order of their names; a list is one value.

    Args:
        history: Settings as they are dumped, section by section.
        replay: The others.
    """
    before, after = _flat(history), _flat(replay)
    return tuple(
        Change(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    )


def merged(settings: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those keys of others that stand there, at every depth; a list is one value.

    An empty mapping stands for itself: it empties what was there.

    Args:
        settings: The whole, as a file has it.
        other: A whole, or only what differs.
    """
    made = dict(settings)
    for name, value in other.items():
        before = made.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and value:
            made[name] = merged(before, value)
        else:
            made[name] = value
    return made


def bearing(found: Iterable[Change], prefixes: tuple[str, ...]) -> tuple[Change, ...]:
    """Those whose key begins with one of the prefixes."""
    return tuple(change for change in found if change.key.startswith(prefixes))


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
