"""The policies a backtest tries, each with the settings that switch it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.core.drift.cells import Counts
from retrim.core.drift.params import DriftParams
from retrim.core.drift.profile import ColumnProfile
from retrim.core.drift.result import DRIFT_TESTS
from retrim.core.evidence import TriggerParams
from retrim.core.policy.alarmed import Alarmed, Looked
from retrim.core.policy.asks import Drifted, at_checks, by_rules
from retrim.core.policy.compare import Policy
from retrim.core.policy.counted import Counted, Over
from retrim.core.policy.played import Asks, Live, Setting, Spaced
from retrim.core.probe import NEEDED

PERIODS = (2, 4, 8, 16)
EARLY = 0.5  # of a window that a calendar is due early in a backtest: its windows are not equally long
USUAL_PSI, USUAL_P = 0.2, 0.05  # the limits that PSI and KS are used with elsewhere


@dataclass(frozen=True)
class Wanted:
    """What the policies are made from.

    Args:
        triggers: As params.yaml has them.
        drift: As params.yaml has it.
        price: Of a retraining, in units of params.yaml.
        prices: Those that the account is tried at, in the same units.
        unit: What 1 of these is in mean loss times checks.
        errors: Standard errors of itself that the account must exceed.
        ahead: Checks like the newest ones that are added before it is held to the price.
        when: When the probe is asked, as params.yaml has it; a backtest knows `needed`, and takes all else for `every`.
        every: Time between two checks.
        counted: The columns, window by window.
        sliding_rows: Rows of the sliding training window.
        task: Of the model.
        seed: Of the reference bands.
    """

    triggers: TriggerParams
    drift: DriftParams
    price: float
    prices: Sequence[float]
    unit: float
    errors: float
    ahead: float
    when: str
    every: pd.Timedelta
    counted: Counted
    sliding_rows: int
    task: str
    seed: int


def policies(wanted: Wanted, *, windows: int, window_span: pd.Timedelta) -> list[Policy]:
    """Never, always, every k, drift rules, performance bands, and the account at several prices.

    Args:
        wanted: Settings and counts.
        windows: Of the history.
        window_span: Length of a usual window.
    """
    alarmed = Alarmed(wanted.counted, wanted.drift, wanted.every, task=wanted.task)
    never = Policy("never", {"triggers.rules": []}, lambda _: at_checks(()), probes=False)
    return [
        never,
        *(account(wanted, price) for price in sorted({*wanted.prices, wanted.price})),
        *(_calendar(wanted, period, window_span) for period in (*(p for p in PERIODS if p <= windows // 2), 1)),
        _rule(wanted, "performance", "performance", {}),
        _rule(wanted, "performance-1sd", "performance", {"band": {"unit": "sd", "reach": 1.0}}),
        _drift(wanted, "drift", alarmed, changes={"triggers.rules": ["drift"]}),
        _drift(wanted, "psi", _by(wanted.counted, _usual_psi), changes=None),
        _drift(wanted, "ks", _by(wanted.counted, _usual_ks), changes=None),
    ]


def account_name(price: float) -> str:
    """Name of the account at a price in units of params.yaml."""
    return f"account-{price:.6g}"


def account(wanted: Wanted, price: float) -> Policy:
    """The account held to a price in units of params.yaml."""
    triggers = wanted.triggers.model_copy(update={"rules": ("account",)})

    def asks(setting: Setting) -> Asks:
        return by_rules(
            setting,
            triggers,
            price=price * wanted.unit,
            errors=wanted.errors,
            ahead=wanted.ahead,
            drifted=None,
            seed=wanted.seed,
        )

    changes = {"triggers.rules": ["account"], "account.price": price}
    spaced = Spaced(price * wanted.unit, wanted.errors) if wanted.when == NEEDED else None
    return Policy(account_name(price), changes, asks, probes=True, spaced=spaced)


def _calendar(wanted: Wanted, period: int, window_span: pd.Timedelta) -> Policy:
    name = "always" if period == 1 else f"every-{period}"
    exact = period * window_span
    span = exact.round("D" if exact > pd.Timedelta("3D") else "h")
    hours = int(span / pd.Timedelta("1h"))
    text = f"{hours // 24}D" if hours % 24 == 0 else f"{hours}h"
    # A calendar's own alarm comes again whatever happened: loop breaker and cooldown would make a short period longer.
    switched: dict[str, Any] = {"rules": ["schedule"], "every": text, "cooldown_checks": 0, "loop_checks": 0}
    if period == 1:
        switched["budget"] = None  # it stops what retrains at every check, and here that is what was asked for
    seconds = max(int((period - EARLY) * window_span / pd.Timedelta("1s")), 1)
    triggers = TriggerParams.model_validate({**wanted.triggers.model_dump(), **switched, "every": f"{seconds}s"})
    changes = {f"triggers.{key}": value for key, value in switched.items()}
    return Policy(name, changes, _asks(wanted, triggers), probes=False)


def _rule(wanted: Wanted, name: str, rule: str, changes: dict[str, Any]) -> Policy:
    triggers = TriggerParams.model_validate({**wanted.triggers.model_dump(), "rules": (rule,), **changes})
    switched = {"triggers.rules": [rule], **_dotted("triggers", changes)}
    return Policy(name, switched, _asks(wanted, triggers), probes=False)


def _asks(wanted: Wanted, triggers: TriggerParams) -> Callable[[Setting], Asks]:
    def asks(setting: Setting) -> Asks:
        return by_rules(
            setting,
            triggers,
            price=wanted.price,
            errors=wanted.errors,
            ahead=wanted.ahead,
            drifted=None,
            seed=wanted.seed,
        )

    return asks


def _dotted(place: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {f"{place}.{key}.{name}": value for key, inner in changes.items() for name, value in inner.items()}


def _drift(wanted: Wanted, name: str, looked: Looked, *, changes: dict[str, Any] | None) -> Policy:
    update: dict[str, Any] = {"rules": ("drift",)}
    if changes is None:  # as it is used elsewhere: every alarm retrains
        update |= {"drift_checks": (1, 1), "drift_columns": (), "cooldown_checks": 0, "loop_checks": 0, "budget": None}
    triggers = wanted.triggers.model_copy(update=update)

    def asks(setting: Setting) -> Asks:
        drifted = _looked(wanted, setting, looked)
        return by_rules(
            setting,
            triggers,
            price=wanted.price,
            errors=wanted.errors,
            ahead=wanted.ahead,
            drifted=drifted,
            seed=wanted.seed,
        )

    return Policy(name, changes, asks, probes=False)


def _looked(wanted: Wanted, setting: Setting, looked: Looked) -> Drifted:
    shift = setting.first_window

    def drifted(live: Live, window: int) -> tuple[str, ...] | None:
        if setting.matrix.rows[window] < wanted.drift.min_rows:
            return None
        sliding = wanted.sliding_rows if setting.matrix.kinds[live.kind] == "sliding" else None
        return looked(shift + live.model, shift + window, sliding)

    return drifted


def _by(counted: Counted, over: Over) -> Looked:
    return lambda model, window, sliding: counted.drifted(over, model=model, window=window, sliding_rows=sliding)


def _usual_psi(name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
    if column.kind == "numeric":
        return float(DRIFT_TESTS["psi"](reference, current, cells=10).effect) > USUAL_PSI
    return float(DRIFT_TESTS["psi_categories"](reference, current).effect) > USUAL_PSI


def _usual_ks(name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
    if column.kind != "numeric":
        return False
    found = DRIFT_TESTS["ks"](reference, current).p_value
    return found is not None and float(found) < USUAL_P
