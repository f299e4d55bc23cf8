"""Abrupt breaks: whether splitting the newest window pays, always or on an alarm, and a second retraining right after.

    python bench/abrupt.py --cache FOLDER   # fits, some minutes on one core; kept for a rerun

Simulated streams of 5,000 rows, 50 windows after the first 20%: six with 2 to 4 breaks inside windows, at which the
weights of all features turn at once, three of them regressions, three binary; in some the third regime is the first
again. Two more have no break. All past rows, a sliding window, and both; labels at once and 2 windows late;
prices of 1/40 and 1/15 of the gain, as in policies.py: 72 runs with breaks, 24 without (at the mean price of those).

A design is the shipped accumulated gain with N blocks of the probe, M on an alarm, and a cooldown. An alarm is the
champion's loss on the newest labelled window above its band (triggers.band), or 3 standard errors of the difference
above that of the window before. Cost is over the best schedule in hindsight, with as much kept back, and with nothing.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matrices import BLOCKS, FIRST, WINDOWS, matrix_of
from policies import GATED, LATE, PARAMS, PARTS, RUNS, TRIGGERS, gain_of, setting_of, show
from streams import Stream

from retrim.decision.accumulated_gain import reference_band
from retrim.decision.policy_backtest import LossMatrix
from retrim.decision.policy_play import DRAWS, Setting, best_in_hindsight, by_rules, play_policy
from retrim.table.data import DataParams

ROWS, FEATURES, NOISE = 5_000, 6, 0.5
BREAKS, UNBROKEN = (2, 3, 4, 2, 3, 4), (100, 101)  # breaks of six streams; seeds of the two without
AFTER = (1, 2, 3, 4, 6, 8, 12)  # blocks of rows after a break
APART, JUMP = 5, 3.0  # windows between two breaks, at least; standard errors above the loss of the window before
ERRORS, AHEAD = PARAMS.gain.errors, PARAMS.gain.ahead
GATE_DRAWS = 500  # of the gate's bootstrap, for speed

Alarm = Callable[[int, int, int], bool]
"""Of a window, a training window and a model: whether the check that sees this window's labels sees an alarm."""


@dataclass(frozen=True)
class Design:
    """Blocks of the probe, those on an alarm, which alarm, and checks of cooldown."""

    name: str
    blocks: int
    finer: int = 0
    alarm: str = ""
    cooldown: int = TRIGGERS.cooldown_checks


DESIGNS = (
    Design("1 block, by default", 1),
    Design("2 blocks", 2),
    Design("4 blocks", 4),
    Design("2 on an alarm: band", 1, 2, "band"),
    Design("2 on an alarm: jump", 1, 2, "jump"),
    Design("4 on an alarm: jump", 1, 4, "jump"),
    Design("1 block, no cooldown", 1, cooldown=0),
    Design("2 on band, no cooldown", 1, 2, "band", 0),
    Design("2 on jump, no cooldown", 1, 2, "jump", 0),
)


@dataclass(frozen=True)
class Split(LossMatrix):
    """A matrix whose probe has more blocks on a window at which the live model raises an alarm.

    A check asks for the live model's losses on a window before it asks for the probe's: that tells which model is live.
    """

    alarm: Alarm = field(kw_only=True)
    finer: int = field(kw_only=True)
    up: set[int] = field(default_factory=set, kw_only=True)

    def model_sums(self, window: int, kind: int, model: int) -> np.ndarray:
        if self.alarm(window, kind, model):
            self.up.add(window)
        return super().model_sums(window, kind, model)

    def probe_sums(self, window: int, kind: int, *, labels: int, blocks: int) -> np.ndarray:
        wanted = max(blocks, self.finer) if window in self.up else blocks
        return super().probe_sums(window, kind, labels=labels, blocks=wanted)


def alarms_of(matrix: LossMatrix) -> dict[str, Alarm]:
    """Each alarm on a matrix, by name."""

    @cache
    def top(kind: int, model: int) -> float:
        losses = matrix.part_means(model, kind, model)
        found = reference_band(losses, rows=len(losses), block_rows=1, draws=DRAWS, seed=7)
        return float("inf") if found is None else found.top(TRIGGERS.band)

    def band(window: int, kind: int, model: int) -> bool:
        return window > model and matrix.mean_loss(model, kind, window) > top(kind, model)

    @cache
    def jump(window: int, kind: int, model: int) -> bool:
        parts = [matrix.part_means(model, kind, each) for each in (max(window - 1, model), window)]
        error = np.sqrt(sum(each.var(ddof=1) / len(each) for each in parts))
        return bool(parts[1].mean() - parts[0].mean() > JUMP * error)

    return {"band": band, "jump": jump}


