"""A policy written into params.yaml, where comments and order stay.

What a policy backtest leaves behind: pictures, a page, and a run in MLflow.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrim.adapters.mlflow_tracking import record_backtest
from retrim.decision.policy_compare import GuardCost
from retrim.decision.policy_page import cost_by_retraining_cost, loss_by_retrainings, page
from retrim.decision.policy_play import ProbeSpacing, best_in_hindsight, by_rules, frontier, play_policy
from retrim.decision.probe import NEEDED
from retrim.errors import BadInputError, UnknownNameError
from retrim.files import write_file
from retrim.lineage.settings_file import set_settings
from retrim.lineage.workspace import Workspace
from retrim.reports.policy import BacktestResult
from retrim.stats.canonical import to_json

NEWEST = "newest.json"


def set_policy(workspace: Workspace, name: str) -> dict[str, tuple[Any, Any]]:
    """Writes a policy of the newest backtest into params.yaml.

    Returns:
        What changed: old and new value by dotted key; empty where params.yaml said so already.

    Raises:
        BadInputError: There was no backtest yet, or the policy is shown for comparison only.
        UnknownNameError: It had no such policy.
        RefusedError: params.yaml would not be valid then; it stays.
    """
    return set_settings(workspace.paths, changes_of(workspace, name))


def changes_of(workspace: Workspace, name: str) -> dict[str, Any]:
    """The settings of a policy of the newest backtest, by dotted key."""
    record = workspace.paths.policy / NEWEST
    if not record.exists():
        raise BadInputError("no policy was tried here yet; try them first: retrim policy backtest")
    tried = {each["name"]: each["changes"] for each in json.loads(record.read_bytes())["policies"]}
    if name not in tried:
        raise UnknownNameError("policy", name, tried)
    changes: dict[str, Any] | None = tried[name]
    if changes is None:
        usable = ", ".join(each for each, found in tried.items() if found is not None)
        raise BadInputError(f"{name} is shown for comparison and cannot be set; these can: {usable}")
    return changes


NAMES = {
    "hold": "refusals that hold",
    "cooldown": "cooldown",
    "circle": "loop breaker",
    "budget": "budget",
    "gate": "gate",
}
FACTORS = np.geomspace(1 / 16, 16, 9)  # of the retraining cost now, that costs are drawn over
DRAWN = ("never", "always", "every-4", "every-8", "performance", "drift")
COLUMNS = (
    "policy",
    "retrainings",
    "refused",
    "mean loss",
    "cost",
    "of hindsight",
    "with probe",
    "periodic, median",
    "best",
)


@dataclass(frozen=True)
class Report:
    """Where it lies: the page, and the run in MLflow."""

    page: Path
    run: str


def report(workspace: Workspace, tried: BacktestResult) -> Report:
    """Writes pictures and page, and a run into MLflow; the same result writes the same again."""
    page_at = write_page(workspace, tried)
    record = tried.as_record()
    settings = {
        name: str(record[name]) for name in ("retraining_cost", "loss", "windows", "label_delay", "deployment_delay")
    }
    metrics = {
        f"{outcome.policy.name}/{name}": value
        for outcome in tried.outcomes
        for name, value in (("cost", outcome.cost), ("retrainings", outcome.played.retrainings))
    }
    run = record_backtest(
        workspace.registry,
        key=f"policy-{tried.digest}",
        settings={**settings, "recommended": tried.choice.recommended},
        metrics=metrics,
        folder=page_at.parent,
    )
    return Report(page_at, run)


def write_page(workspace: Workspace, tried: BacktestResult) -> Path:
    """Writes pictures, record and page under `var/policy/`, and gives the page's place."""
    folder = workspace.paths.policy / tried.digest
    totals = tried.setting.totals
    points = {outcome.policy.name: (outcome.played.retrainings, outcome.played.loss) for outcome in tried.outcomes}
    pictures = {
        "loss_by_retrainings.png": loss_by_retrainings(points, frontier(totals, tried.setting.delays)),
        "cost_by_retraining_cost.png": _cost_by_retraining_cost(workspace, tried),
    }
    files = {**pictures, "policies.json": to_json(tried.as_record())}
    files["policies.html"] = page(
        title=f"Policies for {workspace.model}",
        sentence=tried.choice.sentence,
        facts=facts(tried),
        columns=COLUMNS,
        rows=lines(tried),
        pictures={
            "Loss against retrainings": pictures["loss_by_retrainings.png"],
            "Total cost over the retraining cost": pictures["cost_by_retraining_cost.png"],
        },
    )
    for name, content in files.items():
        write_file(folder / name, content)
    write_file(workspace.paths.policy / NEWEST, files["policies.json"])
    return folder / "policies.html"


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
    first = f", of which the first {setting.begin} count for nothing, as labels come later" if setting.begin else ""
    history = (
        f"{tried.rows:,} mature rows; {setting.matrix.windows} windows from {moments[0]:%Y-%m-%d} to "
        f"{moments[-1]:%Y-%m-%d}{first}; training windows: {', '.join(setting.matrix.kinds)}"
    )
    terms = (
        f"retraining cost {tried.retraining_cost:.4g}, in mean {tried.loss} times checks; labels known "
        f"{delays.labels} windows later, a model live {delays.deployment} windows after the decision, "
        f"the newest {tried.held_back:g} kept back from its training for the gate, which judges it there"
    )
    words = (
        "cost: loss summed over the windows and the retraining cost of each retraining; of hindsight: over the "
        "cost of the best "
        "schedule, looking back, under the same delays; periodic: as many retrainings, evenly apart"
    )
    short = [] if tried.holdout is None else [tried.holdout.text]
    return [history, terms, words, *map(_guard_in_words, tried.guards), *short]


def _guard_in_words(guard: GuardCost) -> str:
    met = [f"kept the accumulated gain from a retraining at {guard.stopped} checks"] if guard.stopped else []
    met += [f"refused {guard.refused}"] if guard.refused else []
    cost = f"{abs(guard.share):.1%} {'more' if guard.cost >= guard.without else 'less'} than without it"
    return f"{NAMES[guard.guard]}: {' and '.join(met)}; with it the cost is {cost}, {guard.without:.4g}"


def _cost_by_retraining_cost(workspace: Workspace, tried: BacktestResult) -> bytes:
    setting, params = tried.setting, workspace.params
    totals = setting.totals
    retraining_costs = [float(tried.retraining_cost * factor) for factor in FACTORS]
    least = [
        best_in_hindsight(totals, setting.delays, retraining_cost=retraining_cost).cost(retraining_cost)
        for retraining_cost in retraining_costs
    ]
    triggers = params.triggers.model_copy(update={"rules": ("gain",)})
    costs: dict[str, list[float]] = {"gain at that cost": []}
    for retraining_cost, low in zip(retraining_costs, least, strict=True):
        asks = by_rules(
            setting,
            triggers,
            retraining_cost=retraining_cost,
            errors=params.gain.errors,
            ahead=params.gain.ahead,
            drifted=None,
            seed=params.policy.seed,
        )
        spaced = ProbeSpacing(retraining_cost, params.gain.errors) if params.probe.when == NEEDED else None
        costs["gain at that cost"].append(
            play_policy(setting, asks, probes=True, spaced=spaced).cost(retraining_cost) / low
        )
    for outcome in tried.outcomes:
        if outcome.policy.name in DRAWN:
            costs[outcome.policy.name] = [
                outcome.played.cost(retraining_cost) / low
                for retraining_cost, low in zip(retraining_costs, least, strict=True)
            ]
    return cost_by_retraining_cost(costs, retraining_costs, retraining_cost=tried.retraining_cost)
