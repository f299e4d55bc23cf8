"""False alarms: how often a check without drift raises one, asked for 1 in 100 checks.

    python bench/false_alarms.py [--quick] [--rows 500,5000,50000] [--kinds iid,ar] [--peers FOLDER [--only NAME ...]]

50 references of 60 windows of 8 blocks each, 100 later windows each, 30 columns as counts: 20 numeric ones in 20
quantile cells, every fourth of them with 1% missing; 10 categorical ones of 2 to 10 categories, some of them rare.
`iid`: independent rows. `ar`: every column is made from an AR(1) of 0.9 from row to row on a daily wave of 24 rows that
has a third of the variance (the missing values too, so they come in bursts). Beside the calibrated alarm,
on the same counts: any column of KS or chi-squared with p < 0.05, the same after Bonferroni at 1%, and PSI > 0.2 in
any column. Intervals are by reference: the windows of one share its luck.

With `--peers FOLDER` other systems instead, on the first of the same references and windows row by row
(as many as its speed allows; bench/peers has their settings): by their defaults, and by what their
documentation has for the rate asked. FOLDER keeps their environments. Seconds are of a window with its share of
reading the reference.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from peers.windows import write
from scipy.signal import lfilter
from scipy.special import kolmogorov, ndtri
from scipy.stats import beta, chi2, t

from retrim.drift.calibration import calibrate
from retrim.drift.cells import CategoryCells, NumericCells
from retrim.drift.profile import ColumnProfile, Profile
from retrim.drift.watched import watch

RATE, DRAWS, LATER = 0.01, 4000, 100


KINDS = ("iid", "ar")
REFERENCE_WINDOWS, BLOCKS, CELLS = 60, 8, 20
RHO, DAY, WAVE = 0.9, 24, 0.5
NUMERIC = 20
MISSING = 0.01
SHARES = [
    np.array(shares)
    for shares in (
        [0.5, 0.5],
        [0.9, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.25] * 4,
        [0.6, 0.3, 0.09, 0.01],
        [0.2] * 5,
        [0.1] * 10,
        [0.5, 0.2, 0.15, 0.1, 0.04, 0.01],
        [0.98, 0.02],
        [0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.015, 0.005],
    )
]
PIECE = DAY * 1000  # rows made at once
GRID = 4096  # values are rounded to that many steps over 12 standard deviations: counting is a look-up then


@dataclass(frozen=True)
class Stream:
    """A reference, and windows that follow it."""

    profile: Profile
    later: dict[str, np.ndarray]  # by column, shape (windows, cells + 1)


def stream(kind: str, *, rows: int, later: int, seed: int) -> Stream:
    """30 columns, and that many windows after the reference."""
    columns, after = {}, {}
    for number in range(NUMERIC + len(SHARES)):
        name, columns[name], after[name] = column(kind, number, rows=rows, later=later, seed=seed)
    edges = _edges(rows * REFERENCE_WINDOWS, REFERENCE_WINDOWS * BLOCKS)
    times = pd.Timestamp("2000-01-01", tz="UTC") + pd.to_timedelta(edges, unit="h")
    blocks = pd.DataFrame({"first": times[:-1], "last": times[1:] - pd.Timedelta("1h"), "rows": np.diff(edges)})
    return Stream(Profile(columns, blocks, pd.DataFrame()), after)


def column(kind: str, number: int, *, rows: int, later: int, seed: int) -> tuple[str, ColumnProfile, np.ndarray]:
    """Name, reference and later windows of one column."""
    rng = np.random.default_rng([seed, number])
    count = _independent if kind == "iid" else _autocorrelated
    name, cells, shares = _column(number)
    counts, after = count(rng, shares, rows, later, has_missing=number < NUMERIC and number % 4 == 0)
    return name, ColumnProfile("numeric" if number < NUMERIC else "categorical", cells, counts), after


def rows_of_column(kind: str, number: int, *, rows: int, later: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same column row by row, reference and later windows: what `column` has counted.

    Returns:
        Numbers, NaN where missing, float32; or codes of categories, int8.
    """
    rng, fine = np.random.default_rng([seed, number]), np.random.default_rng([seed, number, 1])
    shares, numeric = _column(number)[2], number < NUMERIC
    has_missing = numeric and number % 4 == 0
    if kind == "ar":
        place, steps = _places(rng, shares, rows, later, has_missing=has_missing)
        values = (steps + fine.random(len(steps), dtype=np.float32)) / GRID * 12 - 6
    else:
        counts = _independent(rng, shares, rows, later, has_missing=has_missing)
        blocks = [np.repeat(np.arange(len(block)), block) for side in counts for block in side]
        place = np.concatenate([fine.permutation(block) for block in blocks])
        below = np.concatenate([[0.0], np.cumsum(shares), [1.0]])
        inside = np.append(shares, 0.0)[place] * fine.random(len(place))
        values = ndtri(np.clip(below[place] + inside, 1e-12, 1 - 1e-12))
    whole = rows * REFERENCE_WINDOWS
    made = np.where(place == len(shares), np.nan, values).astype(np.float32) if numeric else place.astype(np.int8)
    return made[:whole], made[whole:]


