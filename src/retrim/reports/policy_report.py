"""A policy written into params.yaml, where comments and order stay.

What a policy backtest leaves behind: pictures, a page that needs nothing else, and a run in MLflow.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from retrim.adapters.mlflow_tracking import record_backtest
from retrim.decision.policy_compare import GuardCost
from retrim.decision.policy_play import ProbeSpacing, best_in_hindsight, by_rules, frontier, play_policy
from retrim.decision.probe import NEEDED
from retrim.errors import BadInputError, UnknownNameError
from retrim.files import write_file
from retrim.lineage.settings_file import set_settings
from retrim.lineage.workspace import Workspace
from retrim.reports.policy import BacktestResult
from retrim.stats.charts import COLOURS, INK, MUTED, drawn, plain
from retrim.stats.codec import from_record, to_json

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


@dataclass(frozen=True)
class TriedPolicy:
    """A policy of policies.json, as settings by dotted key; None: it is shown for comparison only."""

    name: str
    changes: dict[str, JsonValue] | None


@dataclass(frozen=True)
class TriedPolicies:
    policies: tuple[TriedPolicy, ...]


def changes_of(workspace: Workspace, name: str) -> dict[str, JsonValue]:
    """The settings of a policy of the newest backtest, by dotted key."""
    record = workspace.paths.policy / NEWEST
    if not record.exists():
        raise BadInputError("no policies have been backtested here yet; backtest them with: retrim policy backtest")
    tried = {each.name: each.changes for each in from_record(TriedPolicies, json.loads(record.read_bytes())).policies}
    if name not in tried:
        raise UnknownNameError("policy", name, tried)
    changes = tried[name]
    if changes is None:
        usable = ", ".join(each for each, found in tried.items() if found is not None)
        raise BadInputError(f"{name} is shown only for comparison and cannot be set; choose one of: {usable}")
    return changes


NAMES = {
    "hold": "hold after refusals",
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
    "relative",
    "95% interval",
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
        settings={**settings, "recommended": tried.choice.recommended or "unclear"},
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
        f"known: {delays.labels}, from the decision until a model is live: {delays.deployment}, held out from training "
        f"for the gate: {tried.held_back:g}"
    )
    words = (
        "cost: loss summed over the windows plus the cost of each retraining; relative: cost divided by the cost "
        "of the best schedule in hindsight with the same delays; periodic: as many retrainings, evenly spaced"
    )
    short = [] if tried.holdout is None else [tried.holdout.text]
    return [history, terms, words, *map(_guard_in_words, tried.guards), *short]


def _guard_in_words(guard: GuardCost) -> str:
    met = [f"stopped a retraining by the rule gain at {guard.stopped} checks"] if guard.stopped else []
    met += [f"refused {guard.refused}"] if guard.refused else []
    cost = f"{abs(guard.share):.1%} {'more' if guard.cost >= guard.without else 'less'} than without it"
    return f"{NAMES[guard.guard]}: {' and '.join(met)}; with it the cost is {cost} ({guard.without:.4g})"


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
        spaced = None
        if params.probe.when == NEEDED:
            spaced = ProbeSpacing(retraining_cost, triggers.band, params.gain.errors, params.policy.seed)
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


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.answer { font-size: 1.1rem; border-left: 4px solid #1f6feb; padding-left: 0.8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.8rem; border-bottom: 1px solid #e4e7eb; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; } small { color: #616e7c; }
"""


def page(
    *,
    title: str,
    sentence: str,
    facts: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pictures: Mapping[str, bytes],
) -> bytes:
    """The page: the recommendation first, then the table and the pictures; no script, no address of another place.

    Args:
        title: Of the page.
        sentence: The recommendation.
        facts: What was tried, a line each.
        columns: Names of the table's columns.
        rows: Its cells.
        pictures: PNG bytes by what they show.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    shown = "\n".join(
        f'<h2>{escape(name)}</h2>\n<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(png).decode()}">'
        for name, png in pictures.items()
    )
    told = "<br>\n".join(escape(fact) for fact in facts)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n<p class="answer">{escape(sentence)}</p>\n'
        f"<table>\n<tr>{head}</tr>\n{body}\n</table>\n{shown}\n<p><small>{told}</small></p>\n</html>\n"
    ).encode()


MARKS = {"gain": "o", "every": "s", "always": "s", "never": "X"}


def loss_by_retrainings(points: Mapping[str, tuple[int, float]], frontier: Sequence[tuple[int, float]]) -> bytes:
    """Each policy's loss against its number of retrainings, and the least that hindsight could have had with as many.

    Args:
        points: Retrainings and loss, mean loss times checks, by policy.
        frontier: The same of the best schedules in hindsight, by number.
    """
    with drawn("Loss against retrainings", width=8.4, height=5.2) as (axes, made):
        ordered = sorted(frontier)
        axes.step(
            [count for count, _ in ordered],
            [loss for _, loss in ordered],
            where="post",
            color=MUTED,
            linewidth=1.4,
            label="best in hindsight with as many",
        )
        names: dict[tuple[int, float], list[str]] = {}
        for name, point in points.items():
            names.setdefault(point, []).append(name)
        for number, (point, alike) in enumerate(sorted(names.items())):
            stem = alike[0].partition("-")[0]
            colour = COLOURS[0] if stem == "gain" else COLOURS[1] if stem in MARKS else COLOURS[3]
            axes.scatter(*point, s=42, color=colour, marker=MARKS.get(stem, "D"), zorder=3, linewidths=0)
            # Names of points that lie close to one another go up and down in turn, and those far right to the left.
            right = point[0] < 0.8 * max(count for count, _ in names)
            axes.annotate(
                plain(", ".join(alike)),
                point,
                (5 if right else -5, 6 if number % 2 else -6),
                textcoords="offset points",
                ha="left" if right else "right",
                va="bottom" if number % 2 else "top",
                color=INK,
                fontsize=8,
            )
        axes.set(xlabel="retrainings", ylabel="loss summed over the windows, mean loss x checks")
        axes.legend(loc="upper right")
    return made.getvalue()


def cost_by_retraining_cost(
    costs: Mapping[str, Sequence[float]], retraining_costs: Sequence[float], *, retraining_cost: float
) -> bytes:
    """Total cost of each policy over the retraining cost, each over that of the best schedule at that cost.

    Args:
        costs: Cost over that of hindsight at each cost, 1 or more, by policy.
        retraining_costs: Of a retraining, in mean loss times checks, ascending, above 0.
        retraining_cost: The one that params.yaml has.
    """
    with drawn("Total cost over the retraining cost", width=8.4, height=4.8) as (axes, made):
        for number, (name, values) in enumerate(costs.items()):
            axes.plot(
                retraining_costs,
                values,
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
                linewidth=1.6,
                label=plain(name),
            )
        axes.axvline(retraining_cost, color=MUTED, linewidth=0.9, linestyle=":")
        axes.annotate(
            "cost now",
            (retraining_cost, 1),
            (3, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color=MUTED,
            fontsize=9,
        )
        axes.set_xscale("log")
        axes.set(xlabel="retraining cost, mean loss x checks", ylabel="cost over that of the best in hindsight")
        axes.set_ylim(0.98, min(max(max(values) for values in costs.values()) * 1.02, 3.0))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made.getvalue()
