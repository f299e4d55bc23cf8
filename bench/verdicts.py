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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from streams import load

from retrim.batches.verdict import History, look_at
from retrim.landing.examine import HISTORY_ROWS
from retrim.reading.shipped import DATASETS
from retrim.reading.table import read_content
from retrim.table.data import DataParams
from retrim.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {"bike": ("params.yaml", 3, "14D"), "bank": ("data/samples/bank.params.yaml", 4, "30D"),
           "rodents": ("data/samples/rodents.params.yaml", 36, "180D")}  # fmt: skip
OTHERS = {"chicago": "60D", "traffic": "14D", "rain": "90D"}  # a batch has 60, 340, 90 rows
FIRST = 0.15  # of the rows of the others land first

Frame = pd.DataFrame
Draw = np.random.Generator
BOUNDS: dict[str, dict[str, tuple[float | None, float | None]]] = {}
Change = Callable[[Frame, Frame, DataParams, Draw], Frame | None]


def numbers(data: DataParams, rows: Frame) -> list[str]:
    """Features that are numbers and vary, the ones a unit can be mistaken in."""
    kinds = data.features
    return [n for n, k in kinds.items() if k in ("number", "integer") and rows[n].nunique() > 5 and n != "hour"]


def measures(data: DataParams, before: Frame) -> list[str]:
    """Numbers that are measured or counted, not codes: more than 20 values, none of them in a fifth of the rows."""
    return [
        n
        for n in numbers(data, before)
        if before[n].nunique() > 20 and before[n].value_counts(normalize=True).iloc[0] < 0.2
    ]


def physical(values: pd.Series, name: str, data: DataParams, before: Frame) -> pd.Series:
    """Values as they could come: whole where the column is, and within the bounds of the contract."""
    low, high = BOUNDS[data.model].get(name, (None, None))
    clipped = values.clip(low, high)
    return clipped.round() if data.columns[name].type == "integer" else clipped