def _column(number: int) -> tuple[str, NumericCells | CategoryCells, np.ndarray]:
    """Name, cells and the true shares of its cells, missing not counted."""
    if number < NUMERIC:
        cells = NumericCells.cut(pd.Series(ndtri(np.linspace(0.0005, 0.9995, 2000))), cells=CELLS)
        tail = 1e-7
        inner = np.full(cells.size - 2, (1 - 2 * tail) / (cells.size - 2))
        return f"x{number:02d}", cells, np.concatenate([[tail], inner, [tail]])
    shares = SHARES[number - NUMERIC]
    return f"c{number:02d}", CategoryCells(tuple(f"{k}" for k in range(len(shares))), 0), np.append(shares, 0.0)


def _edges(rows: int, blocks: int) -> np.ndarray:
    return np.linspace(0, rows, blocks + 1).astype(int)


def _independent(
    rng: np.random.Generator, shares: np.ndarray, rows: int, later: int, *, has_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    whole = rows * REFERENCE_WINDOWS
    sizes = np.diff(_edges(whole, REFERENCE_WINDOWS * BLOCKS))
    cells = np.append(shares * (1 - MISSING * has_missing), MISSING * has_missing)
    return rng.multinomial(sizes, cells), rng.multinomial(np.full(later, rows), cells)


def _autocorrelated(
    rng: np.random.Generator, shares: np.ndarray, rows: int, later: int, *, has_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    place, _ = _places(rng, shares, rows, later, has_missing=has_missing)
    whole, wide = rows * REFERENCE_WINDOWS, len(shares) + 1
    return _count(place[:whole], REFERENCE_WINDOWS * BLOCKS, wide), _count(place[whole:], later, wide)


def _places(
    rng: np.random.Generator, shares: np.ndarray, rows: int, later: int, *, has_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The cell of each row, and its step on the grid; reference first, then the later windows."""
    whole, after = rows * REFERENCE_WINDOWS, rows * later
    phase = rng.random()
    steps = ((np.arange(GRID) + 0.5) / GRID - 0.5) * 12
    cell_of = np.searchsorted(ndtri(np.clip(np.cumsum(shares)[:-1], 0, 1)), steps, side="left").astype(np.int8)
    before = steps_of(rng, whole, phase=phase)
    then = steps_of(rng, after, phase=phase + whole / DAY)
    place = np.concatenate([cell_of[before], cell_of[then]])
    if has_missing:
        place[(steps < ndtri(MISSING))[steps_of(rng, whole + after, phase=0)]] = len(shares)
    return place, np.concatenate([before, then])


def steps_of(rng: np.random.Generator, rows: int, *, phase: float) -> np.ndarray:
    """Steps of the grid that a series takes: AR(1) on a daily wave, in its standard deviations; int16, (rows,)."""
    ar = np.array([1, -RHO], np.float32)
    lone = np.float32((1 - RHO**2) ** 0.5)
    day = np.arange(DAY) / DAY + phase
    wave = np.resize(((2 * WAVE) ** 0.5 * np.sin(2 * np.pi * day)).astype(np.float32), PIECE)
    scale = np.float32(GRID / 12 / (1 + WAVE) ** 0.5)
    middle = np.float32(GRID / 2)
    state = rng.standard_normal(1, dtype=np.float32) * np.float32(RHO)
    made = np.empty(rows, dtype=np.int16)
    for start in range(0, rows, PIECE):  # in pieces that stay in the cache
        part = made[start : start + PIECE]
        noise = rng.standard_normal(len(part), dtype=np.float32)
        noise *= lone
        values, state = lfilter(lone[None] / lone, ar, noise, zi=state)
        values += wave[: len(part)]
        values *= scale
        values += middle
        part[:] = np.clip(values, 0, GRID - 1, out=values)
    return made


def _count(place: np.ndarray, blocks: int, wide: int) -> np.ndarray:
    edges = _edges(len(place), blocks)
    counted = [np.bincount(place[start:end], minlength=wide) for start, end in pairwise(edges)]
    return np.stack(counted)


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


COLUMNS = NUMERIC + len(SHARES)
HERE = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True, eq=False)
class Peer:
    """One of them, with what it imports and does not ask for (NannyML: statsmodels), or breaks with (pandas 3)."""

    name: str  # its first word is the folder of its environment
    script: str  # under bench/peers
    needs: tuple[str, ...]  # what pip installs
    counts: dict[int, tuple[int, int]]  # by rows of a window: references and windows; without an entry it is not asked


SMALL, MIDDLE, LARGE = {500: (5, 40)}, {5_000: (3, 10)}, {50_000: (1, 5)}
RIVER = ("river==0.26.1", "pandas==2.3.3")
PEERS = (
    Peer("Frouros", "by_frouros.py", ("frouros==0.9.0", "pandas==2.3.3", "pyarrow"), SMALL | MIDDLE | LARGE),
    Peer("alibi-detect", "by_alibi_detect.py", ("alibi-detect==0.13.0",), SMALL | MIDDLE),
    Peer("NannyML", "by_nannyml.py", ("nannyml==0.13.1", "statsmodels==0.15.0"), SMALL | MIDDLE | LARGE),
    Peer("Evidently", "by_evidently.py", ("evidently==0.7.23", "pandas==2.3.3"), {500: (3, 10), 5_000: (1, 3)}),
    Peer("river ADWIN", "by_adwin.py", RIVER, SMALL | MIDDLE | LARGE),
    Peer("river KSWIN", "by_kswin.py", RIVER, {500: (1, 10)}),
)


def environment(folder: Path, peer: Peer) -> Path | str:
    """The Python of an environment with the peer, made if it is not there; or the last line of pip's refusal."""
    home = folder / peer.name.lower().split()[0]
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists() or done.read_text(encoding="utf-8") != " ".join(peer.needs):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *peer.needs]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode:
            return (tried.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        done.write_text(" ".join(peer.needs), encoding="utf-8")
    return python


def make_windows(folder: Path, kind: str, rows: int, *, references: int, windows: int) -> None:
    """So many references with their windows, as files of `folder`."""
    folder.mkdir()
    for seed in range(references):
        columns = {}
        for number in range(COLUMNS):
            name = f"{'x' if number < NUMERIC else 'c'}{number:02d}"
            before, after = rows_of_column(kind, number, rows=rows, later=LATER, seed=seed)
            columns[name] = before, after[: rows * windows]
        write(folder / f"{seed:03d}.npz", columns, rows=rows)


def ask(environments: Path, cases: Sequence[tuple[str, int]], *, names: Sequence[str]) -> Iterator[str]:
    """Lines of a table: every peer about every kind of stream and rows of a window, one process a peer."""
    yield "| system | setting | stream | rows | alarms (95%) | references x windows | s a window |"
    yield "|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as temporary:
        for peer in (peer for peer in PEERS if peer.name in names):
            chosen = [(kind, rows) for kind, rows in cases if rows in peer.counts]
            folders = []
            for kind, rows in chosen:
                references, windows = peer.counts[rows]
                folders.append(Path(temporary) / f"{kind}-{rows}-{references}-{windows}")
                if not folders[-1].exists():
                    make_windows(folders[-1], kind, rows, references=references, windows=windows)
            python = environment(environments, peer)
            if isinstance(python, str) or not chosen:
                yield f"| {peer.name} | not asked: {python if chosen else 'no windows of these rows'} | | | | | |"
                continue
            command = [str(python), str(HERE / peer.script), *map(str, folders)]
            command += ["--rate", str(RATE), "--columns", str(COLUMNS)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            for (kind, rows), line in zip(chosen, done.stdout.splitlines(), strict=False):
                answer, counts = json.loads(line), " x ".join(map(str, peer.counts[rows]))
                for setting, said in answer["said"].items():
                    cells = (peer.name, setting, kind, f"{rows:,}", _share(said), counts)
                    yield f"| {' | '.join(cells)} | {answer['seconds']:.2f} |"
            if done.returncode:
                yield f"| {peer.name} | failed: {done.stderr.strip().splitlines()[-1]} | | | | | |"


def _share(said: list[list[bool]]) -> str:
    """Share of windows with an alarm, and Jeffreys' interval as if windows were independent."""
    alarms = np.concatenate(said)
    n, seen = len(alarms), int(alarms.sum())
    low, high = beta.ppf([0.025, 0.975], seen + 0.5, n - seen + 0.5)
    return f"{seen / n:.1%} ({low * (seen > 0):.1%} to {high if seen < n else 1:.1%})"


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
        cases = [(kind, rows) for kind in given.kinds.split(",") for rows in sizes]
        for line in ask(given.peers, cases, names=given.only):
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
