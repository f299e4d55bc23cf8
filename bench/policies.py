"""What the accumulated gain costs against the best schedule in hindsight, on nine real streams.

    python bench/policies.py --cache FOLDER            # fits, an hour on one core; kept, so that a rerun takes a minute
    python bench/policies.py --cache FOLDER --streams bike bank

50 windows after the first 20% of rows; a retraining cost of 1/40 and of 1/15 of the gain, which is the loss of never
retraining minus that of retraining at every window (where that is no gain, the larger one of the two training windows
alone); labels at once and 2 windows late; all past rows, a sliding window of as many rows as the first part, and both.
The accumulated gain is the shipped one: rules and settings of params.yaml, asked through the code that runs live.
"""

import argparse
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matrices import BLOCKS, KINDS, matrix_of
from streams import NAMES, ROOT, Stream, load

from retrim.decision.accumulated_gain import EMPTY
from retrim.decision.policy_backtest import LossMatrix, PolicyDelays
from retrim.decision.policy_compare import best_in_hindsight, periodic_costs, usual_fit
from retrim.decision.policy_gate import GateSimulation, Setting
from retrim.decision.policy_play import PlayedPolicy, PlayedRules, play_policy
from retrim.decision.probe import NEEDED
from retrim.decision.triggers import TriggerParams
from retrim.settings import load_params

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
    "account, by default": lambda run: shipped(run.retraining_cost),
    "every 8 windows": lambda run: range(8, run.setting.matrix.windows, 8),
    "every 4 windows": lambda run: range(4, run.setting.matrix.windows, 4),
    "champion's loss > mean + 1 sd": lambda run: PlayedRules(BAND, run.retraining_cost, errors=0.0, seed=7),
    "never": lambda _: (),
    "always": lambda run: range(1, run.setting.matrix.windows),
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
    accumulated_gain, crossed, found = EMPTY, None, []
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
                accumulated_gain.debit(run.retraining_cost) if check in played.refused else EMPTY,
                None,
            )
    return found + ([] if crossed is None else [matrix.windows - crossed])


def records(runs: Sequence[Run]) -> pd.DataFrame:
    """The accumulated gain, run by run."""
    lines: list[dict[str, Any]] = []
    for run in runs:
        played = play_policy(run.setting, shipped(run.retraining_cost))
        median, best = periodic_costs(run.setting, len(played.checks), retraining_cost=run.retraining_cost)
        late = delays_to_run(run, played)
        cost = played.cost(run.retraining_cost)
        lines.append(
            {
                "stream": run.stream,
                "windows": run.windows,
                "late": run.late,
                "price": f"1/{run.part}",
                "retrainings": len(played.checks),
                "refused": len(played.refused),
                "waited": played.waited,
                "due": len(late),
                "came late": sum(checks > SOON for checks in late),
                "in hindsight": run.retrainings,
                "ratio": cost / run.least,
                "with probe, refit": (cost + probe_cost(run.setting, run.retraining_cost, played, "refit")) / run.least,
                "with probe, search": (cost + probe_cost(run.setting, run.retraining_cost, played, "search"))
                / run.least,
                "periodic, median": median / run.least,
                "periodic, best": best / run.least,
            }
        )
    return pd.DataFrame(lines)


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


def by_stream(told: pd.DataFrame) -> pd.DataFrame:
    """Means over the runs of each stream, and the worst of them."""
    columns = ["retrainings", "refused", "waited", "in hindsight", "ratio", "with probe, refit", "with probe, search"]
    frame = told.groupby("stream", sort=False)[[*columns, "periodic, median", "periodic, best"]].mean()
    frame.loc["all"] = told[frame.columns].mean()
    worst = told.groupby("stream")["ratio"].max()
    frame.insert(5, "worst", [*worst[frame.index[:-1]], told["ratio"].max()])
    return frame.reset_index(names="stream")


def summary(told: pd.DataFrame) -> None:
    for late, part in told.groupby("late"):
        acted = part[part["retrainings"] > 0]
        won = int((acted["ratio"] < acted["periodic, median"]).sum())
        columns = ("ratio", "with probe, refit", "with probe, search", "periodic, median", "periodic, best")
        means = "; ".join(f"{name} {part[name].mean():.3f} (worst {part[name].max():.3f})" for name in columns)
        print(f"labels {late} late, {len(part)} runs: {means}; below the median phase in {won} of {len(acted)}")
    due, late = told["due"].sum(), told["came late"].sum()
    print(f"a run at most {SOON} checks after the accumulated gain would have paid: {due - late} of {due}")
    for name in ("ratio", "with probe, refit", "with probe, search"):
        print(f"all {len(told)} runs: {name} mean {told[name].mean():.3f}, worst {told[name].max():.3f}")
    print(flush=True)


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
                yield (
                    label,
                    Run(
                        stream.name,
                        windows,
                        late,
                        0,
                        setting,
                        retraining_cost,
                        found.cost(retraining_cost),
                        len(found.checks),
                    ),
                )


def in_words(gated: float, *, after: bool) -> str:
    judged = f"gate on {gated:g} of a window" if gated else "every retraining is released"
    return judged + (", then fitted once more on all rows" if after else "")


def kept_free(told: pd.DataFrame, own: np.ndarray, fresh: np.ndarray) -> pd.DataFrame:
    """Mean and worst by stream over hindsight with models that keep nothing back."""
    free = told.assign(ratio=told["ratio"] * own / fresh).groupby("stream", sort=False)["ratio"]
    frame = pd.DataFrame({"mean": free.mean(), "worst": free.max()})
    frame.loc["all"] = [frame["mean"].mean(), frame["worst"].max()]
    return frame.reset_index(names="stream")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, help="folder that keeps the fits; default: one that is removed")
    parser.add_argument("--streams", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--cores", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = arguments.cache or Path(folder)
        streams = [load(name, cache / "packages") for name in arguments.streams]
        pairs = [(stream, matrix_of(stream, cache, cores=arguments.cores)) for stream in streams]
        least = None  # of every run, with models that keep nothing back
        for gated, after in ((0.0, False), (1.0, PARAMS.retrain.refit_after)):
            runs = [
                run for pair in pairs for run in runs_of(*pair, blocks=PARAMS.probe.blocks, gated=gated, after=after)
            ]
            print(f"training windows {', '.join(KINDS)} and both; {len(runs)} runs; {in_words(gated, after=after)}\n")
            show(compared(runs))
            show(lines := records(runs))
            show(by_stream(lines))
            summary(lines)
            own = np.array([run.least for run in runs])
            least = own if least is None else least
            print("over hindsight with models that keep nothing back")
            show(kept_free(lines, own, least))


if __name__ == "__main__":
    main()