def broken_at(rng: np.random.Generator, breaks: int) -> np.ndarray:
    """Moments of breaks, in windows, none of them near an edge."""
    free = WINDOWS - 2 * APART - (breaks - 1) * APART
    windows = np.sort(rng.choice(free, breaks, replace=False)) + APART * (1 + np.arange(breaks))
    return windows + rng.uniform(0.15, 0.85, breaks)


def simulated(seed: int, breaks: int) -> Stream:
    """A stream whose weights turn by 30 to 90 degrees, to some side, at each of that many moments."""
    task = ("regression", "binary")[seed % 2]
    rng = np.random.default_rng(seed)
    places = ROWS * FIRST + broken_at(rng, breaks) * ROWS * (1 - FIRST) / WINDOWS
    regimes = [rng.standard_normal(FEATURES)]
    for number in range(breaks):
        turn, other = rng.uniform(np.pi / 6, np.pi / 2), rng.standard_normal(FEATURES)
        turned = np.cos(turn) * regimes[-1] + np.sin(turn) * other
        regimes.append(regimes[0] if seed % 4 < 2 and number == 1 else turned)
    values = rng.standard_normal((ROWS, FEATURES))
    score = (values * np.array(regimes)[np.searchsorted(places, np.arange(ROWS), side="right")]).sum(axis=1)
    binary = task == "binary"
    answer = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-1.5 * score)), "yes", "no")
    names = [f"x{number}" for number in range(FEATURES)]
    times = pd.date_range("2020-01-01", periods=ROWS, freq="h", tz="UTC")
    table = pd.DataFrame(values, columns=names).assign(time=times, _event=times, _due=times)
    table["y"] = answer if binary else score + NOISE * rng.standard_normal(ROWS)
    columns = {name: {"type": "number", "role": "feature"} for name in names}
    columns["time"] = {"type": "time", "role": "time"}
    columns["y"] = {"type": "category" if binary else "number", "role": "target"}
    usual = PARAMS.data.model_dump() | {"task": task, "positive": "yes" if binary else None, "key": []}
    data = DataParams.model_validate(usual | {"label_horizon": "0h", "model": "abrupt", "columns": columns})
    name = f"abrupt, {task}, {breaks} breaks, seed {seed}"
    return Stream(name, table, data, "log_loss" if binary else "mae", 1)


def streams(first: int) -> list[Stream]:
    """Six with breaks, seeds from `first` on, then two without."""
    return [
        *(simulated(seed, breaks) for seed, breaks in enumerate(BREAKS, first)),
        *(simulated(n, 0) for n in UNBROKEN),
    ]


def played(setting: Setting, alarms: dict[str, Alarm], design: Design, *, retraining_cost: float) -> dict[str, float]:
    """Cost of a design, its retrainings, how many of them were refused, and whether one waited for a person."""
    judging = setting.judging and replace(setting.judging, draws=GATE_DRAWS)
    made = replace(setting, blocks=design.blocks, judging=judging)
    if design.alarm:
        own = {each.name: getattr(made.matrix, each.name) for each in fields(LossMatrix)}
        made = replace(made, matrix=Split(**own, alarm=alarms[design.alarm], finer=design.finer))
    triggers = TRIGGERS.model_copy(update={"cooldown_checks": design.cooldown})
    asks = by_rules(made, triggers, retraining_cost=retraining_cost, errors=ERRORS, ahead=AHEAD, drifted=None, seed=7)
    done = play_policy(made, asks, probes=True)
    counts = {"retrainings": done.retrainings, "refused": len(done.refused), "held": float(done.waited > 0)}
    return counts | {"cost": done.cost(retraining_cost)}


