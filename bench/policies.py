"""What the accumulated gain costs against the best schedule in hindsight, on nine real streams.

    python bench/policies.py --cache FOLDER            # fits, an hour on one core; kept, so that a rerun takes a minute
    python bench/policies.py --cache FOLDER --streams bike bank

50 windows after the first 20% of rows; a retraining cost of 1/40 and of 1/15 of the gain, which is the loss of never
retraining minus that of retraining at every window (where that is no gain, the larger one of the two training windows
alone); labels at once and 2 windows late; all past rows, a sliding window of as many rows as the first part, and both.
The accumulated gain is the shipped one: rules and settings of params.yaml, asked through the code that runs live.
Printed are the policies with every retraining released, and with the gate and final fits; then for each stream what
the rule `gain` reaches with the gate, what gate and probes add, the cheapest calendar, and runs that came late. With
`--controls` the streams are shuffled. Cost is over the best schedule in hindsight.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from streams import NAMES, ROOT, Stream, load, shuffled

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.policy_backtest import (
    FitInputs,
    FitJob,
    FitLosses,
    LossMatrix,
    PolicyDelays,
    WindowCuts,
    cut,
    equal_rows,
    jobs,
)
from retrim.decision.policy_compare import best_in_hindsight, usual_fit
from retrim.decision.policy_gate import GateSimulation, Setting
from retrim.decision.policy_play import PlayedPolicy, PlayedRules, play_policy
from retrim.decision.policy_rules import PERIODS
from retrim.decision.probe import NEEDED
from retrim.decision.triggers import TriggerParams
from retrim.settings import load_params
from retrim.stats.codec import to_record
from retrim.training.recipe import Recipe, WindowKind

FIRST, WINDOWS, BLOCKS = 0.2, 50, 4
KINDS: tuple[WindowKind, ...] = ("all", "sliding")
HYPERPARAMETERS = {"num_leaves": 31, "learning_rate": 0.1, "min_child_samples": 20}
ROUNDS = {"rodents": 30}  # of twelve classes 30 rounds are 360 trees
USUAL_ROUNDS = 100


def recipe_of(stream: Stream) -> Recipe:
    """LightGBM with its own defaults, the same for every stream but for the rounds of some."""
    rounds = ROUNDS.get(stream.name.partition(",")[0], USUAL_ROUNDS)
    return Recipe("gbm", stream.loss, HYPERPARAMETERS, rounds, 7)


def cut_of(stream: Stream, blocks: int) -> WindowCuts:
    """50 windows of equal rows after the first 20%, each in that many blocks."""
    n = len(stream.table)
    return cut(equal_rows(n, first=round(n * FIRST), windows=WINDOWS), blocks=blocks, block_rows=stream.block_rows)


def matrix_of(stream: Stream, cache: Path, *, cores: int, between: bool = True) -> LossMatrix:
    """The loss matrix of a stream; fits that are in `cache` already are not made again.

    Without `between` the fit made before a window stands for those inside it, which a probe of one block never asks.
    """
    whole = cut_of(stream, BLOCKS)
    file = cache / f"{stream.name.replace(', ', '-')}.jsonl"
    cache.mkdir(parents=True, exist_ok=True)
    done = [_read(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    known = {each.job for each in done}
    wanted = [job for job in jobs(whole, KINDS) if between or job.origin % BLOCKS == 0]
    todo = [job for job in wanted if job not in known]
    if todo:
        with ProcessPoolExecutor(cores, initializer=_start, initargs=(stream, whole)) as pool, file.open("a") as out:
            for number, scored in enumerate(pool.map(_work, todo)):
                done.append(scored)
                out.write(json.dumps(to_record(scored)) + "\n")
                out.flush()
                if number % 50 == 0:
                    print(f"{stream.name}: fit {number + 1} of {len(todo)}", flush=True)
    if not between:
        done = [
            _as_of(each, each.origin + inside, whole)
            for each in done
            if each.origin % BLOCKS == 0
            for inside in range(BLOCKS)
        ]
    rows = (len(stream.table) - int(whole.starts[0])) / WINDOWS
    return LossMatrix.of(KINDS, whole, done, rows_per_check=rows, back=0)


def _as_of(each: FitLosses, origin: int, whole: WindowCuts) -> FitLosses:
    """A fit taken for one made at a later block."""
    since = whole.first_cell(origin) - whole.first_cell(each.origin)
    return FitLosses(each.kind, origin, each.fitted_rows, each.sums[since:])


def _read(line: str) -> FitLosses:
    stored = json.loads(line)
    return FitLosses(stored["kind"], stored["origin"], stored["fitted_rows"], np.array(stored["sums"]))


_OF: dict[str, tuple[Stream, WindowCuts]] = {}


def _start(stream: Stream, whole: WindowCuts) -> None:
    _OF["stream"] = stream, whole


def _work(job: FitJob) -> FitLosses:
    stream, whole = _OF["stream"]
    sliding_rows = round(len(stream.table) * FIRST)
    return FitInputs(stream.table, whole, recipe_of(stream), stream.data, sliding_rows).score(job)


SOON = 2  # checks from that at which the accumulated gain would have paid to the run
PARTS, LATE = (40, 15), (0, 2)
RUNS: dict[str, tuple[int, ...]] = {"all": (0,), "sliding": (1,), "both": (0, 1)}
LOW = 1e-4  # price on a stationary stream, of the loss summed over it without any retraining
PARAMS = load_params(ROOT / "params.yaml")
TRIGGERS: TriggerParams = PARAMS.triggers.model_copy(update={"rules": ("gain",)})
BAND: TriggerParams = TriggerParams.model_validate(
    {
        **TRIGGERS.model_dump(),
        "rules": ("performance",),
        "band": {"unit": "sd", "reach": 1.0},
        "cooldown_checks": 0,
        "loop_checks": 0,
        "budget": None,
    }
)


@dataclass(frozen=True)
class Run:
    """One stream with its training windows, label delay and price."""

    stream: str
    windows: str
    late: int
    part: int
    setting: Setting
    retraining_cost: float
    least: float  # cost of the best schedule in hindsight
    retrainings: int  # of it


def setting_of(
    matrix: LossMatrix, table: pd.DataFrame, windows: str, late: int, *, blocks: int, gated: float, after: bool = False
) -> Setting:
    """One history; with the gate, a model leaves out so much of the newest window, and is judged on it.

    Where a final fit is released, that one leaves out nothing.
    """
    starts = matrix.cut.starts[:: matrix.cut.blocks]
    moments = [*table["_event"].iloc[starts], table["_event"].iloc[-1]]
    apart = round(gated * BLOCKS) if after else 0
    rows = round(matrix.rows_per_check * gated)
    gate = PARAMS.gate.model_copy(update={"min_rows": max(rows // 2, 2)})  # as `init` writes it
    judging = GateSimulation(gate, rows, PARAMS.judge.draws, apart) if gated else None
    if after:
        return Setting(replace(matrix, back=0), RUNS[windows], PolicyDelays(late, 0), blocks, moments, judging)
    whole, part = divmod(round(gated * BLOCKS), BLOCKS)
    made, probed = replace(matrix, back=part), max(blocks, BLOCKS // part if part else 1)
    return Setting(made, RUNS[windows], PolicyDelays(late, whole), probed, moments, judging)


def gain_of(matrix: LossMatrix, table: pd.DataFrame, windows: str, late: int) -> float:
    """Loss of never retraining minus that of always; where that is no gain, the larger of the single windows."""

    def gain(name: str) -> float:
        setting = setting_of(matrix, table, name, late, blocks=PARAMS.probe.blocks, gated=0.0)
        never, always = (play_policy(setting, checks).loss for checks in ((), range(1, matrix.windows)))
        return never - always

    own = gain(windows)
    return own if own > 0 else max(gain("all"), gain("sliding"))


def runs_of(stream: Stream, matrix: LossMatrix, *, blocks: int, gated: float, after: bool = False) -> list[Run]:
    made = []
    for windows in RUNS:
        for late in LATE:
            setting = setting_of(matrix, stream.table, windows, late, blocks=blocks, gated=gated, after=after)
            gain = gain_of(matrix, stream.table, windows, late)
            for part in PARTS:
                found = best_in_hindsight(setting.totals, setting.delays, retraining_cost=gain / part)
                cost = found.cost(gain / part)
                made.append(Run(stream.name, windows, late, part, setting, gain / part, cost, len(found.checks)))
    return made


def shipped(retraining_cost: float) -> PlayedRules:
    """The accumulated gain by default."""
    is_spaced = PARAMS.probe.when == NEEDED
    return PlayedRules(TRIGGERS, retraining_cost, PARAMS.gain.errors, seed=7, probes_if_needed=is_spaced)


POLICIES: dict[str, Callable[[Run], PlayedRules | Collection[int]]] = {
    "gain, by default": lambda run: shipped(run.retraining_cost),
    "every 8 windows": lambda run: range(8, run.setting.matrix.windows, 8),
    "champion's loss > mean + 1 sd": lambda run: PlayedRules(BAND, run.retraining_cost, errors=0.0, seed=7),
    "never": lambda _: (),
}


def fits_of_a_retraining(setting: Setting, mode: str) -> float:
    """Fits of a retraining for each training window, by default."""
    trials = PARAMS.tune.trials * PARAMS.tune.folds if mode == "search" else 0
    return 1 + PARAMS.backtest.origins + trials / len(setting.kinds)


def probe_cost(setting: Setting, retraining_cost: float, played: PlayedPolicy, mode: str) -> float:
    return retraining_cost * played.probed / (usual_fit(setting) * fits_of_a_retraining(setting, mode))


def fits_beside(setting: Setting, retraining_cost: float, played: PlayedPolicy) -> tuple[float, float]:
    """What a policy's own fits cost, where a retraining is a refit, and where it is a search."""
    return probe_cost(setting, retraining_cost, played, "refit"), probe_cost(setting, retraining_cost, played, "search")


