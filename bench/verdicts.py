"""Batch verdicts: twelve ways to break a batch and eleven real shifts, on batches of real tables.

    python bench/verdicts.py [--positions 8] [--show]                        # bike, bank, rodents
    python bench/verdicts.py --tables chicago traffic --packages FOLDER      # others, fetched into FOLDER

Real batches, as they came, are damaged or shifted at several places of the stream and held against what
had landed before. A batch fails when it is broken and called ok or drifted, or real and held (broken, so
quarantined). The contract (types, keys, bounds) is left out: it would catch a part of the broken ones before.

The other tables (bench/streams.py) come without a contract and without arrival times: a shift keeps a column at 0 or
above where the table does, at 100 or below where that is its largest value, and a batch arrives an hour after its end.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from batch_changes import BOUNDS, BROKEN, REAL
from streams import load

from retrim.batches.concern import BatchParams
from retrim.batches.verdict import History, look_at
from retrim.files import read_yaml
from retrim.reading.shipped import DATASETS
from retrim.reading.table import read_content
from retrim.settings import load_params
from retrim.table.data import DataParams

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {"bike": ("params.yaml", 3, "14D"), "bank": ("data/samples/bank.params.yaml", 4, "30D"),
           "rodents": ("data/samples/rodents.params.yaml", 36, "180D")}  # fmt: skip
OTHERS = {"chicago": "60D", "traffic": "14D", "rain": "90D"}  # a batch has 60, 340, 90 rows
FIRST = 0.15  # of the rows of the others land first


def bounds(suite: dict[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    """The bounds that a suite puts on each column."""
    asked = [one["kwargs"] for one in suite["expectations"] if one["type"] == "expect_column_values_to_be_between"]
    return {kwargs["column"]: (kwargs.get("min_value"), kwargs.get("max_value")) for kwargs in asked}


def by_contract(rows: pd.DataFrame, data: DataParams) -> bool:
    """Whether whole numbers are not whole: their type is refused before anybody looks."""
    whole = [name for name, column in data.columns.items() if column.type == "integer" and name in rows]
    return any(bool((rows[name].dropna().astype("float64") % 1 != 0).any()) for name in whole)


@dataclass(frozen=True)
class Batches:
    """A table as it lands: batches in order, and when each arrives."""

    data: DataParams
    frames: list[pd.DataFrame]
    arrives: list[pd.Timestamp]


def shipped(name: str) -> Batches:
    file, start, every = SHIPPED[name]
    data = DataParams.model_validate(read_yaml(ROOT / file)["data"])
    BOUNDS[name] = bounds(json.loads((ROOT / f"expectations/{name}.json").read_text(encoding="utf-8")))
    pieces = list(DATASETS[name].pieces(ROOT, start=start, every=every))
    read = [read_content(piece.content, data, labels=False).frame for piece in pieces]
    frames = [frame.sort_values(data.time, kind="stable") for frame in read if frame is not None]
    return Batches(data, frames, [piece.arrives for piece in pieces])


def other(name: str, packages: Path) -> Batches:
    stream = load(name, packages)
    data, table = stream.data, stream.table.drop(columns=["_event", "_due"])
    numeric = table.select_dtypes("number")
    BOUNDS[name] = {
        column: (0.0 if numeric[column].min() >= 0 else None, 100.0 if numeric[column].max() == 100 else None)
        for column in numeric
    }
    first = table[data.time].iloc[round(len(table) * FIRST)]
    place = np.floor((table[data.time] - first) / pd.Timedelta(OTHERS[name])).clip(lower=-1)
    frames = [frame for _, frame in table.groupby(place)]
    return Batches(data, frames, [frame[data.time].max() + pd.Timedelta("1h") for frame in frames])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--positions", type=int, default=8)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--tables", nargs="*", default=list(SHIPPED), choices=[*SHIPPED, *OTHERS])
    parser.add_argument("--only", nargs="*", default=[*BROKEN, *REAL], help="changes to try")
    parser.add_argument("--packages", type=Path, help="folder that keeps the packages of the other tables")
    asked = parser.parse_args()
    params = load_params(ROOT / "params.yaml").batches
    lines: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in asked.tables:
        batches = shipped(name) if name in SHIPPED else other(name, asked.packages)
        look_over(name, batches, params, lines, positions=asked.positions, show=asked.show, only=asked.only)
    table(lines, asked.tables)


def look_over(
    stream: str,
    batches: Batches,
    params: BatchParams,
    lines: dict[tuple[str, str], dict[str, list[str]]],
    *,
    positions: int,
    show: bool,
    only: list[str],
) -> None:
    """Adds the verdicts on batches of one table to `lines`, by kind and change."""
    data, frames = batches.data, batches.frames
    ends = [frame[data.time].max() for frame in frames]
    lags = [arrives - end for arrives, end in zip(batches.arrives, ends, strict=True)]
    for place in np.unique(np.linspace(6, len(frames) - 2, positions).round().astype(int)):
        before = pd.concat(frames[:place])
        counts = [len(frame) for frame in frames[:place]]
        history = History(before.iloc[-params.history_rows :], ends[:place], lags[:place], counts)
        for kind, changes in (("broken", BROKEN), ("real", REAL)):
            for name, change in changes.items():
                if name not in only:
                    continue
                draw = np.random.default_rng([int(place), len(name)])
                made = change(frames[place], before, data, draw)
                if made is None or (name != "as it came" and made.equals(frames[place])):
                    continue  # there is no such column, or nothing to be changed in it
                if by_contract(made, data):
                    lines.setdefault((kind, name), {}).setdefault(stream, []).append("contract")
                    continue
                verdict = look_at(made, history, data, params, arrives=batches.arrives[place])
                lines.setdefault((kind, name), {}).setdefault(stream, []).append(verdict.kind)
                bad = verdict.kind in ("ok", "drifted") if kind == "broken" else verdict.holds
                if show and bad:
                    why = "; ".join(f"{each.column}: {each.text}" for each in verdict.concerns[:3])
                    print(f"{stream} {place}, {len(made)} rows, {kind} {name}: {verdict.kind}. {why}")


def table(lines: dict[tuple[str, str], dict[str, list[str]]], streams: list[str]) -> None:
    print(f"| batch | {' | '.join(streams)} |\n|---|" + "---|" * len(streams))
    wrong = {"broken": [0, 0], "real": [0, 0]}
    for (kind, name), found in lines.items():
        cells = []
        for stream in streams:
            said = found.get(stream, [])
            counts = [
                f"{said.count(word)} {word}"
                for word in ("contract", "broken", "suspicious", "drifted", "ok")
                if word in said
            ]
            cells.append(", ".join(counts) or "-")
            wrong[kind][0] += sum((word in ("ok", "drifted")) == (kind == "broken") for word in said)
            wrong[kind][1] += len(said)
        print(f"| {kind}: {name} | {' | '.join(cells)} |")
    missed, broken = wrong["broken"]
    held, real = wrong["real"]
    print(f"\nbroken batches called ok or drifted: {missed} of {broken}")
    print(f"real batches held: {held} of {real}, {held / max(real, 1):.1%}")


if __name__ == "__main__":
    main()