def lines(
    stream: Stream, matrix: LossMatrix, retraining_costs: dict[tuple[str, int, int], float]
) -> list[dict[str, Any]]:
    """Every design on a stream, run by run, at these prices: of training window, windows late, and part of the gain."""
    told = []
    for (windows, late, part), retraining_cost in retraining_costs.items():
        free = 0.0
        for gated in GATED:
            setting = setting_of(matrix, stream.table, windows, late, blocks=1, gated=gated)
            found = best_in_hindsight(setting.totals, setting.delays, retraining_cost=retraining_cost)
            own = found.cost(retraining_cost)
            free = free if gated else own  # the first keeps nothing back
            alarms = alarms_of(setting.matrix)
            line = {"stream": stream.name, "late": late, "part": part, "gate": gated, "in hindsight": len(found.checks)}
            for design in DESIGNS:
                done = played(setting, alarms, design, retraining_cost=retraining_cost)
                ratios = {"ratio": done["cost"] / own, "over free": done["cost"] / free}
                told.append({**line, "design": design.name, **ratios, **done})
    return told


def retraining_costs_of(stream: Stream, matrix: LossMatrix) -> dict[tuple[str, int, int], float]:
    every = product(RUNS, LATE, PARTS)
    return {(name, late, part): gain_of(matrix, stream.table, name, late) / part for name, late, part in every}


def summed(told: pd.DataFrame) -> pd.DataFrame:
    """Mean and worst ratio of each design, by delay and price; retrainings and refusals of a run on average."""
    found = []
    for (gate, design), own in told.groupby(["gate", "design"], sort=False):
        line: dict[str, Any] = {"kept back": f"{gate:g}", "design": design}
        for late in LATE:
            for part in PARTS:
                ratio = own.loc[(own["late"] == late) & (own["part"] == part), "ratio"]
                line[f"{late} late, 1/{part}"] = f"{ratio.mean():.3f} / {ratio.max():.2f}"
        line["all runs"] = f"{own['ratio'].mean():.3f} / {own['ratio'].max():.2f}"
        shipped = told.loc[(told["gate"] == gate) & (told["design"] == DESIGNS[0].name), "ratio"]
        changed = own["ratio"].to_numpy() - shipped.to_numpy()
        streams = pd.Series(changed).groupby(own["stream"].to_numpy()).mean()
        line["against shipped (se by stream)"] = f"{streams.mean():+.3f} ({streams.sem():.3f})"
        line["over nothing kept back"] = own["over free"].mean()
        line |= {name: f"{own[name].mean():.1f}" for name in ("retrainings", "in hindsight")}
        line |= {"refused": f"{own['refused'].mean():.2f}", "held": f"{own['held'].mean():.0%}"}
        found.append(line)
    return pd.DataFrame(found)


def won_back(made: Sequence[tuple[Stream, LossMatrix]], first: int) -> pd.DataFrame:
    """What a fit on that many windows of rows after a break saves, of what one on three windows saves."""
    saved: dict[tuple[str, int], float] = {}
    for (_, matrix), (seed, breaks) in zip(made, enumerate(BREAKS, first), strict=False):
        for place in broken_at(np.random.default_rng(seed), breaks):
            for number, kind in enumerate(matrix.kinds):
                losses = matrix.sums[number][:, matrix.cut.window == int(place) + 4].sum(axis=1)
                for blocks in AFTER:
                    gain = losses[int(place) * BLOCKS] - losses[int(np.ceil(place * BLOCKS)) + blocks]
                    saved[kind, blocks] = saved.get((kind, blocks), 0.0) + gain
    lines = [[kind, *(saved[kind, each] / saved[kind, AFTER[-1]] for each in AFTER)] for kind in made[0][1].kinds]
    return pd.DataFrame(lines, columns=["training window", *(f"{each / BLOCKS:g} windows" for each in AFTER)])


def counted(told: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Retrainings without a break, on average and at most."""
    frame = pd.DataFrame(told).groupby(["gate", "design"], sort=False)
    made = frame[["retrainings", "refused", "in hindsight"]].mean()
    return made.assign(most=frame["retrainings"].max(), ratio=frame["ratio"].mean()).reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the fits")
    parser.add_argument("--first-seed", type=int, default=0, help="of the six streams with breaks")
    given = parser.parse_args()
    made = [(each, matrix_of(each, given.cache, cores=1)) for each in streams(given.first_seed)]
    retraining_costs = [retraining_costs_of(*pair) for pair in made[: len(BREAKS)]]
    told = [line for pair, own in zip(made, retraining_costs, strict=False) for line in lines(*pair, own)]
    show(summed(pd.DataFrame(told)))
    show(won_back(made, given.first_seed), 2)
    usual = {key: float(np.mean([own[key] for own in retraining_costs])) for key in retraining_costs[0]}
    show(counted([line for pair in made[len(BREAKS) :] for line in lines(*pair, usual)]))


if __name__ == "__main__":
    main()
