"""Labels whose delay depends on the answer: positives come early, negatives only when due.

    python bench/early_positives.py --cache FOLDER   # fits, some minutes on one core; kept for a rerun

A simulated stream, and bank with such a delay laid on it: a row is due as many rows later as two windows hold, or six;
the label of a positive comes after a fifth of that on average, that of a negative when it is due. Three ways to train
at every window, each on all past rows, on a sliding window, and on the better of both: every label at once, which
nobody has; only rows that are *due*, as retrim does (that `mature` takes just these is asserted); and every row whose
label has *arrived*, which are too many positives. The accumulated gain is the shipped one, as in policies.py, against
hindsight under the same delay; last what its schedule costs with models made from arrived rows.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matrices import FIRST, WINDOWS, matrix_of
from policies import PARAMS, PARTS, RUNS, asked_at, gain_of, setting_of
from streams import Stream, load

from retrim.decision.policy_backtest import LossMatrix
from retrim.decision.policy_play import Setting, at_checks, best_in_hindsight, every, play_policy
from retrim.table.data import DataParams, assemble, mature

LATE = (2, 6)  # windows between a row and its due time
EARLY = 0.2  # of that, on average, until the label of a positive comes
ROWS, FEATURES = 30_000, 8


def simulated(seed: int) -> Stream:
    """A binary stream, a third of it positive: weights that turn slowly, a base rate that wanders, one break."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((ROWS, FEATURES))
    along = np.arange(ROWS) / ROWS
    turn = along * np.pi / 2
    first, second = rng.standard_normal((2, FEATURES))
    weights = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    weights[along > 0.6, :2] *= -1  # the break
    score = (values * weights).sum(axis=1) * 0.8 - 0.9 + 0.4 * np.sin(4 * np.pi * along)
    answer = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-score)), "yes", "no")
    names = [f"x{number}" for number in range(FEATURES)]
    times = pd.date_range("2020-01-01", periods=ROWS, freq="h", tz="UTC")
    table = pd.DataFrame(values, columns=names).assign(time=times, y=answer)
    columns = {"time": {"type": "time", "role": "time"}, "y": {"type": "category", "role": "target"}}
    columns |= {name: {"type": "number", "role": "feature"} for name in names}
    usual = PARAMS.data.model_dump() | {"task": "binary", "positive": "yes", "key": [], "label_horizon": "0h"}
    data = DataParams.model_validate(usual | {"model": "simulated", "columns": columns})
    return Stream("simulated", table.assign(_event=times, _due=times), data, "log_loss", 1)


def delayed(stream: Stream, windows: int, *, seed: int) -> tuple[pd.Series, pd.Series]:
    """When the label of each row is due, and when it arrives."""
    event = stream.table["_event"]
    late = round(windows * len(event) * (1 - FIRST) / WINDOWS)
    places = np.arange(len(event))
    share = np.random.default_rng(seed).beta(1, 1 / EARLY - 1, len(event))  # of the delay; its mean is EARLY
    positive = (stream.table[stream.data.target] == stream.data.positive).to_numpy()
    step = (event.iloc[-1] - event.iloc[0]) / len(event)  # what lies beyond the end comes at the usual pace
    ahead = pd.concat([event, pd.Series(event.iloc[-1] + step * np.arange(1, late + 1))], ignore_index=True)
    due = ahead.iloc[places + late].set_axis(event.index)
    arrived = ahead.iloc[places + np.where(positive, (share * late).astype(int), late)].set_axis(event.index)
    return due, arrived


def assert_mature_is_due(stream: Stream, due: pd.Series, arrived: pd.Series, moment: pd.Timestamp) -> None:
    """That retrim takes the rows that are due for mature, and not one whose label has merely come."""
    data = stream.data
    dated = {
        **{name: column.model_dump() for name, column in data.columns.items()},
        "due": {"type": "time", "role": "due"},
    }
    told = data.model_dump() | {"columns": dated, "labels": "later", "label_horizon": None}
    rows = stream.table.assign(due=due, _key=[f"{place}" for place in range(len(due))], _batch="b", _correction=False)
    rows["_arrived"] = rows["_event"]
    labels = rows[["_key", data.target]].assign(_batch="l", _arrived=arrived)
    rows[data.target] = pd.Series(pd.NA, index=rows.index, dtype=rows[data.target].dtype)
    known = mature(assemble(rows, labels, DataParams.model_validate(told), as_of=moment))

    assert set(known["_key"]) == set(rows.loc[due <= moment, "_key"])
    assert (arrived <= moment).sum() > len(known)


def lines(stream: Stream, matrix: LossMatrix, early: LossMatrix, late: int) -> None:
    """A line of the table for each training window."""
    for windows in RUNS:
        at_once, due = (
            setting_of(matrix, stream.table, windows, n, blocks=PARAMS.probe.blocks, gated=0.0) for n in (0, late)
        )
        biased = replace(at_once, matrix=early, blocks=1)  # made from arrived rows, which are never older than a check
        counted = slice(due.begin, None)
        never = play_policy(due, at_checks(()), probes=False).losses[counted].mean()
        always = [
            play_policy(setting, every(1, WINDOWS), probes=False).losses[counted].mean()
            for setting in (at_once, due, biased)
        ]
        losses = [f"{never:.3f}", f"{always[0]:.3f}", *(f"{loss:.3f} ({loss / always[0]:.2f})" for loss in always[1:])]
        gain = gain_of(matrix, stream.table, windows, late)
        told = [_gain(due, biased, gain / part) for part in PARTS]
        cells = [stream.name, str(late), windows, *losses, *(", ".join(cell) for cell in zip(*told, strict=True))]
        print("| " + " | ".join(cells) + " |", flush=True)


def _gain(due: Setting, biased: Setting, retraining_cost: float) -> tuple[str, str, str]:
    """Its cost over that of hindsight, its retrainings and those of hindsight, and its schedule on arrived rows."""
    found = best_in_hindsight(due.totals, due.delays, retraining_cost=retraining_cost)
    least = found.cost(retraining_cost)
    played = play_policy(due, asked_at(due, retraining_cost), probes=True)
    same = play_policy(biased, at_checks(played.checks), probes=False).losses[
        due.begin :
    ].sum() + retraining_cost * len(played.checks)
    counts = f"{played.retrainings} ({len(found.checks)})"
    return f"{played.cost(retraining_cost) / least:.3f}", counts, f"{same / least:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, help="folder that keeps the fits; default: one that is removed")
    parser.add_argument("--cores", type=int, default=1)
    given = parser.parse_args()
    head = ["stream", "windows late", "trained on", "never", "labels at once", "due rows", "arrived rows"]
    head += ["account / hindsight, 1/40, 1/15", "its retrainings (hindsight)", "its schedule, arrived rows"]
    with tempfile.TemporaryDirectory() as folder:
        cache = given.cache or Path(folder)
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for stream in (simulated(7), load("bank", cache / "packages")):
            matrix = matrix_of(stream, cache, cores=given.cores)
            for late in LATE:
                due, arrived = delayed(stream, late, seed=7)
                assert_mature_is_due(stream, due, arrived, stream.table["_event"].iloc[len(due) // 2])
                early = replace(stream, name=f"{stream.name}, arrived-{late}", table=stream.table.assign(_due=arrived))
                lines(stream, matrix, matrix_of(early, cache, cores=given.cores, blocks=1), late)


if __name__ == "__main__":
    main()
