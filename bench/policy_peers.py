"""RetrainOpt's policies beside the account, on the same loss matrices; used by policies.py with `--peers FOLDER`.

They are made from the first 20 windows, with the best plan in hindsight, and everybody is compared on the last 30,
which begin with a fresh model. Labels at once, one training window at a time, every retraining released: their
controller knows nothing of the rest.
"""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peer_runs import HERE, Peer, environment

from retrim.core.policy.asks import at_checks
from retrim.core.policy.choice import part_of
from retrim.core.policy.hindsight import best
from retrim.core.policy.play import Asks, Setting, play

HISTORY = 20
RETRAINOPT = Peer("RetrainOpt", "by_retrainopt.py", ("retrainopt[sklearn]==0.4.2",), {}, (0, 0))


def beside(
    runs: Sequence[tuple[str, Setting, float]], account: Callable[[Setting, float], Asks], folder: Path
) -> pd.DataFrame:
    """Cost over hindsight on the last windows, mean and worst of each policy.

    Args:
        runs: Stream, history with one training window, price.
        account: The account's answers at a price.
        folder: Where the environment is made.
    """
    python = environment(folder, RETRAINOPT)
    if isinstance(python, str):
        return pd.DataFrame([{"policy": f"RetrainOpt cannot be installed: {python}"}])
    tasks = [{"losses": _losses(setting), "price": price, "history": HISTORY} for _, setting, price in runs]
    command = [str(python), str(HERE / RETRAINOPT.script)]
    told = subprocess.run(command, input=json.dumps(tasks), capture_output=True, text=True, check=True).stdout
    ratios: dict[str, list[float]] = {}
    counts: dict[str, list[int]] = {}
    for (_, setting, price), found in zip(runs, json.loads(told), strict=True):
        last = part_of(setting, HISTORY, setting.matrix.windows)
        least = best(last.matrix.totals[list(last.kinds)], last.delays, price=price).cost(price)
        asked: dict[str, tuple[Asks, bool]] = {"account": (account(last, price), True)}
        for name, windows in found.items():
            checks = [window - HISTORY for window in windows if window > HISTORY]
            asked[f"RetrainOpt {name}"] = (at_checks(checks), False)
        for name, (asks, probes) in asked.items():
            played = play(last, asks, probes=probes)
            ratios.setdefault(name, []).append(played.cost(price) / least)
            counts.setdefault(name, []).append(played.retrainings)
    lines: list[dict[str, Any]] = [
        {
            "policy": name,
            "runs": len(each),
            "mean": float(np.mean(each)),
            "worst": float(np.max(each)),
            "retrainings": float(np.mean(counts[name])),
        }
        for name, each in ratios.items()
    ]
    return pd.DataFrame(lines)


def _losses(setting: Setting) -> list[list[float | None]]:
    totals = setting.matrix.totals[setting.kinds[0]]
    return [[None if np.isnan(loss) else float(loss) for loss in row] for row in totals]
