"""The profile of a whole table: each column by itself, then what takes several, on a sample of rows.

Also labels that are likely wrong, and missing cells that other columns predict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.features.numbers import cells_of, cramer
from retrim.features.step import known
from retrim.features.view import FeatureView
from retrim.profile.columns import ColumnLook, Periods, column_look, cut_periods, together
from retrim.profile.duplicates import Duplicates, Hashes
from retrim.profile.leaks import Leak, leaks_of
from retrim.profile.table import NO_VALUES, ProfiledTable, TableNote, hidden
from retrim.stats.codec import to_record
from retrim.table.data import ColumnType, DataParams
from retrim.training.estimators import MODELS, FitTask

FOLDS = 5
LEAST, MOST = 100, 30_000
"""Labelled rows that it takes, and of which more are not used."""
SHOWN = 20
SURE = 0.9
"""Probability of another class from which a suspect is one of the surest."""
FAR = 6.0
"""Standard deviations of a residual from which its row is a suspect: two of 10^9 rows of a normal law are."""
MODEL = {
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_child_samples": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
}
ROUNDS = 60


@dataclass(frozen=True)
class SuspectLabel:
    """A row whose label is likely wrong.

    Args:
        row: Its place in the table.
        label: What it is labelled.
        said: What the model says.
        sure: Probability of that class; of a regression how many standard deviations it lies off.
    """

    row: int
    label: str
    said: str
    sure: float


@dataclass(frozen=True)
class LabelNoise:
    """What a look for wrong labels found.

    Args:
        rows: Labelled rows looked at.
        suspects: How many are suspects.
        surest: How many of those with a probability of 90% or more of another class; of a regression all.
        told: Share of the labels' uncertainty (of a regression of their mean absolute deviation) that the model takes
            away on rows it has not seen; below 0 where it is worse than nothing.
        shown: The surest.
    """

    rows: int
    suspects: int
    surest: int
    told: float
    shown: tuple[SuspectLabel, ...]


def noise_of(
    sample: pd.DataFrame, places: np.ndarray, data: DataParams, *, seed: int, threads: int
) -> LabelNoise | None:
    """Rows whose label is likely wrong; None where too few are labelled, or all alike.

    A small model predicts each fifth of the rows from the others. Of classes, a row is a suspect where the class of
    the largest probability is not its label, and that probability is at least the mean which rows labelled so get; of
    a regression, where it is `FAR` robust standard deviations off, those of rows with as large a prediction.

    Args:
        sample: Rows drawn at random, features and target, shape (n, columns).
        places: Place of each in the table, shape (n,).

    Source:
        Confident learning: Northcutt, Jiang and Chuang (2021), J. Artif. Intell. Res. 70, 1373-1411, pruning by class
        with its off-diagonal counts.
    """
    known = sample[data.target].notna().to_numpy()
    if data.task == "regression":
        known = np.abs(np.nan_to_num(as_floats(sample[data.target]), nan=np.inf)) < 1e30
    rows, places = sample[known].reset_index(drop=True), places[known]
    if len(rows) > MOST:
        step = np.sort(np.random.default_rng(seed).choice(len(rows), MOST, replace=False))
        rows, places = rows.iloc[step].reset_index(drop=True), places[step]
    if len(rows) < LEAST or rows[data.target].nunique() < 2:
        return None
    view = FeatureView.learn(rows, data)
    matrix, actual = np.clip(view.matrix(rows), -1e30, 1e30), view.actual(rows)
    fold = np.random.default_rng(seed).permutation(len(rows)) % FOLDS
    if data.task == "regression":
        said = _out_of_fold(view, matrix, actual, fold, loss="mae", seed=seed, threads=threads)
        return _far(said[:, 0], actual, places)
    if data.task == "multiclass":
        counts = np.bincount(actual)
        if len(counts) > 50 or min(len(np.unique(actual[fold != part])) for part in range(FOLDS)) < len(counts):
            return None  # a class that only one fold has cannot be predicted there
    elif min(len(np.unique(actual[fold != part])) for part in range(FOLDS)) < 2:
        return None
    said = _out_of_fold(view, matrix, actual, fold, loss="log_loss", seed=seed, threads=threads)
    if data.task == "binary":
        said = np.column_stack([1 - said[:, 0], said[:, 0]])
    return _wrong(said, actual, places, view.classes)


def _out_of_fold(
    view: FeatureView, matrix: np.ndarray, actual: np.ndarray, fold: np.ndarray, *, loss: str, seed: int, threads: int
) -> np.ndarray:
    """Predictions of each row by a model that was fitted on the other folds, shape (n, outputs)."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for part in range(FOLDS):
        rest, own = fold != part, fold == part
        fitted = MODELS["gbm"].fit(view, matrix[rest], actual[rest], FitTask(loss, MODEL, ROUNDS, seed, threads))
        parts.append((own, fitted.model.predict(matrix[own]).reshape(int(own.sum()), -1)))
    said = np.empty((len(actual), parts[0][1].shape[1]))
    for own, values in parts:
        said[own] = values
    return said


