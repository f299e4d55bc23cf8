"""A policy backtest as a table and sentences."""

import json
import shlex
from collections.abc import Mapping

from pydantic import JsonValue

from retrim.card.report import Report, Table
from retrim.decision.policy_compare import PolicyOutcome
from retrim.reports.policy import BacktestResult

HEADS = (
    *("policy", "retrainings", "refused", "mean loss", "cost", "relative", "95% interval", "with probe"),
    *("periodic, median", "best"),
)
MEANING = (
    "cost: loss summed over the windows plus the cost of each retraining; relative: cost divided by the cost of the "
    "best schedule in hindsight with the same delays; periodic: as many retrainings, evenly spaced"
)


def policy_report(result: BacktestResult) -> Report:
    """A line for each policy, the cheapest first, and hindsight on top; what was tried; the advice."""
    hindsight = result.hindsight
    best = ("hindsight", hindsight.retrainings, "", f"{hindsight.loss / result.checks:.4g}", f"{hindsight.cost:.4g}", 1)
    table = Table(
        "", HEADS, ((*best, *("" for _ in HEADS[6:])), *(_line(policy, result) for policy in result.policies))
    )
    first = f", without the first {result.uncounted}, whose labels come later" if result.uncounted else ""
    history = (
        f"{result.rows:,} mature rows; {result.windows} windows from {result.since:%Y-%m-%d} to "
        f"{result.until:%Y-%m-%d}{first}; training windows: {', '.join(result.kinds)}"
    )
    terms = (
        f"retraining cost {result.retraining_cost:.4g}, in mean {result.loss} times checks; windows until labels "
        f"are known: {result.label_delay}, held out from training for the gate: {result.held_back:g}"
    )
    return (table, "", history, terms, MEANING, "", result.sentence)


def _line(policy: PolicyOutcome, result: BacktestResult) -> tuple[str | int, ...]:
    return (
        policy.name,
        policy.retrainings,
        policy.refused,
        f"{policy.loss / result.checks:.4g}",
        f"{policy.cost:.4g}",
        f"{policy.ratio_to_hindsight:.3f}",
        f"{policy.ratio_low:.3g} to {policy.ratio_high:.3g}",
        f"{policy.ratio_with_probe:.3f}" if policy.probe_cost else "",
        f"{policy.periodic_median / result.hindsight.cost:.3f}",
        f"{policy.periodic_best / result.hindsight.cost:.3f}",
    )


def command_for(changes: Mapping[str, JsonValue]) -> str:
    """The command that writes the settings of a policy into params.yaml."""
    return shlex.join(["retrim", "settings", *(f"{key}={json.dumps(value)}" for key, value in changes.items())])