def delays_to_run(run: Run, played: PlayedPolicy) -> list[int]:
    """Checks from that at which an accumulated gain probed at every check would have paid to the run, for each time it
    did.

    One that had not come by the end counts as if it came then.
    """
    setting, matrix = run.setting, run.setting.matrix
    accumulated_gain, crossed, found = AccumulatedGain.empty(), None, []
    for check in range(1, matrix.windows):
        live, window = played.served[check - 1], check - 1 - setting.delays.labels
        if window > live.model:
            reading = setting.read(live, window)
            accumulated_gain = accumulated_gain.deposit(
                reading.gain, error=reading.error, share=float(matrix.share[window])
            )
        ahead = float(matrix.share[max(window + 1, 0) : check].sum())
        if crossed is None and accumulated_gain.pays(run.retraining_cost, errors=PARAMS.gain.errors, ahead=ahead):
            crossed = check
        if check in played.checks:
            found += [] if crossed is None else [check - crossed]
            accumulated_gain, crossed = (
                accumulated_gain.debit(run.retraining_cost) if check in played.refused else AccumulatedGain.empty(),
                None,
            )
    return found + ([] if crossed is None else [matrix.windows - crossed])


def show(frame: pd.DataFrame, digits: int = 3) -> None:
    print("| " + " | ".join(frame.columns) + " |\n|" + "---|" * len(frame.columns))
    for row in frame.itertuples(index=False):
        print("| " + " | ".join(f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)


def compared(runs: Sequence[Run]) -> pd.DataFrame:
    """Mean and worst ratio of each policy."""
    lines = []
    for name, policy in POLICIES.items():
        costs = [play_policy(run.setting, policy(run)).cost(run.retraining_cost) for run in runs]
        ratios = np.array([cost / run.least for cost, run in zip(costs, runs, strict=True)])
        line: dict[str, Any] = {"policy": name}
        for late in LATE:
            for part in PARTS:
                own = ratios[[run.late == late and run.part == part for run in runs]]
                line[f"{late} late, 1/{part}"] = f"{own.mean():.3f} / {own.max():.2f}"
        line["all runs"] = f"{ratios.mean():.3f} / {ratios.max():.2f}"
        lines.append(line)
    return pd.DataFrame(lines)


def control_runs(stream: Stream, real: LossMatrix, still: LossMatrix, **how: Any) -> Iterator[tuple[str, Run]]:
    """Runs on the shuffled stream, at the real stream's costs and at a low one, each with that cost."""
    for windows in RUNS:
        for late in LATE:
            setting = setting_of(still, stream.table, windows, late, **how)
            gain = gain_of(real, stream.table, windows, late)
            never = play_policy(setting, ()).loss
            retraining_costs = {f"1/{part}": gain / part for part in PARTS if gain > 0} | {"0.01%": never * LOW}
            for label, retraining_cost in retraining_costs.items():
                found = best_in_hindsight(setting.totals, setting.delays, retraining_cost=retraining_cost)
                least, best = found.cost(retraining_cost), len(found.checks)
                yield label, Run(stream.name, windows, late, 0, setting, retraining_cost, least, best)


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
        rules = {}
        for period in CALENDARS:
            checks = range(period, WINDOWS, period)
            costs = [play_policy(run.setting, checks).cost(run.retraining_cost) for run in free]
            rules[f"every {period}"] = np.array(costs)
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


def goals(frame: pd.DataFrame) -> None:
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
    parser.add_argument("--cache", type=Path, help="folder that keeps the fits; default: one that is removed")
    parser.add_argument("--streams", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--controls", action="store_true", help="the streams in random order, so that nothing drifts")
    parser.add_argument("--cores", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = given.cache or Path(folder)
        loaded = [load(name, cache / "packages") for name in given.streams]
        made = {stream.name: (stream, matrix_of(stream, cache, cores=given.cores)) for stream in loaded}
        if given.controls:
            show_controls(made, cache, given.cores)
            return
        for gated, after in ((0.0, False), (1.0, AFTER)):
            how = {"blocks": PARAMS.probe.blocks, "gated": gated, "after": after}
            runs = [run for pair in made.values() for run in runs_of(*pair, **how)]
            print(f"{len(runs)} runs, {'gate and final fits' if gated else 'every retraining is released'}\n")
            show(compared(runs))
        show(frame := reached(made))
        goals(frame)


def show_controls(made: dict[str, tuple[Stream, LossMatrix]], cache: Path, cores: int) -> None:
    """The table of the shuffled streams, and their retrainings at each kind of price."""
    lines = []
    for stream, matrix in made.values():
        still = shuffled(stream, seed=1)
        lines += controls(still, matrix, matrix_of(still, cache, cores=cores, between=False))
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
