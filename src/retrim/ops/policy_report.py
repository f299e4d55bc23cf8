"""What a policy backtest leaves behind: pictures, a page, and a run in MLflow."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrim.adapters.backtests import record_backtest
from retrim.core.canonical import to_json
from retrim.core.policy.asks import by_rules
from retrim.core.policy.guarded import GuardCost
from retrim.core.policy.hindsight import best, frontier
from retrim.core.policy.page import page
from retrim.core.policy.picture import cost_by_price, loss_by_retrainings
from retrim.core.policy.play import play
from retrim.core.policy.played import Spaced
from retrim.core.probe import NEEDED
from retrim.files import write_file
from retrim.ops.house import House
from retrim.ops.policy import Tried
from retrim.ops.policy_set import NEWEST

NAMES = {
    "hold": "refusals that hold",
    "cooldown": "cooldown",
    "circle": "loop breaker",
    "budget": "budget",
    "gate": "gate",
}
FACTORS = np.geomspace(1 / 16, 16, 9)  # of the price now, that costs are drawn over
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


def report(house: House, tried: Tried) -> Report:
    """Writes pictures and page, and a run into MLflow; the same result writes the same again."""
    page_at = write_page(house, tried)
    record = tried.as_record()
    settings = {name: str(record[name]) for name in ("price", "loss", "windows", "label_delay", "deployment_delay")}
    metrics = {
        f"{outcome.policy.name}/{name}": value
        for outcome in tried.outcomes
        for name, value in (("cost", outcome.cost), ("retrainings", outcome.played.retrainings))
    }
    run = record_backtest(
        house.registry,
        key=f"policy-{tried.digest}",
        settings={**settings, "recommended": tried.choice.recommended},
        metrics=metrics,
        folder=page_at.parent,
    )
    return Report(page_at, run)


def write_page(house: House, tried: Tried) -> Path:
    """Writes pictures, record and page under `var/policy/`, and gives the page's place."""
    folder = house.workspace.policy / tried.digest
    totals = tried.setting.totals
    points = {outcome.policy.name: (outcome.played.retrainings, outcome.played.loss) for outcome in tried.outcomes}
    pictures = {
        "loss_by_retrainings.png": loss_by_retrainings(points, frontier(totals, tried.setting.delays)),
        "cost_by_price.png": _cost_by_price(house, tried),
    }
    files = {**pictures, "policies.json": to_json(tried.as_record())}
    files["policies.html"] = page(
        title=f"Policies for {house.model}",
        sentence=tried.choice.sentence,
        facts=facts(tried),
        columns=COLUMNS,
        rows=lines(tried),
        pictures={
            "Loss against retrainings": pictures["loss_by_retrainings.png"],
            "Total cost over the price": pictures["cost_by_price.png"],
        },
    )
    for name, content in files.items():
        write_file(folder / name, content)
    write_file(house.workspace.policy / NEWEST, files["policies.json"])
    return folder / "policies.html"


def lines(tried: Tried) -> list[tuple[str, ...]]:
    """The table: a line a policy, the cheapest first, and hindsight on top."""
    share = float(tried.setting.matrix.share[tried.setting.begin :].sum())
    hindsight = tried.outcomes[0].hindsight
    cost = hindsight.cost(tried.price)
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


def facts(tried: Tried) -> list[str]:
    """What was tried, a sentence a line."""
    setting = tried.setting
    delays, moments = setting.delays, setting.moments
    first = f", of which the first {setting.begin} count for nothing, as labels come later" if setting.begin else ""
    history = (
        f"{tried.rows:,} mature rows; {setting.matrix.windows} windows from {moments[0]:%Y-%m-%d} to "
        f"{moments[-1]:%Y-%m-%d}{first}; training windows: {', '.join(setting.matrix.kinds)}"
    )
    terms = (
        f"price of a retraining {tried.price:.4g}, in mean {tried.loss} times checks; labels known "
        f"{delays.labels} windows later, a model live {delays.deployment} windows after the decision, "
        f"the newest {tried.held_back:g} kept back from its training for the gate, which judges it there"
    )
    words = (
        "cost: loss summed over the windows and the price of each retraining; of hindsight: over the cost of the best "
        "schedule, looking back, under the same delays; periodic: as many retrainings, evenly apart"
    )
    return [history, terms, words, *map(_guard_in_words, tried.guards)]


def _guard_in_words(guard: GuardCost) -> str:
    met = [f"kept the account from a retraining at {guard.stopped} checks"] if guard.stopped else []
    met += [f"refused {guard.refused}"] if guard.refused else []
    cost = f"{abs(guard.share):.1%} {'more' if guard.cost >= guard.without else 'less'} than without it"
    return f"{NAMES[guard.guard]}: {' and '.join(met)}; with it the cost is {cost}, {guard.without:.4g}"


def _cost_by_price(house: House, tried: Tried) -> bytes:
    setting, params = tried.setting, house.params
    totals = setting.totals
    prices = [float(tried.price * factor) for factor in FACTORS]
    least = [best(totals, setting.delays, price=price).cost(price) for price in prices]
    triggers = params.triggers.model_copy(update={"rules": ("account",)})
    costs: dict[str, list[float]] = {"account at that price": []}
    for price, low in zip(prices, least, strict=True):
        asks = by_rules(
            setting,
            triggers,
            price=price,
            errors=params.account.errors,
            ahead=params.account.ahead,
            drifted=None,
            seed=params.policy.seed,
        )
        spaced = Spaced(price, params.account.errors) if params.probe.when == NEEDED else None
        costs["account at that price"].append(play(setting, asks, probes=True, spaced=spaced).cost(price) / low)
    for outcome in tried.outcomes:
        if outcome.policy.name in DRAWN:
            costs[outcome.policy.name] = [
                outcome.played.cost(price) / low for price, low in zip(prices, least, strict=True)
            ]
    return cost_by_price(costs, prices, price=tried.price)
