"""The whole look: every column once, one at a time; then what takes several, on a sample of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.init.leak import Leak
from retrim.core.init.leaks import leaks_of
from retrim.core.init.notes import Note
from retrim.core.look.champion import Champion
from retrim.core.look.collinear import Collinear, collinear
from retrim.core.look.columns import ColumnLook, column_look
from retrim.core.look.doubles import Doubles, Hashes
from retrim.core.look.missing import Missingness, gaps_of
from retrim.core.look.noise import Noise, noise_of
from retrim.core.look.over_time import Moved, moved, moved_answers
from retrim.core.look.pairs import Pair, goal_of, pair_of
from retrim.core.look.periods import Periods, cut_periods, together
from retrim.core.look.related import Related, related
from retrim.core.look.table import NO_VALUES, LookTable, hidden
from retrim.core.look.target import TargetLook, target_look
from retrim.core.table import ColumnType

MOST_BATCHES, MOST_RELATED = 60, 60
LEAST_PAIRED = 30
LARGEST = 1e100


@dataclass(frozen=True)
class Look:
    """What a look found.

    Args:
        table: What was looked at.
        sampled: Rows drawn for what is not counted on all of them.
        periods: Parts of the history.
        columns: Every column at a glance, in the order of params.yaml.
        target: The target over time; None where its values may not be shown.
        pairs: Each feature against the target, the telling ones first; empty where too few rows are labelled.
        related: How features hang together: the most telling ones, and those before others in params.yaml.
        moved: How far features and target moved from the first part of the history.
        gaps: Whether missing values look random, of features and target that have some.
        collinear: How well each number is told by a sum of the others; None: fewer than two that vary.
        batch_missing: Share missing in each batch, of each column that has gaps; batches in the order of arrival.
        batch_sizes: How many batches each of those figures is of.
        doubles: Rows that come more than once.
        noise: Rows whose label is likely wrong; None: not looked for.
        suspects: Keys of those shown, or their numbers in the order of time where a key may not be shown.
        leaks: Columns that give the answer away.
        unseen: Share of the newest fifth of the rows whose category the champion does not know, by feature.
        champion: The live version's view; None: there is none.
        prepared: Preparing steps that are declared, a sentence each.
        given: What was noticed while the table was read.
    """

    table: LookTable
    sampled: int
    periods: Periods
    columns: tuple[ColumnLook, ...]
    target: TargetLook | None
    pairs: tuple[Pair, ...]
    related: Related
    moved: Mapping[str, Moved]
    gaps: Mapping[str, Missingness]
    collinear: Collinear | None
    batch_missing: Mapping[str, np.ndarray]
    batch_sizes: int
    doubles: Doubles
    noise: Noise | None
    suspects: tuple[str, ...]
    leaks: tuple[Leak, ...]
    unseen: Mapping[str, float]
    champion: Champion | None
    prepared: tuple[str, ...]
    given: tuple[Note, ...]

    @property
    def shown(self) -> dict[str, ColumnLook]:
        return {column.name: column for column in self.columns}

    @property
    def strength(self) -> dict[str, float]:
        """How much of the target each feature tells."""
        return {pair.name: pair.tells for pair in self.pairs}

    def as_record(self) -> dict[str, Any]:
        """JSON types; no value of a hidden column."""
        table, data = self.table, self.table.data
        return {
            "model": data.model,
            "task": data.task,
            "target": data.target,
            "rows": table.rows,
            "sampled": self.sampled,
            "from": table.event.iloc[0].isoformat() if table.rows and table.timed else None,
            "to": table.event.iloc[-1].isoformat() if table.rows and table.timed else None,
            "mature": table.mature,
            "periods": {"every": self.periods.every, "labels": list(self.periods.labels)},
            "columns": [column.as_record() for column in self.columns],
            "left_out": dict(table.left_out),
            "target_over_time": None if self.target is None else self.target.as_record(),
            "pairs": [pair.as_record() for pair in self.pairs],
            "missing": {
                name: {"kind": gap.kind, "told_by": gap.told_by, "strength": gap.strength, "p_value": gap.p_value}
                for name, gap in self.gaps.items()
            },
            "inflation": {}
            if self.collinear is None
            else {name: factor if np.isfinite(factor) else None for name, factor in self.collinear.inflation.items()},
            "related": self.related.as_record(),
            "drift": {name: each.as_record() for name, each in self.moved.items()},
            "duplicates": self.doubles.as_record(),
            "label_noise": None
            if self.noise is None
            else {
                "rows": self.noise.rows,
                "suspects": self.noise.suspects,
                "surest": self.noise.surest,
                "keys": list(self.suspects),
            },
            "leaks": [leak.as_record() for leak in self.leaks],
            "unseen": dict(self.unseen),
            "champion": None if self.champion is None else self.champion.as_record(),
            "prepared": list(self.prepared),
        }


def look_at(
    table: LookTable,
    *,
    rows: int,
    seed: int,
    threads: int,
    champion: Champion | None,
    prepared: Sequence[str],
    given: Sequence[Note],
) -> Look:
    """Looks at a table.

    Each column is fetched once and counted on all rows: what fills it, histogram, gaps, drift, duplicates. Pairs,
    correlations, leaks and labels are looked at on `rows` rows drawn at random.

    Args:
        table: The table.
        rows: Of the sample, 1 or more.
        seed: Same seed, same look.
        threads: For LightGBM.
        champion: The live version's view; None: there is none.
        prepared: Preparing steps that are declared.
        given: What was noticed while the table was read.
    """
    data = table.data
    periods = cut_periods(table.event, timed=table.timed)
    generator = np.random.default_rng(seed)
    drawn = generator.permutation(table.rows)[:rows]
    places = np.sort(drawn)
    batches = None if table.batches is None else together(table.batches, MOST_BATCHES)
    columns: list[ColumnLook] = []
    sample: dict[str, pd.Series] = {}
    shifts: dict[str, Moved] = {}
    by_batch: dict[str, np.ndarray] = {}
    unseen: dict[str, float] = {}
    hashes = Hashes(table.rows)
    target: TargetLook | None = None
    answers = pd.Series([], dtype="float64")
    reasons: dict[str, str] = {}
    for name, (kind, role) in table.kinds.items():
        values = table.column(name)
        part = values.iloc[places].reset_index(drop=True)
        why = reasons[name] = hidden(name, values, table, before=reasons)
        look = column_look(name, values, kind=kind, role=role, hidden=why, periods=periods, drawn=drawn)
        columns.append(look)
        if batches is not None and look.missing:
            by_batch[name] = _by_batch(values.isna().to_numpy(), batches)
        if role not in ("feature", "target"):
            continue
        sample[name] = part
        shift = (moved_answers if role == "target" else moved)(values, kind, periods)
        if shift is not None:
            shifts[name] = shift
        if role == "target":
            answers = values
            target = None if why else target_look(values, periods, task=data.task)
        else:
            hashes.add(name, values)
            if champion is not None and name in champion.levels:
                unseen[name] = _unknown(values, champion.levels[name])
    frame = pd.DataFrame(sample)
    shown = {name: not why for name, why in reasons.items()}
    pairs = _pairs(frame, table, shown)
    noise = noise_of(frame, places, data, seed=seed, threads=threads)
    features = [pair.name for pair in pairs] or list(table.features)
    types = {name: kind for name, (kind, _) in table.kinds.items() if name in sample}
    telling = {name: types[name] for name in [data.target, *features[:MOST_RELATED]]}
    newest = max(len(frame) // 8, 1)
    leaks = leaks_of(frame, data, label_time=None, entity=None, judge_rows=newest, made=()) if table.rows else []
    return Look(
        table=table,
        sampled=len(places),
        periods=periods,
        columns=tuple(columns),
        target=target,
        pairs=tuple(pairs),
        related=related(frame, telling),
        moved=shifts,
        gaps=gaps_of(frame, types, first=[data.target, *features]),
        collinear=_collinear(frame, types, features),
        batch_missing=by_batch,
        batch_sizes=0 if table.batches is None else -(-(int(table.batches.max(initial=0)) + 1) // MOST_BATCHES),
        doubles=hashes.doubles(answers, seed=seed),
        noise=noise,
        suspects=() if noise is None else tuple(name_of(table, suspect.row, reasons) for suspect in noise.shown),
        leaks=tuple(_without_values(leak, reasons) for leak in leaks),
        unseen=unseen,
        champion=champion,
        prepared=tuple(prepared),
        given=tuple(_telling(given, shown, table)),
    )


def _by_batch(blank: np.ndarray, batches: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(batches, weights=blank) / np.bincount(batches))


def _collinear(sample: pd.DataFrame, types: Mapping[str, ColumnType], features: Sequence[str]) -> Collinear | None:
    """Of the numeric features that tell most, what is not finite left out."""
    names = [name for name in features if types[name] != "category"][:MOST_RELATED]
    numbers = {name: as_floats(sample[name]) for name in names}
    large = {name: np.where(np.abs(values) < LARGEST, values, np.nan) for name, values in numbers.items()}
    return collinear(large)


def _unknown(values: pd.Series, levels: tuple[str, ...]) -> float:
    """Share of the newest fifth of the rows whose category is not among the levels; missing ones are none."""
    new = values.iloc[int(len(values) * 0.8) :].dropna()
    return float((~new.astype("str").isin(levels)).mean()) if len(new) else 0.0


def _pairs(sample: pd.DataFrame, table: LookTable, shown: Mapping[str, bool]) -> list[Pair]:
    """Each feature against the target; of one that may not be shown the strength alone."""
    data = table.data
    known = sample[data.target].notna().to_numpy()
    if data.task == "regression":
        known = np.isfinite(as_floats(sample[data.target]))
    if known.sum() < LEAST_PAIRED:
        return []
    goal = goal_of(sample[data.target][known], task=data.task, positive=data.positive)
    found = []
    for name, kind in table.features.items():
        pair = pair_of(name, sample[name][known], kind, goal)
        if not (shown[name] and shown[data.target]):
            pair = Pair(name, pair.tells, (), np.zeros(0), np.zeros(0), np.zeros(0))
        found.append(pair)
    return sorted(found, key=lambda pair: -pair.tells)  # stable: in the order of params.yaml where they tell as much


def _without_values(leak: Leak, reasons: Mapping[str, str]) -> Leak:
    """The leak, said without a value where one of its columns may not be shown."""
    return replace(leak, seen=leak.bare or leak.seen) if any(reasons.get(name) for name in leak.columns) else leak


def name_of(table: LookTable, row: int, reasons: Mapping[str, str]) -> str:
    """The key of a row; its number in the order of time where the key holds what may not be shown.

    A key that is only an id is shown although the model may not use it: it is how a row is asked for.
    """
    barred = any(reasons.get(name, "") not in ("", NO_VALUES) or name in table.unnamed for name in table.data.key)
    return f"row {row + 1} in the order of time" if barred else str(table.keys.iloc[row])


WITHOUT_VALUES = ("personal", "nested", "empty", "many levels", "name", "missing")
"""What may be told of a column whose values may not be shown: these sentences hold none."""


def _telling(given: Sequence[Note], shown: Mapping[str, bool], table: LookTable) -> list[Note]:
    return [
        note
        for note in given
        if not note.column
        or note.about in WITHOUT_VALUES
        or (note.column not in table.left_out and shown.get(note.column, True))
    ]