def _wrong(said: np.ndarray, actual: np.ndarray, places: np.ndarray, classes: Sequence[str]) -> LabelNoise:
    bounds = np.array([said[actual == code, code].mean() for code in range(said.shape[1])])
    confident = np.where(said >= bounds, said, -1.0)
    guess = confident.argmax(axis=1)
    odd = (confident.max(axis=1) > 0) & (guess != actual)
    sure = said[np.arange(len(said)), guess]
    margin = sure - said[np.arange(len(said)), actual]
    order = sorted(np.flatnonzero(odd), key=lambda row: (-margin[row], places[row]))
    shown = tuple(
        SuspectLabel(int(places[row]), classes[actual[row]], classes[guess[row]], float(sure[row]))
        for row in order[:SHOWN]
    )
    prior = np.bincount(actual, minlength=said.shape[1]) / len(actual)
    entropy = float(-(prior[prior > 0] * np.log(prior[prior > 0])).sum())
    loss = float(-np.log(np.clip(said[np.arange(len(said)), actual], 1e-15, 1)).mean())
    return LabelNoise(len(said), int(odd.sum()), int((odd & (sure >= SURE)).sum()), 1 - loss / entropy, shown)


def _far(said: np.ndarray, actual: np.ndarray, places: np.ndarray) -> LabelNoise:
    """Residuals in robust standard deviations of the tenth of rows whose prediction is as large."""
    off = actual - said
    tenth = np.argsort(np.argsort(said, kind="stable"), kind="stable") * 10 // len(said)
    whole = 1.4826 * float(np.median(np.abs(off)))
    scale = np.empty(len(off))
    for part in range(10):
        own = tenth == part
        if own.any():
            # Not below half of the whole: a tenth that is predicted nearly exactly would suspect all of its rows.
            scale[own] = max(1.4826 * float(np.median(np.abs(off[own]))), 0.5 * whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.where(scale > 0, np.abs(off) / scale, 0.0)
    order = sorted(np.flatnonzero(away >= FAR), key=lambda row: (-away[row], places[row]))
    shown = tuple(
        SuspectLabel(int(places[row]), f"{actual[row]:.6g}", f"{said[row]:.6g}", float(away[row]))
        for row in order[:SHOWN]
    )
    usual = float(np.abs(actual - np.median(actual)).mean())
    return LabelNoise(
        len(off), len(order), len(order), 1 - float(np.abs(off).mean()) / usual if usual > 0 else 0.0, shown
    )


MISSING_CELLS = 10
TIME = "(time)"
LEAST_MISSING = 10
"""Missing cells, and filled ones, below which nothing is said."""
CLEAR = 0.1
"""Cramér's V from which an association is worth a word; on many rows chance alone is told from far less."""


@dataclass(frozen=True)
class Missingness:
    """How the cells of one column are missing.

    Args:
        column: Its name.
        missing: Missing cells.
        share: Of all rows.
        kind: `none`; `few`, too few to say; `random`, nothing tells which; `systematic`.
        told_by: What tells best which cells are missing: another column, or `TIME`; None where nothing does.
        strength: Cramér's V of that, corrected, 0 to 1.
        p_value: Of the best among all looked at (Bonferroni).
    """

    column: str
    missing: int
    share: float
    kind: str
    told_by: str | None
    strength: float
    p_value: float


def missingness(columns: Mapping[str, np.ndarray], *, confidence: float) -> list[Missingness]:
    """How each column is missing.

    Random means that neither another column nor the order of rows tells which cells are missing; that they
    depend on the missing value itself can be seen from no table.

    Args:
        columns: By name, rows in order of time, shape (n,) each: numbers with NaN, or text with None.
    """
    n = len(next(iter(columns.values()), np.zeros(0)))
    cells = {name: cells_of(values, most=MISSING_CELLS) for name, values in columns.items()}
    cells[TIME] = np.arange(n) * MISSING_CELLS // max(n, 1)
    return [_one(name, ~known(values), cells, confidence) for name, values in columns.items()]


def _one(name: str, missing: np.ndarray, cells: Mapping[str, np.ndarray], confidence: float) -> Missingness:
    n, count = len(missing), int(missing.sum())
    share = count / n if n else 0.0
    if not count:
        return Missingness(name, 0, 0.0, "none", None, 0.0, 1.0)
    if min(count, n - count) < LEAST_MISSING:
        return Missingness(name, count, share, "few", None, 0.0, 1.0)
    strengths, chances = {}, {}
    for other, codes in cells.items():
        if other == name:
            continue
        strengths[other], chances[other] = cramer(codes, missing.astype("int64"))
    best = min(strengths, key=lambda other: (-strengths[other], chances[other], other))
    p_value = min(chances[best] * len(chances), 1.0)
    told = strengths[best] >= CLEAR and p_value <= 1 - confidence
    return Missingness(
        name, count, share, "systematic" if told else "random", best if told else None, strengths[best], p_value
    )


ROWS, COLUMNS = 10_000, 60
"""Rows, and columns beside those that tell most, that are held against one another."""
CONFIDENCE = 0.999


def gaps_of(sample: pd.DataFrame, kinds: Mapping[str, ColumnType], *, first: Sequence[str]) -> dict[str, Missingness]:
    """How the gaps of each column come, of those that have some.

    Args:
        sample: Rows drawn at random, in order of time.
    """
    step = max(-(-len(sample) // ROWS), 1)
    rows = sample.iloc[::step]
    gaps = [name for name in first if rows[name].isna().any()][:COLUMNS]
    asked = list(dict.fromkeys([*gaps, *first[:COLUMNS]]))
    if not gaps:
        return {}
    columns = {name: _values(rows[name], kinds[name]) for name in asked}
    return {one.column: one for one in missingness(columns, confidence=CONFIDENCE) if one.missing}


def _values(values: pd.Series, kind: ColumnType) -> np.ndarray:
    if kind != "category":
        return as_floats(values)
    text = values.astype("object")
    return text.where(text.notna(), None).to_numpy()


@dataclass(frozen=True)
class LabelCounts:
    """Rows with a label, and of classes the rows of each; no classes of a regression."""

    labelled: int
    classes: Mapping[str, int]


def count_labels(values: pd.Series, *, task: str) -> LabelCounts:
    """Counts the labels of a target, shape (n,); an infinite one counts as none."""
    if task == "regression":
        return LabelCounts(int(np.isfinite(as_floats(values)).sum()), {})
    classes = {str(text): int(count) for text, count in values.value_counts().items()}
    return LabelCounts(sum(classes.values()), classes)


MOST_BATCHES = 60


@dataclass(frozen=True)
class TableProfile:
    """A profile of a table.

    Args:
        table: The profiled table.
        sampled: Rows in the sample. Everything that is not counted on all rows is computed from this sample.
        periods: Parts of the history.
        columns: Summary of every column, in the order of params.yaml.
        target: Labels of the target; None if its values may not be shown.
        gaps: For features and target with missing values: whether these look random.
        batch_missing: Share of missing values in each batch by arrival, for each column with gaps; of more than
            `MOST_BATCHES` neighbours are taken together.
        doubles: Duplicate rows.
        noise: Rows whose label is likely wrong; None if this was not examined.
        suspects: Keys of the rows shown, or their numbers in time order if a key may not be shown.
        leaks: Columns that leak the target.
        given: Notes from reading the table.
    """

    table: ProfiledTable
    sampled: int
    periods: Periods
    columns: tuple[ColumnLook, ...]
    target: LabelCounts | None
    gaps: Mapping[str, Missingness]
    batch_missing: Mapping[str, np.ndarray]
    doubles: Duplicates
    noise: LabelNoise | None
    suspects: tuple[str, ...]
    leaks: tuple[Leak, ...]
    given: tuple[TableNote, ...]

    @property
    def shown(self) -> dict[str, ColumnLook]:
        return {column.name: column for column in self.columns}

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
            "missing": {
                name: {"kind": gap.kind, "told_by": gap.told_by, "strength": gap.strength, "p_value": gap.p_value}
                for name, gap in self.gaps.items()
            },
            "duplicates": to_record(self.doubles),
            "label_noise": None
            if self.noise is None
            else {
                "rows": self.noise.rows,
                "suspects": self.noise.suspects,
                "surest": self.noise.surest,
                "keys": list(self.suspects),
            },
            "leaks": [to_record(leak) for leak in self.leaks],
        }


def profile_table(
    table: ProfiledTable,
    *,
    rows: int,
    seed: int,
    threads: int,
    given: Sequence[TableNote],
) -> TableProfile:
    """Looks at a table.

    Each column is fetched once and counted on all rows: what fills it, gaps, duplicates. Leaks, labels, and what tells
    which cells are missing, are looked at on `rows` rows drawn at random.

    Args:
        rows: Of the sample, 1 or more.
    """
    data = table.data
    periods = cut_periods(table.event, timed=table.timed)
    places = np.sort(np.random.default_rng(seed).permutation(table.rows)[:rows])
    seen = _look_at_columns(table, periods, places)
    frame = pd.DataFrame(seen.sample)
    shown = {name: not why for name, why in seen.reasons.items()}
    noise = noise_of(frame, places, data, seed=seed, threads=threads)
    types = {name: kind for name, (kind, _) in table.kinds.items() if name in seen.sample}
    newest = max(len(frame) // 8, 1)
    leaks = leaks_of(frame, data, label_time=None, entity=None, judge_rows=newest, made=()) if table.rows else []
    return TableProfile(
        table=table,
        sampled=len(places),
        periods=periods,
        columns=tuple(seen.columns),
        target=seen.target,
        gaps=gaps_of(frame, types, first=[data.target, *table.features]),
        batch_missing=seen.missing_by_batch,
        doubles=seen.hashes.doubles(seen.answers),
        noise=noise,
        suspects=() if noise is None else tuple(name_of(table, suspect.row, seen.reasons) for suspect in noise.shown),
        leaks=tuple(_without_values(leak, seen.reasons) for leak in leaks),
        given=tuple(_telling(given, shown, table)),
    )


@dataclass
class _ColumnPass:
    """What one pass over the columns gives; each is fetched once, and let go.

    Args:
        hashes: Of the features of each row.
        columns: Every column at a glance.
        sample: Drawn rows of features and target.
        missing_by_batch: Share missing in each batch, of columns with gaps.
        reasons: Why no value of a column is shown; empty: all may be.
        answers: The target of every row.
        target: Labels of the target; None where its values may not be shown.
    """

    hashes: Hashes
    columns: list[ColumnLook] = field(default_factory=list)
    sample: dict[str, pd.Series] = field(default_factory=dict)
    missing_by_batch: dict[str, np.ndarray] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    answers: pd.Series = field(default_factory=lambda: pd.Series([], dtype="float64"))
    target: LabelCounts | None = None


def _look_at_columns(table: ProfiledTable, periods: Periods, places: np.ndarray) -> _ColumnPass:
    batches = None if table.batches is None else together(table.batches, MOST_BATCHES)
    seen = _ColumnPass(Hashes(table.rows))
    for name, (kind, role) in table.kinds.items():
        values = table.column(name)
        why = seen.reasons[name] = hidden(name, values, table, before=seen.reasons)
        look = column_look(name, values, kind=kind, role=role, hidden=why, periods=periods)
        seen.columns.append(look)
        if batches is not None and look.missing:
            seen.missing_by_batch[name] = _by_batch(values.isna().to_numpy(), batches)
        if role not in ("feature", "target"):
            continue
        seen.sample[name] = values.iloc[places].reset_index(drop=True)
        if role == "target":
            seen.answers = values
            seen.target = None if why else count_labels(values, task=table.data.task)
        else:
            seen.hashes.add(name, values)
    return seen


def _by_batch(blank: np.ndarray, batches: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(batches, weights=blank) / np.bincount(batches))


def _without_values(leak: Leak, reasons: Mapping[str, str]) -> Leak:
    """The leak, said without a value where one of its columns may not be shown."""
    return replace(leak, seen=leak.bare or leak.seen) if any(reasons.get(name) for name in leak.columns) else leak


def name_of(table: ProfiledTable, row: int, reasons: Mapping[str, str]) -> str:
    """The key of a row; its number in the order of time where the key holds what may not be shown.

    A key that is only an id is shown although the model may not use it: it is how a row is asked for.
    """
    barred = any(reasons.get(name, "") not in ("", NO_VALUES) for name in table.data.key)
    return f"row {row + 1} in order of time" if barred else str(table.keys.iloc[row])


WITHOUT_VALUES = ("personal", "nested", "empty", "many levels", "name", "missing")
"""What may be told of a column whose values may not be shown: these sentences hold none."""


def _telling(given: Sequence[TableNote], shown: Mapping[str, bool], table: ProfiledTable) -> list[TableNote]:
    return [
        note
        for note in given
        if not note.column
        or note.about in WITHOUT_VALUES
        or (note.column not in table.left_out and shown.get(note.column, True))
    ]
