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


def lines(tried: BacktestResult) -> list[tuple[str, ...]]:
    """The table: a line a policy, the cheapest first, and hindsight on top."""
    share = float(tried.setting.matrix.share[tried.setting.begin :].sum())
    hindsight = tried.outcomes[0].hindsight
    cost = hindsight.cost(tried.retraining_cost)
    first = (
        "hindsight",
        str(len(hindsight.checks)),
        "",
        f"{hindsight.loss / share:.4g}",
        f"{cost:.4g}",
        "1",
        "",
        "",
        "",
        "",
    )
    return [
        first,
        *(
            (
                outcome.policy.name,
                str(outcome.played.retrainings),
                str(len(outcome.played.refused)),
                f"{outcome.played.loss / share:.4g}",
                f"{outcome.cost:.4g}",
                f"{outcome.ratio:.3f}",
                "{:.3g} to {:.3g}".format(*outcome.ratio_interval),
                f"{outcome.ratio_with_probe:.3f}" if outcome.policy.probes else "",
                f"{outcome.periodic.median / cost:.3f}",
                f"{outcome.periodic.best / cost:.3f}",
            )
            for outcome in tried.outcomes
        ),
    ]


def facts(tried: BacktestResult) -> list[str]:
    """What was tried, a sentence a line."""
    setting = tried.setting
    delays, moments = setting.delays, setting.moments
    first = f", without the first {setting.begin}, whose labels come later" if setting.begin else ""
    history = (
        f"{tried.rows:,} mature rows; {setting.matrix.windows} windows from {moments[0]:%Y-%m-%d} to "
        f"{moments[-1]:%Y-%m-%d}{first}; training windows: {', '.join(setting.matrix.kinds)}"
    )
    terms = (
        f"retraining cost {tried.retraining_cost:.4g}, in mean {tried.loss} times checks; windows until labels are "
        f"known: {delays.labels}, held out from training "
        f"for the gate: {tried.held_back:g}"
    )
    words = (
        "cost: loss summed over the windows plus the cost of each retraining; relative: cost divided by the cost "
        "of the best schedule in hindsight with the same delays; periodic: as many retrainings, evenly spaced"
    )
    return [history, terms, words]


def command_for(changes: Mapping[str, JsonValue]) -> str:
    """The command that writes the settings of a policy into params.yaml."""
    return shlex.join(["retrim", "settings", *(f"{key}={json.dumps(value)}" for key, value in changes.items())])
