"""A policy backtest as a table and sentences."""

import json
import shlex
from collections.abc import Mapping

from pydantic import JsonValue

from retrim.reports.policy import BacktestResult

COLUMNS = (
    "policy",
    "retrainings",
    "refused",
    "mean loss",
    "cost",
    "relative",
    "95% interval",
    "with probe",
    "periodic, median",
    "best",
)


def lines(result: BacktestResult) -> list[tuple[str, ...]]:
    """The table: a line a policy, the cheapest first, and hindsight on top."""
    hindsight = result.hindsight
    best = f"{hindsight.loss / result.checks:.4g}", f"{hindsight.cost:.4g}"
    first = ("hindsight", str(hindsight.retrainings), "", *best, "1", *("" for _ in COLUMNS[6:]))
    return [
        first,
        *(
            (
                policy.name,
                str(policy.retrainings),
                str(policy.refused),
                f"{policy.loss / result.checks:.4g}",
                f"{policy.cost:.4g}",
                f"{policy.ratio_to_hindsight:.3f}",
                f"{policy.ratio_low:.3g} to {policy.ratio_high:.3g}",
                f"{policy.ratio_with_probe:.3f}" if policy.probe_cost else "",
                f"{policy.periodic_median / hindsight.cost:.3f}",
                f"{policy.periodic_best / hindsight.cost:.3f}",
            )
            for policy in result.policies
        ),
    ]


def facts(result: BacktestResult) -> list[str]:
    """What was tried, a sentence a line."""
    first = f", without the first {result.uncounted}, whose labels come later" if result.uncounted else ""
    return [
        (
            f"{result.rows:,} mature rows; {result.windows} windows from {result.since:%Y-%m-%d} to "
            f"{result.until:%Y-%m-%d}{first}; training windows: {', '.join(result.kinds)}"
        ),
        (
            f"retraining cost {result.retraining_cost:.4g}, in mean {result.loss} times checks; windows until labels "
            f"are known: {result.label_delay}, held out from training for the gate: {result.held_back:g}"
        ),
        (
            "cost: loss summed over the windows plus the cost of each retraining; relative: cost divided by the cost "
            "of the best schedule in hindsight with the same delays; periodic: as many retrainings, evenly spaced"
        ),
    ]


def command_for(changes: Mapping[str, JsonValue]) -> str:
    """The command that writes the settings of a policy into params.yaml."""
    return shlex.join(["retrim", "settings", *(f"{key}={json.dumps(value)}" for key, value in changes.items())])
