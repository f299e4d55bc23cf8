"""Published policies beside the accumulated gain, on the same loss matrices; used by policies.py.

All that they learn they learn from the first 20 windows, and everybody is compared on the last 30, which begin with a
fresh model; one training window at a time, every retraining released. CARA and UPF (published_policies.py) are also
asked where labels come late. RetrainOpt's two, which are asked with `--peers FOLDER`, are made from the first windows
with the best plan in hindsight, and for labels at once alone: their controller knows nothing of the rest.
"""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peer_runs import HERE, Peer, environment
from published_policies import cara, upf

from retrim.decision.policy_compare import part_of
from retrim.decision.policy_play import Asks, PlayedPolicy, Setting, at_checks, best_in_hindsight, every, play_policy

HISTORY = 20
RETRAINOPT = Peer("RetrainOpt", "by_retrainopt.py", ("retrainopt[sklearn]==0.4.2",), {}, (0, 0))


@dataclass(frozen=True)
class Asked:
    """One history on which all are asked.

    Args:
        stream: Its name.
        setting: The history, with one training window, every retraining released.
        price: Of a retraining.
        classes: Whether its target is a class.
    """

    stream: str
    setting: Setting
    retraining_cost: float
    classes: bool


def beside(
    runs: Sequence[Asked],
    accumulated_gain: Callable[[Setting, float], Asks],
    fits: Callable[[Setting, float, PlayedPolicy], tuple[float, float]],
    folder: Path | None,
) -> pd.DataFrame:
    """Cost over hindsight on the last windows, mean and worst of each policy.

    Args:
        runs: Histories.
        accumulated gain: The accumulated gain's answers at a retraining cost.
        fits: What the fits that a policy looks at cost, where a later run is a refit, and where it is a search.
        folder: Where RetrainOpt's environment is made; None: it is not asked.
    """
    optimised = _retrainopt(runs, folder) if folder is not None else {}
    lines: list[dict[str, Any]] = []
    for number, run in enumerate(runs):
        first, last = part_of(run.setting, 0, HISTORY), part_of(run.setting, HISTORY, run.setting.matrix.windows)
        least = best_in_hindsight(last.totals, last.delays, retraining_cost=run.retraining_cost).cost(
            run.retraining_cost
        )
        asked: dict[str, tuple[Asks, bool]] = {"gain": (accumulated_gain(last, run.retraining_cost), True)}
        for name in ("threshold", "cumulative", "periodic"):
            asked[f"CARA {name}"] = (cara(name, first, run.retraining_cost)(last), name != "periodic")
        if run.classes:
            asked["UPF"] = (upf(first, run.setting, run.retraining_cost)(last), True)
        for each in (4, 8):
            asked[f"every {each}"] = (every(each, last.matrix.windows), False)
        asked["never"] = (at_checks(()), False)
        for name, windows in optimised.get(number, {}).items():
            checks = [window - HISTORY for window in windows if window > HISTORY]
            asked[f"RetrainOpt {name}"] = (at_checks(checks), False)
        for name, (asks, looks) in asked.items():
            played = play_policy(last, asks, probes=looks)
            refit, search = fits(last, run.retraining_cost, played) if looks else (0.0, 0.0)
            cost = played.cost(run.retraining_cost)
            line = {"policy": name, "late": run.setting.delays.labels, "classes": run.classes}
            figures = {"ratio": cost / least, "refit": (cost + refit) / least, "search": (cost + search) / least}
            lines.append({**line, **figures, "retrainings": played.retrainings})
    told = pd.DataFrame(lines)
    own = [_table(part, f"labels {late} late, all streams") for late, part in told.groupby("late")]
    own += [_table(part, f"labels {late} late, classes") for late, part in told[told["classes"]].groupby("late")]
    return pd.concat(own, ignore_index=True)


def _table(told: pd.DataFrame, name: str) -> pd.DataFrame:
    whole = told["policy"].value_counts()
    of_all = [policy for policy in told["policy"].unique() if whole[policy] == whole.max()]
    groups = told[told["policy"].isin(of_all)].groupby("policy", sort=False)
    table = groups.agg(
        runs=("ratio", "size"),
        mean=("ratio", "mean"),
        worst=("ratio", "max"),
        **{"with own fits, refit": ("refit", "mean"), "with own fits, search": ("search", "mean")},
        retrainings=("retrainings", "mean"),
    )
    return table.reset_index().assign(where=name)


def _retrainopt(runs: Sequence[Asked], folder: Path) -> dict[int, dict[str, list[int]]]:
    """Windows before which RetrainOpt's policies retrain, by the place of the run; labels at once alone."""
    python = environment(folder, RETRAINOPT)
    if isinstance(python, str):
        print(f"RetrainOpt cannot be installed: {python}")
        return {}
    own = [number for number, run in enumerate(runs) if not run.setting.delays.labels]
    tasks = [
        {"losses": _losses(runs[number].setting), "price": runs[number].retraining_cost, "history": HISTORY}
        for number in own
    ]
    command = [str(python), str(HERE / RETRAINOPT.script)]
    told = subprocess.run(command, input=json.dumps(tasks), capture_output=True, text=True, check=True).stdout
    return dict(zip(own, json.loads(told), strict=True))


def _losses(setting: Setting) -> list[list[float | None]]:
    totals = setting.matrix.totals[setting.kinds[0]]
    return [[None if np.isnan(loss) else float(loss) for loss in row] for row in totals]
