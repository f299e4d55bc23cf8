"""False alarms: how often a check without drift raises one, asked for 1 in 100 checks.

    python bench/false_alarms.py [--quick] [--rows 500,5000,50000] [--kinds iid,ar] [--peers FOLDER [--only NAME ...]]

50 references of 60 windows, 100 later windows each, 30 columns (bench/drift_streams.py). Beside the calibrated alarm,
on the same counts: any column of KS or chi-squared with p < 0.05, the same after Bonferroni at 1%, and PSI > 0.2 in
any column. Intervals are by reference: the windows of one share its luck.

With `--peers FOLDER` other systems instead, on the first of the same references and windows row by row
(bench/peer_runs.py says how many, and bench/peers what their settings are): by their defaults, and by what their
documentation has for the rate asked. FOLDER keeps their environments. Seconds are of a window with its share of
reading the reference.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from drift_streams import KINDS, NUMERIC, Change, Stream, stream
from peer_runs import PEERS, Case, ask
from scipy.special import kolmogorov
from scipy.stats import chi2, t

from retrim.drift.calibration import calibrate
from retrim.drift.watched import watch

RATE, DRAWS, LATER = 0.01, 4000, 100


def p_values(made: Stream) -> np.ndarray:
    """KS of numeric columns, chi-squared of the others, as if rows were independent, shape (windows, columns)."""
    found = []
    for name, column in made.profile.columns.items():
        old, new = column.counts.sum(axis=0), made.later[name]
        if column.kind == "numeric":
            old, new = old[:-1], new[:, :-1]
            n, m = old.sum(), new.sum(axis=1)
            apart = np.abs(np.cumsum(old) / n - np.cumsum(new, axis=1) / m[:, None]).max(axis=1)
            found.append(kolmogorov(apart * np.sqrt(n * m / (n + m))))
        else:
            either = (old + new.sum(axis=0)) > 0
            table = np.stack([np.broadcast_to(old, new.shape), new], axis=1)[:, :, either].astype(float)
            rows, columns = table.sum(axis=2, keepdims=True), table.sum(axis=1, keepdims=True)
            expected = rows * columns / rows.sum(axis=1, keepdims=True)
            distance = ((table - expected) ** 2 / expected).sum(axis=(1, 2))
            found.append(chi2.sf(distance, either.sum() - 1))
    return np.stack(found, axis=1)


def psi(made: Stream) -> np.ndarray:
    """On ten cells of numeric columns and all of the others, shape (windows, columns)."""
    found = []
    for number, (name, column) in enumerate(made.profile.columns.items()):
        old, new = column.counts.sum(axis=0), made.later[name]
        if number < NUMERIC:
            pairs = np.append(np.minimum(np.maximum(np.arange(len(old) - 1) - 1, 0) // 2, 9), 10)
            old, new = (np.stack([x[..., pairs == k].sum(axis=-1) for k in range(11)], axis=-1) for x in (old, new))
        p, q = ((x + 0.5) / (x + 0.5).sum(axis=-1, keepdims=True) for x in (old, new))
        found.append(((q - p) * np.log(q / p)).sum(axis=-1))
    return np.stack(found, axis=1)


def interval(by_reference: np.ndarray) -> tuple[float, float, float]:
    """Mean and its 95% interval over references."""
    n = len(by_reference)
    half = t.ppf(0.975, n - 1) * by_reference.std(ddof=1) / n**0.5
    mean = float(by_reference.mean())
    return mean, max(mean - half, 0), mean + half


def cell(kind: str, rows: int, references: int) -> dict[str, np.ndarray]:
    rates: dict[str, list[float]] = {"calibrated": [], "any": [], "bonferroni": [], "psi": []}
    for seed in range(references):
        made = stream(kind, rows=rows, later=LATER, seed=seed)
        null = calibrate(watch(made.profile), rows=rows, draws=DRAWS, seed=seed)
        far = null.strayed(null.watched.means_of(made.later, rows) - null.watched.means).max(axis=1)
        p = p_values(made)
        rates["calibrated"].append(float(np.mean(null.null.p_value(far) <= RATE)))
        rates["any"].append(float(np.mean(p.min(axis=1) < 0.05)))
        rates["bonferroni"].append(float(np.mean(p.min(axis=1) < RATE / p.shape[1])))
        rates["psi"].append(float(np.mean(psi(made).max(axis=1) > 0.2)))
    return {name: np.array(values) for name, values in rates.items()}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--quick", action="store_true", help="8 references instead of 50")
    asked.add_argument("--rows", default="500,5000,50000")
    asked.add_argument("--kinds", default=",".join(KINDS))
    asked.add_argument("--peers", type=Path, metavar="FOLDER", help="asks other systems; FOLDER keeps them")
    asked.add_argument("--only", nargs="*", default=[peer.name for peer in PEERS], help="of the peers")
    given = asked.parse_args()
    if given.peers:
        sizes = [int(rows) for rows in given.rows.split(",")]
        cases = [
            Case(f"{kind} | {rows:,}", kind, rows, None, Change()) for kind in given.kinds.split(",") for rows in sizes
        ]
        for line in ask(given.peers, cases, rate=RATE, names=given.only):
            print(line, flush=True)
        return
    references = 8 if given.quick else 50
    print(f"asked: {RATE:.1%} of checks; {references} references x {LATER} windows, 30 columns")
    print("| rows | window | calibrated (95%) | sd, most of a reference | any p < 0.05 | Bonferroni | PSI > 0.2 | s |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in given.kinds.split(","):
        for rows in map(int, given.rows.split(",")):
            start = time.perf_counter()
            rates = cell(kind, rows, references)
            mean, low, high = interval(rates["calibrated"])
            spread = rates["calibrated"].std(ddof=1), rates["calibrated"].max()
            others = " | ".join(f"{rates[name].mean():.1%}" for name in ("any", "bonferroni", "psi"))
            print(
                f"| {kind} | {rows:,} | {mean:.2%} ({low:.2%} to {high:.2%}) "
                f"| {spread[0]:.2%}, {spread[1]:.0%} | {others} | {time.perf_counter() - start:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
