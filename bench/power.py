"""Power: how often drift is seen by an alarm that is false in 1 of 100 checks, windows of 5,000 rows.

    python bench/power.py [--quick] [--kinds iid,ar]

One of 30 columns (bench/drift_streams.py) changes; seen is an alarm of that column. `known` is the same test told the
truth: means, noise and threshold from all windows of all references, so that nothing is measured on a reference.
"""

import argparse
from dataclasses import replace

import numpy as np
from drift_streams import KINDS, Change, Stream, column, stream
from false_alarms import DRAWS, LATER, RATE, interval

from retrim.core.drift.calibration import Calibration, Null, calibrate
from retrim.core.drift.watched import Noise, Watched, strayed, watch

ROWS = 5_000
CHANGES = {
    "shift of 0.25 sd": (1, Change(shift=0.25)),
    "a new category at 2 %": (22, Change(unseen=0.02)),
    "missing 1 % to 5 %": (0, Change(missing=0.05)),
}


def truth(streams: list[Stream], watched: Watched) -> Calibration:
    """The test told the truth, in the contrasts of one reference."""
    means = np.concatenate([watched.means_of(made.later, ROWS) for made in streams])
    middle = means.mean(axis=0)
    told = replace(watched, means=middle, block_rows=1e6)  # a reference without error
    noise = Noise(
        np.maximum(means.var(axis=0) * ROWS, 0.5 / told.rows), np.full(len(middle), 1e6), np.zeros(len(middle))
    )
    far = strayed(told, means - middle, noise, ROWS).max(axis=1)
    return Calibration(told, noise, Null(np.sort(far)), ROWS)


def seen(known: Calibration, number: int, threshold: float, counts: np.ndarray) -> float:
    """How often the changed column raises an alarm."""
    watched = known.watched
    mine = watched.column == number
    each = list(watched.columns.values())[number]
    means = np.tile(watched.means, (len(counts), 1))
    means[:, mine] = counts @ each.weights / ROWS
    far = strayed(watched, means - watched.means, known.noise, ROWS)[:, mine]
    return float(np.mean(far.max(axis=1) > threshold))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--quick", action="store_true", help="8 references instead of 40")
    asked.add_argument("--kinds", default=",".join(KINDS))
    given = asked.parse_args()
    references = 8 if given.quick else 40
    print(f"false alarms asked: {RATE:.1%} of checks; {references} references x {LATER} windows of {ROWS:,} rows")
    print("| rows | change | seen (95 %) | truth known | share of it | smallest shift said |")
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


if __name__ == "__main__":
    main()
