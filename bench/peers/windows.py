"""What every peer is given: a folder of references with the windows that follow each, and where its alarms go.

Read by the scripts beside it, each of which runs in an environment of its own: numpy and pandas only.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

BELOW_ALL = -9.0  # stands for a missing number where a peer takes none


@dataclass(frozen=True)
class Asked:
    """A rate of false alarms for a whole check, all columns together.

    Args:
        rate: Share of checks without drift that may raise an alarm.
        columns: Columns of the table, also where only one of them is given.
    """

    rate: float
    columns: int

    @property
    def per_column(self) -> float:
        """Bonferroni's share of one column."""
        return self.rate / self.columns

    @property
    def sds(self) -> float:
        """Standard deviations that a normal value exceeds as seldom as that."""
        return NormalDist().inv_cdf(1 - self.per_column)


@dataclass(frozen=True)
class Windows:
    """A reference and what came after it, in order of time; numbers are float, categories are text."""

    before: pd.DataFrame
    after: list[pd.DataFrame]

    @property
    def rows(self) -> int:
        return len(self.after[0])

    @property
    def numbers(self) -> list[str]:
        return [name for name in self.before if name[0] == "x"]

    @property
    def categories(self) -> list[str]:
        return [name for name in self.before if name[0] == "c"]

    def levels(self, name: str) -> list[str]:
        """Categories of a column before and after, sorted."""
        return sorted(set(self.before[name]).union(*(set(window[name]) for window in self.after)))

    def coded(self, name: str, part: pd.DataFrame) -> list[float]:
        """Values of a column in some rows; a category as its number."""
        if name in self.numbers:
            return part[name].tolist()
        codes = {level: float(code) for code, level in enumerate(self.levels(name))}
        return part[name].map(codes).tolist()

    def filled(self) -> "Windows":
        """A value below all others where a number is missing."""
        return Windows(self.before.fillna(BELOW_ALL), [window.fillna(BELOW_ALL) for window in self.after])


def write(file: Path, columns: dict[str, tuple[np.ndarray, np.ndarray]], *, rows: int) -> None:
    """One reference and its windows: for each column the values before and after; float32, or codes as int8."""
    arrays = {f"{side}_{name}": part for name, pair in columns.items() for side, part in zip("ba", pair, strict=True)}
    np.savez(file, rows=np.array(rows), **arrays)


def read(folder: Path) -> Iterator[Windows]:
    """Every reference of a folder."""
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as kept:
            sides = {side: _frame({n[2:]: kept[n] for n in kept.files if n[:2] == f"{side}_"}) for side in "ba"}
            rows = int(kept["rows"])
        after = sides["a"]
        yield Windows(sides["b"], [after.iloc[at : at + rows] for at in range(0, len(after), rows)])


def _frame(arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    made = {}
    for name, values in arrays.items():
        if name[0] == "x":
            made[name] = values.astype("float64")
        else:
            made[name] = np.array([f"k{code}" for code in range(int(values.max()) + 1)], dtype=object)[values]
    return pd.DataFrame(made)


Alarms = dict[str, list[bool]]
"""By setting: whether each window raised an alarm."""


def run(peer: Callable[[Windows, Asked], Alarms]) -> None:
    """Asks a peer about every reference of the folders on the command line, and prints a line of JSON for each folder.

    `said` has by setting, for each reference, whether each of its windows raised an alarm; `seconds` are of a window.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--columns", type=int, required=True)
    given = parser.parse_args()
    for folder in given.folders:
        said: dict[str, list[list[bool]]] = {}
        begin, count = time.perf_counter(), 0
        for windows in read(folder):
            count += len(windows.after)
            for setting, alarms in peer(windows, Asked(given.rate, given.columns)).items():
                said.setdefault(setting, []).append([bool(alarm) for alarm in alarms])
        print(json.dumps({"said": said, "seconds": (time.perf_counter() - begin) / count}), flush=True)


def low(p_value: float, limit: float) -> bool:
    """Whether a p-value lies below the limit; one that could not be computed does not."""
    return not math.isnan(p_value) and p_value < limit
