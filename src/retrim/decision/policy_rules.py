"""The policies that a backtest tries, and the settings that switch each of them on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.decision.policy_gate import LiveModel, Setting
from retrim.decision.policy_play import Drifted, PlayedRules
from retrim.decision.triggers import TriggerParams
from retrim.drift.alarms import AlarmRequest
from retrim.drift.findings import findings
from retrim.drift.params import DriftParams
from retrim.drift.profile import Profile, ProfileParams, make_profile, score_types
from retrim.table.data import ColumnType

RULE, NEVER, CURRENT = "gain", "never", "current"  # the shipped rule, no retraining at all, several rules at once
PERIODS = (2, 4, 8, 16)
EARLY = 0.5  # of a window that a calendar is due early in a backtest: its windows are not equally long
UNITS = {unit: pd.Timedelta(f"1{unit}") for unit in ("D", "h", "min", "s")}


@dataclass(frozen=True)
class Policy:
    """A policy of a backtest.

    Args:
        changes: Values of params.yaml by dotted key that switch it on.
        rules: The rules that decide; no checks at all for never.
    """

    name: str
    changes: dict[str, JsonValue]
    rules: PlayedRules | tuple[()]


def policies(setting: Setting, rules: PlayedRules, drifted: Drifted, *, window_span: pd.Timedelta) -> list[Policy]:
    """Never, the accumulated gain, calendars, the performance band, drift; and params.yaml, if it names several rules.

    Args:
        drifted: What the drift tests of params.yaml say of a window.
    """

    def by(*names: str) -> PlayedRules:
        triggers = rules.triggers.model_copy(update={"rules": names})
        return replace(rules, triggers=triggers, drifted=drifted if "drift" in names else None)

    periods = [*(period for period in PERIODS if period <= setting.matrix.windows // 2), 1]
    alone = [Policy(name, {"triggers.rules": [name]}, by(name)) for name in ("performance", "drift")]
    several = rules.triggers.rules if len(rules.triggers.rules) > 1 else ()
    return [
        Policy(NEVER, {"triggers.rules": []}, ()),
        Policy(RULE, {"triggers.rules": [RULE]}, by(RULE)),
        *(_calendar(rules, period, window_span) for period in periods),
        *alone,
        *([Policy(CURRENT, {"triggers.rules": list(several)}, by(*several))] if several else []),
    ]


def _calendar(rules: PlayedRules, period: int, window_span: pd.Timedelta) -> Policy:
    name = "always" if period == 1 else f"every-{period}"
    exact = period * window_span
    fine = next((unit for unit, size in UNITS.items() if exact > 3 * size), "s")
    span = max(exact.round(fine), UNITS["s"])
    text = next(f"{span // size}{unit}" for unit, size in UNITS.items() if not span % size)
    switched: dict[str, JsonValue] = {"rules": ["schedule"], "every": text}
    if period == 1:
        switched["budget"] = None  # it stops what retrains at every check, and here that is what was asked for
    seconds = max(int((period - EARLY) * window_span / pd.Timedelta("1s")), 1)
    played = {"every": f"{seconds}s", "cooldown_checks": 0, "loop_checks": 0}  # as follows from the rule alone
    triggers = TriggerParams.model_validate({**dict(rules.triggers), **switched, **played})
    return Policy(
        name, {f"triggers.{key}": value for key, value in switched.items()}, replace(rules, triggers=triggers)
    )


def drift_of_windows(
    table: pd.DataFrame,
    edges: np.ndarray,
    setting: Setting,
    features: Mapping[str, ColumnType],
    params: DriftParams,
    *,
    every: pd.Timedelta,
    task: str,
    sliding_rows: int,
    seed: int,
) -> Drifted:
    """The drift tests of a check, on the features of each window against the rows that the live model was made from.

    Predictions, target and joint tests are not looked at; the features have the part of the rate that a check gives
    them.

    Args:
        edges: First row of each window, and the end of the table, shape (windows + 1,).
        features: Those that are tested: without parts of the clock.
        every: Time between two checks.
        seed: Of the samples that profiles keep.
    """
    tested = {name: kind for name, kind in features.items() if kind != "time"}
    request = None
    if params.alarms is not None:
        tests = len(tested) + len(params.joint.tests) + len(score_types(task)) + 1  # 1: the target
        rate, share = params.alarms.rate(every), len(tested) / tests
        request = AlarmRequest(rate, share, params.alarms.draws, params.alarms.seed)

    @cache
    def reference(model: int, kind: int) -> Profile:
        is_sliding = setting.matrix.kinds[kind] == "sliding"
        first = max(edges[model] - sliding_rows, 0) if is_sliding else 0
        return make_profile(table.iloc[first : edges[model]], tested, ProfileParams(seed=seed), time="_event")

    def drifted(live: LiveModel, window: int) -> tuple[str, ...] | None:
        rows = table.iloc[edges[window] : edges[window + 1]]
        if len(rows) < params.min_rows:
            return None
        profile = reference(live.model, live.kind)
        tests = findings(profile, rows, params, time="_event", importances={}, alarms=request)
        return tuple(sorted({finding.column for finding in tests if finding.over}))

    return drifted