def shift(change: Callable[[pd.Series], pd.Series]) -> Change:
    """A shift of one measured column, and of those that go with it (felt temperature with temperature)."""

    def made(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
        names = measures(data, before)
        name = str(draw.choice(names))
        tied = before[names].astype("float64").corr("spearman")[name].abs()
        moved = [other for other in names if tied[other] > 0.9]
        return rows.assign(**{n: physical(change(rows[n].astype("float64")), n, data, before) for n in moved})

    return made


def categories(data: DataParams) -> list[str]:
    return [name for name, kind in data.features.items() if kind == "category"]


def on_number(change: Callable[[pd.Series, Draw], pd.Series]) -> Change:
    def made(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
        name = str(draw.choice(numbers(data, rows)))
        values = rows[name].astype("float64")
        return rows.assign(**{name: change(values, draw)})

    return made


def fahrenheit(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame | None:
    """In a column whose values could be degrees."""
    names = [n for n in numbers(data, rows) if before[n].quantile(0.02) >= -60 and before[n].quantile(0.98) <= 60]
    names = [n for n in names if data.columns[n].type == "number"]
    if not names:
        return None
    name = str(draw.choice(names))
    return rows.assign(**{name: rows[name] * 1.8 + 32})


def codes(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame | None:
    names = categories(data)
    if not names:
        return None
    name = str(draw.choice(names))
    found = pd.factorize(rows[name])[0]
    return rows.assign(**{name: pd.Series([f"c{code}" for code in found], index=rows.index, dtype="str")})


def capitals(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame | None:
    names = [n for n in categories(data) if (rows[n].astype("str").str.upper() != rows[n].astype("str")).mean() > 0.3]
    if not names:
        return None
    name = str(draw.choice(names))
    return rows.assign(**{name: rows[name].str.upper() + " "})


def swap(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame | None:
    names = numbers(data, rows)
    pairs = [(a, b) for a in names for b in names if a < b and far(before[a], before[b])]
    if not pairs:
        return None
    one, other = pairs[int(draw.integers(len(pairs)))]
    return rows.assign(**{one: rows[other].astype("float64"), other: rows[one].astype("float64")})


def far(one: pd.Series, other: pd.Series) -> bool:
    """Whether a swap of the two would be seen by anybody who looks at their middles."""
    a, b = one.astype("float64"), other.astype("float64")
    return bool(abs(a.median() - b.median()) > 1.5 * max(a.std(), b.std()))


def constant(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    name = str(draw.choice(numbers(data, rows)))
    return rows.assign(**{name: rows[name].iloc[0]})


def missing(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    name = str(draw.choice(list(data.features)))
    return rows.assign(**{name: rows[name].mask(np.ones(len(rows), dtype=bool))})


def cut(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    return rows.iloc[: max(len(rows) // 10, 5)]


def doubled(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    return pd.concat([rows, rows.iloc[: len(rows) // 2]])


def resent(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    old = before.iloc[-2 * len(rows) : -len(rows)] if len(before) >= 2 * len(rows) else before.iloc[-len(rows) :]
    times = np.sort(draw.choice(rows[data.time].to_numpy(), len(old)))
    return old.assign(**{data.time: pd.DatetimeIndex(times, tz="UTC")})


def sentinel(values: pd.Series, draw: Draw) -> pd.Series:
    return values.mask(draw.random(len(values)) < 0.3, -999.0)


BROKEN: dict[str, Change] = {
    "x 1000": on_number(lambda v, _: v * 1000),
    "/ 100": on_number(lambda v, _: v / 100),
    "F for C": fahrenheit,
    "other sign": on_number(lambda v, _: -v),
    "30% are -999": on_number(sentinel),
    "column constant": constant,
    "column missing": missing,
    "two columns swapped": swap,
    "codes for names": codes,
    "other spelling": capitals,
    "cut short": cut,
    "sent before": resent,
}


def grow(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    names = measures(data, before)
    sds = {n: float(before[n].astype("float64").std()) for n in names}
    return rows.assign(**{n: physical(rows[n].astype("float64") + 0.5 * sds[n], n, data, before) for n in names})


def subgroup(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    name = str(draw.choice(numbers(data, rows)))
    return rows[rows[name] >= rows[name].median()]


def new_category(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame | None:
    names = categories(data)
    if not names:
        return None
    name = str(draw.choice(names))
    return rows.assign(**{name: rows[name].astype("str").mask(draw.random(len(rows)) < 0.1, "newcomer")})


def category_gone(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame | None:
    names = [name for name in categories(data) if rows[name].nunique() > 2]
    if not names:
        return None
    name = str(draw.choice(names))
    kept = rows[rows[name] != rows[name].value_counts().index[1]]
    return kept if len(kept) else None


def some_missing(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    name = str(draw.choice(list(data.features)))
    return rows.assign(**{name: rows[name].mask(draw.random(len(rows)) < 0.1)})


def target(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    if data.task == "regression":
        grown = physical(rows[data.target].astype("float64") * 1.5, data.target, data, before)
        return rows.assign(**{data.target: grown})
    return rows.assign(**{data.target: rows[data.target].sample(frac=1, random_state=1).to_numpy()})


def thinned(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    return rows.iloc[::2]


def busier(rows: Frame, before: Frame, data: DataParams, draw: Draw) -> Frame:
    more = before.tail(2 * len(rows)).sample(len(rows) // 2, random_state=2)
    times = pd.DatetimeIndex(draw.choice(rows[data.time].to_numpy(), len(more)), tz="UTC")
    return pd.concat([rows, more.assign(**{data.time: times})])


REAL: dict[str, Change] = {
    "as it came": lambda rows, *_: rows,
    "mean + 1 sd": shift(lambda v: v + float(v.std())),
    "spread x 1.5": shift(lambda v: v.mean() + 1.5 * (v - v.mean())),
    "x 1.3": shift(lambda v: v * 1.3),
    "all numbers + 0.5 sd": grow,
    "only the upper half of a column": subgroup,
    "a new category, 10%": new_category,
    "a category gone": category_gone,
    "10% missing": some_missing,
    "target x 1.5, or unrelated": target,
    "half the rows": thinned,
    "half as many rows again": busier,
}


def bounds(suite: dict[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    """The bounds that a suite puts on each column."""
    asked = [one["kwargs"] for one in suite["expectations"] if one["type"] == "expect_column_values_to_be_between"]
    return {kwargs["column"]: (kwargs.get("min_value"), kwargs.get("max_value")) for kwargs in asked}


def by_contract(rows: Frame, data: DataParams) -> bool:
    """Whether whole numbers are not whole: their type is refused before anybody looks."""
    whole = [name for name, column in data.columns.items() if column.type == "integer" and name in rows]
    return any(bool((rows[name].dropna().astype("float64") % 1 != 0).any()) for name in whole)


@dataclass(frozen=True)
class Batches:
    """A table as it lands: batches in order, and when each arrives."""

    data: DataParams
    frames: list[Frame]
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
    lines: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in asked.tables:
        batches = shipped(name) if name in SHIPPED else other(name, asked.packages)
        look_over(name, batches, lines, positions=asked.positions, show=asked.show, only=asked.only)
    table(lines, asked.tables)


def look_over(
    stream: str,
    batches: Batches,
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
        history = History(before.iloc[-HISTORY_ROWS:], ends[:place], lags[:place], counts)
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
                verdict = look_at(made, history, data, arrives=batches.arrives[place])
                lines.setdefault((kind, name), {}).setdefault(stream, []).append(verdict.kind)
                bad = verdict.kind in ("ok", "drifted") if kind == "broken" else verdict.kind == "broken"
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
