"""Peers, each in an environment of its own, on the streams of drift_streams.py row by row.

Used by false_alarms.py and power.py with `--peers`. An environment is made once in the folder given; a peer that pip
does not install is reported with pip's own last words. Each peer has as many references and windows as its speed
allows; every table says how many.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
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
        "Evidently", "by_evidently.py", ("evidently==0.7.23", "pandas==2.3.3"), {500: (3, 10), 5_000: (1, 5)}, (2, 10)
    ),
    Peer("river ADWIN", "by_adwin.py", RIVER, SMALL | MIDDLE | LARGE, (5, 20)),
    Peer("river KSWIN", "by_kswin.py", RIVER, {500: (1, 10)}, (1, 10)),
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


def make_windows(
    folder: Path, kind: str, *, rows: int, references: int, windows: int, numbers: Iterable[int], change: Change
) -> None:
    """So many references with their windows, as files of `folder`; those of the columns `numbers`."""
    for seed in range(references):
        columns = {}
        for number in numbers:
            name = f"{'x' if number < NUMERIC else 'c'}{number:02d}"
            before, after = rows_of_column(kind, number, rows=rows, later=LATER, seed=seed, change=change)
            columns[name] = before, after[: rows * windows]
        write(folder / f"{seed:03d}.npz", columns, rows=rows)


@dataclass(frozen=True)
class Heard:
    """What a peer said under one setting: share of alarms by reference, and how long a window took, in seconds."""

    peer: str
    setting: str
    by_reference: np.ndarray
    windows: int
    seconds: float

    def __str__(self) -> str:
        """Cells of a table: peer, setting, share of alarms with Jeffreys' interval, windows, seconds a window."""
        n, share = self.windows, float(self.by_reference.mean())
        low, high = beta.ppf([0.025, 0.975], share * n + 0.5, n - share * n + 0.5)
        count = f"{len(self.by_reference)} x {n // len(self.by_reference)}"
        return f"{self.peer} | {self.setting} | {share:.1%} ({low:.1%} to {high:.1%}) | {count} | {self.seconds:.2f}"


def ask(peer: Peer, python: Path, folder: Path, *, rate: float) -> list[Heard] | str:
    """Each setting of a peer on the windows of a folder; or the last line of what went wrong."""
    begin = time.perf_counter()
    command = [str(python), str(HERE / peer.script), str(folder), "--rate", str(rate), "--columns", str(COLUMNS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    said: dict[str, list[list[bool]]] = json.loads(done.stdout.splitlines()[-1])
    count = sum(len(windows) for windows in next(iter(said.values())))
    spent = (time.perf_counter() - begin) / count
    return [
        Heard(peer.name, setting, np.array([np.mean(windows) for windows in alarms]), count, spent)
        for setting, alarms in said.items()
    ]


def asked_all(
    environments: Path, kind: str, *, rows: int, column: int | None, change: Change, rate: float, names: list[str]
) -> Iterator[Heard | tuple[Peer, str]]:
    """Every peer on windows of so many rows, those that are asked about as many on the same files.

    Args:
        environments: Folder that keeps an environment a peer.
        kind: Of stream.
        rows: Of a window.
        column: The only one that is looked at; None for all of them.
        change: What happens after the reference.
        rate: Of false alarms that its best setting is told.
        names: Peers that are wanted.
    """
    counts = {peer: peer.counts.get(rows) if column is None else peer.power for peer in PEERS if peer.name in names}
    for each in dict.fromkeys(counts.values()):
        if each is None:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            numbers = range(COLUMNS) if column is None else (column,)
            references, windows = each
            make_windows(
                folder, kind, rows=rows, references=references, windows=windows, numbers=numbers, change=change
            )
            for peer in (peer for peer, of in counts.items() if of == each):
                python = environment(environments, peer)
                said = python if isinstance(python, str) else ask(peer, python, folder, rate=rate)
                yield from [(peer, said)] if isinstance(said, str) else said
