"""Power: how often drift is seen by an alarm that is false in 1 of 100 checks, windows of 5,000 rows.

    python bench/power.py [--quick] [--kinds iid,ar] [--joint] [--peers FOLDER [--only NAME ...]]

One of 30 columns (bench/drift_streams.py) changes; seen is an alarm of that column. `known` is the same test told the
truth: means, noise and threshold from all windows of all references, so that nothing is measured on a reference.
Last a correlation of two columns that turns from 0.5 to -0.5 while each stays as it was, seen by the joint test
`correlation` at its part of the rate (1 of 31), as params.yaml sets it; its truth is how far it strays over all windows
without drift. Fewer references and windows here: rows are made and coded, not counts.

With `--peers FOLDER` other systems instead (bench/peer_runs.py), given the changed column alone, on the first of the
same references and windows.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from drift_streams import (
    GRID,
    KINDS,
    NUMERIC,
    REFERENCE_WINDOWS,
    SHARES,
    Change,
    Stream,
    column,
    steps_of,
    stream,
)
from false_alarms import DRAWS, LATER, RATE, interval
from peer_runs import PEERS, Case, ask
from scipy.special import ndtri
from scipy.stats import beta

from retrim.drift.alarms import Null
from retrim.drift.calibration import WindowCalibration, calibrate
from retrim.drift.joint import JOINT_TESTS, code, judge_joint, thinned_rows, usual_strays
from retrim.drift.profile import ProfileParams, make_profile
from retrim.drift.watched import ContrastNoise, ContrastReference, measure_deviation, watch
from retrim.settings import load_params

ROWS = 5_000
CHANGES = {
    "shift of 0.25 sd": (1, Change(shift=0.25)),
    "a new category at 2%": (22, Change(unseen=0.02)),
    "missing 1% to 5%": (0, Change(missing=0.05)),
}


def truth(streams: list[Stream], watched: ContrastReference) -> WindowCalibration:
    """The test told the truth, in the contrasts of one reference."""
    means = np.concatenate([watched.means_of(made.later, ROWS) for made in streams])
    middle = means.mean(axis=0)
    told = replace(watched, means=middle, block_rows=1e6)  # a reference without error
    noise = ContrastNoise(
        np.maximum(means.var(axis=0) * ROWS, 0.5 / told.rows), np.full(len(middle), 1e6), np.zeros(len(middle))
    )
    far = measure_deviation(told, means - middle, noise, ROWS).max(axis=1)
    return WindowCalibration(told, noise, Null(np.sort(far)), ROWS)


def seen(known: WindowCalibration, number: int, threshold: float, counts: np.ndarray) -> float:
    """How often the changed column raises an alarm."""
    watched = known.watched
    mine = watched.column == number
    each = list(watched.columns.values())[number]
    means = np.tile(watched.means, (len(counts), 1))
    means[:, mine] = counts @ each.weights / ROWS
    far = measure_deviation(watched, means - watched.means, known.noise, ROWS)[:, mine]
    return float(np.mean(far.max(axis=1) > threshold))


def rows_of(kind: str, rng: np.random.Generator, rows: int, correlation: float, phases: np.ndarray) -> pd.DataFrame:
    """30 columns as rows, the first two of them correlated; waves keep their phases, which correlate columns too."""
    size = NUMERIC + len(SHARES)
    if kind == "iid":
        values = rng.standard_normal((size, rows))
    else:
        made = (steps_of(rng, rows, shift=0, phase=phase) for phase in phases)
        values = np.stack([(steps + 0.5) / GRID * 12 - 6 for steps in made])
    values[1] = correlation * values[0] + (1 - correlation**2) ** 0.5 * values[1]
    frame = {f"x{number:02d}": values[number] for number in range(NUMERIC)}
    for number, shares in enumerate(SHARES, start=NUMERIC):
        place = np.searchsorted(ndtri(np.cumsum(shares)[:-1]), values[number])
        frame[f"c{number:02d}"] = np.array([f"{k}" for k in range(len(shares))])[place]
    times = pd.date_range("2000-01-01", periods=rows, freq="h", tz="UTC")
    return pd.DataFrame(frame).assign(_event=times)


def joint(kind: str, references: int, windows: int) -> None:
    """The row of the table for a correlation that turns."""
    given = load_params(Path(__file__).parents[1] / "params.yaml")
    kept, held = ProfileParams(), given.drift.joint.windows
    test = partial(JOINT_TESTS["correlation"], seed=1)
    still, turned, alarms, false = [], [], [], []
    for seed in range(references):
        rng = np.random.default_rng([seed, 99])
        phases = rng.random(NUMERIC + len(SHARES))
        before = rows_of(kind, rng, ROWS * REFERENCE_WINDOWS, 0.5, phases)
        types = {name: "number" if name[0] == "x" else "category" for name in before.columns[:-1]}
        profile = make_profile(before, types, kept, time="_event")
        rows = thinned_rows(profile, ROWS)
        assert rows is not None
        sample = code(profile, profile.sample, tuple(types))
        usual = usual_strays(test, sample, rows=rows, windows=held, cores=1).tolist()  # as a bundle keeps them
        for correlation, strays, said in ((0.5, still, false), (-0.5, turned, alarms)):
            after = rows_of(kind, rng, ROWS * windows, correlation, phases)
            for start in range(0, len(after), ROWS):
                part = after.iloc[start : start + ROWS]
                result = judge_joint(test, profile, part, tuple(types), windows=held, seed=1, cores=1, usual=usual)
                assert result is not None
                assert result.p_value is not None
                strays.append(result.statistic)
                said.append(result.p_value <= RATE / (len(types) + 1))
    limit = np.mean(still) + np.std(still) * -ndtri(RATE / 31)
    known = float(np.mean(np.array(turned) > limit))
    low, high = beta.ppf([0.025, 0.975], sum(alarms) + 0.5, len(alarms) - sum(alarms) + 0.5)
    print(
        f"| {kind} | correlation 0.5 to -0.5 | {np.mean(alarms):.3f} ({low:.3f} to {min(high, 1):.3f}) | {known:.3f} "
        f"| {np.mean(alarms) / known:.0%} | (false: {sum(false)} of {len(false)}) |",
        flush=True,
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--quick", action="store_true", help="8 references instead of 40")
    asked.add_argument("--kinds", default=",".join(KINDS))
    asked.add_argument("--peers", type=Path, metavar="FOLDER", help="asks other systems; FOLDER keeps them")
    asked.add_argument("--only", nargs="*", default=[peer.name for peer in PEERS], help="of the peers")
    asked.add_argument("--joint", action="store_true", help="the correlation alone")
    given = asked.parse_args()
    if given.peers:
        cases = [
            Case(f"{kind} | {name}", kind, ROWS, number, change)
            for kind in given.kinds.split(",")
            for name, (number, change) in CHANGES.items()
        ]
        for line in ask(given.peers, cases, rate=RATE, names=given.only):
            print(line, flush=True)
        return
    if given.joint:
        for kind in given.kinds.split(","):
            joint(kind, 2 if given.quick else 10, 10 if given.quick else 20)
        return
    references = 8 if given.quick else 40
    print(f"false alarms asked: {RATE:.1%} of checks; {references} references x {LATER} windows of {ROWS:,} rows")
    print("| rows | change | seen (95%) | truth known | share of it | smallest shift said |")
    print("|---|---|---|---|---|---|")
    for kind in given.kinds.split(","):
        streams = [stream(kind, rows=ROWS, later=LATER, seed=seed) for seed in range(references)]
        nulls = [calibrate(watch(made.profile), rows=ROWS, draws=DRAWS, seed=seed) for seed, made in enumerate(streams)]
        known = truth(streams, nulls[0].watched)
        limit = float(np.quantile(known.null.strayed, 1 - RATE))
        for name, (number, change) in CHANGES.items():
            ours, theirs, least = [], [], []
            for seed, null in enumerate(nulls):
                _, _, counts = column(kind, number, rows=ROWS, later=LATER, seed=seed, change=change)
                ours.append(seen(null, number, null.null.threshold(RATE), counts))
                theirs.append(seen(known, number, limit, counts))
                names = [each.names for each in null.watched.columns.values()][number]
                of = {"shift": "location", "a new": "share of unseen categories", "missi": "missing"}[name[:5]]
                at = int(np.flatnonzero(null.watched.column == number)[0]) + names.index(of)
                least.append(null.smallest(RATE)[at])
            mean, low, high = interval(np.array(ours))
            print(
                f"| {kind} | {name} | {mean:.3f} ({low:.3f} to {min(high, 1):.3f}) | {np.mean(theirs):.3f} "
                f"| {mean / np.mean(theirs):.0%} | {np.mean(least):.3f} |",
                flush=True,
            )

        joint(kind, 2 if given.quick else 10, 10 if given.quick else 20)


if __name__ == "__main__":
    main()
