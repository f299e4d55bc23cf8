"""Peers, each in an environment of its own, on the streams of drift_streams.py row by row.

Used by false_alarms.py with `--peers`. An environment is made once in the folder given; a peer that pip
does not install is reported with pip's own last words. Each peer has as many references and windows as its speed
allows; every table says how many.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from drift_streams import NUMERIC, SHARES, Change, rows_of_column
from peers.windows import write
from scipy.stats import beta

COLUMNS = NUMERIC + len(SHARES)
LATER = 100  # windows that the stream is made of; a peer may see fewer
HERE = Path(__file__).resolve().parent / "peers"


@dataclass(frozen=True, eq=False)
class Peer:
    """One of them.

    Args:
        name: As tables call it; its first word is the folder of its environment.
        script: Under bench/peers.
        needs: What pip installs, pinned. Beyond the peer itself: what it imports and does not ask for
            (NannyML: statsmodels), or breaks with the newest of (Evidently: pandas 3).
        counts: By rows of a window: references and windows of each; without an entry it is not asked.
        power: The same where one column is looked at.
    """

    name: str
    script: str
    needs: tuple[str, ...]
    counts: dict[int, tuple[int, int]]
    power: tuple[int, int]


SMALL, MIDDLE, LARGE = {500: (5, 40)}, {5_000: (3, 10)}, {50_000: (1, 5)}
RIVER = ("river==0.26.1", "pandas==2.3.3")
PEERS = (
    Peer("Frouros", "by_frouros.py", ("frouros==0.9.0", "pandas==2.3.3"), SMALL | MIDDLE | LARGE, (5, 20)),
    Peer("alibi-detect", "by_alibi_detect.py", ("alibi-detect==0.13.0",), SMALL | MIDDLE, (5, 20)),
    Peer("NannyML", "by_nannyml.py", ("nannyml==0.13.1", "statsmodels==0.15.0"), SMALL | MIDDLE | LARGE, (5, 20)),
    Peer(
        "Evidently", "by_evidently.py", ("evidently==0.7.23", "pandas==2.3.3"), {500: (3, 10), 5_000: (1, 3)}, (1, 10)
    ),
    Peer("river ADWIN", "by_adwin.py", RIVER, SMALL | MIDDLE | LARGE, (5, 20)),
    Peer("river KSWIN", "by_kswin.py", RIVER, {500: (1, 10)}, (1, 3)),
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


@dataclass(frozen=True)
class Case:
    """What a peer is asked about.

    Args:
        told: First cells of its line in a table.
        kind: Of stream.
        rows: Of a window.
        column: The only one that is looked at; None for all of them.
        change: What happens after the reference.
    """

    told: str
    kind: str
    rows: int
    column: int | None
    change: Change


def make_windows(folder: Path, case: Case, *, references: int, windows: int) -> None:
    """So many references with their windows, as files of `folder`."""
    folder.mkdir()
    numbers = range(COLUMNS) if case.column is None else (case.column,)
    for seed in range(references):
        columns = {}
        for number in numbers:
            name = f"{'x' if number < NUMERIC else 'c'}{number:02d}"
            before, after = rows_of_column(
                case.kind, number, rows=case.rows, later=LATER, seed=seed, change=case.change
            )
            columns[name] = before, after[: case.rows * windows]
        write(folder / f"{seed:03d}.npz", columns, rows=case.rows)


def ask(environments: Path, cases: Sequence[Case], *, rate: float, names: Sequence[str]) -> Iterator[str]:
    """Lines of a table: every peer about every case, one process a peer.

    Args:
        environments: Folder that keeps an environment a peer.
        cases: Those with as many rows as a peer has no counts for are left out.
        rate: Of false alarms that its best setting is told.
        names: Peers that are wanted.
    """
    yield "| system | setting | rows | case | alarms (95%) | references x windows | s a window |"
    yield "|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as temporary:
        for peer in (peer for peer in PEERS if peer.name in names):
            chosen = [case for case in cases if case.column is not None or case.rows in peer.counts]
            if not chosen:
                continue
            counts = [peer.counts[case.rows] if case.column is None else peer.power for case in chosen]
            folders = []
            for case, (references, windows) in zip(chosen, counts, strict=True):
                folders.append(Path(temporary) / f"{cases.index(case)}-{references}-{windows}")
                if not folders[-1].exists():
                    make_windows(folders[-1], case, references=references, windows=windows)
            python = environment(environments, peer)
            if isinstance(python, str):
                yield f"| {peer.name} | not installed: {python} | | | | | |"
                continue
            command = [str(python), str(HERE / peer.script), *map(str, folders)]
            command += ["--rate", str(rate), "--columns", str(COLUMNS)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
                assert running.stdout is not None
                assert running.stderr is not None
                for case, (references, windows), line in zip(chosen, counts, running.stdout, strict=False):
                    answer = json.loads(line)
                    for setting, said in answer["said"].items():
                        cells = (peer.name, setting, case.told, _share(said), f"{references} x {windows}")
                        yield f"| {' | '.join(cells)} | {answer['seconds']:.2f} |"
                failed = running.stderr.read()
            if running.returncode:
                yield f"| {peer.name} | failed: {failed.strip().splitlines()[-1]} | | | | | |"


def _share(said: list[list[bool]]) -> str:
    """Share of windows with an alarm, and Jeffreys' interval as if windows were independent."""
    alarms = np.concatenate(said)
    n, seen = len(alarms), int(alarms.sum())
    low, high = beta.ppf([0.025, 0.975], seen + 0.5, n - seen + 0.5)
    return f"{seen / n:.1%} ({low * (seen > 0):.1%} to {high if seen < n else 1:.1%})"
