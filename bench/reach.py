"""What the accumulated gain reaches on nine streams with settings by default, the gate on: by table, beside calendars.

    python bench/reach.py --cache FOLDER                   # the fits of policies.py
    python bench/reach.py --cache FOLDER --controls bike bank chicago   # shuffled streams: retrainings and probes

Cost is over the best schedule in hindsight with models that keep nothing back. Prices, delays and windows: policies.py.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matrices import matrix_of
from policies import (
    PARAMS,
    SOON,
    Run,
    control_runs,
    delays_to_run,
    fits_beside,
    runs_of,
    shipped,
    show,
)
from streams import NAMES, STATIONARY, Stream, load, shuffled

from retrim.decision.policy_backtest import LossMatrix
from retrim.decision.policy_play import PlayedPolicy, play_policy
from retrim.decision.policy_rules import PERIODS

AFTER = PARAMS.retrain.refit_after
CALENDARS = (*PERIODS, 1)


def accumulated_gain(run: Run) -> PlayedPolicy:
    return play_policy(run.setting, shipped(run.retraining_cost))


def reached(made: dict[str, tuple[Stream, LossMatrix]]) -> pd.DataFrame:
    """By stream: cost with the gate and without, what gate and probes add, the cheapest calendar, late runs."""
    lines: list[dict[str, Any]] = []
    for name, pair in made.items():
        blocks = PARAMS.probe.blocks
        free, gated = runs_of(*pair, blocks=blocks, gated=0.0), runs_of(*pair, blocks=blocks, gated=1.0, after=AFTER)
        least = np.array([run.least for run in free])
        released, judged = [accumulated_gain(run) for run in free], [accumulated_gain(run) for run in gated]
        cost, without = (
            np.array([each.cost(run.retraining_cost) for run, each in zip(free, played, strict=True)]) / least
            for played in (judged, released)
        )
        probes = np.array(
            [fits_beside(run.setting, run.retraining_cost, each) for run, each in zip(gated, judged, strict=True)]
        ) / least.reshape(-1, 1)
        rules = {
            f"every {period}": np.array(
                [
                    play_policy(run.setting, range(period, run.setting.matrix.windows, period)).cost(
                        run.retraining_cost
                    )
                    for run in free
                ]
            )
            for period in CALENDARS
        }
        rules["never"] = np.array([play_policy(run.setting, ()).loss for run in free])
        means = {rule: float((costs / least).mean()) for rule, costs in rules.items()}
        calendar = min(means, key=lambda rule: means[rule])
        late = [checks for run, each in zip(gated, judged, strict=True) for checks in delays_to_run(run, each)]
        stopped = sum((Counter(each.stopped) for each in judged), Counter[str]())
        lines.append(
            {
                "stream": name,
                "retrainings": float(np.mean([len(each.checks) for each in judged])),
                "refused": float(np.mean([len(each.refused) for each in judged])),
                "in hindsight": float(np.mean([run.retrainings for run in free])),
                "cost": float(cost.mean()),
                "worst": float(cost.max()),
                "without the gate": float(without.mean()),
                "the gate adds": float((cost - without).mean()),
                "probes add, refit": float(probes[:, 0].mean()),
                "search": float(probes[:, 1].mean()),
                "best calendar": calendar,
                "its cost": means[calendar],
                "due": len(late),
                "in time": sum(checks <= SOON for checks in late),
                "stopped": ", ".join(f"{guard} {count}" for guard, count in sorted(stopped.items())) or "-",
            }
        )
    return pd.DataFrame(lines)


def summary(frame: pd.DataFrame) -> None:
    means = frame[["cost", "without the gate", "the gate adds", "probes add, refit", "search"]].mean()
    print("; ".join(f"{name} {value:.3f}" for name, value in means.items()), end="; ")
    print(f"worst {frame['worst'].max():.3f} ({frame.loc[frame['worst'].idxmax(), 'stream']})")
    above = frame[frame["cost"] > frame["its cost"]]["stream"]
    print(f"above the cheapest calendar: {', '.join(above) or 'none'}")
    due, come = int(frame["due"].sum()), int(frame["in time"].sum())
    print(f"a run at most {SOON} checks after the accumulated gain would have paid: {come} of {due}\n")


def controls(stream: Stream, real: LossMatrix, still: LossMatrix) -> list[dict[str, Any]]:
    """The accumulated gain on a shuffled stream, at the prices of the real one and at a low one."""
    lines = []
    for label, run in control_runs(stream, real, still, blocks=PARAMS.probe.blocks, gated=1.0, after=AFTER):
        played = accumulated_gain(run)
        refit, search = fits_beside(run.setting, run.retraining_cost, played)
        lines.append(
            {
                "stream": stream.name,
                "windows": run.windows,
                "late": run.late,
                "price": label,
                "retrainings": len(played.checks),
                "refused": len(played.refused),
                "in hindsight": run.retrainings,
                "cost": played.cost(run.retraining_cost) / run.least,
                "probes add, refit": refit / run.least,
                "search": search / run.least,
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder with the fits of policies.py")
    parser.add_argument("--streams", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument(
        "--controls", nargs="*", default=None, choices=(*NAMES, STATIONARY), help="these shuffled, alone"
    )
    given = parser.parse_args()
    names = given.streams if given.controls is None else given.controls
    loaded = [load(name, given.cache / "packages") for name in names]
    whole = given.controls is None  # else census is read as it is, and asked as the others are, shuffled
    made = {
        stream.name: (stream, matrix_of(stream, given.cache, cores=1, between=whole or stream.name != STATIONARY))
        for stream in loaded
    }
    print(f"gate on a window{', then fitted once more on all rows' if AFTER else ''}")
    if whole:
        show(frame := reached(made))
        summary(frame)
        return
    lines = []
    for stream, matrix in made.values():
        still = stream if stream.name == STATIONARY else shuffled(stream, seed=1)
        lines += controls(still, matrix, matrix_of(still, given.cache, cores=1, between=False))
    show(frame := pd.DataFrame(lines))
    for own, part in frame.groupby(frame["price"] == "0.01%"):
        label = "at 0.01% of the loss" if own else "at prices of the real streams"
        print(
            f"{label}, {len(part)} runs: retrainings mean {part['retrainings'].mean():.2f}, most "
            f"{part['retrainings'].max()}; probes add {part['probes add, refit'].mean():.3f} (refit), "
            f"{part['search'].mean():.3f} (search), most {part['probes add, refit'].max():.3f}"
        )


if __name__ == "__main__":
    main()
